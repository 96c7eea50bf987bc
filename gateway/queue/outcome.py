"""Record: what became of the calls of a batch, in one transaction. Nothing counts before it is committed.

A yes is not yet a proof (law 3); an answer that did not come is an unknown outcome and not a failure (law 4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, update

from gateway.connectors.port import Accepted
from gateway.domain.errors import (
    AccessDeniedError,
    ContractError,
    GatewayError,
    OutcomeUnknownError,
    Recovery,
    SendingStoppedError,
    StaleError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from gateway.domain.reasons import ENTER_BY_HAND, TOO_MANY_ATTEMPTS
from gateway.queue.barrier import holds_obstacle
from gateway.queue.breaker import UNREACHED, BreakerState, load_breaker, note_answer, wake_unreached
from gateway.queue.deeds import Ledger
from gateway.queue.moves import close_attempt, is_held, move
from gateway.queue.pace import hold
from gateway.queue.pauses import pause
from gateway.queue.redelivery import next_attempt_at
from gateway.queue.states import State
from gateway.queue.tables import attempt, operation, receipt
from gateway.queue.terms import Terms
from gateway.store.transaction import Store

_KILLS = select(func.count()).where(
    attempt.c.operation_id == bindparam("operation_id"),
    attempt.c.finished_at.is_(None),
    attempt.c.request_id != bindparam("request_id"),
)
"""Earlier attempts of an operation that nobody lived to record."""
_TRIES = select(func.count()).where(attempt.c.operation_id == bindparam("operation_id"))
_ACTIONS = {
    State.READY: "postponed",
    State.UNKNOWN: "unanswered",
    State.PARKED: "parked",
    State.SUPERSEDED: "dropped",
}
_OUTCOMES = {State.READY: "held", State.UNKNOWN: "unknown", State.PARKED: "refused", State.SUPERSEDED: "held"}

_ACCEPT = (
    update(operation)
    .where(
        operation.c.id == bindparam("b_id"),
        operation.c.fence == bindparam("b_fence"),
        operation.c.state == State.SENDING.value,
    )
    .values(
        state=State.ACCEPTED.value,
        reason="",
        lease_until=None,
        claims=0,
        city_id=bindparam("b_city_id"),
        not_before=bindparam("b_at"),
        changed_at=bindparam("b_at"),
    )
)
_CLOSE_ACCEPTED = (
    update(attempt)
    .where(attempt.c.operation_id == bindparam("b_id"), attempt.c.request_id == bindparam("b_request_id"))
    .values(
        outcome="accepted",
        finished_at=bindparam("b_at"),
        profile=bindparam("b_profile"),
        status=bindparam("b_status"),
    )
)


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was marked as being sent, and what came of it.

    Attributes:
        row: As it was marked.
        answer: The city's yes; what the call raised; None = the call was not made.
    """

    row: Any
    request_id: str
    answer: Accepted | GatewayError | None


class Outcomes:
    """Records what calls came to.

    Args:
        store: The store.
        ledger: Writes the audit entries.
        terms: The numbers.
        city: Key of the city.
        paused: Told when a profile has been paused.
    """

    def __init__(self, store: Store, ledger: Ledger, terms: Terms, city: str, paused: Callable[[], None]) -> None:
        self._store = store
        self._ledger = ledger
        self._terms = terms
        self._city = city
        self._paused = paused

    def record(self, batch: Sequence[Answered]) -> dict[int, State]:
        """Record them all; operation → its state. UNKNOWN also where somebody has moved the row meanwhile."""
        with self._store.write() as conn, self._ledger.gathered(conn) as ledger:
            now = self._store.now(conn)
            is_stopped = (
                any(isinstance(one.answer, SendingStoppedError) for one in batch)
                and holds_obstacle(conn, self._city) is not None
            )
            # breaker and hold before anything that writes to the audit: one order of locks for everybody
            is_back = self._note_answers(conn, batch, now)
            states: dict[int, State] = {}
            accepted = [one for one in batch if isinstance(one.answer, Accepted) and not one.answer.is_by_hand]
            if accepted:
                states |= self._record_accepted(conn, ledger, accepted, now)
            for one in batch:
                if isinstance(one.answer, Accepted) and one.answer.is_by_hand:
                    states[one.row.id] = self._record_handed(conn, ledger, one, now)
                elif isinstance(one.answer, GatewayError):
                    states[one.row.id] = self._record_error(conn, ledger, one, one.answer, now, is_stopped=is_stopped)
                elif one.answer is None:
                    states[one.row.id] = self._record_unsent(conn, ledger, one, now)
            if is_back:
                wake_unreached(conn, self._city, now)
        return states

    def _note_answers(self, conn: Connection, batch: Sequence[Answered], now: datetime) -> bool:
        """Tell the breaker in the order of the calls; of several yeses in a row one says it all. Whether the city is back."""
        was_yes = is_back = False
        for one in batch:
            if one.answer is None or (was_yes and isinstance(one.answer, Accepted)):
                continue
            was_yes = isinstance(one.answer, Accepted)
            error = one.answer if isinstance(one.answer, GatewayError) else None
            is_back = note_answer(conn, self._city, self._terms.breaker, now, error) or is_back
            if isinstance(error, ThrottledError):
                hold(conn, self._city, now + timedelta(seconds=error.retry_after_s), now=now)
        return is_back

    def _record_accepted(
        self, conn: Connection, ledger: Ledger, batch: Sequence[Answered], now: datetime
    ) -> dict[int, State]:
        facts = [_to_facts(one, now) for one in batch]
        moved = conn.execute(_ACCEPT, facts).rowcount
        kept = batch if moved == len(batch) else self._find_moved(conn, batch)
        ids = {one.row.id for one in kept}
        facts = [fact for fact in facts if fact["b_id"] in ids]
        if facts:
            conn.execute(_CLOSE_ACCEPTED, facts)
            conn.execute(
                insert(receipt),
                [
                    {
                        "operation_id": fact["b_id"],
                        "stage": "accepted",
                        "city_id": fact["b_city_id"],
                        "request_id": fact["b_request_id"],
                        "at": now,
                    }
                    for fact in facts
                ],
            )
        for one, fact in zip(kept, facts, strict=True):
            is_there = isinstance(one.answer, Accepted) and one.answer.already_there
            ledger.write(
                conn,
                one.row,
                "operation.accepted",
                "already_there" if is_there else "applied",
                city_id=fact["b_city_id"],
                request_id=fact["b_request_id"],
            )
        return {one.row.id: State.ACCEPTED if one.row.id in ids else State.UNKNOWN for one in batch}

    def _record_handed(self, conn: Connection, ledger: Ledger, one: Answered, now: datetime) -> State:
        """Nothing was written: a person will type it, and the next export of the journal proves it."""
        moved = move(
            conn,
            ledger,
            one.row,
            State.BY_HAND,
            now,
            reason=ENTER_BY_HAND,
            action="operation.handed_over",
            outcome="held",
            request_id=one.request_id,
            not_before=now,
            claims=0,
        )
        close_attempt(conn, one.row, one.request_id, now, State.BY_HAND.value)
        return State.BY_HAND if moved is not None else State.UNKNOWN

    def _find_moved(self, conn: Connection, batch: Sequence[Answered]) -> list[Answered]:
        """Those that were still ours: swept meanwhile, a row is somebody else's."""
        ids = set(
            conn.execute(select(operation.c.id).where(is_held((one.row for one in batch), State.ACCEPTED))).scalars()
        )
        return [one for one in batch if one.row.id in ids]

    def _record_error(
        self, conn: Connection, ledger: Ledger, one: Answered, error: GatewayError, now: datetime, *, is_stopped: bool
    ) -> State:
        # A dead session, a request to wait and a person's stop say nothing of this operation; all else must end.
        # Neither does a city that is silent to everybody, where nothing but reading was tried: days without it would park
        # a record for every hour of them.
        is_unreached = isinstance(error, UnreachableError | UnavailableError) and self._is_silent(conn)
        is_charged = not is_unreached and not isinstance(
            error, AccessDeniedError | ThrottledError | SendingStoppedError
        )
        attempts = one.row.attempts + int(is_charged)
        if isinstance(error, AccessDeniedError) and error.reason_code != "NO_PROFILE":
            pause(conn, ledger, self._city, error, now=now)
            self._store.after_commit(self._paused)
        if is_unreached:
            state, not_before = State.READY, self._next_try(conn, one, error, now)
        elif isinstance(error, SendingStoppedError) and not is_stopped:
            state, not_before = State.READY, now  # lifted since the call was stopped
        else:
            state, not_before = self._state_after(conn, one, error, attempts, now)
        moved = move(
            conn,
            ledger,
            one.row,
            state,
            now,
            reason=_reason_of(state, error),
            action=f"operation.{_ACTIONS[state]}",
            outcome=_OUTCOMES[state],
            request_id=one.request_id,
            not_before=not_before,
            claims=0,
            attempts=attempts,
            sentence=error.sentence,
        )
        close_attempt(
            conn,
            one.row,
            one.request_id,
            now,
            UNREACHED if is_unreached else state.value,
            error=type(error).__name__,
            status=getattr(error, "status", None),
        )
        return state if moved is not None else State.UNKNOWN

    def _state_after(
        self, conn: Connection, one: Answered, error: GatewayError, attempts: int, now: datetime
    ) -> tuple[State, datetime]:
        row = one.row
        if isinstance(error, OutcomeUnknownError | ContractError):
            # An answer that can't be read says as little as none.
            return State.UNKNOWN, row.sent_at + self._terms.untouchable
        if isinstance(error, StaleError):
            return State.SUPERSEDED, now
        kills = conn.execute(_KILLS, {"operation_id": row.id, "request_id": one.request_id}).scalar_one()
        due = next_attempt_at(error, attempts=attempts, max_attempts=self._terms.max_attempts, now=now, kills=kills)
        return (State.READY, due) if due is not None else (State.PARKED, now)

    def _is_silent(self, conn: Connection) -> bool:
        return load_breaker(conn, self._city).state is not BreakerState.CLOSED

    def _next_try(self, conn: Connection, one: Answered, error: GatewayError, now: datetime) -> datetime:
        """Later with each try, so that not one row tries for all; once the city answers they are all due."""
        tries = conn.execute(_TRIES, {"operation_id": one.row.id}).scalar_one()
        due = next_attempt_at(error, attempts=tries, max_attempts=tries + 1, now=now)
        assert due is not None  # noqa: S101  # so many are allowed
        return due

    def _record_unsent(self, conn: Connection, ledger: Ledger, one: Answered, now: datetime) -> State:
        """The batch ended before this call was made: it is due again, uncharged."""
        moved = move(
            conn,
            ledger,
            one.row,
            State.READY,
            now,
            reason=one.row.reason,
            action="operation.postponed",
            outcome="held",
            request_id=one.request_id,
            not_before=now,
            claims=0,
        )
        close_attempt(conn, one.row, one.request_id, now, "unsent")
        return State.READY if moved is not None else State.UNKNOWN


def _reason_of(state: State, error: GatewayError) -> str:
    """Why the row stands where it does. What would be tried again by itself, and is not any more, says so: the reason of its
    last answer promises another attempt, and nobody would look at it.
    """
    is_used_up = state is State.PARKED and error.recovery is Recovery.RETRY
    return TOO_MANY_ATTEMPTS if is_used_up else error.reason_code


def _to_facts(one: Answered, now: datetime) -> dict[str, Any]:
    accepted = one.answer
    assert isinstance(accepted, Accepted)  # noqa: S101  # chosen by that a moment ago
    return {
        "b_id": one.row.id,
        "b_fence": one.row.fence,
        "b_city_id": accepted.city_id if accepted.city_id is not None else one.row.city_id,
        "b_request_id": accepted.request_id,
        "b_profile": accepted.profile,
        "b_status": accepted.status,
        "b_at": now,
    }


__all__ = ["Answered", "Outcomes"]
