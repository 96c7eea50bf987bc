"""What an undo keeps undone, as it ends: by the source's edit, by an undo that was not done after all, or by a person.

Stands before planning; what is kept undone itself is laid by `queue.outbox` in the transaction of the operations.
"""

from __future__ import annotations

from sqlalchemy import and_, exists

from gateway.audit.deed import Deed
from gateway.audit.notes import write_note
from gateway.domain.errors import PlanRefusedError
from gateway.flows.gateway import Gateway
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.reconcile.tables import hold
from gateway.reconcile.undone import end_moved, lift_run


def end_moved_undone(gateway: Gateway) -> int:
    """End what the source has moved from since it was undone, and what was not undone after all; how many."""
    dropped = exists().where(
        and_(
            operation.c.plan_id == hold.c.plan_id,
            operation.c.kind == hold.c.kind,
            operation.c.ref == hold.c.ref,
            operation.c.state == State.SUPERSEDED.value,
        )
    )
    with gateway.store.write() as conn:
        count = end_moved(conn, gateway.place_id(conn), given_up=dropped, now=gateway.store.now(conn))
        if count:
            gateway.audit.append(
                conn,
                Deed(
                    action="hold.ended",
                    actor=gateway.actor,
                    originator=gateway.originator,
                    place=gateway.place,
                    object_type="hold",
                    object_id="hold:undone",
                    outcome="decided",
                    counts={"ended": count},
                ),
            )
    return count


def lift_undone(gateway: Gateway, run_id: int, *, reason: str) -> int:
    """Let go of everything that the undo of a run keeps undone; the next plan decides about it as about anything else.

    Returns:
        How many records.

    Raises:
        PlanRefusedError: No reason, or nothing of that run is kept undone.
    """
    if not reason.strip():
        raise PlanRefusedError("Снять задержку без причины нельзя: --reason", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        count = lift_run(conn, gateway.place_id(conn), run_id, now=now)
        if not count:
            raise PlanRefusedError(f"Отменой запуска {run_id} ничего не удержано", reason="NOTHING_NAMED")
        gateway.audit.append(
            conn,
            Deed(
                action="hold.lifted",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type="hold",
                object_id=f"hold:run-{run_id}",
                run_id=run_id,
                outcome="undone",
                counts={"lifted": count},
                note=write_note(conn, reason, now=now),
            ),
        )
    return count


__all__ = ["end_moved_undone", "lift_undone"]
