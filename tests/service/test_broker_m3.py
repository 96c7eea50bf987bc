"""M3, F13: a worker is killed in the middle of its work; dramatiq's defaults bring the job back after 808 s, ours within 30 s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.queue.states import State
from gateway.settings.service import QueueSettings
from gateway.settings.systems import MeshSettings

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


def test_by_the_defaults_too_what_was_claimed_and_not_sent_is_taken_over_within_thirty_seconds(
    build_fleet: Callable[..., Any], tell_figure: Callable[..., None]
) -> None:
    """The other test's leases are short. What was sent waits for its settle time besides, which is another bound (law 4)."""
    defaults = QueueSettings()
    fleet = build_fleet(
        queue={"lease_s": defaults.lease_s, "tick_s": defaults.tick_s}, mesh={"rate_per_s": MeshSettings().rate_per_s}
    )
    fleet.queue(30)
    victim = fleet.start_worker()
    fleet.wait_for("claimed")
    victim.kill()
    victim.wait()
    held = {row.id: row.fence for row in fleet.rows() if row.state == State.CLAIMED}
    assert held

    with fleet.worker():
        took_s = fleet.wait_taken_over(held, within_s=30)
        fleet.wait_done()

    assert took_s <= 30
    fleet.assert_whole()
    tell_figure("F13 claimed by a killed worker and taken over, default lease", f"{took_s:.1f} s")
