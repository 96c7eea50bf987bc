"""M3, F13: a worker is killed in the middle of its work; dramatiq's defaults bring the job back after 808 s, ours within 30 s."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.queue.states import State

pytestmark = pytest.mark.row("M3")


def test_what_a_killed_worker_held_is_delivered_again_within_thirty_seconds(fleet: Any) -> None:
    fleet.queue(30)
    fleet.fault("slow", delay_s=0.3)
    victim = fleet.start_worker()
    fleet.wait_for_ledger(2)

    victim.kill()
    victim.wait()
    held = [row.id for row in fleet.rows() if row.state in (State.CLAIMED, State.SENDING)]
    assert held
    with fleet.worker():
        took_s = fleet.wait_done(within_s=30)

    assert took_s <= 30
    fleet.assert_whole()
