"""M4: a full Redis throws queued messages away without an error, or takes none at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.errors import ConfigurationError
from gateway.queue.broker import Doorbell

pytestmark = pytest.mark.row("M4")


@pytest.mark.row("B11")
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "allkeys-random"])
def test_a_redis_that_may_throw_messages_away_is_refused_at_the_start(
    redis_server: Callable[..., Any], policy: str
) -> None:
    server = redis_server("--maxmemory", "6mb", "--maxmemory-policy", policy)

    with pytest.raises(ConfigurationError, match=f"{policy}.*noeviction"):
        Doorbell(lambda _: None, threads=1, redis_url=server.url)


@pytest.mark.row("B11")
def test_messages_thrown_away_under_our_hands_are_rung_again(fleet: Any) -> None:
    fleet.queue(40)
    fleet.fault("slow", delay_s=0.05)
    with fleet.worker():
        fleet.wait_for("accepted", 2)
        client = fleet.redis.client()
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", "1")  # everything that can be thrown away is
        assert client.dbsize() == 0
        client.config_set("maxmemory", "0")
        fleet.wait_done()

    fleet.assert_whole()


@pytest.mark.row("B11", "B12")
def test_a_full_redis_takes_no_message_and_the_work_goes_on_when_it_does(fleet: Any) -> None:
    fleet.queue(10)
    client = fleet.redis.client()
    client.config_set("maxmemory", "1")
    with fleet.worker():
        fleet.wait_for("ready", 10)
        client.config_set("maxmemory", "0")
        fleet.wait_done()

    fleet.assert_whole()
