"""The first worlds, played whole: faults, kills, late calls, people on both sides, restores; and nothing is violated."""

from __future__ import annotations

import pytest

from gateway.simulation.many import play_many

pytestmark = pytest.mark.slow


def test_no_world_violates_an_invariant(seeds_count: int) -> None:
    summary = play_many(range(seeds_count))

    told = [f"seed={one.seed} commit={summary.commit} {one.invariant}: {one.sentence}" for one in summary.failures]
    assert told == []
    # a world in which nothing happens proves nothing
    assert summary.counts["crashes"] > seeds_count
    assert summary.counts["effects"] > 5 * seeds_count
    assert summary.counts["human_effects"] > 0
    assert summary.counts["restores"] > 0
