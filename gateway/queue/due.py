"""What may be worked on now: what a dead worker left comes back, and what is due stands in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Integer, bindparam, exists, func, select, update

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
_DUE = (
    select(operation.c.id)
    .where(
        operation.c.place_id == bindparam("place_id"),
        operation.c.state == State.READY.value,
        operation.c.not_before <= bindparam("now"),
    )
    .order_by(operation.c.lane, operation.c.due_on, operation.c.id)
    .limit(bindparam("most", type_=Integer))
)
_OTHER = operation.alias("other")
_NEXT_READY = (
    select(operation.c.not_before)
    .where(
        operation.c.place_id == bindparam("place_id"),
        operation.c.state == State.READY.value,
        operation.c.reason.not_in(("AUTH", "NO_PROFILE", "SENDING_STOPPED")),
        ~exists().where(
            _OTHER.c.place_id == operation.c.place_id,
            _OTHER.c.object_key == operation.c.object_key,
            _OTHER.c.id != operation.c.id,
            _OTHER.c.state.in_(IN_FLIGHT),
        ),
    )
    .order_by(operation.c.not_before)
    .limit(1)
)
_NEXT_HELD = select(func.min(func.coalesce(operation.c.lease_until, operation.c.not_before))).where(
    operation.c.place_id == bindparam("place_id"), operation.c.state.in_(IN_FLIGHT)
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
    return conn.execute(_DUE, {"place_id": place_id, "now": now, "most": limit}).scalars().all()


def next_due_at(conn: Connection, place_id: int) -> datetime | None:
    """When the earliest open operation goes on by itself; None where none does.

    What a refused profile holds waits for a person and not for a time; what waits for another operation in its cell goes on
    when that one does; what a worker holds comes back when its lease ends.
    """
    ready = conn.execute(_NEXT_READY, {"place_id": place_id}).scalar_one_or_none()
    held = conn.execute(_NEXT_HELD, {"place_id": place_id}).scalar_one_or_none()
    return min((moment for moment in (ready, held) if moment is not None), default=None)


__all__ = ["load_due", "next_due_at", "sweep"]
