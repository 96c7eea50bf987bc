"""Moving links between profiles: what every way of doing it asks and does, in the caller's write transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from gateway.audit.deed import Deed
from gateway.audit.subjects import pseudonym_of
from gateway.connectors.port import CityDirectory
from gateway.domain.errors import PlanRefusedError
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import RELINKING
from gateway.flows.city_reads import find_whole_directory
from gateway.flows.doubts import settle_doubt
from gateway.flows.gateway import Gateway
from gateway.flows.links import evidence_now, refuse_pair
from gateway.mapping.link_doubts import drop_doubts, drop_rejection
from gateway.mapping.links import confirm, load_links
from gateway.mapping.tables import link
from gateway.queue.signed import stand_alone
from gateway.queue.states import IN_FLIGHT, State
from gateway.queue.tables import operation
from gateway.reconcile.relinks import (
    Move,
    cells_of,
    stop_wanting,
)


def get_directory(conn: Connection, place_id: int) -> CityDirectory:
    """The city's directory as it was last read whole.

    Raises:
        PlanRefusedError: It never was.
    """
    directory = find_whole_directory(conn, place_id)
    if directory is None:
        raise PlanRefusedError("Справочник города не прочитан: выполните gateway plan", reason="CITY_UNREAD")
    return directory


def find_moves(
    conn: Connection,
    place_id: int,
    directory: CityDirectory,
    local_ref: str,
    to_city_id: int | None,
    *,
    is_swap: bool,
) -> list[Move]:
    """Say which links have to move so that a pupil comes to a profile.

    Args:
        to_city_id: Where to; None = his link is only taken away.
        is_swap: Whoever holds that profile gets this pupil's.

    Raises:
        PlanRefusedError: There is no such link or profile; it is his already, or somebody else's.
    """
    links = load_links(conn, place_id, Kind.PERSON)
    if local_ref not in links:
        raise PlanRefusedError("Такой связи нет: gateway links list", reason="NOTHING_THERE")
    here = links[local_ref]
    first = Move(local_ref=local_ref, from_city_id=here, to_city_id=to_city_id)
    if to_city_id is None:
        return [first]
    if to_city_id == here:
        raise PlanRefusedError("Ученик уже связан с этим профилем", reason="WRONG_STATE")
    if all(pupil.id != to_city_id for pupil in directory.pupils):
        raise PlanRefusedError(
            "Такого ученика в городском журнале нет: gateway links candidates", reason="NOTHING_THERE"
        )
    holder = next((ref for ref, city_id in links.items() if city_id == to_city_id), None)
    if holder is None:
        return [first]
    if not is_swap:
        raise PlanRefusedError(
            "Этот профиль связан с другим учеником; если их перепутали между собой: --swap", reason="WRONG_STATE"
        )
    return [first, Move(local_ref=holder, from_city_id=to_city_id, to_city_id=here)]


def refuse_in_flight(conn: Connection, place_id: int, moves: Sequence[Move]) -> None:
    """Refuse while something of these pupils is on its way, and let nothing go there until the caller's write ends.

    Raises:
        PlanRefusedError: It is.
    """
    stand_alone(conn, place_id)
    city_ids = {one.from_city_id for one in moves} | {one.to_city_id for one in moves if one.to_city_id is not None}
    busy = (
        select(operation.c.id)
        .where(
            operation.c.place_id == place_id,
            operation.c.state.in_([state.value for state in IN_FLIGHT]),
            cells_of(operation.c.object_key, city_ids),
        )
        .limit(1)
    )
    if conn.execute(busy).one_or_none() is not None:
        raise PlanRefusedError(
            "Отметки этих учеников сейчас в пути: gateway stop-sending, затем gateway verify, и повторите",
            reason="IN_WORK",
        )


def take_out(gateway: Gateway, conn: Connection, place_id: int, moves: Sequence[Move], now: datetime) -> int:
    """What only waits for these pupils is not sent any more, nor what a plan would let out, and what was parked is decided afresh."""
    stop_wanting(conn, place_id, [one.from_city_id for one in moves], reason=RELINKING)
    rows = conn.execute(
        update(operation)
        .where(
            operation.c.place_id == place_id,
            operation.c.state.in_((State.READY.value, State.PARKED.value)),
            cells_of(operation.c.object_key, [one.from_city_id for one in moves]),
        )
        .values(state=State.SUPERSEDED.value, reason=RELINKING, changed_at=now)
        .returning(operation)
    ).all()
    with gateway.ledger.gathered(conn) as ledger:
        for row in rows:
            ledger.write(conn, row, "operation.dropped", "held", reason=RELINKING, actor=gateway.actor)
    return len(rows)


def move_links(
    gateway: Gateway, conn: Connection, place_id: int, moves: Sequence[Move], note_id: int, now: datetime
) -> None:
    """Move the links, refuse the pairs that were wrong, and write it down; all are taken away before one is made."""
    for move in moves:
        _forget_link(conn, place_id, move, now)
    for move in moves:
        refuse_pair(
            conn, place_id, move.local_ref, move.from_city_id, actor=gateway.actor.name, note_id=note_id, now=now
        )
        if move.to_city_id is not None:
            _make_link(gateway, conn, place_id, move.local_ref, move.to_city_id, "relinked", now)
        gateway.audit.append(
            conn,
            Deed(
                action="link.moved",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type="link",
                subject=pseudonym_of(conn, gateway.place, f"city-pupil:{move.from_city_id}"),
                city_id=move.to_city_id,
                outcome="undone" if move.to_city_id is None else "applied",
            ),
        )


def relink_one(gateway: Gateway, conn: Connection, place_id: int, move: Move, how: str, now: datetime) -> None:
    """Move one link without a word about the pair it was."""
    _forget_link(conn, place_id, move, now)
    if move.to_city_id is not None:
        _make_link(gateway, conn, place_id, move.local_ref, move.to_city_id, how, now)


def _forget_link(conn: Connection, place_id: int, move: Move, now: datetime) -> None:
    conn.execute(
        delete(link).where(
            link.c.place_id == place_id, link.c.kind == Kind.PERSON.value, link.c.local_ref == move.local_ref
        )
    )
    drop_doubts(conn, place_id, Kind.PERSON, move.local_ref)
    settle_doubt(conn, place_id, move.local_ref, now=now)


def _make_link(
    gateway: Gateway, conn: Connection, place_id: int, local_ref: str, city_id: int, how: str, now: datetime
) -> None:
    confirm(
        conn,
        place_id,
        Kind.PERSON,
        local_ref,
        city_id,
        actor=gateway.actor.name,
        how=how,
        evidence=evidence_now(conn, place_id, local_ref, city_id),
        now=now,
    )
    drop_rejection(conn, place_id, Kind.PERSON, local_ref, city_id)


__all__ = ["find_moves", "get_directory", "move_links", "refuse_in_flight", "relink_one", "take_out"]
