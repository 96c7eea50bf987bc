"""M8: Redis is killed, and all it held is lost."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gateway.connectors.port import Want
from gateway.flows.runs import RunState
from gateway.flows.sync import resume

WHOLE_YEAR = Want(from_on=date(2026, 9, 1), to_on=date(2027, 8, 31))

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


@pytest.mark.row("B12")
def test_a_run_that_comes_to_deliver_while_redis_is_away_is_not_failed_by_it(fleet: Any) -> None:
    """All of it stands on the rows; a night's run was written down as failed for a restart of seconds, and gave no sign of life."""
    fleet.queue(12)
    fleet.redis.kill()

    synced = resume(fleet.gateway, WHOLE_YEAR, form="deliver", max_wait_s=0.0)

    assert synced.state is RunState.REMARKS
    assert synced.delivered is not None
    assert synced.delivered.open_count == 12
    assert ["Redis не отвечает" in problem.sentence for problem in synced.delivered.problems] == [True]
    fleet.redis.start()
    with fleet.worker():
        fleet.wait_done()
    fleet.assert_whole()
