"""Days are Moscow's whatever the machine knows of zones, also in the years in which its clocks were changed."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.domain.clock import moscow_day

# the law's changes: summer time until 2011, +4 all the year until 26 October 2014, +3 since
OFFSETS_H = [
    (datetime(2010, 1, 15, tzinfo=UTC), 3),
    (datetime(2010, 7, 15, tzinfo=UTC), 4),
    (datetime(2011, 3, 26, 22, 59, tzinfo=UTC), 3),
    (datetime(2011, 3, 26, 23, 0, tzinfo=UTC), 4),
    (datetime(2012, 1, 15, tzinfo=UTC), 4),
    (datetime(2014, 10, 25, 21, 59, tzinfo=UTC), 4),
    (datetime(2014, 10, 25, 22, 0, tzinfo=UTC), 3),
    (datetime(2026, 7, 15, tzinfo=UTC), 3),
]


@pytest.mark.row("D7")
@pytest.mark.parametrize(("moment", "hours"), OFFSETS_H)
def test_the_zone_is_known_without_any_zone_data_of_the_machine(moment: datetime, hours: int) -> None:
    """As in a container without tzdata: what is locked with the gateway has to do."""
    zoneinfo.reset_tzpath(())
    try:
        zone = zoneinfo.ZoneInfo.no_cache("Europe/Moscow")
        assert moment.astimezone(zone).utcoffset() == timedelta(hours=hours)
    finally:
        zoneinfo.reset_tzpath()


@pytest.mark.row("D5")
def test_each_of_500_moments_around_midnights_belongs_to_its_day_in_moscow() -> None:
    """Every midnight of the school year from both sides, to the second, against plain arithmetic."""
    first = date(2026, 9, 1)
    for number in range(250):
        day = first + timedelta(days=number)
        begins_at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=3)

        assert moscow_day(begins_at) == day
        assert moscow_day(begins_at - timedelta(seconds=1)) == day - timedelta(days=1)
