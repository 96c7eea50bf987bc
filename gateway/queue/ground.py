"""The ground an item or an operation was decided on, as it stands now: ours, base and theirs.

Asked twice on the way: when a plan is let out, and at the last moment before the call. What moved in between is dropped
visibly and decided afresh by the next plan; nothing is forced (law 2), and what a person wrote is never written over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BindParameter, ColumnElement, Connection, Row, Table, and_, bindparam, select

from gateway.queue.states import IN_FLIGHT
from gateway.queue.tables import operation
from gateway.reconcile.compare import Category
from gateway.reconcile.joins import same_object
from gateway.reconcile.same_child import load_children
from gateway.reconcile.tables import base, decision, intended, plan, shadow
from gateway.reconcile.triples import CLEARED, COMPARED, SENDABLE
from gateway.reconcile.undone import load_undone_by


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a chunk's items were decided on, as it stands now.

    Attributes:
        ours: Record → digest of what should stand, and the whole intent: another teacher or lesson id is another call.
        agreed: Record → digest of the base.
        theirs: (kind, city id) → digest of what stands.
        owners: (kind, city id) → ref of the base that has it.
        free: (kind, object key, digest) of objects that no base has and no item of this plan adopts.
        newcomers: (kind, object key) of cells in which such an object was first seen, or changed, after the plan was sealed:
            somebody types there, whatever his value.
        busy: Records in flight.
        strangers: Records that an undo would write to a profile that is not for certain the same child's as when it was
            planned.
        is_undo: What ours says is not asked: the plan puts back what stood before it.
    """

    ours: Mapping[tuple[str, str], tuple[bytes, bytes]]
    agreed: Mapping[tuple[str, str], bytes]
    theirs: Mapping[tuple[str, int], bytes]
    owners: Mapping[tuple[str, int], str]
    free: Collection[tuple[str, str, bytes]]
    newcomers: Collection[tuple[str, str]]
    busy: Collection[tuple[str, str]]
    strangers: Collection[tuple[str, str]] = ()
    is_undo: bool = False

    def still_holds(self, row: Row[Any]) -> bool:
        """Whether ours, base and theirs are what they were, and nothing is in flight."""
        key = (row.kind, row.ref)
        wanted = None if row.ours is None else (row.ours, row.intent)
        if key in self.busy or key in self.strangers or self.agreed.get(key) != row.base:
            return False
        if not self.is_undo and self.ours.get(key) != wanted:
            return False
        shown = self.theirs.get((row.kind, row.city_id))
        if row.category == Category.ADOPTED.value:
            return bool(shown == row.ours and self.owners.get((row.kind, row.city_id), row.ref) == row.ref)
        if row.op == "create":
            cell = (row.kind, row.object_key)
            return cell not in self.newcomers and (*cell, row.ours) not in self.free
        return bool(shown == row.base)


def load_ground(
    conn: Connection, place_id: int, plan_id: int, rows: Sequence[Row[Any]], *, now: datetime, is_undo: bool = False
) -> Ground:
    """Load what these items of a plan stand on now."""
    refs = [row.ref for row in rows]
    city_ids = [row.city_id for row in rows if row.city_id is not None]
    cells = [row.object_key for row in rows if row.op == "create"]
    ours = conn.execute(
        select(intended.c.kind, intended.c.ref, intended.c.digest, intended.c.intent).where(
            intended.c.place_id == place_id, intended.c.ref.in_(refs), intended.c.state.in_(COMPARED)
        )
    )
    agreed = conn.execute(
        select(base.c.kind, base.c.ref, base.c.digest).where(base.c.place_id == place_id, base.c.ref.in_(refs))
    )
    theirs = conn.execute(
        select(shadow.c.kind, shadow.c.city_id, shadow.c.digest, base.c.ref)
        .select_from(shadow.outerjoin(base, same_object()))
        .where(shadow.c.place_id == place_id, shadow.c.city_id.in_(city_ids))
    ).all()
    # what was read after the plan was sealed, nobody who was shown it could know of
    sealed_at = conn.execute(select(plan.c.sealed_at).where(plan.c.id == plan_id)).scalar_one()
    adopting = (
        select(decision.c.city_id)
        .where(
            decision.c.plan_id == plan_id,
            decision.c.kind == shadow.c.kind,
            decision.c.object_key == shadow.c.object_key,
            decision.c.category == Category.ADOPTED.value,
            decision.c.city_id.is_not(None),
        )
        .correlate(shadow)
    )
    free = conn.execute(
        select(shadow.c.kind, shadow.c.object_key, shadow.c.digest, shadow.c.seen_at)
        .select_from(shadow.outerjoin(base, same_object()))
        .where(
            shadow.c.place_id == place_id,
            shadow.c.object_key.in_(cells),
            base.c.ref.is_(None),
            shadow.c.city_id.not_in(adopting),
        )
    ).all()
    busy = conn.execute(
        select(operation.c.kind, operation.c.ref).where(
            operation.c.place_id == place_id, operation.c.ref.in_(refs), operation.c.state.in_(IN_FLIGHT)
        )
    )
    return Ground(
        ours={(row[0], row[1]): (row[2], row[3]) for row in ours},
        agreed={(row[0], row[1]): row[2] for row in agreed},
        theirs={(row[0], row[1]): row[2] for row in theirs},
        owners={(row[0], row[1]): row[3] for row in theirs if row[3] is not None},
        free={(row[0], row[1], row[2]) for row in free},
        newcomers={(row[0], row[1]) for row in free if sealed_at is not None and row[3] > sealed_at},
        busy={(row[0], row[1]) for row in busy},
        strangers={(row.kind, row.ref) for row in _find_strangers(conn, rows, place_id, plan_id, now)}
        if is_undo
        else (),
        is_undo=is_undo,
    )


def load_strangers(
    conn: Connection, rows: Sequence[Row[Any]], undone: Mapping[tuple[str, str], int], *, now: datetime
) -> frozenset[int]:
    """Load which operations of one place are for a profile that is not for certain the same child's, of those of an undo.

    Args:
        undone: (kind, record) → the plan that keeps it undone: an operation of that plan is of an undo.
    """
    undoing = [row for row in rows if undone.get((row.kind, row.ref)) == row.plan_id]
    found: frozenset[int] = frozenset()
    for plan_id in {row.plan_id for row in undoing}:
        own = [row for row in undoing if row.plan_id == plan_id]
        found |= {row.id for row in _find_strangers(conn, own, own[0].place_id, plan_id, now)}
    return found


def _find_strangers(
    conn: Connection, rows: Sequence[Row[Any]], place_id: int, plan_id: int, now: datetime
) -> Sequence[Row[Any]]:
    """Items or operations by which an undo would put something back at a profile whose child is not for certain the same."""
    written = [row for row in rows if row.op in ("create", "change")]
    if not written:
        return ()
    children = load_children(conn, place_id, now=now)
    planned_at = conn.execute(select(plan.c.created_at).where(plan.c.id == plan_id)).scalar_one()
    return [row for row in written if not children.are_same(row.kind, row.ref, row.intent, since=planned_at)]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What some operations of a place stand on right before they are sent.

    Attributes:
        wanted: (kind, record) → state and digest of what should stand, and the key of its place.
        agreed: (kind, record) → digest of the base.
        cells: (kind, object key) → objects there: city id, digest, whether a base has it, when it was first seen so.
        shown: (kind, city id) → digest of what stands, of what is to be changed or deleted.
        undone: (kind, record) → the plan that keeps it undone, whatever ours says.
        strangers: Operations of an undo for a profile that is not for certain the same child's as when it was planned.
    """

    wanted: Mapping[tuple[str, str], tuple[str, bytes, str | None]]
    agreed: Mapping[tuple[str, str], bytes]
    cells: Mapping[tuple[str, str], Sequence[tuple[int, bytes, bool, datetime]]]
    shown: Mapping[tuple[str, int], bytes]
    undone: Mapping[tuple[str, str], int]
    strangers: Collection[int]

    def still_holds(self, row: Row[Any]) -> bool:
        """A newer pull, adoption or read-back may have moved the ground since the plan was released."""
        key = (row.kind, row.ref)
        wanted = self.wanted.get(key)
        if self.agreed.get(key) != row.base_digest or row.id in self.strangers:
            return False
        is_undoing = self.undone.get(key) == row.plan_id
        if row.op == "delete":
            return (is_undoing or wanted is None or wanted[0] == CLEARED) and self._stands(row)
        # the same value for another child or another lesson is not this call
        if not is_undoing and wanted != (SENDABLE, row.intent_digest, row.object_key):
            return False
        return self._stands(row) if row.op == "change" else not self._is_typed_by_hand(row)

    def ids_in_cell(self, row: Row[Any]) -> list[int]:
        """Ids of what stands in the operation's cell."""
        return sorted(city_id for city_id, _, _, _ in self.cells.get((row.kind, row.object_key), ()))

    def _stands(self, row: Row[Any]) -> bool:
        """Whether the object is as it was agreed: what a person changed since is never written over."""
        return bool(self.shown.get((row.kind, row.city_id)) == row.base_digest)

    def _is_typed_by_hand(self, row: Row[Any]) -> bool:
        """Whether the very mark, or one that came after the operation was let out, stands there and is no record's of ours."""
        cell = self.cells.get((row.kind, row.object_key), ())
        return any(
            not is_ours and (digest == row.intent_digest or seen_at > row.created_at)
            for _, digest, is_ours, seen_at in cell
        )


def _is_of_kinds(table: Table) -> ColumnElement[bool]:
    kinds: BindParameter[str] = bindparam("kinds", expanding=True)
    return and_(table.c.place_id == bindparam("place_id"), table.c.kind.in_(kinds))


# built once: putting these together costs more than running them
_REFS: BindParameter[str] = bindparam("refs", expanding=True)
_WANTED = select(intended.c.kind, intended.c.ref, intended.c.state, intended.c.digest, intended.c.object_key).where(
    _is_of_kinds(intended), intended.c.ref.in_(_REFS)
)
_AGREED = select(base.c.kind, base.c.ref, base.c.digest).where(_is_of_kinds(base), base.c.ref.in_(_REFS))
_CELLS = (
    select(shadow.c.kind, shadow.c.object_key, shadow.c.city_id, shadow.c.digest, base.c.ref, shadow.c.seen_at)
    .select_from(shadow.outerjoin(base, same_object()))
    .where(_is_of_kinds(shadow), shadow.c.object_key.in_(bindparam("keys", expanding=True)))
)
_SHOWN = select(shadow.c.kind, shadow.c.city_id, shadow.c.digest).where(
    _is_of_kinds(shadow), shadow.c.city_id.in_(bindparam("city_ids", expanding=True))
)


def load_standing(conn: Connection, rows: Sequence[Row[Any]], *, now: datetime) -> Standing:
    """Load what these operations, all of one place, stand on now."""
    place_id = rows[0].place_id
    kinds = sorted({row.kind for row in rows})
    refs = sorted({row.ref for row in rows})
    city_ids = sorted({row.city_id for row in rows if row.op != "create" and row.city_id is not None})
    which = {"place_id": place_id, "kinds": kinds}
    wanted = conn.execute(_WANTED, {**which, "refs": refs})
    agreed = conn.execute(_AGREED, {**which, "refs": refs})
    cells: dict[tuple[str, str], list[tuple[int, bytes, bool, datetime]]] = {}
    for row in conn.execute(_CELLS, {**which, "keys": sorted({row.object_key for row in rows})}):
        cells.setdefault((row[0], row[1]), []).append((row[2], row[3], row[4] is not None, row[5]))
    shown = conn.execute(_SHOWN, {**which, "city_ids": city_ids}).all() if city_ids else ()
    undone = load_undone_by(conn, place_id, refs)
    return Standing(
        wanted={(row[0], row[1]): (row[2], row[3], row[4]) for row in wanted},
        agreed={(row[0], row[1]): row[2] for row in agreed},
        cells=cells,
        shown={(row[0], row[1]): row[2] for row in shown},
        undone=undone,
        strangers=load_strangers(conn, rows, undone, now=now),
    )
