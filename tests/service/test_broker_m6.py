"""M6: a worker dies between its work and the acknowledgement, so the same message comes once more."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.queue.broker import Doorbell

pytestmark = pytest.mark.row("M6")


@pytest.mark.row("B10")
def test_messages_that_come_again_after_everything_is_done_do_nothing(fleet: Any) -> None:
    fleet.queue(15)
    with fleet.worker():
        fleet.wait_done()
        with Doorbell(lambda _: None, threads=0, redis_url=fleet.redis.url) as bell:
            assert bell.ring([row.id for row in fleet.rows()]) == 15
            bell.wait()

    fleet.assert_whole()


@pytest.mark.row("B10")
def test_messages_that_come_three_times_at_once_do_their_work_once(fleet: Any) -> None:
    fleet.queue(15)
    with Doorbell(lambda _: None, threads=0, redis_url=fleet.redis.url) as bell:
        bell.ring([row.id for row in fleet.rows()] * 3)
    with fleet.worker(), fleet.worker():
        fleet.wait_done()

    fleet.assert_whole()
