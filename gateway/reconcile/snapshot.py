"""Ours as read: one scope compared with what is stored, only what changed is written, what vanished is explained.

Stands between the sources and mapping. A discarded read changes nothing but the note that it was tried. Every version
that was ever seen is kept with the moment it was seen (law 16).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update

from gateway.connectors.port import ScopeRead
from gateway.domain.identifiers import PORTAL, Kind, source_of_scope
from gateway.domain.records import (
    Absence,
    Attempt,
    Final,
    Homework,
    LessonComment,
    Mark,
    Record,
    digest_of,
    to_body,
    xor_of,
)
from gateway.reconcile.gone import DELETABLE, Gone, gone_kind
from gateway.reconcile.shares import note_shares
from gateway.reconcile.tables import record, record_version, scope_state
from gateway.store.transaction import upsert

PORTAL_SIDE = "portal"
CITY_SIDE = "city"

R = TypeVar("R", bound=Record)

_KNOWN = select(
    record.c.kind, record.c.ref, record.c.digest, record.c.gone, record.c.gone_at, record.c.absent_reads, record.c.body
).where(record.c.place_id == bindparam("place_id"), record.c.scope == bindparam("scope"))


class ScopeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How a scope's records compare with what was stored; read = new + changed + unchanged."""

    kind: Kind
    read: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    unchanged: int = 0
    changed_refs: Sequence[str] = ()


def store_scope(conn: Connection, place_id: int, read: ScopeRead, *, run_id: int) -> ScopeCounts:
    """Store one scope of a source in the caller's transaction.

    Args:
        conn: A write transaction.
        place_id: Where we are.
        read: The scope, complete or discarded; a discarded one leaves all its records as they were.
        run_id: Run that reads.
    """
    if not read.is_complete:
        _note_problem(conn, place_id, read, run_id)
        return ScopeCounts(kind=read.kind)
    rows = conn.execute(_KNOWN, {"place_id": place_id, "scope": read.scope}).all()
    known: dict[tuple[str, str], Any] = {(row.kind, row.ref): row for row in rows}
    new_rows: list[dict[str, object]] = []
    changed_rows: list[dict[str, object]] = []
    versions: list[dict[str, object]] = []
    digests: list[bytes] = []
    fresh: list[Record] = []
    unchanged = 0
    seen: set[tuple[str, str]] = set()
    for item in read.records:
        key = (item.kind.value, item.ref)
        if key in seen:
            continue
        seen.add(key)
        body = to_body(item)
        digest = digest_of(body)
        digests.append(digest)
        before = known.get(key)
        if before is not None and before.digest == digest and before.gone is None:
            unchanged += 1
            continue
        row = {
            "place_id": place_id,
            "kind": key[0],
            "ref": item.ref,
            "scope": read.scope,
            "digest": digest,
            "body": body,
            "first_seen_at": read.read_at,
            "changed_at": read.read_at,
            "gone": None,
            "gone_at": None,
            "absent_reads": 0,
            "run_id": run_id,
        }
        (new_rows if before is None else changed_rows).append(row)
        fresh.append(item)
        versions.append(_version(place_id, key, digest, body, read.read_at, None, run_id))
    moved = _moved_here(conn, place_id, new_rows)
    upsert(
        conn,
        record,
        new_rows + changed_rows,
        keys=("place_id", "kind", "ref"),
        update=("scope", "digest", "body", "changed_at", "gone", "gone_at", "absent_reads", "run_id"),
    )
    note_shares(conn, place_id, read.scope, fresh)
    gone_count, gone_versions = _mark_gone(conn, place_id, read, known, seen, run_id)
    versions.extend(gone_versions)
    if versions:
        conn.execute(insert(record_version), versions)
    upsert(
        conn,
        scope_state,
        [
            {
                "place_id": place_id,
                "side": PORTAL_SIDE,
                "scope": read.scope,
                "digest": xor_of(digests),
                "records": len(seen),
                "from_on": None,
                "to_on": None,
                "tried_at": read.read_at,
                "complete_at": read.read_at,
                "complete_reads": 1,
                "problem": None,
                "run_id": run_id,
            }
        ],
        keys=("place_id", "side", "scope"),
        update=("digest", "records", "tried_at", "complete_at", "problem", "run_id"),
    )
    return ScopeCounts(
        kind=read.kind,
        read=len(seen),
        new=len(new_rows) - moved,
        changed=len(changed_rows) + moved,
        gone=gone_count,
        unchanged=unchanged,
        changed_refs=[str(row["ref"]) for row in new_rows + changed_rows],
    )


def mark_removed_scopes(
    conn: Connection,
    place_id: int,
    *,
    prefixes: Sequence[str],
    visited: Sequence[str],
    read_at: datetime,
    run_id: int,
    source: str = PORTAL,
) -> dict[str, int]:
    """Mark the records of scopes that a whole and complete read no longer met: removed, never a delete.

    Args:
        conn: A write transaction.
        place_id: Where we are.
        prefixes: Kinds of scopes (`mark|`) that this read covered whole.
        visited: Scopes that it met, complete or not.
        read_at: Moment of the read.
        run_id: Run that reads.
        source: Whose scopes: what another source holds was not looked at.

    Returns:
        Records newly marked, by kind.
    """
    scopes = conn.execute(
        select(scope_state.c.scope).where(
            scope_state.c.place_id == place_id,
            scope_state.c.side == PORTAL_SIDE,
            or_(*(scope_state.c.scope.startswith(prefix, autoescape=True) for prefix in prefixes)),
        )
    ).scalars()
    lost = sorted({scope for scope in scopes if source_of_scope(scope) == source} - set(visited))
    total: dict[str, int] = {}
    for scope in lost:
        kind = scope.partition("|")[0]
        total[kind] = (
            total.get(kind, 0)
            + conn.execute(
                update(record)
                .where(record.c.place_id == place_id, record.c.scope == scope, record.c.gone.is_(None))
                .values(gone=Gone.SCOPE_RESET.value, gone_at=read_at, run_id=run_id)
            ).rowcount
        )
    return total


def note_source_unread(conn: Connection, place_id: int, source: str, reason: str, *, run_id: int) -> int:
    """Note on all scopes of a source beside the portal that it could not be read; their records stay as they were.

    Returns:
        Scopes noted.
    """
    return conn.execute(
        update(scope_state)
        .where(
            scope_state.c.place_id == place_id,
            scope_state.c.side == PORTAL_SIDE,
            scope_state.c.scope.contains(f"|{source}/", autoescape=True),
        )
        .values(problem=reason, run_id=run_id)
    ).rowcount


def _moved_here(conn: Connection, place_id: int, new_rows: Sequence[dict[str, object]]) -> int:
    """Count rows that are new to the scope and known elsewhere: a pupil who changed groups brings changed, not new, records."""
    if not new_rows:
        return 0
    total = 0
    kind = new_rows[0]["kind"]
    refs = [row["ref"] for row in new_rows]
    for start in range(0, len(refs), 500):
        total += len(
            conn.execute(
                select(record.c.ref).where(
                    record.c.place_id == place_id, record.c.kind == kind, record.c.ref.in_(refs[start : start + 500])
                )
            ).all()
        )
    return total


def _mark_gone(
    conn: Connection,
    place_id: int,
    read: ScopeRead,
    known: dict[tuple[str, str], Any],
    seen: set[tuple[str, str]],
    run_id: int,
) -> tuple[int, list[dict[str, object]]]:
    live = sum(1 for row in known.values() if row.gone is None)
    changes: list[dict[str, object]] = []
    versions: list[dict[str, object]] = []
    newly = 0
    # A parked record is at the source and can't be understood: that it isn't among the records says nothing.
    parked = {fault.where for fault in read.faults}
    for key, row in known.items():
        if key in seen or _is_parked(key[1], parked):
            continue
        old = Gone(row.gone) if row.gone else None
        if old is None or old in DELETABLE:
            pupil, item = _whose(Kind(key[0]), row.body)
            fresh = gone_kind(
                pupil=pupil,
                item=item,
                pupils_present=read.pupils_present,
                items_present=read.items_present,
                known_count=live if old is None else 0,
                remaining_count=len(seen),
            )
            # An absence once explained by a cleared value may only become a safer one, never the other way round.
            kind = fresh if old is None or fresh not in DELETABLE else old
        else:
            kind = old
        newly += old is None
        changes.append(
            {
                "b_kind": key[0],
                "b_ref": key[1],
                "gone": kind.value,
                # since when, and not when last looked for: the grace time counts from here
                "gone_at": read.read_at if old is None else row.gone_at,
                "absent_reads": row.absent_reads + 1,
            }
        )
        if old is None:
            versions.append(_version(place_id, key, row.digest, row.body, read.read_at, kind.value, run_id))
    if changes:
        conn.execute(
            update(record)
            .where(
                and_(
                    record.c.place_id == place_id,
                    record.c.kind == bindparam("b_kind"),
                    record.c.ref == bindparam("b_ref"),
                )
            )
            .values(
                gone=bindparam("gone"),
                absent_reads=bindparam("absent_reads"),
                gone_at=bindparam("gone_at"),
            ),
            changes,
        )
    return newly, versions


def _is_parked(ref: str, parked: Collection[str]) -> bool:
    """Whether a record, or what it was made of with others, can't be read: several are parked under what their refs begin with."""
    while ref and ref not in parked:
        ref = ref.rpartition(":")[0]
    return bool(ref)


def _whose(kind: Kind, body: bytes) -> tuple[str | None, str | None]:
    """Tell whose record it is and what it hangs on: how «left», «removed» and «cleared» are told apart."""
    if kind is Kind.MARK:
        mark = msgspec.json.decode(body, type=Mark)
        return mark.pupil, mark.item
    if kind is Kind.ABSENCE:
        absence = msgspec.json.decode(body, type=Absence)
        return absence.pupil, absence.lesson
    if kind is Kind.FINAL:
        final = msgspec.json.decode(body, type=Final)
        return final.pupil, final.item
    if kind is Kind.COMMENT:
        comment = msgspec.json.decode(body, type=LessonComment)
        return comment.pupil, comment.lesson
    if kind is Kind.ATTEMPT:
        attempt = msgspec.json.decode(body, type=Attempt)
        return attempt.pupil, attempt.activity
    if kind is Kind.HOMEWORK:
        return None, msgspec.json.decode(body, type=Homework).ref
    return None, None


def _version(
    place_id: int,
    key: tuple[str, str],
    digest: bytes,
    body: bytes,
    seen_at: datetime,
    gone: str | None,
    run_id: int,
) -> dict[str, object]:
    return {
        "place_id": place_id,
        "kind": key[0],
        "ref": key[1],
        "digest": digest,
        "body": body,
        "valid_from": seen_at,
        "gone": gone,
        "run_id": run_id,
    }


def _note_problem(conn: Connection, place_id: int, read: ScopeRead, run_id: int) -> None:
    if read.problem is None:
        raise ValueError("a complete scope has no problem to note")
    upsert(
        conn,
        scope_state,
        [
            {
                "place_id": place_id,
                "side": PORTAL_SIDE,
                "scope": read.scope,
                "digest": bytes(16),
                "records": 0,
                "from_on": None,
                "to_on": None,
                "tried_at": read.read_at,
                "complete_at": None,
                "complete_reads": 0,
                "problem": read.problem.reason_code,
                "run_id": run_id,
            }
        ],
        keys=("place_id", "side", "scope"),
        update=("tried_at", "problem", "run_id"),
    )
    if read.unread_part:
        # What was read of it before stands, but is no fresh word: it must not contradict another source's.
        conn.execute(
            update(scope_state)
            .where(
                scope_state.c.place_id == place_id,
                scope_state.c.side == PORTAL_SIDE,
                scope_state.c.scope.endswith(f"|{read.unread_part}", autoescape=True),
            )
            .values(problem=read.problem.reason_code, run_id=run_id)
        )


class StoredScopes:
    """What a source may ask about the scopes handed over in this read (`connectors.port.Stored`)."""

    def __init__(self) -> None:
        self._changed: dict[str, Sequence[str]] = {}

    def note(self, scope: str, counts: ScopeCounts, owed: Sequence[str] = ()) -> None:
        """Remember what changed in a scope, and what changed in an earlier read that did not get to its end."""
        self._changed[scope] = [*counts.changed_refs, *owed]

    def changed_marks(self, scope: str) -> Sequence[str]:
        """Return refs whose dependent records are to be read: new or changed now, or owed from an earlier read."""
        return self._changed.get(scope, ())


def load_records(conn: Connection, place_id: int, cls: type[R], *, scope: str | None = None) -> list[R]:
    """Load live records of one type, of one scope or all, in order of their refs."""
    where = [record.c.place_id == place_id, record.c.kind == cls.kind.value, record.c.gone.is_(None)]
    if scope is not None:
        where.append(record.c.scope == scope)
    decoder = msgspec.json.Decoder(cls)
    bodies = conn.execute(select(record.c.body).where(*where).order_by(record.c.ref)).scalars()
    return [decoder.decode(body) for body in bodies]
