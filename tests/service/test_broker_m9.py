"""M9: an enqueue is applied, its answer is lost, and the client library runs it again: the id stands there twice."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker

from gateway.queue.broker import Doorbell

pytestmark = pytest.mark.row("M9")


@pytest.mark.row("B10")
def test_an_enqueue_whose_answer_was_lost_is_not_run_again_by_the_library(fleet: Any) -> None:
    with Doorbell(lambda _: None, threads=0, redis_url=fleet.redis.url) as bell:
        connection = bell._broker.client.connection_pool.make_connection()  # type: ignore[union-attr]  # it is on Redis

        assert connection.retry._retries == 0


@pytest.mark.row("B10")
def test_ids_that_stand_in_the_queue_twice_have_one_effect(fleet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.queue(70)  # more than are claimed together
    doubled = iter(range(3))
    enqueue = RedisBroker.enqueue

    def enqueue_and_lose_the_answer(self: RedisBroker, message: Any, *, delay: int | None = None) -> Any:
        sent = enqueue(self, message, delay=delay)
        number = next(doubled, None)
        if number is not None:
            enqueue(self, message, delay=delay)  # as a client would that repeats what it had no answer to
        if number == 2:
            raise dramatiq.errors.BrokerConnectionError("the answer was lost")
        return sent

    monkeypatch.setattr(RedisBroker, "enqueue", enqueue_and_lose_the_answer)
    with fleet.worker():
        fleet.wait_done()

    assert next(doubled, None) is None
    fleet.assert_whole()
