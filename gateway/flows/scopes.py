"""Which portal scopes feed a group, and their records: the planning flow's view of what pull stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from gateway.connectors.port import ScopeRead
from gateway.domain.identifiers import PORTAL, Kind, source_of
from gateway.domain.records import RECORD_TYPES, Group, Mark, Record
from gateway.reconcile.snapshot import PORTAL_SIDE
from gateway.reconcile.tables import record, record_fault, scope_state

_LIVE = select(record.c.ref, record.c.body).where(
    record.c.place_id == bindparam("place_id"),
    record.c.scope.in_(bindparam("scopes", expanding=True)),
    record.c.kind == bindparam("kind"),
    record.c.gone.is_(None),
)


class LocalScope(msgspec.Struct, frozen=True, kw_only=True):
    """A scope of a source: kind × course × group, with the digest of its last complete read.

    Attributes:
        programme: Of the canonical group where several sources have the group, so that all its scopes lie together.
        group: Canonical ref of the group.
        is_fresh: It was read whole when last tried.
        records: How many records that read had.
    """

    scope: str
    kind: Kind
    programme: str
    group: str
    digest: bytes
    is_fresh: bool = True
    records: int = 0


def load_scopes(
    conn: Connection, place_id: int, *, canonical: Mapping[str, str] = {}, groups: Mapping[str, Group] = {}
) -> Mapping[str, Sequence[LocalScope]]:
    """Load the scopes of a place's sources by the group they belong to.

    A scope is named `kind|course:2|group:1`; attempts go on by test and pupil, because only those of changed cells are read.

    Args:
        canonical: Group ref of any source → canonical ref, where they differ.
        groups: Canonical ref → group.
    """
    found: dict[str, list[LocalScope]] = {}
    rows = conn.execute(
        select(scope_state.c.scope, scope_state.c.digest, scope_state.c.problem, scope_state.c.records)
        .where(scope_state.c.place_id == place_id, scope_state.c.side == PORTAL_SIDE)
        .order_by(scope_state.c.scope)
    )
    for scope, digest, problem, records in rows:
        parts = scope.split("|")
        if len(parts) < 3:
            continue
        group = canonical.get(parts[2], parts[2])
        local = LocalScope(
            scope=scope,
            kind=Kind(parts[0]),
            programme=groups[group].programme if group in groups and source_of(parts[1]) != PORTAL else parts[1],
            group=group,
            digest=digest,
            is_fresh=problem is None,
            records=records,
        )
        found.setdefault(local.group, []).append(local)
    return found


def load_of_scopes(conn: Connection, place_id: int, scopes: Iterable[LocalScope], kind: Kind) -> list[Record]:
    """Load the live records of one kind in these scopes, in order of their refs."""
    names = [scope.scope for scope in scopes if scope.kind is kind]
    decoder = msgspec.json.Decoder(RECORD_TYPES[kind])
    bodies: list[tuple[str, bytes]] = []
    for start in range(0, len(names), 500):
        bodies.extend(
            (row[0], row[1])
            for row in conn.execute(
                _LIVE, {"place_id": place_id, "scopes": names[start : start + 500], "kind": kind.value}
            )
        )
    return [decoder.decode(body) for _, body in sorted(bodies)]


def load_faults(conn: Connection, place_id: int) -> Mapping[str, tuple[str, int]]:
    """Count the parked records of every scope: scope → (a reason, count)."""
    rows = conn.execute(
        select(record_fault.c.scope, func.min(record_fault.c.reason), func.count())
        .where(record_fault.c.place_id == place_id)
        .group_by(record_fault.c.scope)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def load_owed_marks(
    conn: Connection, place_id: int, read: ScopeRead, tried: Mapping[tuple[str, int], datetime] = {}
) -> list[str]:
    """Load refs of tested marks whose attempts were not completely read since the mark changed, or the pupil last tried.

    Attempts are asked for when their mark changes. A read that ended between the two, or attempts that could not be read,
    would otherwise leave the mark without its day for good, because it is not new to the next read.

    Args:
        conn: The transaction that stored the scope.
        place_id: Where we are.
        read: A scope of marks, just stored.
        tried: Who tried which test when, where the portal's log of events is read: an attempt that changed no grade, say a
            worse second one, is seen by nothing else.
    """
    tested = [item for item in read.records if isinstance(item, Mark) and item.module == "quiz" and item.activity]
    if not tested:
        return []
    prefix = f"{Kind.ATTEMPT.value}|{read.scope.partition('|')[2]}|"
    read_at = {
        row.scope: row.complete_at
        for row in conn.execute(
            select(scope_state.c.scope, scope_state.c.complete_at).where(
                scope_state.c.place_id == place_id,
                scope_state.c.side == PORTAL_SIDE,
                scope_state.c.scope.startswith(prefix, autoescape=True),
            )
        )
    }
    changed_at = {
        row.ref: row.changed_at
        for row in conn.execute(
            select(record.c.ref, record.c.changed_at).where(
                record.c.place_id == place_id, record.c.scope == read.scope, record.c.kind == Kind.MARK.value
            )
        )
    }
    owed: list[str] = []
    for mark in tested:
        last = read_at.get(f"{prefix}{mark.activity}|{mark.pupil}")
        tried_at = tried.get((mark.pupil, read.modules.get(mark.activity or "", 0)))
        if last is None or last < changed_at.get(mark.ref, last) or (tried_at is not None and last < tried_at):
            owed.append(mark.ref)
    return owed
