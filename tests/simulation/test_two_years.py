"""A school year ends in the middle of its faults, and the next begins: the same children, and every id is another's (D8)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.simulation.play import play_two_years

SEEDS_COUNT = 30


@pytest.mark.slow
@pytest.mark.row("D8")
def test_what_a_year_leaves_behind_reaches_nobody_of_the_next(tell_figure: Callable[..., None]) -> None:
    """Nothing of last year is sent to whoever has its ids now; nothing stands open for ever; all else as in every world."""
    played = [play_two_years(seed) for seed in range(SEEDS_COUNT)]

    assert [(one.seed, one.invariant, one.violation) for one in played if one.violation] == []
    assert sum(one.effects for one in played) > 5 * SEEDS_COUNT
    # some years end with operations that nobody could send or look up: found by seed 4
    assert sum(one.left_behind for one in played) > 0
    tell_figure("D8 violations over the end of a school year", 0, seeds=SEEDS_COUNT)
