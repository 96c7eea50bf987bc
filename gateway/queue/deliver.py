"""Operations' way up to the city's answer: claim → mark as sent → call → record. Each step is one transaction (law 13).

A batch goes through them together, so that what a transaction costs is shared; the steps of one operation are those of a
batch of one. A crash between two steps is told by the state it left: CLAIMED was never sent and comes back when its lease
ends; SENDING may have been sent and becomes UNKNOWN.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Row

from gateway.connectors.pace import Pace, Turns, Unpaced, in_lane, prepaid
from gateway.connectors.port import Accepted, CitySink
from gateway.domain.errors import GatewayError, Recovery, ThrottledError
from gateway.queue.claim import Claimed, Claims
from gateway.queue.deeds import Ledger
from gateway.queue.held_back import to_intent
from gateway.queue.lanes import to_lane
from gateway.queue.outcome import Answered, Outcomes
from gateway.queue.sending import Sending
from gateway.queue.states import State
from gateway.queue.terms import RequestIds, Terms, new_request_id
from gateway.store.transaction import Store

GOES_ON_AFTER = (Recovery.PARK, Recovery.REPLAN)
"""What the city says of one operation alone; after anything else the rest of a batch waits."""


class Delivery:
    """Brings operations to the city's answer.

    Args:
        store: The store.
        sink: The city's write side.
        ledger: Writes the audit entries.
        terms: The numbers.
        city: Key of the city, for pauses.
        request_ids: Source of request ids.
        pace: Where the turns of calls are taken, while nothing is marked as sent yet.
        is_stopping: Whether this process is being stopped: nothing is claimed, and a claim not yet sent is given back.
        paused: Told when a profile has been paused.
        monotonic: Clock of how long ago a batch was marked, in seconds.
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
        paused: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._sink = sink
        self._terms = terms
        self._request_ids = request_ids
        self._pace = pace or Unpaced()
        self._is_stopping = is_stopping
        self._monotonic = monotonic
        self._claims = Claims(store, ledger, terms, city)
        self._sending = Sending(store, ledger, terms, city, self._claims)
        self._outcomes = Outcomes(store, ledger, terms, city, paused)

    def deliver(self, operation_id: int) -> State | None:
        """Run one operation as far as it goes now.

        Returns:
            Its state afterwards; None where it was not ours to take (done, not due, its cell is busy, all paused).

        Raises:
            AuditError: What was to be done could not be written down; it was not done.
        """
        return self.deliver_many([operation_id]).get(operation_id)

    def deliver_many(self, operation_ids: Sequence[int]) -> dict[int, State]:
        """As `deliver` for several; operation → its state, without those that were not ours to take."""
        return {} if self._is_stopping() else self._work_off(self._claims.take(operation_ids))

    def deliver_beside(self, operation_id: int) -> dict[int, State]:
        """As `deliver_many` for a batch of what stands first in the lane of an operation that was rung.

        Who is rung is rung for a batch: where rows are taken one by one, because each of them is suspect, it goes on with
        the next until as many are done. What is left would wait for the next round of the relay.
        """
        states: dict[int, State] = {}
        left_count = self._terms.batch_count
        while left_count > 0 and not self._is_stopping():
            claimed = self._claims.take_beside(operation_id, left_count)
            done = self._work_off(claimed)
            states |= done
            left_count -= len(done)
            # a row given back means that something else than the rows is in the way: the relay rings when it is out of it
            if len(claimed.rows) != 1 or State.READY in done.values():
                break
        return states

    def _work_off(self, claimed: Claimed) -> dict[int, State]:
        states = dict(claimed.ended)
        claimed_at = self._monotonic()
        for (lane, _, _), rows in groupby(claimed.rows, key=_batch_of):
            left = list(rows)
            with in_lane(to_lane(lane)):
                while left:
                    turns = self._reserve(left, claimed_at)
                    if turns is None:
                        states |= dict.fromkeys((row.id for row in left), State.READY)
                        break
                    batch, left = left[: len(turns)], left[len(turns) :]
                    states |= self._send(batch, turns)
        return states

    def _reserve(self, rows: Sequence[Row[Any]], claimed_at: float) -> Turns | None:
        """Take turns for the calls; None where the claims were given back.

        Before the rows are marked as sent, so that a kill while waiting costs a lease and not a settle time.
        """
        wait_s = 0.0
        try:
            # a slow batch before this one may have used up the lease, and a lease that ends counts as a kill
            if self._monotonic() - claimed_at < self._terms.lease_s / 2:
                turns = self._pace.reserve(len(rows))
                if not self._is_stopping():
                    return turns
        except ThrottledError as error:
            wait_s = error.retry_after_s
        with self._store.write() as conn:
            self._claims.put_back(conn, rows, self._store.now(conn), wait_s=wait_s)
        return None

    def _send(self, rows: Sequence[Row[Any]], turns: Turns) -> dict[int, State]:
        """Mark a batch as being sent, make its calls one after another, record what came of them."""
        marked_at = self._monotonic()
        request_ids = {row.id: self._request_ids() for row in rows}
        marked = self._sending.mark(rows, request_ids)
        batch: list[Answered] = []
        queue = _InTurn(self._pace, turns)
        answer: Accepted | GatewayError | None = None
        try:
            for number, row in enumerate(marked.sent):
                is_called = number == 0 or self._goes_on(answer)
                left_count = len(marked.sent) - number
                answer = self._call(row, request_ids[row.id], queue, left_count, marked_at) if is_called else None
                batch.append(Answered(row=row, request_id=request_ids[row.id], answer=answer))
        except Exception:
            # a fault of ours leaves its own operation unknown, and neither those before it nor those after it
            after = marked.sent[len(batch) + 1 :]
            batch += [Answered(row=row, request_id=request_ids[row.id], answer=None) for row in after]
            self._outcomes.record(batch)
            raise
        return marked.ended | (self._outcomes.record(batch) if batch else {})

    def _goes_on(self, answer: Accepted | GatewayError | None) -> bool:
        if self._is_stopping() or answer is None:
            return False
        return isinstance(answer, Accepted) or answer.recovery in GOES_ON_AFTER

    def _call(
        self, row: Row[Any], request_id: str, queue: _InTurn, left_count: int, marked_at: float
    ) -> Accepted | GatewayError | None:
        """Make one call in its turn; None where it was too late for it: nothing was sent.

        A call ends by its deadline counted from when its row was marked, however long its batch has taken; the settle time
        is counted from there too.
        """
        try:
            queue.wait(left_count)
        except ThrottledError:
            return None
        spent_s = self._monotonic() - marked_at
        if spent_s > self._terms.latest_start_s:
            return None
        intent = to_intent(row)
        try:
            with prepaid(spent_s=spent_s):
                if row.op == "create":
                    return self._sink.create(intent, request_id=request_id)
                if row.op == "change":
                    return self._sink.change(row.city_id, intent, request_id=request_id)
                return self._sink.delete(row.city_id, intent, request_id=request_id)
        except GatewayError as error:
            return error


class _InTurn:
    """Waits for the turn of each call of a batch; where turns have passed meanwhile, it takes others for what is left."""

    def __init__(self, pace: Pace, turns: Turns) -> None:
        self._pace = pace
        self._turns = turns
        self._used_count = 0

    def wait(self, left_count: int) -> None:
        """Wait for the next turn.

        Args:
            left_count: Calls of the batch still to be made, this one included.

        Raises:
            ThrottledError: The city asked for a longer wait than a thread may spend.
        """
        while True:
            if self._used_count == len(self._turns):
                self._turns, self._used_count = self._pace.reserve(left_count), 0
            self._used_count += 1
            if self._turns.wait(self._used_count - 1):
                return


def _batch_of(row: Row[Any]) -> tuple[str, int, int]:
    """What may go in one batch: of one lane and place; what killed its worker or failed before goes alone."""
    is_suspect = row.attempts > 0 or row.claims > 1
    return row.lane, row.place_id, row.id if is_suspect else 0


__all__ = ["Delivery"]
