"""The school's year: what a day is for a grade, and every fault of a calendar named before it is used."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.calendar import DayRange, SchoolCalendar
from gateway.domain.school_year import LastDay, MovedDay, SchoolYear, SilentSpan, YearHoliday, YearPeriod, check_year

USUAL = SchoolCalendar(zone="Europe/Moscow", weekdays=frozenset({1, 2, 3, 4, 5}))


def year(**changes: Any) -> SchoolYear:
    usual: dict[str, Any] = {
        "year": "2026/27",
        "from_on": date(2026, 9, 1),
        "to_on": date(2027, 5, 26),
        "saturday_grades": (10, 11),
        "periods": (
            YearPeriod(name="1 четверть", from_on=date(2026, 9, 1), to_on=date(2026, 10, 25), grades=(5, 6, 7)),
            YearPeriod(name="2 четверть", from_on=date(2026, 11, 2), to_on=date(2026, 12, 30), grades=(5, 6, 7)),
            YearPeriod(name="1 полугодие", from_on=date(2026, 9, 1), to_on=date(2026, 12, 30), grades=(10, 11)),
        ),
        "holidays": (
            YearHoliday(name="осенние", from_on=date(2026, 10, 26), to_on=date(2026, 11, 1)),
            YearHoliday(name="первые классы", from_on=date(2027, 2, 15), to_on=date(2027, 2, 21), grades=(1,)),
        ),
        "moved": (MovedDay(on=date(2026, 12, 5), weekday=1), MovedDay(on=date(2026, 11, 4))),
        "last_days": (LastDay(on=date(2027, 5, 22), grades=(9, 11)),),
        "silent": (SilentSpan(from_on=date(2027, 8, 25), to_on=date(2027, 8, 31)),),
    }
    return SchoolYear(**(usual | changes))


@pytest.mark.parametrize(
    ("day", "grade", "weekday"),
    [
        (date(2026, 11, 3), 7, 2),
        (date(2026, 11, 4), 7, None),  # a Wednesday that is free
        (date(2026, 12, 5), 7, 1),  # a Saturday taught as a Monday
        (date(2026, 11, 7), 7, None),
        (date(2026, 11, 7), 10, 6),
        (date(2026, 10, 27), 7, None),
        (date(2027, 2, 16), 1, None),
        (date(2027, 2, 16), 2, 2),
        (date(2027, 5, 25), 9, None),  # after the last bell of its grade
        (date(2027, 5, 25), 8, 2),
        (date(2026, 8, 31), 7, None),
    ],
)
def test_a_day_of_a_grade_is_taught_by_one_weekday_s_timetable_or_not_at_all(
    day: date, grade: int, weekday: int | None
) -> None:
    assert year().find_weekday(day, grade) == weekday


def test_a_period_and_its_last_week_are_the_grade_s_own() -> None:
    own = year()

    assert [one.name for one in own.periods_of(10)] == ["1 полугодие"]
    found = own.find_period(date(2026, 11, 5), 7)
    assert found is not None
    assert found.name == "2 четверть"
    assert own.find_period(date(2026, 10, 28), 7) is None
    assert own.is_last_week(date(2026, 10, 20), 7)
    assert not own.is_last_week(date(2026, 10, 20), 10)
    assert own.is_last_week(date(2027, 5, 20), 9)


def test_schedules_ask_the_year_over_the_settings() -> None:
    calendar = year().calendar(USUAL)

    assert calendar.is_school_day(date(2026, 12, 5))
    assert not calendar.is_school_day(date(2026, 11, 4))
    assert calendar.is_school_day(date(2027, 2, 16))  # free for the first grade only
    assert calendar.is_silent(date(2027, 8, 26))
    at = calendar.next_working_hour(datetime(2026, 10, 23, 20, 0, tzinfo=UTC), 12)
    assert calendar.local(at).date() == date(2026, 10, 24)  # a Saturday of the upper grades
    assert year(terms=(DayRange(date(2026, 9, 1), date(2026, 12, 31)),)).find_term(date(2027, 1, 15)) is None


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"to_on": date(2026, 8, 1)}, "year"),
        ({"year": "2025/26"}, "year"),
        ({"moved": (MovedDay(on=date(2028, 1, 1)),)}, "moved 01.01.2028"),
        ({"moved": (MovedDay(on=date(2026, 11, 4)), MovedDay(on=date(2026, 11, 4), weekday=2))}, "moved 04.11.2026"),
        ({"moved": (MovedDay(on=date(2026, 12, 5), weekday=8),)}, "weekdays"),
        ({"saturday_grades": (12,)}, "saturday_grades"),
        ({"holidays": (YearHoliday(name="х", from_on=date(2026, 12, 9), to_on=date(2026, 12, 1)),)}, "holiday х"),
        (
            {
                "periods": (
                    YearPeriod(name="а", from_on=date(2026, 9, 1), to_on=date(2026, 12, 1)),
                    YearPeriod(name="б", from_on=date(2026, 12, 1), to_on=date(2027, 5, 26), grades=(7,)),
                )
            },
            "period б",
        ),
    ],
)
def test_each_fault_of_a_calendar_is_told_by_its_place(changes: dict[str, Any], where: str) -> None:
    faults = [fault for fault in check_year(year(**changes)) if not fault.is_remark]

    assert where in {fault.where for fault in faults}


def test_a_school_day_in_no_period_is_a_remark_and_a_sound_year_has_no_fault() -> None:
    remarks = check_year(year())

    assert remarks
    assert all(fault.is_remark for fault in remarks)
    whole = YearPeriod(name="год", from_on=date(2026, 9, 1), to_on=date(2027, 5, 26))
    assert check_year(year(periods=(whole,))) == ()


@given(st.integers(0, 370), st.integers(1, 11))
def test_a_school_day_of_a_grade_is_one_of_the_school_s_and_inside_the_year(shift: int, grade: int) -> None:
    own, day = year(), date(2026, 8, 28) + timedelta(days=shift)

    if own.is_school_day(day, grade):
        assert own.from_on <= day <= own.last_on(grade)
        assert own.calendar(USUAL).is_school_day(day)
    listed = [one for one, _ in own.iter_school_days(day, day, grade)]
    assert listed == ([day] if own.is_school_day(day, grade) else [])


def test_a_calendar_is_the_same_after_it_was_stored() -> None:
    assert msgspec.json.decode(msgspec.json.encode(year()), type=SchoolYear) == year()
