"""M2: a delayed message sits in a worker's memory when Redis restarts, and never runs. Our delays stand on the row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from gateway.queue.tables import operation

pytestmark = pytest.mark.row("M2")


@pytest.mark.row("B9")
def test_what_is_due_later_runs_at_its_time_though_redis_was_restarted_meanwhile(fleet: Any) -> None:
    fleet.queue(10)
    with fleet.gateway.store.write() as conn:
        later = fleet.gateway.store.now(conn) + timedelta(seconds=3)
        conn.execute(update(operation).values(not_before=later))
    with fleet.worker():
        fleet.redis.kill()
        fleet.redis.start()
        fleet.wait_done()

        delayed = [key for key in fleet.redis.client().keys("*") if b".DQ" in key and b"__" not in key]

    assert delayed == []
    fleet.assert_whole()
