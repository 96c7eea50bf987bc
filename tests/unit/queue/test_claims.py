"""Claims, fences and what a dead worker leaves behind; two workers never hold one row or one cell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gateway.connectors.port import Accepted
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import (
    AccessDeniedError,
    GatewayError,
    OutcomeUnknownError,
    RejectedError,
    SendingStoppedError,
    StaleError,
    UnavailableError,
    UnreachableError,
)
from gateway.queue import sending
from gateway.queue.barrier import lift_stop, set_stop, wake
from gateway.queue.breaker import BreakerState, load_breaker, note_answer, wake_unreached
from gateway.queue.claim import Claims
from gateway.queue.due import load_due, sweep
from gateway.queue.redelivery import FIRST_WAIT_S
from gateway.queue.states import IN_FLIGHT, State
from gateway.store.transaction import Store


class WorkerKilledError(BaseException):
    """The process is gone: no handler of the product may see it."""


def test_an_operation_goes_from_the_queue_to_its_proof(desk: Any) -> None:
    operation_id = desk.queue_create()

    state = desk.delivery().deliver(operation_id)
    desk.show(500, "5")
    settled = desk.settle()

    assert (state, settled.verified) == (State.ACCEPTED, 1)
    assert desk.states() == [State.VERIFIED]
    assert desk.agreed() == {"item:1": (500, desk.digest("5"))}
    assert desk.receipts() == ["accepted", "verified"]
    assert desk.sink.asked == [("create", None)]


@pytest.mark.row("B10")
def test_delivering_twice_sends_once(desk: Any) -> None:
    operation_id = desk.queue_create()

    first, second = desk.delivery().deliver(operation_id), desk.delivery().deliver(operation_id)

    assert (first, second) == (State.ACCEPTED, None)
    assert len(desk.sink.asked) == 1


def test_settling_twice_proves_once(desk: Any) -> None:
    desk.delivery().deliver(desk.queue_create())
    desk.show(500, "5")

    first, second = desk.settle(), desk.settle()

    assert (first.verified, second.verified) == (1, 0)
    assert desk.receipts().count("verified") == 1


def test_a_row_is_not_taken_before_it_is_due(desk: Any, clock: VirtualClock) -> None:
    operation_id = desk.queue_create()
    desk.alter(operation_id, not_before=clock.now() + timedelta(seconds=1))

    early = desk.delivery().deliver(operation_id)
    with desk.store.read() as conn:
        due = list(load_due(conn, desk.place_id, clock.now(), limit=10))
    clock.advance(1)

    assert (early, due) == (None, [])
    assert desk.delivery().deliver(operation_id) == State.ACCEPTED


def test_a_claim_of_a_dead_worker_comes_back_when_its_lease_ends(desk: Any, clock: VirtualClock) -> None:
    operation_id = desk.queue_create()
    desk.delivery()._claims.take([operation_id])
    early = sweep(desk.store)
    clock.advance(desk.terms.lease_s)

    moved = sweep(desk.store)

    assert (early, moved) == (0, 1)
    assert desk.states() == [State.READY]
    assert desk.delivery().deliver(operation_id) == State.ACCEPTED
    assert len(desk.sink.asked) == 1


@pytest.mark.row("B4", "C11")
def test_a_worker_whose_claim_was_taken_over_sends_nothing(desk: Any, clock: VirtualClock) -> None:
    operation_id = desk.queue_create()
    late, other = desk.delivery(), desk.delivery()
    claimed = late._claims.take([operation_id]).rows
    clock.advance(desk.terms.lease_s)
    sweep(desk.store)
    other._claims.take([operation_id])

    marked = late._sending.mark(claimed, {operation_id: "request-late"})

    assert marked == ([], {operation_id: State.SUPERSEDED})
    assert desk.states() == [State.CLAIMED]
    assert desk.sink.asked == []


def test_a_call_that_outlived_its_lease_is_unknown_and_left_alone_until_it_is_settled(
    desk: Any, clock: VirtualClock
) -> None:
    operation_id = desk.queue_create()

    def die() -> None:
        raise WorkerKilledError

    desk.sink.during = die
    with pytest.raises(WorkerKilledError):
        desk.delivery().deliver(operation_id)
    desk.sink.during = None
    sent_at = clock.now()
    clock.advance(desk.terms.deadline_s)
    moved = sweep(desk.store)

    row = desk.rows()[0]
    assert (moved, row.state, row.reason) == (1, State.UNKNOWN, "UNKNOWN_OUTCOME")
    assert row.not_before == sent_at + desk.terms.untouchable
    assert desk.delivery().deliver(operation_id) is None
    assert desk.settle().resent == 0


@pytest.mark.row("B4", "C11")
def test_an_answer_that_comes_after_the_sweep_does_not_overrule_it(desk: Any, clock: VirtualClock) -> None:
    operation_id = desk.queue_create()

    def be_late() -> None:
        clock.advance(desk.terms.deadline_s)
        sweep(desk.store)

    desk.sink.during = be_late
    state = desk.delivery().deliver(operation_id)

    assert state == State.UNKNOWN
    assert desk.states() == [State.UNKNOWN]
    assert desk.receipts() == []


@pytest.mark.row("B3")
def test_a_row_that_kills_its_worker_before_sending_is_parked_as_poison(desk: Any, clock: VirtualClock) -> None:
    operation_id = desk.queue_create()
    for _ in range(desk.terms.max_claims):
        desk.delivery()._claims.take([operation_id])
        clock.advance(desk.terms.lease_s)
        sweep(desk.store)

    state = desk.delivery().deliver(operation_id)

    assert state == State.PARKED
    assert desk.rows()[0].reason == "POISON"
    assert desk.sink.asked == []


@pytest.mark.row("B3")
def test_a_row_that_kills_its_worker_while_sending_is_parked_after_so_many_attempts(
    desk: Any, clock: VirtualClock
) -> None:
    operation_id = desk.queue_create()

    def die() -> None:
        raise WorkerKilledError

    desk.sink.during = die
    for _ in range(desk.terms.max_attempts):
        with pytest.raises(WorkerKilledError):
            desk.delivery().deliver(operation_id)
        clock.advance(desk.terms.deadline_s)
        sweep(desk.store)
        clock.advance(desk.terms.settle_s + 1)
        desk.settle()

    row = desk.rows()[0]
    assert (row.state, row.reason) == (State.PARKED, "TOO_MANY_ATTEMPTS")


@pytest.mark.parametrize("state", IN_FLIGHT)
def test_a_busy_cell_is_not_claimed(desk: Any, state: State) -> None:
    holder = desk.queue_create("item:1", "5")
    waiting = desk.queue_create("item:2", "4")
    desk.alter(holder, state=state.value)

    assert desk.delivery().deliver(waiting) is None
    assert desk.states() == [state, State.READY]


def race(stores: list[Store], work: Callable[[Store, int], object]) -> list[Any]:
    """Run `work` in a thread a store, all let go at once."""
    barrier = threading.Barrier(len(stores))
    results: list[Any] = [None] * len(stores)

    def run(number: int) -> None:
        barrier.wait(10)
        results[number] = work(stores[number], number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def claim_at_once(desk: Any, stores: list[Store], ids: list[int]) -> list[Any]:
    """Let a worker a store claim its operation, all at the same moment."""
    workers = [desk.delivery(store) for store in stores]
    return race(stores, lambda _, number: workers[number]._claims.take([ids[number]]).rows)


def test_two_workers_never_claim_one_row(desk: Any, open_store: Callable[[], Store]) -> None:
    stores = [open_store() for _ in range(4)]
    ids = [desk.queue_create(f"item:{number}", "5", pupil=number) for number in range(1, 9)]

    for operation_id in ids:
        claimed = claim_at_once(desk, stores, [operation_id] * len(stores))
        assert sum(len(rows) for rows in claimed) == 1

    assert [row.claims for row in desk.rows()] == [1] * len(ids)


def test_two_workers_never_hold_two_operations_of_one_cell(desk: Any, open_store: Callable[[], Store]) -> None:
    stores = [open_store() for _ in range(2)]
    pairs = [
        [desk.queue_create(f"item:{pupil}/{part}", str(part + 4), pupil=pupil) for part in (0, 1)]
        for pupil in range(1, 13)
    ]

    for pair in pairs:
        claimed = claim_at_once(desk, stores, pair)
        assert sum(len(rows) for rows in claimed) == 1


def test_two_read_backs_at_once_prove_an_operation_once(desk: Any, open_store: Callable[[], Store]) -> None:
    for pupil in range(1, 7):
        desk.sink.answers = [Accepted(city_id=500 + pupil, request_id="r", status=200, profile="main")]
        desk.delivery().deliver(desk.queue_create(f"item:{pupil}", "5", pupil=pupil))
        desk.show(500 + pupil, "5", pupil=pupil)
    stores = [open_store() for _ in range(2)]

    race(stores, lambda store, _: desk.settle_in(store))

    assert desk.states() == [State.VERIFIED] * 6
    assert desk.receipts().count("verified") == 6


@pytest.mark.row("A2")
def test_an_unanswered_call_is_sent_again_only_after_it_was_looked_for(desk: Any, clock: VirtualClock) -> None:
    desk.sink.answers = [OutcomeUnknownError("нет ответа")]
    operation_id = desk.queue_create()

    state = desk.delivery().deliver(operation_id)
    early = desk.delivery().deliver(operation_id), desk.settle()
    clock.advance(desk.terms.deadline_s + desk.terms.settle_s)
    settled = desk.settle()
    again = desk.delivery().deliver(operation_id)

    assert state == State.UNKNOWN
    assert (early[0], early[1].resent) == (None, 0)
    assert (settled.resent, again) == (1, State.ACCEPTED)
    assert len(desk.sink.asked) == 2


@pytest.mark.row("A22", "B4")
def test_a_reader_that_stood_still_does_not_judge_a_call_made_after_its_read(
    desk: Any, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen between the choice of its rows and their judgement; another reader and another call came in between."""
    desk.sink.answers = [OutcomeUnknownError("нет ответа"), OutcomeUnknownError("нет ответа")]
    operation_id = desk.queue_create()
    desk.delivery().deliver(operation_id)
    clock.advance(desk.terms.deadline_s + desk.terms.settle_s)
    write = desk.store.write

    def stand_still() -> Any:
        monkeypatch.setattr(desk.store, "write", write)
        clock.advance(1)
        assert desk.settle().resent == 1
        assert desk.delivery().deliver(operation_id) is State.UNKNOWN
        return write()

    monkeypatch.setattr(desk.store, "write", stand_still)
    late = desk.settle()

    assert (late.resent, desk.states()) == (0, [State.UNKNOWN])
    assert desk.delivery().deliver(operation_id) is None
    assert len(desk.sink.asked) == 2


@pytest.mark.row("A22")
@pytest.mark.parametrize("answer", ["accepted", "unknown"])
def test_a_read_of_other_days_does_not_judge_a_call(desk: Any, clock: VirtualClock, answer: str) -> None:
    """Chosen days were read while calls of another day came to their end: those were not looked for, so nothing is absent."""
    if answer == "unknown":
        desk.sink.answers = [OutcomeUnknownError("нет ответа")]
    desk.delivery().deliver(desk.queue_create())
    clock.advance(desk.terms.deadline_s + desk.terms.settle_s)

    elsewhere = desk.settle(on=desk.day - timedelta(days=1))
    desk.show(500, "5")
    settled = desk.settle()

    assert (elsewhere.parked, elsewhere.resent, elsewhere.waiting) == (0, 0, 0)
    assert (settled.verified, desk.states()) == (1, [State.VERIFIED])
    assert len(desk.sink.asked) == 1


@pytest.mark.row("A3")
def test_an_unanswered_call_that_was_carried_out_is_proven_and_not_repeated(desk: Any, clock: VirtualClock) -> None:
    desk.sink.answers = [OutcomeUnknownError("нет ответа")]
    operation_id = desk.queue_create()
    desk.delivery().deliver(operation_id)
    clock.advance(desk.terms.deadline_s + desk.terms.settle_s)
    desk.show(777, "5")

    settled = desk.settle()

    assert settled.verified == 1
    assert desk.agreed() == {"item:1": (777, desk.digest("5"))}
    assert len(desk.sink.asked) == 1


def test_an_object_that_is_another_records_is_not_taken_for_ours(desk: Any) -> None:
    """Two records of ours in one cell, and the city answers both with the same object."""
    desk.agree("item:9", 500, "5")
    desk.show(500, "5")
    desk.sink.answers = [Accepted(city_id=500, request_id="r", status=200, profile="main", already_there=True)]
    desk.delivery().deliver(desk.queue_create("item:1", "5"))

    settled = desk.settle()

    row = desk.rows()[0]
    assert (settled.parked, row.state, row.reason) == (1, State.PARKED, "CONFLICT")
    assert desk.agreed() == {"item:9": (500, desk.digest("5"))}


def test_another_childs_equal_mark_proves_nothing_whatever_number_the_city_has_told(desk: Any) -> None:
    """An answer that belongs to another call: the number is that of a neighbour's mark, as good as ours."""
    desk.show(500, "5", pupil=2)
    desk.sink.answers = [Accepted(city_id=500, request_id="r", status=200, profile="main")]
    desk.delivery().deliver(desk.queue_create("item:1", "5", pupil=1))
    desk.show(501, "5", pupil=1)

    settled = desk.settle()

    assert (settled.verified, desk.states()) == (1, [State.VERIFIED])
    assert desk.agreed() == {"item:1": (501, desk.digest("5"))}


def test_a_mark_that_went_to_another_child_is_a_persons_matter_and_not_proven(desk: Any, clock: VirtualClock) -> None:
    desk.delivery().deliver(desk.queue_create("item:1", "5", pupil=1))
    desk.show(500, "5", pupil=2)

    waiting = desk.settle()
    clock.advance(desk.terms.deadline_s + desk.terms.settle_s)
    settled = desk.settle()

    row = desk.rows()[0]
    assert (waiting.verified, waiting.waiting) == (0, 1)
    assert (settled.parked, row.state, row.reason) == (1, State.PARKED, "NOT_SEEN_AFTER_ACCEPT")
    assert desk.agreed() == {}


@pytest.mark.parametrize("shown", ["2", None])
def test_a_change_is_not_sent_over_what_a_person_did_since_it_was_queued(desk: Any, shown: str | None) -> None:
    desk.want("item:1", "5")
    desk.agree("item:1", 7, "3")
    desk.show(7, "3")
    operation_id = desk.queue("item:1", "change", ours="5", base_value="3", theirs="3", city_id=7)
    desk.show(7, shown)

    state = desk.delivery().deliver(operation_id)

    assert state == State.SUPERSEDED
    assert desk.rows()[0].reason == "BASE_MOVED"
    assert desk.sink.asked == []


@pytest.mark.parametrize("elsewhere", [{"lesson": 2}, {"pupil": 2}], ids=["another lesson", "another child"])
@pytest.mark.parametrize("op", ["create", "change"])
def test_what_belongs_elsewhere_since_it_was_queued_is_not_sent_to_where_it_belonged(
    desk: Any, op: Any, elsewhere: dict[str, int]
) -> None:
    desk.want("item:1", "5")
    if op == "create":
        operation_id = desk.queue("item:1", "create", ours="5")
    else:
        desk.agree("item:1", 7, "3")
        desk.show(7, "3")
        operation_id = desk.queue("item:1", "change", ours="5", base_value="3", theirs="3", city_id=7)
    desk.want("item:1", "5", **elsewhere)

    assert desk.delivery().deliver(operation_id) == State.SUPERSEDED
    assert desk.rows()[0].reason == "BASE_MOVED"
    assert desk.sink.asked == []


def test_a_create_is_not_sent_where_the_very_mark_was_typed_since_it_was_queued(desk: Any) -> None:
    operation_id = desk.queue_create()
    desk.show(7, "5")

    assert desk.delivery().deliver(operation_id) == State.SUPERSEDED
    assert desk.sink.asked == []


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (UnreachableError("нет связи"), State.READY, "TRANSPORT"),
        (RejectedError("не принято"), State.PARKED, "REJECTED_TARGET"),
        (StaleError("нет такого"), State.SUPERSEDED, "BASE_MOVED"),
    ],
)
def test_an_error_moves_the_row_by_its_type(desk: Any, error: Exception, state: State, reason: str) -> None:
    desk.sink.answers = [error]

    assert desk.delivery().deliver(desk.queue_create()) == state
    assert (desk.rows()[0].reason, desk.rows()[0].claims) == (reason, 0)


def test_attempts_used_up_promise_no_other_attempt(desk: Any, clock: VirtualClock) -> None:
    """The last answer's own reason says «it is tried again by itself»: of a row that is not, nobody would take care."""
    operation_id = desk.queue_create()
    for _ in range(desk.terms.max_attempts):
        desk.sink.answers = [UnreachableError("нет связи")]
        desk.delivery().deliver(operation_id)
        answer_something(desk)
        clock.wait((desk.rows()[0].not_before - clock.now()).total_seconds())

    row = desk.rows()[0]
    assert (row.state, row.reason) == (State.PARKED, "TOO_MANY_ATTEMPTS")
    assert row.sentence == "нет связи"


@pytest.mark.row("A30")
@pytest.mark.parametrize("silence", [UnreachableError, UnavailableError])
def test_days_without_the_city_use_up_no_attempts_and_its_first_answer_makes_all_due(
    desk: Any, clock: VirtualClock, silence: type[GatewayError]
) -> None:
    operation_id = desk.queue_create()
    for _ in range(desk.terms.breaker.failures_count):
        answer_something(desk, silence("нет связи"))
    back_at = clock.now() + timedelta(hours=72)
    while clock.now() < back_at:
        desk.sink.answers = [silence("нет связи")]
        desk.delivery().deliver(operation_id)
        due_s = (desk.rows()[0].not_before - clock.now()).total_seconds()
        clock.wait(max(due_s, desk.terms.breaker.longest_s))
    row = desk.rows()[0]
    assert (row.state, row.reason) == (State.READY, "TRANSPORT")
    assert row.attempts == 0
    assert desk.terms.max_attempts < len(desk.sink.asked) < 40

    desk.sink.answers = [silence("нет связи")]
    desk.delivery().deliver(operation_id)
    assert desk.rows()[0].not_before > clock.now() + timedelta(hours=5)
    answer_something(desk)

    assert desk.rows()[0].not_before == clock.now()
    assert desk.delivery().deliver(operation_id) == State.ACCEPTED


@pytest.mark.row("B20")
def test_what_a_part_of_the_city_answers_badly_keeps_its_own_wait_however_well_the_rest_answers(
    desk: Any, clock: VirtualClock
) -> None:
    operation_id = desk.queue_create()
    began_at = clock.now()
    for tried in range(1, desk.terms.max_attempts):
        desk.sink.answers = [UnavailableError("не отвечает")]
        desk.delivery().deliver(operation_id)
        answer_something(desk)
        row = desk.rows()[0]
        assert row.attempts == tried
        assert row.not_before - clock.now() == timedelta(seconds=FIRST_WAIT_S * 2 ** (tried - 1))
        clock.wait((row.not_before - clock.now()).total_seconds())

    assert clock.now() - began_at > timedelta(minutes=1)


def test_what_never_left_is_no_answer_of_the_city(desk: Any, clock: VirtualClock) -> None:
    """A record that no profile may send would end the silence for all others, every hour anew."""
    waiting, other = desk.queue_create(), desk.queue_create("item:2", pupil=2)
    for _ in range(desk.terms.breaker.failures_count):
        answer_something(desk, UnreachableError("нет связи"))
    clock.wait(desk.terms.breaker.longest_s)
    desk.sink.answers = [UnreachableError("нет связи")]
    desk.delivery().deliver(waiting)
    due_at = desk.rows()[0].not_before
    clock.wait(desk.terms.breaker.longest_s)
    desk.sink.answers = [AccessDeniedError("некому отправить", reason="NO_PROFILE")]
    desk.delivery().deliver(other)

    with desk.store.read() as conn:
        assert load_breaker(conn, desk.place.city).state is not BreakerState.CLOSED
    assert desk.rows()[0].not_before == due_at


@pytest.mark.row("B20")
def test_who_tries_for_all_is_of_another_kind_each_time(desk: Any, clock: VirtualClock) -> None:
    """Where only one kind is not answered, its most urgent row would try for ever and keep the others from going."""
    urgent, other = desk.queue_create(), desk.queue_create("item:2", pupil=2)
    desk.alter(other, kind="homework", lane="nightly")
    for _ in range(desk.terms.breaker.failures_count):
        answer_something(desk, UnreachableError("нет связи"))

    clock.wait(desk.terms.breaker.open_s)
    desk.sink.answers = [UnavailableError("не отвечает")]
    first = desk.delivery().deliver_beside(urgent)
    clock.wait(desk.terms.breaker.longest_s)
    second = desk.delivery().deliver_beside(urgent)

    assert (list(first), list(second)) == ([urgent], [other])


def test_a_stop_that_is_lifted_while_a_batch_is_being_marked_keeps_nothing_back(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever lifts it wakes what waits; a row given back a moment later would wait for an hour."""
    operation_id = desk.queue_create()
    load_gate = sending.load_gate

    def seen_before_it_was_lifted(*given: Any) -> Any:
        return msgspec.structs.replace(load_gate(*given), obstacle="SENDING_STOPPED")

    with monkeypatch.context() as patched:
        patched.setattr(sending, "load_gate", seen_before_it_was_lifted)
        assert desk.delivery().deliver(operation_id) is State.READY
    desk.sink.answers = [SendingStoppedError("остановлено")]
    assert desk.delivery().deliver(operation_id) is State.READY

    assert desk.delivery().deliver(operation_id) is State.ACCEPTED


def test_a_stop_that_stands_gives_a_batch_back_until_it_is_lifted(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    operation_id = desk.queue_create()
    take = Claims.take

    def stop_after_the_claim(self: Claims, ids: Any) -> Any:
        claimed = take(self, ids)
        with desk.store.write() as conn:
            set_stop(conn, desk.place.city, actor="admin", note=None, now=desk.store.now(conn))
        return claimed

    with monkeypatch.context() as patched:
        patched.setattr(Claims, "take", stop_after_the_claim)
        assert desk.delivery().deliver(operation_id) is State.READY
    row = desk.rows()[0]
    assert (row.reason, row.claims, row.not_before > desk.clock.now()) == ("SENDING_STOPPED", 0, True)

    with desk.store.write() as conn:
        assert lift_stop(conn, desk.place.city)
        assert wake(conn, desk.place_id, now=desk.store.now(conn)) == 1
    assert desk.delivery().deliver(operation_id) is State.ACCEPTED


def answer_something(desk: Any, error: GatewayError | None = None) -> None:
    """Another call of the city ends, well where no error is given."""
    with desk.store.write() as conn:
        now = desk.store.now(conn)
        if note_answer(conn, desk.place.city, desk.terms.breaker, now, error):
            wake_unreached(conn, desk.place.city, now)
