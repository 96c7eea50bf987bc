"""How an operation's row moves from one state to the next while it is in a worker's hands.

A move counts only where the row is still the worker's: the fence is the one of its claim, the state is the one it left
the row in. Its audit entry is written in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, tuple_, update

from gateway.queue.deeds import Ledger
from gateway.queue.states import State
from gateway.queue.tables import attempt, operation


def is_held(rows: Iterable[Row[Any]], state: State) -> ColumnElement[bool]:
    """Condition: the row is one of these, with their fences, in that state."""
    return is_any_held(fences_of(rows), state)


def is_any_held(fences: Any, state: State) -> ColumnElement[bool]:
    """The same by (id, fence) of the rows, or by a parameter for them."""
    return tuple_(operation.c.id, operation.c.fence).in_(fences) & (operation.c.state == state.value)


def fences_of(rows: Iterable[Row[Any]]) -> list[tuple[int, int]]:
    """(Id, fence) of each row."""
    return [(row.id, row.fence) for row in rows]


def move(
    conn: Connection,
    ledger: Ledger,
    row: Row[Any],
    state: State,
    now: datetime,
    *,
    reason: str,
    action: str,
    outcome: str,
    city_id: int | None = None,
    request_id: str | None = None,
    **values: Any,
) -> Row[Any] | None:
    """Move a row that is still ours and write the entry; None where somebody else has it now."""
    if city_id is not None:
        values["city_id"] = city_id
    moved = conn.execute(
        update(operation)
        .where(operation.c.id == row.id, operation.c.fence == row.fence, operation.c.state == row.state)
        .values(state=state.value, reason=reason, lease_until=None, changed_at=now, **values)
        .returning(operation)
    ).one_or_none()
    if moved is not None:
        ledger.write(conn, moved, action, outcome, reason=reason or None, city_id=city_id, request_id=request_id)
    return moved


def close_attempt(
    conn: Connection,
    row: Row[Any],
    request_id: str,
    now: datetime,
    outcome: str,
    *,
    error: str | None = None,
    status: int | None = None,
) -> None:
    """Note how an attempt ended that got no yes."""
    conn.execute(
        update(attempt)
        .where(attempt.c.operation_id == row.id, attempt.c.request_id == request_id)
        .values(finished_at=now, outcome=outcome, error=error, status=status)
    )


__all__ = ["close_attempt", "fences_of", "is_any_held", "is_held", "move"]
