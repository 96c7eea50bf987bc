"""Several operations go through delivery's steps together: each fares as it would alone, and together they cost little."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import event

from gateway.connectors.pace import Pace
from gateway.connectors.port import Accepted
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import (
    AccessDeniedError,
    OutcomeUnknownError,
    RejectedError,
    SendingStoppedError,
    ThrottledError,
    UnreachableError,
)
from gateway.queue.deliver import Delivery
from gateway.queue.due import sweep
from gateway.queue.states import State

BATCH = 16


class WorkerKilledError(BaseException):
    """The process is gone: no handler of the product may see it."""


class Ticks:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Lateness:
    """A pace of which the turns of the given numbers have passed when they are come to; counts what was asked for."""

    def __init__(self, *passed: int) -> None:
        self.asked: list[int] = []
        self._passed = passed
        self._given = 0

    def take(self) -> None:
        raise AssertionError("turns of a batch are taken together")

    def reserve(self, count: int) -> Lateness.Turns:
        self.asked.append(count)
        first, self._given = self._given, self._given + count
        return Lateness.Turns([number not in self._passed for number in range(first, first + count)])

    class Turns(list[bool]):
        def wait(self, number: int) -> bool:
            return self[number]


def build_worker(desk: Any, *, ticks: Callable[[], float] | None = None, pace: Pace | None = None) -> Delivery:
    numbers = itertools.count(1)
    terms = msgspec.structs.replace(desk.terms, batch_count=BATCH)
    return Delivery(
        desk.store,
        desk.sink,
        desk.ledger,
        terms,
        city=desk.place.city,
        request_ids=lambda: f"request-{next(numbers)}",
        monotonic=ticks or Ticks(),
        pace=pace,
    )


def queue_marks(desk: Any, count: int) -> list[int]:
    """Queue marks of different pupils; the city will answer each with an id of its own."""
    ids = [desk.queue_create(f"item:{number}", "5", pupil=number) for number in range(1, count + 1)]
    desk.sink.answers = [yes(number) for number in range(1, count + 1)]
    return ids


def yes(number: int) -> Accepted:
    return Accepted(city_id=500 + number, request_id=f"r{number}", status=200, profile="main")


def attempts(desk: Any) -> list[int]:
    return [row.attempts for row in desk.rows()]


def test_a_batch_is_delivered_and_proven_by_few_statements_an_operation(desk: Any) -> None:
    """The bound that a step taken one operation at a time again would break: at first it was 45."""
    count = 2 * BATCH
    ids = queue_marks(desk, count)
    statements: list[str] = []

    def note(*args: Any) -> None:
        statements.append(args[2])

    worker = build_worker(desk)
    event.listen(desk.store.engine, "before_cursor_execute", note)
    worker.deliver_beside(ids[0])
    worker.deliver_beside(ids[0])
    event.remove(desk.store.engine, "before_cursor_execute", note)
    for number in range(1, count + 1):
        desk.show(500 + number, "5", pupil=number)
    stored_at = desk.read_city()
    event.listen(desk.store.engine, "before_cursor_execute", note)
    settled = desk.settle(stored_at=stored_at)
    event.remove(desk.store.engine, "before_cursor_execute", note)

    assert (settled.verified, desk.states()) == (count, [State.VERIFIED] * count)
    assert len(statements) / count < 3.0


def test_the_most_urgent_of_the_lane_go_first_whoever_was_rung(desk: Any) -> None:
    ids = queue_marks(desk, BATCH + 1)
    for number, operation_id in enumerate(ids):
        desk.alter(operation_id, due_on=date(2026, 12, 1) - timedelta(days=number))
    desk.alter(ids[3], lane="demand")

    states = build_worker(desk).deliver_beside(ids[0])

    assert set(states) == set(ids) - {ids[3]}
    assert len(states) == BATCH


def test_one_that_is_refused_does_not_stop_the_others(desk: Any) -> None:
    ids = queue_marks(desk, 3)
    desk.sink.answers[1] = RejectedError("не принято")

    states = build_worker(desk).deliver_many(ids)

    assert states == {ids[0]: State.ACCEPTED, ids[1]: State.PARKED, ids[2]: State.ACCEPTED}


@pytest.mark.parametrize(
    ("error", "state", "charged"),
    [
        (OutcomeUnknownError("нет ответа"), State.UNKNOWN, 1),
        (ThrottledError("подождать", retry_after_s=30), State.READY, 0),
        (AccessDeniedError("нет", profile="main"), State.READY, 0),
        (SendingStoppedError("стоп"), State.READY, 0),
    ],
)
def test_what_stops_everybody_stops_the_rest_of_the_batch_and_charges_nobody_for_it(
    desk: Any, error: Exception, state: State, charged: int
) -> None:
    ids = queue_marks(desk, 4)
    desk.sink.answers[1] = error

    build_worker(desk).deliver_many(ids)

    assert desk.states() == [State.ACCEPTED, state, State.READY, State.READY]
    assert attempts(desk) == [0, charged, 0, 0]
    assert [row.claims for row in desk.rows()] == [0, 0, 0, 0]
    assert len(desk.sink.asked) == 2


def test_a_batch_that_took_too_long_is_not_sent_to_its_end(desk: Any, clock: VirtualClock) -> None:
    """A worker frozen in the middle: what it has not called yet is called by nobody under the old mark."""
    ids = queue_marks(desk, 3)
    ticks = Ticks()
    calls = itertools.count(1)

    def be_slow() -> None:
        if next(calls) == 2:
            ticks.now_s += desk.terms.latest_start_s + 0.1

    desk.sink.during = be_slow
    states = build_worker(desk, ticks=ticks).deliver_many(ids)

    assert states == {ids[0]: State.ACCEPTED, ids[1]: State.ACCEPTED, ids[2]: State.READY}
    assert len(desk.sink.asked) == 2
    desk.sink.during = None
    assert build_worker(desk).deliver(ids[2]) == State.ACCEPTED


def test_a_worker_killed_in_a_batch_leaves_every_mark_to_be_read_back(desk: Any, clock: VirtualClock) -> None:
    ids = queue_marks(desk, 3)
    calls = itertools.count(1)

    def die() -> None:
        if next(calls) == 2:
            raise WorkerKilledError

    desk.sink.during = die
    with pytest.raises(WorkerKilledError):
        build_worker(desk).deliver_many(ids)
    desk.sink.during = None
    clock.advance(desk.terms.deadline_s)
    sweep(desk.store)
    assert desk.states() == [State.UNKNOWN] * 3
    clock.advance(desk.terms.settle_s + 1)
    desk.show(501, "5", pupil=1)

    settled = desk.settle()

    assert (settled.verified, settled.resent) == (1, 2)
    assert desk.states() == [State.VERIFIED, State.READY, State.READY]


def test_turns_that_passed_while_a_batch_was_marked_are_given_up_and_others_taken_for_what_is_left(desk: Any) -> None:
    ids = queue_marks(desk, 4)
    pace = Lateness(0, 1)

    states = build_worker(desk, pace=pace).deliver_many(ids)

    assert set(states.values()) == {State.ACCEPTED}
    assert pace.asked == [4, 2]


def test_what_failed_before_goes_alone_so_that_it_takes_nobody_with_it(desk: Any) -> None:
    ids = queue_marks(desk, 3)
    desk.alter(ids[1], attempts=1)
    in_flight: list[int] = []
    desk.sink.during = lambda: in_flight.append(sum(row.state == State.SENDING for row in desk.rows()))

    build_worker(desk).deliver_many(ids)

    assert in_flight == [1, 1, 1]


def test_a_row_whose_worker_was_killed_is_claimed_alone_and_never_charged_for_its_neighbours(desk: Any) -> None:
    """With a kill every few seconds whole batches were parked as poison (found by the benchmark)."""
    ids = queue_marks(desk, 4)
    desk.alter(ids[1], claims=1)

    first = build_worker(desk).deliver_beside(ids[0])
    second = build_worker(desk).deliver_beside(ids[0])

    assert set(first) == {ids[0], ids[2], ids[3]}
    assert set(second) == {ids[1]}


def test_one_ring_works_off_a_batch_of_suspects_each_claimed_alone(desk: Any) -> None:
    """After an hour without the city every row is suspect; one a ring made half an hour of thirty rows."""
    ids = queue_marks(desk, 4)
    for operation_id in ids:
        desk.alter(operation_id, attempts=1)
    held: list[int] = []
    desk.sink.during = lambda: held.append(sum(row.state in (State.CLAIMED, State.SENDING) for row in desk.rows()))

    states = build_worker(desk).deliver_beside(ids[0])

    assert states == dict.fromkeys(ids, State.ACCEPTED)
    assert held == [1, 1, 1, 1]


def test_a_ring_ends_at_the_first_suspect_that_stays(desk: Any) -> None:
    ids = queue_marks(desk, 3)
    for operation_id in ids:
        desk.alter(operation_id, attempts=1)
    desk.sink.answers[0] = UnreachableError("нет связи")

    states = build_worker(desk).deliver_beside(ids[0])

    assert states == {ids[0]: State.READY}


def test_a_fault_of_ours_costs_its_own_operation_and_no_other(desk: Any) -> None:
    ids = queue_marks(desk, 3)
    calls = itertools.count(1)

    def fail() -> None:
        if next(calls) == 2:
            raise RuntimeError("a fault of ours")

    desk.sink.during = fail
    with pytest.raises(RuntimeError):
        build_worker(desk).deliver_many(ids)

    assert desk.states() == [State.ACCEPTED, State.SENDING, State.READY]


def test_of_two_operations_of_one_cell_a_batch_takes_one(desk: Any) -> None:
    first, second = desk.queue_create("item:1", "5"), desk.queue_create("item:2", "4")

    states = build_worker(desk).deliver_many([first, second])

    assert states == {first: State.ACCEPTED}
    assert desk.states() == [State.ACCEPTED, State.READY]


def test_a_claim_is_given_back_before_its_lease_ends_where_the_batch_before_it_was_slow(desk: Any) -> None:
    ids = queue_marks(desk, 2)
    desk.alter(ids[1], attempts=1)
    ticks = Ticks()

    def be_slow() -> None:
        ticks.now_s += desk.terms.lease_s / 2

    desk.sink.during = be_slow

    states = build_worker(desk, ticks=ticks).deliver_many(ids)

    assert states == {ids[0]: State.ACCEPTED, ids[1]: State.READY}
    assert (desk.rows()[1].claims, attempts(desk)[1]) == (0, 1)
