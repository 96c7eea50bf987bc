"""M1: a job fails while Redis is away, so that dramatiq cannot enqueue its retry and drops the message for ever."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.row("M1")


@pytest.mark.row("B8")
def test_a_failure_while_redis_is_away_is_tried_again_from_its_row(fleet: Any) -> None:
    fleet.queue(12)
    fleet.fault("429", times=4)
    with fleet.worker():
        fleet.redis.kill()
        fleet.redis.start()
        fleet.wait_done()

    fleet.assert_whole()


@pytest.mark.row("B8")
def test_work_that_was_in_a_threads_hands_when_redis_went_is_finished(fleet: Any) -> None:
    fleet.queue(6)
    fleet.fault("slow", delay_s=1.0)
    with fleet.worker():
        fleet.wait_for("sending", 1)
        fleet.redis.kill()
        fleet.wait_for("verified", 1)
        fleet.clear_faults()
        fleet.redis.start()
        fleet.wait_done()

    fleet.assert_whole()
