"""The first worlds, played whole: faults, kills, late calls, people on both sides, restores; and nothing is violated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.simulation.many import Summary, play_many

pytestmark = pytest.mark.slow

DRILLS_COUNT = 100


def told(summary: Summary) -> list[str]:
    return [f"seed={one.seed} commit={summary.commit} {one.invariant}: {one.sentence}" for one in summary.failures]


def test_no_world_violates_an_invariant(seeds_count: int, tell_figure: Callable[..., None]) -> None:
    """I1–I10, I12–I15 at every effect and at the end; quiet within two runs and fifteen minutes (F15)."""
    summary = play_many(range(seeds_count))

    assert told(summary) == []
    # a world in which nothing happens proves nothing
    counts = summary.counts
    assert counts["crashes"] > seeds_count
    assert counts["effects"] > 5 * seeds_count
    assert counts["human_effects"] > 0
    assert counts["restores"] > 0
    # F21: a log that says nothing gives nothing away either
    assert counts["log_lines"] > seeds_count
    tell_figure("F1 violations of I1–I10, I12–I15", len(summary.failures), seeds=summary.seeds)
    tell_figure("F2 simulated hours", f"{summary.simulated_h:.0f}", seeds=summary.seeds)
    tell_figure("F3 killed processes", counts["crashes"], seeds=summary.seeds)
    tell_figure(
        "F15 longest time to quiet, virtual min",
        f"{summary.quiet_s / 60:.1f} (runs that moved something: {summary.passes})",
        seeds=summary.seeds,
    )
    tell_figure(f"F21 canaries in {counts['log_lines']} log lines", 0, seeds=summary.seeds)


@pytest.mark.row("G5")
def test_a_backup_put_back_doubles_nothing_and_loses_nothing(
    seeds_count: int, tell_figure: Callable[..., None]
) -> None:
    """F18: in each of these worlds an older copy of the database takes the place of the newer one."""
    count = min(DRILLS_COUNT, seeds_count)

    summary = play_many(range(count), is_drill=True)

    assert told(summary) == []
    assert summary.counts["restores"] == count
    tell_figure("F18 lost or doubled after a restore", len(summary.failures), seeds=summary.seeds)
