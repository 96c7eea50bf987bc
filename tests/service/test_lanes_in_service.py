"""On demand goes before the night, whatever was rung before; what waits shows by its lane and due day."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.clock import moscow_day
from gateway.flows.deliver import deliver
from gateway.queue.lanes import LaneCount, count_lanes


@pytest.mark.row("B17")
def test_marks_on_demand_overtake_a_night_that_was_rung_before_them(fleet: Any) -> None:
    fleet.queue(60)
    fleet.fault("slow", delay_s=0.2)
    with fleet.worker():
        fleet.wait_for("accepted", 2)
        fleet.queue(2, lane="demand")
        demand = {row.id for row in fleet.rows() if row.lane == "demand"}
        fleet.wait_for_lane("demand", 2, within_s=20)
        verified = {row.id for row in fleet.rows() if row.state == "verified"}
        fleet.clear_faults()

        assert len(demand) == 2
        assert len(verified - demand) < 58
        fleet.wait_done()
    fleet.assert_whole()


def test_a_sync_beside_workers_rings_and_waits_and_without_waiting_says_what_is_open(fleet: Any) -> None:
    fleet.queue(10)
    left = deliver(fleet.gateway, 1, max_wait_s=0.0)

    assert (left.open_count, left.sent, len(fleet.ledger())) == (10, 0, 0)
    with fleet.worker():
        done = deliver(fleet.gateway, 1, max_wait_s=30.0)

    assert (done.open_count, done.problems) == (0, [])
    fleet.assert_whole()


def test_counts_tell_what_is_in_time_at_risk_and_overdue(fleet: Any) -> None:
    fleet.queue(9)
    days = sorted({row.due_on for row in fleet.rows()})
    with fleet.gateway.store.read() as conn:
        place_id = fleet.gateway.place_id(conn)
        today = count_lanes(conn, place_id, days[0])
        later = count_lanes(conn, place_id, moscow_day(fleet.gateway.now()).replace(year=2100))

    assert today["nightly"].at_risk == 9
    assert (today["demand"], later["nightly"].overdue) == (LaneCount(), 9)
