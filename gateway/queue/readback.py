"""Which groups are read back now: one list a group after its writes, except where somebody waits for the answer.

Read early, a group of thirty marks would cost thirty reads; read late, a mark on demand would keep a person waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import msgspec
from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from gateway.connectors.pace import Lane
from gateway.queue.states import State
from gateway.queue.tables import operation

_ANSWERED = (State.ACCEPTED.value, State.UNKNOWN.value)


class ScopeDue(msgspec.Struct, frozen=True, kw_only=True):
    """A scope with operations to be proven now.

    Attributes:
        from_on: First day of their lessons; `to_on` the last.
        sample_id: One of the operations, to know the group by.
        run_id: Run of the newest of them.
        lane: `demand` where somebody waits for one of them.
    """

    scope: str
    kind: str
    from_on: date
    to_on: date
    sample_id: int
    run_id: int
    lane: Lane


_ON_DEMAND = func.min(operation.c.lane).label("lane")  # «demand» sorts before «nightly»
_RIPE = (
    select(
        operation.c.scope,
        operation.c.kind,
        func.min(operation.c.on_date).label("from_on"),
        func.max(operation.c.on_date).label("to_on"),
        func.min(operation.c.id).label("sample_id"),
        func.max(operation.c.run_id).label("run_id"),
        func.min(operation.c.not_before).label("since"),
        _ON_DEMAND,
    )
    .where(
        operation.c.place_id == bindparam("place_id"),
        operation.c.state.in_(_ANSWERED),
        operation.c.not_before <= bindparam("now"),
    )
    .group_by(operation.c.scope, operation.c.kind)
    .order_by(_ON_DEMAND, func.min(operation.c.not_before))
)


def load_scopes_ripe(
    conn: Connection, place_id: int, now: datetime, *, wait_s: float, lanes: Sequence[Lane]
) -> list[ScopeDue]:
    """Load the scopes to be read back now, on demand first.

    A scope is ripe when somebody waits for it, when nothing more of it is about to be sent, or when its oldest answer
    has waited long enough for the others.

    Args:
        conn: Any transaction.
        place_id: Where.
        now: Aware UTC by the store.
        wait_s: How long an answer waits for the rest of its group, in seconds; 0 = not at all.
        lanes: Which lanes are asked for.
    """
    rows = conn.execute(_RIPE, {"place_id": place_id, "now": now}).all()
    is_early = {
        (row.scope, row.kind) for row in rows if row.lane != "demand" and now - row.since < timedelta(seconds=wait_s)
    }
    growing = _load_growing(conn, place_id, now, {scope for scope, _ in is_early}) if is_early else set()
    found: list[ScopeDue] = []
    for row in rows:
        lane: Lane = "demand" if row.lane == "demand" else "nightly"
        if lane in lanes and (row.scope, row.kind) not in growing & is_early:
            found.append(
                ScopeDue(
                    scope=row.scope,
                    kind=row.kind,
                    from_on=row.from_on,
                    to_on=row.to_on,
                    sample_id=row.sample_id,
                    run_id=row.run_id,
                    lane=lane,
                )
            )
    return found


def postpone(conn: Connection, place_id: int, due: ScopeDue, now: datetime, *, wait_s: float) -> None:
    """Look at a scope that could not be read again later: a journal that is out of order is not asked without a pause."""
    conn.execute(
        update(operation)
        .where(
            operation.c.place_id == place_id,
            operation.c.scope == due.scope,
            operation.c.kind == due.kind,
            operation.c.state.in_(_ANSWERED),
            operation.c.not_before <= now,
        )
        .values(not_before=now + timedelta(seconds=wait_s))
    )


def _load_growing(conn: Connection, place_id: int, now: datetime, scopes: set[str]) -> set[tuple[str, str]]:
    """Load (scope, kind) of which something is about to be sent."""
    rows = conn.execute(
        select(operation.c.scope, operation.c.kind)
        .where(
            operation.c.place_id == place_id,
            operation.c.scope.in_(sorted(scopes)),
            or_(
                and_(operation.c.state == State.READY.value, operation.c.not_before <= now),
                operation.c.state.in_((State.CLAIMED.value, State.SENDING.value)),
            ),
        )
        .distinct()
    )
    return {(row[0], row[1]) for row in rows}


__all__ = ["ScopeDue", "load_scopes_ripe", "postpone"]
