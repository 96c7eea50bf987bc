"""One operation's steps up to the city's answer: claim → send → record. Each step is one transaction (law 13).

A crash between two steps is told by the state it left: CLAIMED was never sent and comes back when its lease ends; SENDING
may have been sent and becomes UNKNOWN. The claim is charged before the work, so a kill counts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, exists, insert, select, update

from gateway.connectors.pace import Pace, Unpaced, in_lane, prepaid
from gateway.connectors.port import Accepted, CitySink
from gateway.domain.city import Intent
from gateway.domain.clock import moscow_day
from gateway.domain.errors import (
    AccessDeniedError,
    ContractError,
    GatewayError,
    OutcomeUnknownError,
    SendingStoppedError,
    StaleError,
    ThrottledError,
)
from gateway.queue.barrier import UNREAD, find_city_obstacle, find_obstacle
from gateway.queue.breaker import find_wait_until, note_answer, try_pass
from gateway.queue.deeds import Ledger
from gateway.queue.ground import still_wanted
from gateway.queue.lanes import to_lane
from gateway.queue.pace import hold
from gateway.queue.pauses import pause
from gateway.queue.redelivery import PAUSE_S, next_attempt_at
from gateway.queue.states import IN_FLIGHT, State
from gateway.queue.tables import attempt, operation, receipt
from gateway.queue.terms import RequestIds, Terms, new_request_id
from gateway.queue.window import Windows
from gateway.reconcile.coverage import is_locked
from gateway.reconcile.resolve import INTENT_TYPES
from gateway.reconcile.tables import shadow
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store


class Delivery:
    """Brings claimed operations to the city's answer.

    Args:
        store: The store.
        sink: The city's write side.
        ledger: Writes the audit entries.
        terms: The numbers.
        city: Key of the city, for pauses.
        request_ids: Source of request ids.
        pace: Where the turn of a call is waited for, while nothing is marked as sent yet.
        is_stopping: Whether this process is being stopped: nothing is claimed, and a claim not yet sent is given back.
    """

    def __init__(
        self,
        store: Store,
        sink: CitySink,
        ledger: Ledger,
        terms: Terms,
        *,
        city: str,
        request_ids: RequestIds = new_request_id,
        pace: Pace | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._sink = sink
        self._ledger = ledger
        self._terms = terms
        self._city = city
        self._request_ids = request_ids
        self._pace = pace or Unpaced()
        self._is_stopping = is_stopping
        self._windows = Windows()

    def deliver(self, operation_id: int) -> State | None:
        """Run one operation as far as it goes now.

        Returns:
            Its state afterwards; None where it was not ours to take (done, not due, its cell is busy, all paused).

        Raises:
            AuditError: What was to be done could not be written down; it was not done.
        """
        row = None if self._is_stopping() else self._claim(operation_id)
        if row is None:
            return None
        if row.state != State.CLAIMED.value:
            return State(row.state)
        with in_lane(to_lane(row.lane)):
            if not self._await_turn(row):
                return State.READY
            request_id = self._request_ids()
            sent = self._mark_sending(row, request_id)
            if isinstance(sent, State):
                return sent
            try:
                with prepaid():
                    accepted = self._call(sent, request_id)
            except GatewayError as error:
                return self._record_error(sent, error, request_id)
        return self._record_accepted(sent, accepted)

    def _await_turn(self, row: Row[Any]) -> bool:
        """Wait for the call's turn; False where the claim was given back.

        Before the row is marked as sent, so that a kill while waiting costs a lease and not a settle time.
        """
        wait_s = 0.0
        try:
            self._pace.take()
            if not self._is_stopping():
                return True
        except ThrottledError as error:
            wait_s = error.retry_after_s
        with self._store.write() as conn:
            self._put_back(conn, row, self._store.now(conn), reason=row.reason, wait_s=wait_s)
        return False

    def _claim(self, operation_id: int) -> Row[Any] | None:
        """Take the row, or park one that killed its worker too often; the charge is committed before the work."""
        other = operation.alias()
        with self._store.write() as conn, self._ledger.gathered(conn) as ledger:
            now = self._store.now(conn)
            if find_city_obstacle(conn, self._city) is not None or find_wait_until(conn, self._city, now) is not None:
                return None
            if self._store.dialect == "postgresql":
                self._lock_cell(conn, operation_id)
            busy = exists().where(
                and_(
                    other.c.place_id == operation.c.place_id,
                    other.c.object_key == operation.c.object_key,
                    other.c.id != operation.c.id,
                    other.c.state.in_(IN_FLIGHT),
                )
            )
            row = conn.execute(
                update(operation)
                .where(
                    operation.c.id == operation_id,
                    operation.c.state == State.READY.value,
                    operation.c.not_before <= now,
                    ~busy,
                )
                .values(
                    state=State.CLAIMED.value,
                    claims=operation.c.claims + 1,
                    fence=operation.c.fence + 1,
                    lease_until=now + timedelta(seconds=self._terms.lease_s),
                    changed_at=now,
                )
                .returning(operation)
            ).one_or_none()
            if row is None:
                return None
            if is_locked(conn, row.place_id, row.scope):
                self._put_back(conn, row, now, reason=UNREAD)
                return None
            if row.claims > self._terms.max_claims:
                return self._move(
                    conn, ledger, row, State.PARKED, now, reason="POISON", action="operation.parked", outcome="held"
                )
            if not try_pass(conn, self._city, self._terms.breaker, now):
                # somebody else became the one who tries since we looked
                self._put_back(conn, row, now, reason=row.reason, wait_s=0.0)
                return None
            return row

    def _lock_cell(self, conn: Connection, operation_id: int) -> None:
        """Let one claim a cell be decided at a time: two at once would not see each other's (SQLite has one writer)."""
        cell = select(operation.c.place_id, operation.c.object_key).where(operation.c.id == operation_id).subquery()
        conn.execute(
            select(operation.c.id)
            .join(cell, and_(operation.c.place_id == cell.c.place_id, operation.c.object_key == cell.c.object_key))
            .where(operation.c.state == State.READY.value)
            .order_by(operation.c.id)
            .with_for_update(of=operation)
        ).all()

    def _mark_sending(self, row: Row[Any], request_id: str) -> Row[Any] | State:
        """Commit what an answer needs to be understood after a crash, then nothing but the call may come.

        Returns:
            The row as it is being sent; or the state of one that must not be.
        """
        with self._store.write() as conn, self._ledger.gathered(conn) as ledger:
            now = self._store.now(conn)
            obstacle = find_obstacle(conn, self._city, row.place_id, row.scope)
            if obstacle is not None:
                self._put_back(conn, row, now, reason=obstacle)
                return State.READY
            is_old = row.epoch != get_epoch(conn)
            if is_old or not still_wanted(conn, row):
                reason = "EPOCH_BEGUN" if is_old else "BASE_MOVED"
                self._move(
                    conn, ledger, row, State.SUPERSEDED, now, reason=reason, action="operation.dropped", outcome="held"
                )
                return State.SUPERSEDED
            closed = self._windows.find_closed(conn, row.place_id, _to_intent(row), moscow_day(now))
            if closed is not None:
                self._move(
                    conn, ledger, row, State.SUPERSEDED, now, reason=closed, action="operation.dropped", outcome="held"
                )
                return State.SUPERSEDED
            ids = conn.execute(
                select(shadow.c.city_id).where(
                    shadow.c.place_id == row.place_id,
                    shadow.c.kind == row.kind,
                    shadow.c.object_key == row.object_key,
                )
            ).scalars()
            sent = conn.execute(
                update(operation)
                .where(
                    operation.c.id == row.id,
                    operation.c.fence == row.fence,
                    operation.c.state == State.CLAIMED.value,
                )
                .values(
                    state=State.SENDING.value,
                    lease_until=now + timedelta(seconds=self._terms.deadline_s),
                    sent_at=now,
                    not_before=now + self._terms.untouchable,
                    ids_before=sorted(ids),
                    changed_at=now,
                )
                .returning(operation)
            ).one_or_none()
            if sent is None:
                return State.SUPERSEDED
            conn.execute(
                insert(attempt).values(
                    operation_id=row.id,
                    number=row.attempts + 1,
                    started_at=now,
                    outcome="sending",
                    request_id=request_id,
                )
            )
            ledger.write(conn, sent, "operation.intended", "decided", request_id=request_id)
            return sent

    def _put_back(
        self, conn: Connection, row: Row[Any], now: datetime, *, reason: str, wait_s: float = PAUSE_S
    ) -> None:
        """Give an unsent claim back uncharged: a person or a restore is in the way, not the operation."""
        conn.execute(
            update(operation)
            .where(
                operation.c.id == row.id,
                operation.c.fence == row.fence,
                operation.c.state == State.CLAIMED.value,
            )
            .values(
                state=State.READY.value,
                reason=reason,
                claims=operation.c.claims - 1,
                lease_until=None,
                not_before=now + timedelta(seconds=wait_s),
                changed_at=now,
            )
        )

    def _call(self, row: Row[Any], request_id: str) -> Accepted:
        intent = _to_intent(row)
        if row.op == "create":
            return self._sink.create(intent, request_id=request_id)
        if row.op == "change":
            return self._sink.change(row.city_id, intent, request_id=request_id)
        return self._sink.delete(row.city_id, intent, request_id=request_id)

    def _record_accepted(self, row: Row[Any], accepted: Accepted) -> State:
        with self._store.write() as conn, self._ledger.gathered(conn) as ledger:
            now = self._store.now(conn)
            note_answer(conn, self._city, self._terms.breaker, now)
            city_id = accepted.city_id if accepted.city_id is not None else row.city_id
            moved = self._move(
                conn,
                ledger,
                row,
                State.ACCEPTED,
                now,
                reason="",
                action="operation.accepted",
                outcome="already_there" if accepted.already_there else "applied",
                city_id=city_id,
                request_id=accepted.request_id,
                claims=0,
                not_before=now,
            )
            if moved is None:
                return State.UNKNOWN
            conn.execute(
                insert(receipt).values(
                    operation_id=row.id,
                    stage="accepted",
                    city_id=city_id,
                    request_id=accepted.request_id,
                    at=now,
                )
            )
            _close_attempt(
                conn, row, accepted.request_id, now, "accepted", profile=accepted.profile, status=accepted.status
            )
        return State.ACCEPTED

    def _record_error(self, row: Row[Any], error: GatewayError, request_id: str) -> State:
        with self._store.write() as conn, self._ledger.gathered(conn) as ledger:
            now = self._store.now(conn)
            # breaker and hold before anything that writes to the audit: one order of locks for everybody
            note_answer(conn, self._city, self._terms.breaker, now, error)
            if isinstance(error, ThrottledError):
                hold(conn, self._city, now + timedelta(seconds=error.retry_after_s), now=now)
            # A dead session, a request to wait and a person's stop say nothing of this operation; all else must end.
            is_charged = not isinstance(error, AccessDeniedError | ThrottledError | SendingStoppedError)
            attempts = row.attempts + int(is_charged)
            if isinstance(error, AccessDeniedError) and error.reason_code != "NO_PROFILE":
                pause(conn, ledger, self._city, error, now=now)
            values: dict[str, Any] = {"claims": 0, "attempts": attempts, "sentence": error.sentence}
            state, not_before = self._state_after(row, error, attempts, now)
            moved = self._move(
                conn,
                ledger,
                row,
                state,
                now,
                reason=error.reason_code,
                action=f"operation.{_ACTIONS[state]}",
                outcome=_OUTCOMES[state],
                request_id=request_id,
                not_before=not_before,
                **values,
            )
            _close_attempt(
                conn,
                row,
                request_id,
                now,
                state.value,
                error=type(error).__name__,
                status=getattr(error, "status", None),
            )
        return state if moved is not None else State.UNKNOWN

    def _state_after(self, row: Row[Any], error: GatewayError, attempts: int, now: datetime) -> tuple[State, datetime]:
        if isinstance(error, OutcomeUnknownError | ContractError):
            # An answer that can't be read says as little as none.
            return State.UNKNOWN, row.sent_at + self._terms.untouchable
        if isinstance(error, StaleError):
            return State.SUPERSEDED, now
        due = next_attempt_at(error, attempts=attempts, max_attempts=self._terms.max_attempts, now=now)
        return (State.READY, due) if due is not None else (State.PARKED, now)

    def _move(
        self,
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
        """Move a row that is still ours (fence) and write the entry; None where somebody else has it now."""
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


_ACTIONS = {
    State.READY: "postponed",
    State.UNKNOWN: "unanswered",
    State.PARKED: "parked",
    State.SUPERSEDED: "dropped",
}
_OUTCOMES = {State.READY: "held", State.UNKNOWN: "unknown", State.PARKED: "refused", State.SUPERSEDED: "held"}


def _to_intent(row: Row[Any]) -> Intent:
    intent: Intent = msgspec.json.decode(row.intent, type=INTENT_TYPES[row.kind])
    return intent


def _close_attempt(
    conn: Connection,
    row: Row[Any],
    request_id: str,
    now: datetime,
    outcome: str,
    *,
    error: str | None = None,
    profile: str | None = None,
    status: int | None = None,
) -> None:
    conn.execute(
        update(attempt)
        .where(attempt.c.operation_id == row.id, attempt.c.request_id == request_id)
        .values(finished_at=now, outcome=outcome, error=error, profile=profile, status=status)
    )
