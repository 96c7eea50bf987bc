"""What an act about discrepancies does beside them: to the operations of their records, and in the audit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from gateway.audit.deed import Deed
from gateway.audit.notes import Note
from gateway.flows.gateway import Gateway
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.reconcile.joins import same_record
from gateway.reconcile.tables import discrepancy
from gateway.store.among import among


def load_held(conn: Connection, place_id: int, ids: Sequence[int], states: Sequence[State]) -> set[tuple[str, str]]:
    """Load the records, as (kind, ref), of these discrepancies that delivery has in one of the states."""
    rows = conn.execute(
        select(operation.c.kind, operation.c.ref)
        .join(
            discrepancy,
            same_record(discrepancy, operation),
        )
        .where(
            operation.c.place_id == place_id,
            operation.c.state.in_([state.value for state in states]),
            among(conn, discrepancy.c.id, ids),
        )
    )
    return {(row.kind, row.ref) for row in rows}


def let_go(conn: Connection, gateway: Gateway, place_id: int, ids: Sequence[int], now: datetime) -> None:
    """What delivery parked about the records of these discrepancies is decided afresh by the next plan."""
    # rows first and the audit last, as everybody else does
    with gateway.ledger.gathered(conn) as ledger:
        for kind, ref in sorted(load_held(conn, place_id, ids, (State.PARKED,))):
            moved = conn.execute(
                update(operation)
                .where(
                    operation.c.place_id == place_id,
                    operation.c.kind == kind,
                    operation.c.ref == ref,
                    operation.c.state == State.PARKED.value,
                )
                .values(state=State.SUPERSEDED.value, reason="SUPERSEDED", changed_at=now)
                .returning(operation)
            )
            for row in moved.all():
                ledger.write(conn, row, "operation.replayed", "undone", actor=gateway.actor)


def write_deed(
    conn: Connection, gateway: Gateway, numbers: Sequence[int], note: Note, *, action: str, counts: dict[str, int]
) -> None:
    """One entry an act: which ones is in their steps, and the digest of their numbers binds the two."""
    listed = ",".join(str(number) for number in sorted(numbers))
    gateway.audit.append(
        conn,
        Deed(
            action=action,
            actor=gateway.actor,
            originator=gateway.originator,
            place=gateway.place,
            object_type="discrepancy",
            object_id=f"discrepancy:{numbers[0]}" if len(numbers) == 1 else "discrepancy:many",
            new_digest=hashlib.sha256(listed.encode()).hexdigest(),
            outcome="decided",
            counts=counts,
            note=note,
        ),
    )


__all__ = ["let_go", "load_held", "write_deed"]
