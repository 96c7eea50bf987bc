"""Parked operations: out of automatic traffic until a person decides. Replay means a fresh decision, never a stale payload."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select, update

from gateway.audit.deed import Actor
from gateway.domain.errors import PlanRefusedError
from gateway.queue.deeds import Ledger
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.store.transaction import Store


class OperationRow(msgspec.Struct, frozen=True, kw_only=True):
    """An operation as people see it; no value, no name."""

    id: int
    kind: str
    ref: str
    op: str
    state: str
    reason: str
    sentence: str | None
    attempts: int
    not_before: datetime
    changed_at: datetime
    run_id: int


def count_states(conn: Connection, place_id: int) -> dict[str, int]:
    """Count operations by state, in the order of an operation's life."""
    rows = conn.execute(
        select(operation.c.state, func.count()).where(operation.c.place_id == place_id).group_by(operation.c.state)
    )
    counts = {row[0]: row[1] for row in rows}
    return {state.value: counts[state.value] for state in State if state.value in counts}


def load_operations(conn: Connection, place_id: int, *, state: str | None, limit: int) -> list[OperationRow]:
    """Load operations, the ones that changed last first."""
    query = select(operation).where(operation.c.place_id == place_id)
    if state is not None:
        query = query.where(operation.c.state == state)
    rows = conn.execute(query.order_by(operation.c.changed_at.desc(), operation.c.id.desc()).limit(limit))
    return [
        OperationRow(
            id=row.id,
            kind=row.kind,
            ref=row.ref,
            op=row.op,
            state=row.state,
            reason=row.reason,
            sentence=row.sentence,
            attempts=row.attempts,
            not_before=row.not_before,
            changed_at=row.changed_at,
            run_id=row.run_id,
        )
        for row in rows
    ]


def replay(store: Store, ledger: Ledger, operation_id: int, *, actor: Actor) -> None:
    """Take an operation out of parking: the next plan decides about its record afresh.

    Raises:
        PlanRefusedError: It is not parked.
    """
    with store.write() as conn:
        row = conn.execute(
            update(operation)
            .where(operation.c.id == operation_id, operation.c.state == State.PARKED.value)
            .values(state=State.SUPERSEDED.value, reason="SUPERSEDED", changed_at=store.now(conn))
            .returning(operation)
        ).one_or_none()
        if row is None:
            raise PlanRefusedError(f"Операция {operation_id} не отложена", reason="WRONG_STATE")
        ledger.write(conn, row, "operation.replayed", "undone", actor=actor)
