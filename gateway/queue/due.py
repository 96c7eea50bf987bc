"""What may be worked on now: what a dead worker left comes back, and what is due stands in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, func, select, update

from gateway.queue.states import IN_FLIGHT, State
from gateway.queue.tables import operation
from gateway.store.transaction import Store

_RETURN = (
    update(operation)
    .where(operation.c.state == State.CLAIMED.value, operation.c.lease_until <= bindparam("b_now"))
    .values(state=State.READY.value, lease_until=None, changed_at=bindparam("b_now"))
)
_LOSE = (
    update(operation)
    .where(operation.c.state == State.SENDING.value, operation.c.lease_until <= bindparam("b_now"))
    .values(
        state=State.UNKNOWN.value,
        reason="UNKNOWN_OUTCOME",
        lease_until=None,
        changed_at=bindparam("b_now"),
        # a call that kills its worker every time must come to an end
        attempts=operation.c.attempts + 1,
    )
)


def sweep(store: Store) -> int:
    """Bring back what a dead worker left: claims never sent become ready, calls without an answer become unknown.

    Returns:
        Rows moved.
    """
    with store.write() as conn:
        now = store.now(conn)
        returned = conn.execute(_RETURN, {"b_now": now}).rowcount
        lost = conn.execute(_LOSE, {"b_now": now}).rowcount
    return returned + lost


def load_due(conn: Connection, place_id: int, now: datetime, *, limit: int) -> Sequence[int]:
    """Load ids of operations that may be claimed now: on demand before nightly, within a lane by due day."""
    return (
        conn.execute(
            select(operation.c.id)
            .where(
                operation.c.place_id == place_id,
                operation.c.state == State.READY.value,
                operation.c.not_before <= now,
            )
            .order_by(operation.c.lane, operation.c.due_on, operation.c.id)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def next_due_at(conn: Connection, place_id: int) -> datetime | None:
    """When the earliest open operation goes on by itself; None where none does.

    What a refused profile holds waits for a person and not for a time; what waits for another operation in its cell goes on
    when that one does; what a worker holds comes back when its lease ends.
    """
    other = operation.alias()
    is_busy = exists().where(
        other.c.place_id == operation.c.place_id,
        other.c.object_key == operation.c.object_key,
        other.c.id != operation.c.id,
        other.c.state.in_(IN_FLIGHT),
    )
    ready = conn.execute(
        select(operation.c.not_before)
        .where(
            operation.c.place_id == place_id,
            operation.c.state == State.READY.value,
            operation.c.reason.not_in(("AUTH", "NO_PROFILE", "SENDING_STOPPED")),
            ~is_busy,
        )
        .order_by(operation.c.not_before)
        .limit(1)
    ).scalar_one_or_none()
    held = conn.execute(
        select(func.min(func.coalesce(operation.c.lease_until, operation.c.not_before))).where(
            operation.c.place_id == place_id, operation.c.state.in_(IN_FLIGHT)
        )
    ).scalar_one_or_none()
    return min((moment for moment in (ready, held) if moment is not None), default=None)


__all__ = ["load_due", "next_due_at", "sweep"]
