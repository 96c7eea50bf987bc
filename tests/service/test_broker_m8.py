"""M8: Redis is killed, and all it held is lost."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.row("M8")


@pytest.mark.row("B7")
def test_ninety_queued_ids_are_lost_with_redis_and_every_mark_arrives_once(fleet: Any) -> None:
    fleet.queue(90)
    fleet.fault("slow", delay_s=0.05)
    with fleet.worker():
        fleet.wait_for("accepted", 3)
        fleet.redis.kill()
        fleet.redis.start()
        fleet.wait_done()

    fleet.assert_whole()


@pytest.mark.row("B7")
def test_a_flush_at_any_moment_costs_seconds(fleet: Any) -> None:
    fleet.queue(60)
    fleet.fault("slow", delay_s=0.05)
    with fleet.worker():
        fleet.wait_for("accepted", 3)
        fleet.redis.client().flushall()
        fleet.wait_done(within_s=30)

    fleet.assert_whole()
