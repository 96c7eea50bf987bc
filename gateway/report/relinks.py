"""Links being set right: proposals as they were shown, and how far the approved ones have come. Reads only."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, select

from gateway.audit.notes import get_note
from gateway.domain.errors import NotVisibleError
from gateway.reconcile.relinks import Move, RelinkItem, RelinkState, load_items
from gateway.reconcile.tables import base, incident, relink, relink_item


class UnitLine(msgspec.Struct, frozen=True, kw_only=True):
    """One unit.

    Attributes:
        state: proposed, expired, withdrawn, approved (something is still to be removed or created), done.
        standing: Objects that still stand at the wrong child (all of them before the approval); `created` those that were
            seen at the right one since.
    """

    number: int
    state: str
    hash: str
    moves: list[Move]
    why: str | None
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    approved_by: str | None
    is_alone: bool
    incident: int | None
    to_remove: int
    to_create: int
    standing: int
    created: int


class UnitItem(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a unit: what it is, how it leaves, where it goes."""

    kind: str
    ref: str
    city_id: int
    removal: str
    to_pupil_id: int | None


class UnitCard(msgspec.Struct, frozen=True, kw_only=True):
    """One unit with everything that it removes and creates."""

    line: UnitLine
    items: list[UnitItem]


def load_units(conn: Connection, place_id: int, *, now: datetime, before: int = 0, limit: int = 50) -> list[UnitLine]:
    """Load units, the newest first; `before` pages them by number, 0 = from the newest."""
    query = select(relink.c.id).where(relink.c.place_id == place_id)
    if before:
        query = query.where(relink.c.id < before)
    numbers = conn.execute(query.order_by(relink.c.id.desc()).limit(limit)).scalars().all()
    return [get_unit(conn, place_id, number, now=now).line for number in numbers]


def get_unit(conn: Connection, place_id: int, number: int, *, now: datetime) -> UnitCard:
    """Load one unit.

    Raises:
        NotVisibleError: There is none of that number here.
    """
    row = conn.execute(select(relink).where(relink.c.id == number, relink.c.place_id == place_id)).one_or_none()
    if row is None:
        raise NotVisibleError(f"Исправления {number} нет: gateway relinks")
    items = load_items(conn, number)
    to_remove = sum(one.removal != "keep" for one in items)
    to_create = sum(one.to_digest is not None for one in items)
    # before the approval nothing was put apart and nothing created by this unit, whatever another one of these pupils did
    standing, created = to_remove, 0
    if row.state == RelinkState.APPROVED:
        standing, created = _count_standing(conn, place_id, number), _count_created(conn, place_id, number)
    state = row.state
    if state == RelinkState.PROPOSED and row.expires_at <= now:
        state = "expired"
    elif state == RelinkState.APPROVED and not standing and created >= to_create:
        state = "done"
    return UnitCard(
        line=UnitLine(
            number=number,
            state=state,
            hash=row.hash,
            moves=msgspec.convert(row.moves, list[Move]),
            why=get_note(conn, row.note_id),
            proposed_by=row.proposed_by,
            proposed_at=row.proposed_at,
            expires_at=row.expires_at,
            approved_by=row.approved_by,
            is_alone=row.is_alone,
            incident=conn.execute(
                select(func.min(incident.c.id)).where(incident.c.relink_id == number)
            ).scalar_one_or_none(),
            to_remove=to_remove,
            to_create=to_create,
            standing=standing,
            created=created,
        ),
        items=[_item(one) for one in items],
    )


def _count_standing(conn: Connection, place_id: int, number: int) -> int:
    """Objects put apart for removal that still stand."""
    return _count_agreed(conn, place_id, number, base.c.ref == relink_item.c.moved_ref)


def _count_created(conn: Connection, place_id: int, number: int) -> int:
    """Records that were seen at the right child."""
    at_the_right_one = and_(base.c.ref == relink_item.c.ref, base.c.object_key == relink_item.c.to_object_key)
    return _count_agreed(conn, place_id, number, at_the_right_one)


def _count_agreed(conn: Connection, place_id: int, number: int, is_of_item: ColumnElement[bool]) -> int:
    found = and_(base.c.place_id == place_id, base.c.kind == relink_item.c.kind, is_of_item)
    query = select(func.count()).select_from(relink_item.join(base, found)).where(relink_item.c.relink_id == number)
    return conn.execute(query).scalar_one()


def _item(one: RelinkItem) -> UnitItem:
    return UnitItem(kind=one.kind, ref=one.ref, city_id=one.city_id, removal=one.removal, to_pupil_id=one.to_pupil_id)


__all__ = ["UnitCard", "UnitItem", "UnitLine", "get_unit", "load_units"]
