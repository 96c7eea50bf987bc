"""The school's sources in numbers, and where their words differ: whose turn it is, and whose word stands meanwhile.

Codes and refs only, no names: whoever is asked looks the record up where it is kept.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from gateway.domain.identifiers import source_of_scope
from gateway.mapping.sources import name_of
from gateway.mapping.tables import source_conflict
from gateway.reconcile.snapshot import PORTAL_SIDE
from gateway.reconcile.tables import scope_state


class SourceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One source.

    Attributes:
        unread_scopes: Of its scopes, those that could not be read whole when last tried: their words are stale.
        read_at: The latest whole read of any of them.
    """

    name: str
    scopes: int
    records: int
    unread_scopes: int
    read_at: datetime | None


class ConflictLine(msgspec.Struct, frozen=True, kw_only=True):
    """One field of one record on which two sources differ.

    Attributes:
        reason: Why it is held; empty where the declared precedence has settled it.
        winner: Ref whose word stands.
    """

    kind: str
    ref: str
    field: str
    reason: str
    owner: str
    winner: str
    others: list[str]
    seen_at: datetime


def load_sources(conn: Connection, place_id: int) -> list[SourceLine]:
    """Load every source that has ever been read, by name."""
    found: dict[str, list[tuple[int, str | None, datetime | None]]] = defaultdict(list)
    rows = conn.execute(
        select(scope_state.c.scope, scope_state.c.records, scope_state.c.problem, scope_state.c.complete_at).where(
            scope_state.c.place_id == place_id, scope_state.c.side == PORTAL_SIDE
        )
    )
    for scope, records, problem, complete_at in rows:
        found[name_of(source_of_scope(scope))].append((records, problem, complete_at))
    return [
        SourceLine(
            name=name,
            scopes=len(scopes),
            records=sum(records for records, _, _ in scopes),
            unread_scopes=sum(1 for _, problem, _ in scopes if problem is not None),
            read_at=max((at for _, _, at in scopes if at is not None), default=None),
        )
        for name, scopes in sorted(found.items())
    ]


def load_conflicts(conn: Connection, place_id: int) -> list[ConflictLine]:
    """Load where words differ: what is held first, then what precedence has settled, each by record."""
    rows = conn.execute(
        select(source_conflict)
        .where(source_conflict.c.place_id == place_id)
        .order_by(source_conflict.c.reason.desc(), source_conflict.c.kind, source_conflict.c.ref)
    )
    return [
        ConflictLine(
            kind=row.kind,
            ref=row.ref,
            field=row.field,
            reason=row.reason,
            owner=row.owner,
            winner=row.winner,
            others=row.others,
            seen_at=row.seen_at,
        )
        for row in rows
    ]
