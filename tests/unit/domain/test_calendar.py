"""The school's calendar: working days, and the noon at which what is held is decided again."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from gateway.domain.calendar import DayRange, SchoolCalendar
from gateway.domain.errors import ConfigurationError

FIVE = frozenset({1, 2, 3, 4, 5})


@pytest.mark.parametrize(
    ("after", "noon"),
    [
        ("2026-11-23T23:00", "2026-11-24T09:00"),
        ("2026-11-24T08:59", "2026-11-24T09:00"),
        ("2026-11-24T09:00", "2026-11-25T09:00"),
        ("2026-11-27T12:00", "2026-11-30T09:00"),
        ("2026-12-29T12:00", "2027-01-11T09:00"),
    ],
    ids=["from the night", "a minute before", "at noon itself", "over a weekend", "over the holidays"],
)
def test_the_next_noon_is_that_of_a_working_day(after: str, noon: str) -> None:
    calendar = SchoolCalendar(
        zone="Europe/Moscow", weekdays=FIVE, holidays=(DayRange(date(2026, 12, 30), date(2027, 1, 10)),)
    )

    found = calendar.next_working_hour(datetime.fromisoformat(after).replace(tzinfo=UTC), 12)

    assert found == datetime.fromisoformat(noon).replace(tzinfo=UTC)


def test_a_silent_day_has_no_noon() -> None:
    calendar = SchoolCalendar(
        zone="Europe/Moscow", weekdays=FIVE, silent=(DayRange(date(2026, 11, 24), date(2026, 11, 24)),)
    )

    found = calendar.next_working_hour(datetime(2026, 11, 23, 20, tzinfo=UTC), 12)

    assert found == datetime(2026, 11, 25, 9, tzinfo=UTC)


def test_a_saturday_is_a_school_day_only_where_the_school_says_so() -> None:
    saturday = date(2026, 11, 28)

    assert not SchoolCalendar(zone="Europe/Moscow", weekdays=FIVE).is_school_day(saturday)
    assert SchoolCalendar(zone="Europe/Moscow", weekdays=FIVE | {6}).is_school_day(saturday)


def test_a_calendar_without_a_working_day_is_said_and_not_searched_for_ever() -> None:
    calendar = SchoolCalendar(
        zone="Europe/Moscow", weekdays=FIVE, holidays=(DayRange(date(2026, 1, 1), date(2030, 1, 1)),)
    )

    with pytest.raises(ConfigurationError, match="рабочего дня"):
        calendar.next_working_hour(datetime(2026, 11, 23, tzinfo=UTC), 12)


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        SchoolCalendar(zone="Europe/Moscow", weekdays=FIVE).local(datetime(2026, 11, 23))  # noqa: DTZ001  # that is the point
