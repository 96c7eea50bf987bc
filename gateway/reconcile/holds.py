"""Holds: what people keep from being sent, for a time, with a reason: a record, a pupil, a class, a kind, an operation.

Pure but for loading. A hold takes what a plan would send and lets it wait; it changes neither side, hides nothing, and
ends by itself at its day. What an undo keeps undone stands beside them, see `reconcile.undone`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, select

from gateway.domain.reasons import MARKED_HOLD, UNDONE
from gateway.reconcile.compare import Category, Decision, Op
from gateway.reconcile.resolve import Item, ScopeDecision
from gateway.reconcile.tables import hold

PUPIL_KINDS = ("mark", "absence", "comment", "final")
"""Kinds whose cell names one pupil right after the kind."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One hold; every field that is given narrows it, and one at least is.

    Attributes:
        kind: Only records of this kind.
        op: Only this operation: create, change, delete.
        ref: Only this record.
        city_pupil_id: Only this pupil's cells, by his number in the city; homework of his group is not his alone.
        class_name: Only this class, in comparable form (`7А`).
        owner: Account or OS user who placed it.
        until: When it ends; aware UTC.
    """

    id: int
    kind: str | None = None
    op: Op | None = None
    ref: str | None = None
    city_pupil_id: int | None = None
    class_name: str | None = None
    owner: str
    until: datetime
    note_id: int | None = None
    placed_at: datetime


# built once: it is asked before every batch of calls
_HOLDS = (
    select(hold)
    .where(
        hold.c.place_id == bindparam("place_id"),
        hold.c.plan_id.is_(None),
        hold.c.lifted_at.is_(None),
        hold.c.until > bindparam("now", type_=hold.c.until.type),
    )
    .order_by(hold.c.id.desc())
)


def load_holds(conn: Connection, place_id: int, *, now: datetime) -> list[Hold]:
    """Load what is held at a moment, the latest first."""
    rows = conn.execute(_HOLDS, {"place_id": place_id, "now": now})
    return [
        Hold(
            id=row.id,
            kind=row.kind,
            op=row.op,
            ref=row.ref,
            city_pupil_id=row.city_pupil_id,
            class_name=row.class_name,
            owner=row.owner,
            until=row.until,
            note_id=row.note_id,
            placed_at=row.placed_at,
        )
        for row in rows
    ]


def keep_back(
    decided: ScopeDecision,
    holds: Sequence[Hold],
    classes: Mapping[str, Collection[str]],
    undone: Collection[tuple[str, str]] = frozenset(),
) -> ScopeDecision:
    """Let what is held or was undone wait, each with its own decision row.

    Args:
        decided: One scope.
        holds: What is held now.
        classes: Scope → comparable names of the classes whose group it is.
        undone: (kind, ref) of what an undo keeps undone.
    """
    names = classes.get(decided.scope, ())
    here = [one for one in holds if one.class_name is None or one.class_name in names]
    if not (here or undone) or not any(item.decision.op is not None for item in decided.items):
        return decided
    return msgspec.structs.replace(decided, items=[_kept_back(item, here, undone) for item in decided.items])


def _kept_back(item: Item, here: Sequence[Hold], undone: Collection[tuple[str, str]]) -> Item:
    if item.decision.op is not None and (item.triple.kind, item.triple.ref) in undone:
        return _held(item, UNDONE)
    triple, op = item.triple, item.decision.op
    is_held = op is not None and any(
        is_held_by(one, kind=triple.kind, op=op, ref=triple.ref, object_key=triple.object_key) for one in here
    )
    return _held(item, MARKED_HOLD) if is_held else item


def is_held_by(one: Hold, *, kind: str, op: str, ref: str, object_key: str | None) -> bool:
    """Whether a hold takes what would be sent, by everything but its class."""
    return (
        (one.kind is None or one.kind == kind)
        and (one.op is None or one.op == op)
        and (one.ref is None or one.ref == ref)
        and (one.city_pupil_id is None or _is_of_pupil(object_key, one.city_pupil_id))
    )


def _is_of_pupil(object_key: str | None, city_pupil_id: int) -> bool:
    parts = (object_key or "").split("/")
    return parts[0] in PUPIL_KINDS and len(parts) > 1 and parts[1] == str(city_pupil_id)


def _held(item: Item, reason: str) -> Item:
    decision = Decision(Category.HELD, reason, item.decision.op)
    return msgspec.structs.replace(item, decision=decision, gate="refused")
