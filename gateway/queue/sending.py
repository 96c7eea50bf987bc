"""Mark as being sent: the last step before the calls. What an answer needs to be understood after a crash is committed here.

Asks once more whatever may have changed since the claim (a stop, a restore, the ground, what people hold back, the period and
the signature under it), for a whole batch by a few questions; after the commit nothing but the calls may come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, insert, update

from gateway.domain.clock import moscow_day
from gateway.domain.reasons import MARKED_HOLD, PERIOD_SIGNED
from gateway.queue.barrier import UNREAD, Gate, holds_obstacle, load_gate
from gateway.queue.claim import Claims
from gateway.queue.deeds import Ledger
from gateway.queue.ground import Standing, load_standing
from gateway.queue.held_back import find_held, to_intent
from gateway.queue.moves import fences_of, is_any_held, move
from gateway.queue.redelivery import PAUSE_S
from gateway.queue.signed import Signed, find_locked, return_to_plan, stand_beside
from gateway.queue.states import State
from gateway.queue.tables import attempt, operation
from gateway.queue.terms import Terms
from gateway.queue.window import Windows
from gateway.reconcile.coverage import is_locked
from gateway.store.transaction import Store

# built once: putting these together costs more than running them
_SEND = (
    update(operation)
    .where(is_any_held(bindparam("held", expanding=True), State.CLAIMED))
    .values(
        state=State.SENDING.value,
        lease_until=bindparam("b_lease_until"),
        sent_at=bindparam("b_now"),
        not_before=bindparam("b_not_before"),
        ids_before=[],
        changed_at=bindparam("b_now"),
    )
    .returning(operation)
)
_SET_IDS_BEFORE = (
    update(operation).where(operation.c.id == bindparam("b_id")).values(ids_before=bindparam("b_ids_before"))
)


class Marked(NamedTuple):
    """Rows as they are being sent, in their order, and the states of those that must not be."""

    sent: list[Row[Any]]
    ended: dict[int, State]


class Sending:
    """Marks claimed rows of one place as being sent.

    Args:
        store: The store.
        ledger: Writes the audit entries.
        terms: The numbers.
        city: Key of the city.
        claims: Gives back what may not be sent now.
    """

    def __init__(self, store: Store, ledger: Ledger, terms: Terms, city: str, claims: Claims) -> None:
        self._store = store
        self._ledger = ledger
        self._terms = terms
        self._city = city
        self._claims = claims
        self._windows = Windows()
        self._signed = Signed()

    def mark(self, rows: Sequence[Row[Any]], request_ids: Mapping[int, str]) -> Marked:
        """Commit the intent of these calls.

        Args:
            rows: Claimed ones of one place.
            request_ids: Operation → the id by which its answer will be found.
        """
        with self._store.write() as conn, self._ledger.gathered(conn) as ledger:
            stand_beside(conn, rows[0].place_id)
            gate = load_gate(conn, self._store, self._city)
            if gate.obstacle is not None:
                obstacle = holds_obstacle(conn, self._city)
                self._claims.put_back(conn, rows, gate.now, reason=obstacle, wait_s=PAUSE_S if obstacle else 0.0)
                return Marked([], dict.fromkeys((row.id for row in rows), State.READY))
            standing = load_standing(conn, rows, now=gate.now)
            ended = self._drop(conn, ledger, rows, gate, standing)
            wanted = [row for row in rows if row.id not in ended]
            sent = self._mark(conn, wanted, gate, standing) if wanted else []
            # whose claim was taken over meanwhile is another's
            ended |= dict.fromkeys({row.id for row in wanted} - {row.id for row in sent}, State.SUPERSEDED)
            for row in sent:
                ledger.write(conn, row, "operation.intended", "decided", request_id=request_ids[row.id])
            if sent:
                conn.execute(
                    insert(attempt),
                    [
                        {
                            "operation_id": row.id,
                            "number": row.attempts + 1,
                            "started_at": gate.now,
                            "outcome": "sending",
                            "request_id": request_ids[row.id],
                        }
                        for row in sent
                    ],
                )
            return Marked(sent, ended)

    def _drop(
        self, conn: Connection, ledger: Ledger, rows: Sequence[Row[Any]], gate: Gate, standing: Standing
    ) -> dict[int, State]:
        """Give back what was not read since a restore, drop what nobody wants any more; their states."""
        ended: dict[int, State] = {}
        periods = self._windows.load(conn, rows[0].place_id)
        locks = self._signed.load(conn, rows[0].place_id, gate.now)
        locked = find_locked(conn, locks, rows, gate.now) if locks else frozenset()
        held = find_held(conn, rows[0].place_id, rows, self._signed, now=gate.now) if gate.has_holds else frozenset()
        for row in rows:
            if gate.is_locked and is_locked(conn, row.place_id, row.scope):
                self._claims.put_back(conn, [row], gate.now, reason=UNREAD)
                ended[row.id] = State.READY
                continue
            reason = self._find_reason(row, gate, standing) or (MARKED_HOLD if row.id in held else None)
            reason = reason or periods.find_closed(to_intent(row), moscow_day(gate.now))
            if reason is None and (row.plan_id, row.seq) in locked:
                reason = PERIOD_SIGNED
            if reason is not None:
                move(
                    conn,
                    ledger,
                    row,
                    State.SUPERSEDED,
                    gate.now,
                    reason=reason,
                    action="operation.dropped",
                    outcome="held",
                )
                ended[row.id] = State.SUPERSEDED
            if reason == PERIOD_SIGNED:
                return_to_plan(conn, [row])
        return ended

    def _find_reason(self, row: Row[Any], gate: Gate, standing: Standing) -> str | None:
        if row.epoch != gate.epoch:
            return "EPOCH_BEGUN"
        return None if standing.still_holds(row) else "BASE_MOVED"

    def _mark(self, conn: Connection, rows: Sequence[Row[Any]], gate: Gate, standing: Standing) -> list[Row[Any]]:
        moved = conn.execute(
            _SEND,
            {
                "held": fences_of(rows),
                "b_now": gate.now,
                "b_lease_until": gate.now + timedelta(seconds=self._terms.deadline_s),
                "b_not_before": gate.now + self._terms.untouchable,
            },
        ).all()
        beside = [{"b_id": row.id, "b_ids_before": ids} for row in moved if (ids := standing.ids_in_cell(row))]
        if beside:
            conn.execute(_SET_IDS_BEFORE, beside)
        order = {row.id: number for number, row in enumerate(rows)}
        return sorted(moved, key=lambda row: order[row.id])


__all__ = ["Marked", "Sending"]
