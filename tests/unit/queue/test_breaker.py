"""The breaker opens after silence only, lets one caller try, and holds for all processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from gateway.domain.clock import VirtualClock
from gateway.domain.errors import (
    ContractError,
    GatewayError,
    LockedPeriodError,
    OutcomeUnknownError,
    RejectedError,
    StaleError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from gateway.queue.barrier import load_gate
from gateway.queue.breaker import (
    Breaker,
    BreakerState,
    BreakerTerms,
    find_wait_until,
    load_breaker,
    note_answer,
    try_pass,
)
from gateway.store.transaction import Store

CITY = "city/1"
TERMS = BreakerTerms(failures_count=3, open_s=30.0, longest_s=100.0, probe_s=10.0)


class Hand:
    """One process's view of the breaker."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, *errors: GatewayError | None) -> None:
        for error in errors:
            with self._store.write() as conn:
                note_answer(conn, CITY, TERMS, self._store.now(conn), error)

    def may(self) -> bool:
        with self._store.write() as conn:
            return try_pass(conn, CITY, TERMS, self._store.now(conn))

    @property
    def breaker(self) -> Breaker:
        with self._store.read() as conn:
            return load_breaker(conn, CITY)


@pytest.fixture
def hand(store: Store) -> Hand:
    return Hand(store)


@pytest.mark.row("A1", "A28")
@pytest.mark.parametrize("error", [UnavailableError(), UnreachableError(), OutcomeUnknownError()])
def test_silence_in_a_row_opens_it(hand: Hand, error: GatewayError) -> None:
    hand.note(error, error)
    assert hand.may()
    hand.note(error)

    assert hand.breaker.state is BreakerState.OPEN
    assert not hand.may()


@pytest.mark.parametrize("answer", [None, RejectedError(), LockedPeriodError(), StaleError()])
def test_any_answer_between_begins_the_count_anew(hand: Hand, answer: GatewayError | None) -> None:
    hand.note(UnavailableError(), UnavailableError(), answer, UnavailableError(), UnavailableError())

    assert hand.breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("error", [ThrottledError(retry_after_s=5), ContractError()])
def test_a_request_to_wait_and_an_unreadable_answer_neither_count_nor_clear(hand: Hand, error: GatewayError) -> None:
    hand.note(UnavailableError(), UnavailableError(), error)
    assert hand.breaker.failures == 2
    hand.note(UnavailableError())

    assert hand.breaker.state is BreakerState.OPEN


@pytest.mark.row("A28")
def test_after_its_time_one_caller_tries_and_an_answer_closes_it(hand: Hand, clock: VirtualClock) -> None:
    hand.note(*[UnreachableError()] * 3)
    clock.advance(30)

    assert [hand.may(), hand.may(), hand.may()] == [True, False, False]
    hand.note(None)
    assert hand.breaker == Breaker()


def test_each_failed_try_doubles_the_time_up_to_its_bound(hand: Hand, clock: VirtualClock) -> None:
    hand.note(*[UnreachableError()] * 3)
    waits = []
    for _ in range(4):
        retry_at = hand.breaker.retry_at
        assert retry_at is not None
        waits.append((retry_at - clock.now()).total_seconds())
        clock.advance(waits[-1])
        assert hand.may()
        hand.note(UnreachableError())

    assert waits == [30, 60, 100, 100]


def test_one_who_tries_and_dies_is_followed_by_another(hand: Hand, clock: VirtualClock) -> None:
    hand.note(*[UnreachableError()] * 3)
    clock.advance(30)
    assert hand.may()
    clock.advance(TERMS.probe_s)

    assert hand.may()


def test_late_answers_of_calls_let_go_before_do_not_prolong_it(hand: Hand, clock: VirtualClock) -> None:
    hand.note(*[UnreachableError()] * 3)
    retry_at = hand.breaker.retry_at
    clock.advance(10)
    hand.note(OutcomeUnknownError())

    assert hand.breaker.retry_at == retry_at


def test_it_holds_for_all_processes_and_a_rolled_back_try_is_none(
    open_store: Callable[[], Store], clock: VirtualClock
) -> None:
    one, other = open_store(), open_store()
    Hand(one).note(UnavailableError(), UnavailableError())
    Hand(other).note(UnavailableError())
    assert not Hand(one).may()
    clock.advance(timedelta(seconds=30).total_seconds())

    def try_and_fail() -> None:
        with one.write() as conn:
            assert try_pass(conn, CITY, TERMS, one.now(conn))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        try_and_fail()
    assert Hand(other).may()


@pytest.mark.row("D1")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_breaker_that_opened_while_the_clock_was_far_ahead_keeps_nobody_from_calling_till_then(
    store: Store, clock: VirtualClock
) -> None:
    with store.write() as conn:
        for _ in range(TERMS.failures_count):
            note_answer(conn, CITY, TERMS, store.now(conn) + timedelta(days=30), UnavailableError("молчит"))

    with store.read() as conn:
        wait_until = find_wait_until(conn, CITY, store.now(conn))
        gate = load_gate(conn, store, CITY)

    assert (wait_until, gate.wait_until, gate.is_breaker_closed) == (None, None, False)
    assert Hand(store).may(), "one tries"
    assert not Hand(store).may(), "and nobody beside him"
