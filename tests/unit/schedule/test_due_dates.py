"""When a discrepancy that is opened now should be settled: working days of the school, counted from the moment it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from gateway.domain.clock import MOSCOW
from gateway.domain.school_year import LastDay, MovedDay, SchoolYear, SilentSpan, YearHoliday, YearPeriod
from gateway.flows.discrepancies import due_at
from gateway.flows.gateway import Gateway
from gateway.mapping.calendars import save_year

YEAR = SchoolYear(
    year="2026/27",
    from_on=date(2026, 9, 1),
    to_on=date(2027, 5, 26),
    periods=(
        YearPeriod(name="1 четверть", from_on=date(2026, 9, 1), to_on=date(2026, 10, 23)),
        YearPeriod(name="2 четверть", from_on=date(2026, 11, 2), to_on=date(2026, 12, 30)),
    ),
    holidays=(
        YearHoliday(name="осенние", from_on=date(2026, 10, 24), to_on=date(2026, 11, 1)),
        YearHoliday(name="зимние", from_on=date(2026, 12, 31), to_on=date(2027, 1, 10)),
        YearHoliday(name="первые классы", from_on=date(2027, 2, 15), to_on=date(2027, 2, 21), grades=(1,)),
    ),
    moved=(MovedDay(on=date(2026, 12, 5), weekday=1), MovedDay(on=date(2026, 11, 4))),
    last_days=(LastDay(on=date(2027, 5, 22), grades=(9, 11)),),
    silent=(SilentSpan(from_on=date(2026, 11, 17), to_on=date(2026, 11, 18)),),
)


def due(gateway: Gateway, opened: str, year: SchoolYear | None = None, **school: Any) -> str:
    """The due moment by the school's clock of what is opened at a moment of it."""
    told = gateway.settings.school.model_copy(update=school)
    asked = replace(gateway, settings=gateway.settings.model_copy(update={"school": told}))
    with asked.store.write() as conn:
        if year is not None:
            save_year(conn, year, source="calendar.xlsx", actor="office", now=asked.store.now(conn))
        moment = datetime.fromisoformat(opened).replace(tzinfo=MOSCOW).astimezone(UTC)
        found = due_at(asked, conn, moment)
    assert found.tzinfo is UTC
    return f"{found.astimezone(MOSCOW):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("opened", "settled"),
    [
        ("2026-11-23T02:10", "2026-11-24 12:00"),
        ("2026-11-23T12:00", "2026-11-25 12:00"),
        ("2026-11-19T15:00", "2026-11-23 12:00"),
        ("2026-11-20T15:00", "2026-11-24 12:00"),
        ("2026-11-21T15:00", "2026-11-24 12:00"),
        ("2026-10-22T15:00", "2026-11-02 12:00"),
        ("2026-10-23T15:00", "2026-11-03 12:00"),
        ("2026-11-03T15:00", "2026-11-06 12:00"),
        ("2026-12-04T15:00", "2026-12-07 12:00"),
        ("2026-11-16T15:00", "2026-11-20 12:00"),
        ("2026-12-28T15:00", "2026-12-30 12:00"),
        ("2026-12-30T15:00", "2027-01-12 12:00"),
        ("2027-02-12T15:00", "2027-02-16 12:00"),
        ("2027-05-26T15:00", "2027-05-28 12:00"),
    ],
    ids=[
        "of the night: that day's noon is the first",
        "at noon itself: that noon is over",
        "over a weekend",
        "on a Friday afternoon",
        "on a Saturday",
        "into the autumn holidays",
        "on the last day of the quarter",
        "over a day that is free",
        "a Saturday that is taught counts",
        "silent days do not count",
        "up to the last day of the quarter",
        "over the winter holidays",
        "holidays of one grade are no holidays of the school",
        "after the last lesson the staff works on",
    ],
)
def test_it_is_due_after_two_working_days_of_the_imported_calendar(
    make_gateway: Callable[..., Gateway], opened: str, settled: str
) -> None:
    assert due(make_gateway(), opened, YEAR) == settled


@pytest.mark.parametrize(
    ("days", "settled"),
    [(0, "2026-11-20 15:00"), (1, "2026-11-23 12:00"), (5, "2026-11-27 12:00"), (10, "2026-12-04 12:00")],
)
def test_the_school_says_how_many_days(make_gateway: Callable[..., Gateway], days: int, settled: str) -> None:
    assert due(make_gateway(), "2026-11-20T15:00", discrepancy_due_days=days) == settled


def test_without_an_imported_calendar_the_settings_speak(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()

    assert due(gateway, "2026-11-20T15:00") == "2026-11-24 12:00"
    assert due(gateway, "2026-11-20T15:00", weekdays=(1, 2, 3, 4, 5, 6)) == "2026-11-23 12:00"
    assert due(gateway, "2026-11-20T15:00", held_until_hour=9) == "2026-11-24 09:00"
