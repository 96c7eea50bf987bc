"""Turns of a city: evenly spaced, given once, never above the rate in any second, whoever asks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.pace import Lane, in_lane, prepaid
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import GatewayError, ThrottledError
from gateway.queue.pace import Bucket, StorePace, ahead_of, find_hold, grant, hold
from gateway.store.transaction import Store

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
EMPTY = Bucket(free_at=NOW, nightly_at=NOW)
CITY = "city/1"

TAKER = """
import sys, threading, time
from gateway.domain.clock import SystemClock
from gateway.queue.pace import StorePace
from gateway.store.transaction import Store

store = Store.open(sys.argv[1], SystemClock())
pace = StorePace(store, "city/1", rate_per_s=float(sys.argv[2]), demand_share=0.3)
sys.stdin.readline()
end_at = time.monotonic() + float(sys.argv[3])
taken, lock = [], threading.Lock()

def run():
    while time.monotonic() < end_at:
        pace.take()
        moment = time.time()  # before anything else: waiting for the lock is no part of the pace
        with lock:
            taken.append(moment)

threads = [threading.Thread(target=run) for _ in range(2)]
[one.start() for one in threads]
[one.join() for one in threads]
print(*taken)
"""


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at, pause = time.monotonic() + 10.0, threading.Event()
    while not is_so():
        assert time.monotonic() < give_up_at
        pause.wait(0.005)


def largest_in_a_second(moments: Sequence[float]) -> int:
    ordered = sorted(moments)
    return max(sum(start <= one < start + 1.0 for one in ordered) for start in ordered)


@pytest.mark.postgres
def test_three_processes_together_never_go_above_the_rate_in_any_second(database_url: str) -> None:
    Store.open(database_url, VirtualClock(NOW)).close()
    rate, seconds = 40, 3.0
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, database_url, str(rate), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.write("go\n")
        taker.stdin.flush()
    taken = [float(one) for taker in takers for one in taker.communicate(timeout=60)[0].split()]

    assert all(taker.returncode == 0 for taker in takers)
    assert largest_in_a_second(taken) <= rate
    assert len(taken) > rate * seconds / 2  # a pace that lets nothing through would pass the line above


calls = st.lists(
    st.tuples(st.floats(0, 0.5), st.sampled_from(["demand", "nightly"]), st.integers(1, 5)), min_size=1, max_size=60
)


@given(calls=calls, rate=st.integers(1, 50), share=st.floats(0, 0.9))
def test_no_second_holds_more_turns_than_the_rate_allows(
    calls: list[tuple[float, Lane, int]], rate: int, share: float
) -> None:
    bucket, now, turns = EMPTY, NOW, []
    for after_s, lane, count in calls:
        now += timedelta(seconds=after_s)
        granted = grant(bucket, lane=lane, count=count, now=now, rate_per_s=rate, demand_share=share)
        bucket = granted.bucket
        assert all(wait_s >= 0 for wait_s in granted.waits_s)
        assert len(granted.waits_s) == count or granted.again_s > 0
        turns += [(now - NOW).total_seconds() + wait_s for wait_s in granted.waits_s]

    # a call leaves at most 35 ms after its turn, so this window holds all calls of any one second
    window_s = 1.035 - 1e-5
    assert all(sum(start <= one < start + window_s for one in turns) <= rate for start in turns)


@pytest.mark.row("B17")
@given(calls=calls)
def test_an_on_demand_call_waits_behind_one_nightly_turn_and_no_more(calls: list[tuple[float, Lane, int]]) -> None:
    bucket, now = EMPTY, NOW
    for after_s, _, count in calls:
        now += timedelta(seconds=after_s)
        bucket = grant(bucket, lane="nightly", count=count, now=now, rate_per_s=5, demand_share=0.3).bucket
    granted = grant(bucket, lane="demand", count=1, now=now, rate_per_s=5, demand_share=0.3)

    assert granted.waits_s[0] <= ahead_of(5) + 1.035 / 5


def test_the_night_has_the_whole_rate_alone_and_leaves_the_share_free_beside_somebody_who_waits() -> None:
    def count_of_ten_seconds(bucket: Bucket) -> int:
        count = 0
        for tick in range(1000):
            granted = grant(
                bucket,
                lane="nightly",
                count=1,
                now=NOW + timedelta(seconds=tick / 100),
                rate_per_s=10,
                demand_share=0.3,
            )
            bucket, count = granted.bucket, count + len(granted.waits_s)
        return count

    assert count_of_ten_seconds(EMPTY) == pytest.approx(100 / 1.035, abs=2)
    asked = grant(EMPTY, lane="demand", count=1, now=NOW, rate_per_s=10, demand_share=0.3).bucket
    assert count_of_ten_seconds(asked) == pytest.approx(70 / 1.035, abs=2)


@pytest.mark.row("D1")
def test_a_clock_set_back_stops_nobody() -> None:
    ahead = Bucket(free_at=NOW + timedelta(days=1), nightly_at=NOW + timedelta(days=1))

    assert grant(ahead, lane="nightly", count=1, now=NOW, rate_per_s=5, demand_share=0.3).waits_s == (0.0,)


def test_a_turn_paid_for_before_is_not_waited_for_again_and_counts_once(store: Store, clock: VirtualClock) -> None:
    pace = StorePace(store, CITY, rate_per_s=1, demand_share=0.0)
    pace.take()
    with prepaid():
        before = clock.now()
        pace.take()
        assert clock.now() == before
        pace.take()

    assert clock.now() > before


def test_a_turn_that_was_come_to_late_is_given_up(store: Store, clock: VirtualClock) -> None:
    ticks = iter([0.0, 5.0, 5.0, 5.0, 5.0, 5.0])
    pace = StorePace(store, CITY, rate_per_s=1, demand_share=0.0, monotonic=lambda: next(ticks))

    with in_lane("demand"):
        pace.take()

    assert next(ticks, None) is None  # asked twice: the first turn was five seconds old


def test_who_is_ready_to_call_has_the_next_turn_whoever_took_it(store: Store, clock: VirtualClock) -> None:
    """With a thread's turns its own, all but the first of a batch were lost where a call took longer than they are apart."""
    pace = StorePace(
        store, CITY, rate_per_s=10, demand_share=0.0, monotonic=lambda: (clock.now() - NOW).total_seconds()
    )

    with in_lane("demand"):
        slow, ready = pace.reserve(3), pace.reserve(1)
        used = [(turns.wait(0), clock.now()) for turns in (slow, ready, ready)]
        clock.advance(0.3)  # the slow one's call; the turn that was left has passed

    assert all(was_in_time for was_in_time, _ in used)
    assert [round((after - before).total_seconds(), 4) for (_, before), (_, after) in pairwise(used)] == [
        0.1035,
        0.1035,
    ]
    assert not slow.wait(1)


@pytest.mark.row("A12")
def test_a_wait_the_city_asked_for_holds_for_every_process_and_is_never_shortened(
    open_store: Callable[[], Store], clock: VirtualClock
) -> None:
    one, other = open_store(), open_store()
    with one.write() as conn:
        hold(conn, CITY, clock.now() + timedelta(seconds=60), now=clock.now())
        hold(conn, CITY, clock.now() + timedelta(seconds=10), now=clock.now())
    pace = StorePace(other, CITY, rate_per_s=5, demand_share=0.3)

    with in_lane("demand"), pytest.raises(ThrottledError) as caught:
        pace.take()
    assert caught.value.retry_after_s == pytest.approx(60)
    clock.advance(58)
    pace.take()
    with other.read() as conn:
        assert find_hold(conn, CITY, clock.now()) is None


def test_who_waited_beside_a_thread_that_failed_is_answered_by_the_next_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = StorePace(store, CITY, rate_per_s=100, demand_share=0.3)
    right, asked, failed = pace._answer, [], []

    def answer(lane: Lane, callers: list[Any]) -> None:
        asked.append(len(callers))
        if len(asked) == 1:
            raise GatewayError("база недоступна")
        right(lane, callers)

    def take() -> None:
        try:
            pace.take()
        except GatewayError as error:
            failed.append(error)

    monkeypatch.setattr(pace, "_answer", answer)
    threads = [threading.Thread(target=take) for _ in range(3)]
    with pace._asking["nightly"]:
        for thread in threads:
            thread.start()
        wait_until(lambda: len(pace._waiting["nightly"]) == len(threads))
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert (len(failed), asked[0]) == (1, 3)


def test_threads_that_wait_together_get_different_turns(store: Store) -> None:
    pace = StorePace(store, CITY, rate_per_s=100, demand_share=0.3)
    threads = [threading.Thread(target=pace.take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
