"""M5: a second host whose clock is 90 s ahead declares a live worker dead, and its jobs run twice at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import dramatiq.brokers.redis as dramatiq_redis
import pytest
from sqlalchemy import select

from gateway.domain.clock import SystemClock
from gateway.queue.broker import QUEUES
from gateway.queue.tables import attempt

pytestmark = pytest.mark.row("M5")


@pytest.mark.row("D2")
def test_jobs_handed_out_a_second_time_by_a_clock_that_is_ahead_have_no_second_effect(
    fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.queue(20)
    fleet.fault("slow", delay_s=0.3)
    real = dramatiq_redis.current_millis
    ahead = dramatiq_redis.RedisBroker(url=fleet.redis.url, middleware=[], maintenance_chance=1_000_000)
    with fleet.worker(), fleet.worker():
        fleet.wait_for("sending", 1)
        held = sum(len(fleet.redis.client().smembers(key)) for key in fleet.redis.client().keys("*__acks__*"))
        with monkeypatch.context() as patched:
            patched.setattr(dramatiq_redis, "current_millis", lambda: real() + 90_000)
            patched.setattr(random, "randint", lambda low, _high: low)
            ahead.do_fetch(QUEUES["nightly"], 1)
        fleet.wait_done()

    assert held > 0
    fleet.assert_whole()


class FastClock(SystemClock):
    """The clock of a host that is far ahead."""

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=90)


@pytest.mark.row("D2", "C12")
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_clocks_of_the_hosts_do_not_matter_where_the_store_tells_the_time(
    build_fleet: Callable[..., Any], database_url: str
) -> None:
    """By its own clock the fast host would see every claim of the other one's as long over, and take it."""
    fleet = build_fleet(database_url=database_url, lesson_count=2)
    fleet.queue(150)  # long enough at work for several rounds of looking for the dead
    fleet.fault("slow", delay_s=0.3)
    calm = {"queue": {"lease_s": 20.0}, "mesh": {"deadline_s": 20.0}}
    with fleet.worker(**calm), fleet.worker(clock=FastClock(), **calm):
        fleet.wait_done()

    fleet.assert_whole()
    with fleet.gateway.store.read() as conn:
        outcomes = set(conn.execute(select(attempt.c.outcome)).scalars())
    # what came too late for its batch was given back by its own worker
    assert outcomes <= {"accepted", "unsent"}, "a call was taken for lost whose worker lived"
