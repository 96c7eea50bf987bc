"""Worlds in which final marks and lateness are sent as well: the same laws, and what the city has no call for is listed."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from gateway.simulation.many import play_many

pytestmark = pytest.mark.slow

SEEDS = "GATEWAY_TEST_SEEDS"
CHOSEN_COUNT = 4
"""Some six seconds; the figures play a tenth of their seeds so."""


def test_no_world_with_the_chosen_kinds_violates_an_invariant(tell_figure: Callable[..., None]) -> None:
    """I1–I10, I12–I15 with a final mark and a lateness of each pupil among the rest."""
    count = max(CHOSEN_COUNT, int(os.environ.get(SEEDS, "0")) // 10)

    summary = play_many(range(count), has_chosen=True)

    failures = [f"seed={one.seed} commit={summary.commit} {one.invariant}: {one.sentence}" for one in summary.failures]
    assert failures == []
    assert summary.labels.keys() == {label for label in summary.labels if "chosen" in label}
    assert summary.differing.get("NO_CITY_CALL", 0) > 0
    tell_figure("F1 violations with the chosen kinds in", len(summary.failures), seeds=summary.seeds)
