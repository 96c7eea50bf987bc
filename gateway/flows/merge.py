"""Two profiles of the city that are one child: the link goes to the one that counts, and nothing is removed."""

from __future__ import annotations

from sqlalchemy import delete

from gateway.audit.deed import Deed
from gateway.audit.notes import write_note
from gateway.audit.subjects import pseudonym_of
from gateway.domain.errors import PlanRefusedError
from gateway.flows.despite import refuse_while_moving
from gateway.flows.gateway import Gateway
from gateway.flows.links import refuse_stranger
from gateway.flows.relink_links import find_moves, get_directory, refuse_in_flight, relink_one, take_out
from gateway.reconcile.relinks import (
    cells_of,
)
from gateway.reconcile.tables import base, scope_memo


def merge_profile(gateway: Gateway, local_ref: str, city_id: int, *, reason: str) -> int:
    """Say that a second profile of the city is the same child: the link goes to it, and nothing is removed anywhere.

    What the city has carried over to the new profile is met as equal by the next plan and adopted; what it has not is
    created there. The old profile's objects are the city's own from then on.

    Returns:
        Objects that were agreed on under the old profile.

    Raises:
        PlanRefusedError: No reason, no such link or profile, the profile is taken or says that it is another child, something
            of the pupil is on its way, or his link is being set right.
    """
    if not reason.strip():
        raise PlanRefusedError("Объединить без причины нельзя: --reason", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        now = gateway.store.now(conn)
        directory = get_directory(conn, place_id)
        moves = find_moves(conn, place_id, directory, local_ref, city_id, is_swap=False)
        refuse_while_moving(conn, place_id, local_ref, city_id, now)
        refuse_stranger(conn, place_id, local_ref, city_id)
        refuse_in_flight(conn, place_id, moves)
        take_out(gateway, conn, place_id, moves, now)
        (move,) = moves
        forgotten = conn.execute(
            delete(base).where(base.c.place_id == place_id, cells_of(base.c.object_key, [move.from_city_id]))
        ).rowcount
        note = write_note(conn, reason, now=now)
        relink_one(gateway, conn, place_id, move, "merged", now)
        conn.execute(delete(scope_memo).where(scope_memo.c.place_id == place_id))
        gateway.audit.append(
            conn,
            Deed(
                action="link.merged",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type="link",
                subject=pseudonym_of(conn, gateway.place, f"city-pupil:{city_id}"),
                city_id=city_id,
                outcome="decided",
                counts={"forgotten": forgotten},
                note=note,
            ),
        )
    return forgotten


__all__ = ["merge_profile"]
