"""The join of three legs: what SQL may decide alone, and the rest, one triple at a time.

SQL decides only "all three digests equal" and leaves those out; everything else goes to `compare.decide`. A property test
says that both agree on what is unchanged. What only the base or only the city knows is looked for where the counts say
that there is some: on an ordinary night most scopes have none, and each of the two joins costs as much as half the first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, and_, bindparam, func, or_, select

from gateway.domain.identifiers import Kind
from gateway.mapping.rules import Mode
from gateway.reconcile.gone import PROOF_READS, Gone
from gateway.reconcile.joins import same_object, same_record
from gateway.reconcile.snapshot import CITY_SIDE
from gateway.reconcile.tables import base, intended, record, scope_state, shadow

SENDABLE = "sendable"
# Sorted here and not by SQL: told to order by the primary key, SQLite walks the whole table for every scope.
_KIND_AND_KEY = itemgetter(0, 1)
COMPARED = (SENDABLE, "held")
"""States of ours that are compared: what may not go now (closed period, lesson not yet held) may still be unchanged."""
CLEARED = "cleared"
"""State of ours that says that nothing should stand there (`mapping.context.MappedState`)."""


class Triple(msgspec.Struct, frozen=True, kw_only=True):
    """One record that is not plainly unchanged, with its legs.

    Attributes:
        state: State of ours in `intended`; None where ours has no live row (base only).
        theirs: Digest of the city's object with the base's id in our cell; None = not there.
        gone: For a base without a live record, or with one that says that nothing should stand: `reconcile.gone.Gone`; None =
            live or unknown.
        absent_reads: Complete reads without it.
        gone_at: The first of them, or when the record began to say so; aware UTC.
    """

    kind: str
    ref: str
    scope: str
    state: str | None
    reason: str
    ours: bytes | None
    base: bytes | None
    theirs: bytes | None
    city_id: int | None
    object_key: str | None
    intent: bytes | None
    old: bytes | None
    on_date: date | None
    due_on: date | None
    create_mode: Mode = "off"
    change_mode: Mode = "off"
    gone: str | None = None
    absent_reads: int = 0
    gone_at: datetime | None = None


Stranger = tuple[str, int, str, bytes, bytes]
"""(kind, city id, object key, digest, body) of an object of the city that no base knows."""


class Legs(msgspec.Struct, frozen=True, kw_only=True):
    """A scope's three legs, less what is equal thrice.

    Attributes:
        triples: Every record of ours that is not plainly unchanged, then those that only base knows, each in order of its ref.
        strangers: The city's objects that no base knows.
        live: Records of ours in the scope, sendable or not.
        based: Records of the scope that were delivered and verified before.
        seen_digest: Digest of what the city showed there when it was last read.
    """

    triples: list[Triple]
    strangers: list[Stranger]
    live: int
    based: int
    seen_digest: bytes


def load_legs(conn: Connection, place_id: int, scope: str) -> Legs:
    """Join a scope's legs."""
    here = {"place_id": place_id, "scope": scope}
    live, based, shown, seen_digest = conn.execute(_SIZES, here).one()
    rows = conn.execute(_UNEQUAL, here).all()
    unequal = sorted((row for row in rows if not row[15]), key=_KIND_AND_KEY)
    cleared = [row for row in unequal if row[2] == CLEARED and row[5] is not None]
    since = _load_changed(conn, place_id, cleared) if cleared else {}
    # A row that SQL left out has its base and its object in this scope; so the sizes say what is still unaccounted for.
    left_out = live - len(rows)
    base_only: Collection[Any] = ()
    if based > left_out + sum(row[16] == scope for row in rows):
        base_only = sorted(conn.execute(_BASE_ONLY, here).all(), key=attrgetter("kind", "ref"))
    met = left_out + sum(row[17] == scope for row in rows) + sum(row.theirs_scope == scope for row in base_only)
    strangers: list[Stranger] = []
    if shown > met:
        found = sorted(conn.execute(_FOREIGN, here).all(), key=_KIND_AND_KEY)
        strangers = [(row[0], row[1], row[2], row[3], row[4]) for row in found]
    return Legs(
        triples=[
            *(_to_triple(row, scope, since) for row in unequal),
            *(_to_base_only(row, scope) for row in base_only),
        ],
        strangers=strangers,
        live=live,
        based=based,
        seen_digest=seen_digest or bytes(16),
    )


def _load_changed(conn: Connection, place_id: int, rows: Collection[Any]) -> dict[tuple[str, str], datetime]:
    """Load since when these records say what they say."""
    found = conn.execute(
        select(record.c.kind, record.c.ref, record.c.changed_at).where(
            record.c.place_id == place_id,
            record.c.kind.in_({row[0] for row in rows}),
            record.c.ref.in_([row[1] for row in rows]),
        )
    )
    return {(row.kind, row.ref): row.changed_at for row in found}


def _to_triple(row: Any, scope: str, since: Mapping[tuple[str, str], datetime]) -> Triple:
    is_cleared = row[2] == CLEARED and row[5] is not None
    return Triple(
        kind=row[0],
        ref=row[1],
        scope=scope,
        state=row[2],
        reason=row[3],
        ours=row[4] if row[2] in COMPARED and row[9] is not None else None,
        base=row[5],
        theirs=row[6],
        city_id=row[7],
        object_key=row[18] if is_cleared else row[8],
        intent=row[10] if is_cleared else row[9],
        old=row[10],
        on_date=_day_of(row[10]) if is_cleared else row[11],
        due_on=row[12],
        create_mode=row[13],
        change_mode=row[14],
        gone=Gone.CLEARED.value if is_cleared else None,
        # the source was read and says it itself: that is no absence that a second read has to confirm
        absent_reads=PROOF_READS if is_cleared else 0,
        gone_at=since.get((row[0], row[1])) if is_cleared else None,
    )


def _to_base_only(row: Any, scope: str) -> Triple:
    return Triple(
        kind=row.kind,
        ref=row.ref,
        scope=scope,
        state=None,
        reason="",
        ours=None,
        base=row.digest,
        theirs=row.theirs,
        city_id=row.city_id,
        object_key=row.object_key,
        intent=row.intent,
        old=row.intent,
        on_date=_day_of(row.intent),
        due_on=None,
        gone=row.gone,
        absent_reads=row.absent_reads or 0,
        gone_at=row.gone_at,
    )


class _Dated(msgspec.Struct, frozen=True):
    """The day in a stored intent: of a mark's or an absence's lesson, or on which homework is set."""

    on: date | None = None
    assigned_on: date | None = None


def _day_of(intent: bytes) -> date | None:
    """The day of what was agreed: a delete is read back by days like any other operation."""
    dated = msgspec.json.decode(intent, type=_Dated)
    return dated.on or dated.assigned_on


def _same_cell() -> ColumnElement[bool]:
    """Where a mark or an absence hangs is part of what it is: moved to another lesson by a person, it is not there any more.

    A homework's key names its teacher, who may change without anybody moving anything.
    """
    cell = func.coalesce(intended.c.object_key, base.c.object_key)
    return or_(shadow.c.object_key == cell, intended.c.kind == Kind.HOMEWORK.value)


def _joined() -> FromClause:
    return intended.outerjoin(base, same_record(base, intended)).outerjoin(shadow, and_(same_object(), _same_cell()))


def _all_equal() -> ColumnElement[bool]:
    return and_(intended.c.state.in_(COMPARED), intended.c.digest == base.c.digest, base.c.digest == shadow.c.digest)


# Built once: putting a statement together and finding its compiled form costs more than a small scope's rows.
_UNEQUAL = (
    select(
        intended.c.kind,
        intended.c.ref,
        intended.c.state,
        intended.c.reason,
        intended.c.digest,
        base.c.digest,
        shadow.c.digest,
        base.c.city_id,
        intended.c.object_key,
        intended.c.intent,
        base.c.intent,
        intended.c.on_date,
        intended.c.due_on,
        intended.c.create_mode,
        intended.c.change_mode,
        # a missing leg makes the comparison NULL, which is not «equal»
        func.coalesce(_all_equal(), False),
        base.c.scope,
        shadow.c.scope,
        base.c.object_key,
    )
    .select_from(_joined())
    .where(
        intended.c.place_id == bindparam("place_id"),
        intended.c.scope == bindparam("scope"),
        or_(
            func.coalesce(_all_equal(), False).is_(False),
            # equal, but a leg of it is counted in another scope (a pupil changed groups)
            base.c.scope != intended.c.scope,
            shadow.c.scope != intended.c.scope,
        ),
    )
)
_BASE_ONLY = (
    select(
        base,
        shadow.c.digest.label("theirs"),
        shadow.c.scope.label("theirs_scope"),
        record.c.gone,
        record.c.absent_reads,
        record.c.gone_at,
    )
    .select_from(
        base.outerjoin(intended, same_record(base, intended))
        .outerjoin(shadow, same_object())
        .outerjoin(
            record,
            same_record(record, base),
        )
    )
    .where(
        base.c.place_id == bindparam("place_id"),
        base.c.scope == bindparam("scope"),
        intended.c.ref.is_(None),
    )
)
_FOREIGN = (
    select(shadow.c.kind, shadow.c.city_id, shadow.c.object_key, shadow.c.digest, shadow.c.body)
    .select_from(shadow.outerjoin(base, same_object()))
    .where(
        shadow.c.place_id == bindparam("place_id"),
        shadow.c.scope == bindparam("scope"),
        base.c.ref.is_(None),
    )
)
_SIZES = select(
    select(func.count())
    .select_from(intended)
    .where(intended.c.place_id == bindparam("place_id"), intended.c.scope == bindparam("scope"))
    .scalar_subquery(),
    select(func.count())
    .select_from(base)
    .where(base.c.place_id == bindparam("place_id"), base.c.scope == bindparam("scope"))
    .scalar_subquery(),
    select(func.count())
    .select_from(shadow)
    .where(shadow.c.place_id == bindparam("place_id"), shadow.c.scope == bindparam("scope"))
    .scalar_subquery(),
    select(scope_state.c.digest)
    .where(
        scope_state.c.place_id == bindparam("place_id"),
        scope_state.c.side == CITY_SIDE,
        scope_state.c.scope == bindparam("scope"),
    )
    .scalar_subquery(),
)
