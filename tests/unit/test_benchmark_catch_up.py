"""The benchmark of a city's return: everything is caught up, each mark once, and what is pressed meanwhile does not wait for it."""

from __future__ import annotations

import pytest

from benchmarks import catch_up

MARKS = 120
OUTAGE_HOURS = 72.0


@pytest.mark.row("A30")
def test_what_three_days_left_behind_is_sent_within_the_pace_and_parks_nothing() -> None:
    figures = catch_up.measure(MARKS, outage_hours=OUTAGE_HOURS)

    assert figures.calls >= MARKS
    assert figures.calls_per_s <= 5.0
    # the pace alone needs so long, and a half more for reading back
    assert MARKS / 5 / 60 <= figures.catch_up_min <= 1.5 * MARKS / 5 / 60 + 1
    assert figures.demand_p95_s < 60.0
