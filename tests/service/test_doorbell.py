"""The doorbell rings the same on dramatiq's stub broker and on a real Redis."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from gateway.domain.errors import ConfigurationError
from gateway.queue.broker import Doorbell


class Floor:
    """Remembers who was rung for, and on which threads."""

    def __init__(self, broken_id: int | None = None) -> None:
        self.met: Counter[int] = Counter()
        self.threads: set[int] = set()
        self._broken_id = broken_id
        self._lock = threading.Lock()

    def work(self, operation_id: int) -> None:
        if operation_id == self._broken_id:
            raise RuntimeError(f"operation {operation_id}")
        with self._lock:
            self.met[operation_id] += 1
            self.threads.add(threading.get_ident())


def test_every_ring_is_answered_once_and_not_by_the_caller(broker_url: str | None) -> None:
    floor = Floor()

    with Doorbell(floor.work, threads=3, redis_url=broker_url) as bell:
        assert bell.ring(range(1, 101)) == 100
        bell.wait()

    assert floor.met == Counter(range(1, 101))
    assert threading.get_ident() not in floor.threads


def test_it_can_be_rung_again_after_a_wait(broker_url: str | None) -> None:
    floor = Floor()

    with Doorbell(floor.work, threads=2, redis_url=broker_url) as bell:
        bell.ring([1])
        bell.wait()
        bell.ring([1, 2])
        bell.wait()

    assert floor.met == Counter({1: 2, 2: 1})


def test_a_fault_of_ours_in_a_thread_is_raised_to_the_flow_and_never_rung_again(broker_url: str | None) -> None:
    floor = Floor(broken_id=2)

    with Doorbell(floor.work, threads=1, redis_url=broker_url) as bell:
        bell.ring([1, 2])
        with pytest.raises(RuntimeError, match="operation 2"):
            bell.wait()

    assert floor.met == Counter({1: 1})


@pytest.mark.parametrize("address", ["redis://:s3cret@127.0.0.1:1/0", "unix:///nobody/listens/here", "no address"])
def test_a_redis_that_does_not_answer_is_named_by_its_setting_without_the_address(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"queue\.redis_url") as caught:
        Doorbell(Floor().work, threads=1, redis_url=address)

    told = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "s3cret" not in told
    assert address not in told
