"""M5: a second host whose clock is 90 s ahead declares a live worker dead, and its jobs run twice at once."""

from __future__ import annotations

import random
from typing import Any

import dramatiq.brokers.redis as dramatiq_redis
import pytest
import redis

from gateway.queue.broker import QUEUES

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


@pytest.mark.row("D2", "C12")
def test_the_clocks_of_the_hosts_do_not_matter_where_the_store_tells_the_time(fleet: Any) -> None:
    assert isinstance(fleet.redis.client(), redis.Redis)
    fleet.queue(1)

    assert all(row.not_before <= fleet.gateway.store.now() for row in fleet.rows())
