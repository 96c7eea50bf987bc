"""What may be worked on now: what a dead worker left comes back, and what is due stands in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.store.transaction import Store


def sweep(store: Store) -> int:
    """Bring back what a dead worker left: claims never sent become ready, calls without an answer become unknown.

    Returns:
        Rows moved.
    """
    with store.write() as conn:
        now = store.now(conn)
        returned = conn.execute(
            update(operation)
            .where(operation.c.state == State.CLAIMED.value, operation.c.lease_until <= now)
            .values(state=State.READY.value, lease_until=None, changed_at=now)
        ).rowcount
        lost = conn.execute(
            update(operation)
            .where(operation.c.state == State.SENDING.value, operation.c.lease_until <= now)
            .values(
                state=State.UNKNOWN.value,
                reason="UNKNOWN_OUTCOME",
                lease_until=None,
                changed_at=now,
                # a call that kills its worker every time must come to an end
                attempts=operation.c.attempts + 1,
            )
        ).rowcount
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
