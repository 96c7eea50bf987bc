"""The two lanes of the queue and how its open operations stand against their due days.

On demand goes before nightly; within a lane the earliest due day first. The counts say whether the school will make it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Integer, bindparam, case, func, select

from gateway.connectors.pace import Lane
from gateway.queue.states import OPEN, State
from gateway.queue.tables import operation

LANES: tuple[Lane, ...] = ("demand", "nightly")
"""In the order in which they are served; their names sort so too."""


class LaneCount(msgspec.Struct, frozen=True, kw_only=True):
    """Open operations of a lane by their due day.

    Attributes:
        in_time: Due later than today, or on no day at all.
        at_risk: Due today.
        overdue: Due before today.
        oldest_at: When the oldest of them was let out; None where there is none.
    """

    in_time: int = 0
    at_risk: int = 0
    overdue: int = 0
    oldest_at: datetime | None = None


def to_lane(name: str) -> Lane:
    """The lane of that name; what is no on-demand lane is served with the night's."""
    return "demand" if name == "demand" else "nightly"


def count_lanes(conn: Connection, place_id: int, today: date) -> dict[str, LaneCount]:
    """Count a place's open operations by lane and due day.

    Args:
        conn: Any transaction.
        place_id: Where.
        today: The Moscow day.
    """
    late = func.sum(case((operation.c.due_on < today, 1), else_=0))
    risky = func.sum(case((operation.c.due_on == today, 1), else_=0))
    rows = conn.execute(
        select(operation.c.lane, func.count(), late, risky, func.min(operation.c.created_at))
        .where(operation.c.place_id == place_id, operation.c.state.in_([state.value for state in OPEN]))
        .group_by(operation.c.lane)
    ).all()
    found = {
        lane: LaneCount(in_time=count - overdue - at_risk, at_risk=at_risk, overdue=overdue, oldest_at=oldest_at)
        for lane, count, overdue, at_risk, oldest_at in rows
    }
    return {lane: found.get(lane, LaneCount()) for lane in (*LANES, *sorted(found.keys() - set(LANES)))}


class DueRow(NamedTuple):
    """An operation that may be claimed now."""

    id: int
    lane: Lane


_DUE = (
    select(operation.c.id, operation.c.lane)
    .where(
        operation.c.place_id == bindparam("place_id"),
        operation.c.state == State.READY.value,
        operation.c.not_before <= bindparam("now"),
    )
    .order_by(operation.c.lane, operation.c.due_on, operation.c.id)
    .limit(bindparam("most", type_=Integer))
)


def load_due_rows(conn: Connection, place_id: int, now: datetime, *, limit: int) -> list[DueRow]:
    """Load operations that may be claimed now, in the order in which they are served."""
    rows = conn.execute(_DUE, {"place_id": place_id, "now": now, "most": limit})
    return [DueRow(row[0], to_lane(row[1])) for row in rows]


__all__ = ["LANES", "DueRow", "LaneCount", "count_lanes", "load_due_rows", "to_lane"]
