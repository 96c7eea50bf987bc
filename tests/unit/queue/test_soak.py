"""B18: a worker that lives for months grows by nothing, whether its calls succeed or fail."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors.port import Accepted
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import OutcomeUnknownError, RejectedError
from gateway.queue.due import sweep

DESCRIPTORS = Path("/proc/self/fd")
ROUNDS_COUNT = 15


@pytest.mark.row("B18")
@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="no /proc on this machine")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_deliveries_leave_neither_descriptors_nor_objects_behind(desk: Any, clock: VirtualClock) -> None:
    delivery = desk.delivery()

    def work(start: int) -> None:
        for pupil in range(start, start + ROUNDS_COUNT):
            answers: list[Any] = [
                Accepted(city_id=1000 + pupil, request_id="r", status=200, profile="main"),
                OutcomeUnknownError("нет ответа"),
                RejectedError("не принято"),
            ]
            desk.sink.answers = [answers[pupil % 3]]
            delivery.deliver(desk.queue_create(f"item:{pupil}", "5", pupil=pupil))
            desk.sink.asked.clear()
        clock.advance(3600)
        sweep(desk.store)
        desk.settle()

    def measure(run: Callable[[], None]) -> tuple[int, int]:
        run()
        gc.collect()
        return len(list(DESCRIPTORS.iterdir())), len(gc.get_objects())

    measure(lambda: work(1))  # caches and compiled statements
    descriptors, objects = measure(lambda: work(1 + ROUNDS_COUNT))

    again, more = measure(lambda: work(1 + 2 * ROUNDS_COUNT))

    assert again <= descriptors
    assert more - objects < 40 * ROUNDS_COUNT, "the desk itself keeps some objects a round, a leak keeps hundreds"
