"""How heavy a discrepancy is: by what it is, how long it has waited, and how near the end of its period is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.domain.discrepancies import DiscrepancyType
from gateway.reconcile.discrepancies import DAYS_A_STEP, HIGHEST_SEVERITY, LAST_DAYS, severity_of

FRESH = timedelta(0)


@pytest.mark.parametrize("type_", list(DiscrepancyType))
def test_it_grows_with_age_up_to_the_highest(type_: DiscrepancyType) -> None:
    grown = [severity_of(type_, age=timedelta(days=days), period_left=None) for days in range(60)]

    assert grown == sorted(grown)
    assert grown[DAYS_A_STEP] == min(grown[0] + 1, HIGHEST_SEVERITY)
    assert 1 <= grown[0] <= grown[-1] == HIGHEST_SEVERITY


def test_the_end_of_the_period_weighs_once_it_is_near_and_no_more_when_it_is_past() -> None:
    def weigh(left: timedelta | None) -> int:
        return severity_of(DiscrepancyType.ONLY_THERE, age=FRESH, period_left=left)

    far = weigh(timedelta(days=LAST_DAYS + 1))

    assert weigh(timedelta(days=LAST_DAYS)) == weigh(FRESH) == far + 1
    assert weigh(timedelta(days=-1)) == weigh(None) == far
