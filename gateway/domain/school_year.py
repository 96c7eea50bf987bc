"""The school's year as a thing of its own: periods by grade, holidays, moved days, last days, silent dates.

Pure. What schedules, guards, the expansion of a timetable and the rules of periods ask about a day is answered here and
nowhere else. Days are civil days of the school's zone; a grade is 1…11 and an empty list of grades means all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise

import msgspec

from gateway.domain.calendar import DayRange, SchoolCalendar

GRADES = range(1, 12)
LAST_WEEK_DAYS = 7
"""The last week of a period or year, in which its marks are set: seven days up to its last one."""


class YearPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A marking period of some grades: quarter, trimester, half-year."""

    name: str
    from_on: date
    to_on: date
    grades: tuple[int, ...] = ()


class YearHoliday(msgspec.Struct, frozen=True, kw_only=True):
    """Days without school, of all or some grades (first-graders have a week more)."""

    name: str
    from_on: date
    to_on: date
    grades: tuple[int, ...] = ()


class MovedDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day on which the timetable of another weekday is taught, or none.

    Attributes:
        weekday: ISO number of the weekday whose timetable counts, Monday is 1; None = a working day that is free.
    """

    on: date
    weekday: int | None = None
    name: str = ""


class LastDay(msgspec.Struct, frozen=True, kw_only=True):
    """The last day of lessons of some grades, where it is not the year's."""

    on: date
    grades: tuple[int, ...]


class SilentSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Days on which the gateway begins nothing by itself (the classes are being moved up, the city closes its year)."""

    from_on: date
    to_on: date
    name: str = ""


class SchoolYear(msgspec.Struct, frozen=True, kw_only=True):
    """One school year.

    Attributes:
        year: `2026/27`.
        weekdays: ISO numbers of the days with lessons.
        saturday_grades: Grades that also have lessons on Saturday.
        terms: What a timetable's terms mean, in order; empty = the periods of all grades, else the whole year.
    """

    year: str
    from_on: date
    to_on: date
    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5)
    saturday_grades: tuple[int, ...] = ()
    periods: tuple[YearPeriod, ...] = ()
    holidays: tuple[YearHoliday, ...] = ()
    moved: tuple[MovedDay, ...] = ()
    last_days: tuple[LastDay, ...] = ()
    silent: tuple[SilentSpan, ...] = ()
    terms: tuple[DayRange, ...] = ()

    def last_on(self, grade: int | None = None) -> date:
        """The last day of lessons of a grade."""
        own = [one.on for one in self.last_days if grade in one.grades]
        return min(own, default=self.to_on)

    def find_weekday(self, day: date, grade: int | None = None) -> int | None:
        """Return whose weekday's timetable is taught that day, ISO number; None = no school.

        Args:
            grade: None = a day on which any grade has lessons counts.
        """
        if not self.from_on <= day <= self.last_on(grade):
            return None
        for moved in self.moved:
            if moved.on == day:
                return moved.weekday
        if any(one.from_on <= day <= one.to_on and _concerns(one.grades, grade) for one in self.holidays):
            return None
        weekday = day.isoweekday()
        if weekday in self.weekdays:
            return weekday
        has_saturday = weekday == 6 and (grade in self.saturday_grades if grade else bool(self.saturday_grades))
        return weekday if has_saturday else None

    def is_school_day(self, day: date, grade: int | None = None) -> bool:
        """Whether lessons are given."""
        return self.find_weekday(day, grade) is not None

    def iter_school_days(
        self, from_on: date | None = None, to_on: date | None = None, grade: int | None = None
    ) -> Iterator[tuple[date, int]]:
        """Yield (day, weekday whose timetable counts), in order."""
        day, last = max(from_on or self.from_on, self.from_on), min(to_on or self.to_on, self.last_on(grade))
        while day <= last:
            weekday = self.find_weekday(day, grade)
            if weekday is not None:
                yield day, weekday
            day += timedelta(days=1)

    def periods_of(self, grade: int) -> tuple[YearPeriod, ...]:
        """Return a grade's periods in order."""
        own = [one for one in self.periods if not one.grades or grade in one.grades]
        return tuple(sorted(own, key=lambda one: one.from_on))

    def find_period(self, day: date, grade: int) -> YearPeriod | None:
        """Return the period of a grade's day; None in holidays between periods."""
        return next((one for one in self.periods_of(grade) if one.from_on <= day <= one.to_on), None)

    def is_last_week(self, day: date, grade: int) -> bool:
        """Whether a day is of the last week of its period, or of the grade's year."""
        period = self.find_period(day, grade)
        ends = [self.last_on(grade)] if period is None else [period.to_on, self.last_on(grade)]
        return any(end - timedelta(days=LAST_WEEK_DAYS) < day <= end for end in ends)

    def week_number(self, day: date) -> int:
        """Number of a day's week, from 1; weeks begin on Monday and the year's first one is the first."""
        monday = self.from_on - timedelta(days=self.from_on.weekday())
        return (day - monday).days // 7 + 1

    def find_term(self, day: date) -> int | None:
        """Return the number of the timetable's term that a day is in, from 0; None between terms."""
        terms = self.terms or tuple(DayRange(one.from_on, one.to_on) for one in self.periods if not one.grades)
        if not terms:
            return 0 if self.from_on <= day <= self.to_on else None
        return next((number for number, term in enumerate(terms) if term.holds(day)), None)

    def calendar(self, usual: SchoolCalendar) -> SchoolCalendar:
        """Make what schedules ask about days: this year's, beside what the settings say for days outside it.

        A holiday of some grades only is a working day of the school.
        """
        common = tuple(DayRange(one.from_on, one.to_on) for one in self.holidays if not one.grades)
        free = tuple(DayRange(one.on, one.on) for one in self.moved if one.weekday is None)
        silent = tuple(DayRange(one.from_on, one.to_on) for one in self.silent)
        saturday = frozenset({6}) if self.saturday_grades else frozenset[int]()
        return SchoolCalendar(
            zone=usual.zone,
            weekdays=frozenset(self.weekdays) | saturday,
            holidays=(*usual.holidays, *common, *free),
            silent=(*usual.silent, *silent),
            extra=frozenset(one.on for one in self.moved if one.weekday is not None),
        )


class YearFault(msgspec.Struct, frozen=True, kw_only=True):
    """What does not hold in a calendar: where, what, and what to do; `is_remark` = it may be meant so."""

    where: str
    what: str
    todo: str
    is_remark: bool = False


def check_year(year: SchoolYear) -> tuple[YearFault, ...]:
    """Return everything that does not hold: nothing is stored while there is a fault that is no remark."""
    faults: list[YearFault] = []
    if year.to_on <= year.from_on or (year.to_on - year.from_on).days > 366:
        faults.append(
            _fault("year", "Учебный год кончается раньше, чем начинается, или длиннее года.", "Исправьте дни.")
        )
    if year.year != f"{year.from_on.year}/{(year.from_on.year + 1) % 100:02d}":
        faults.append(_fault("year", "Название года не сходится с его первым днём.", "Пишите так: 2026/27."))
    faults += _outside(year)
    faults += _bad_numbers(year)
    for grade in GRADES:
        faults += _period_faults(year, grade)
    days = [one.on for one in year.moved]
    for day in sorted({one for one in days if days.count(one) > 1}):
        faults.append(_fault(f"moved {day:%d.%m.%Y}", "День перенесён дважды.", "Оставьте одну строку."))
    return tuple(dict.fromkeys(faults))


def _outside(year: SchoolYear) -> list[YearFault]:
    spans: list[tuple[str, date, date]] = [
        *((f"period {one.name}", one.from_on, one.to_on) for one in year.periods),
        *((f"holiday {one.name}", one.from_on, one.to_on) for one in year.holidays),
        *((f"moved {one.on:%d.%m.%Y}", one.on, one.on) for one in year.moved),
        *((f"last_day {one.on:%d.%m.%Y}", one.on, one.on) for one in year.last_days),
    ]
    faults = []
    for where, first, last in spans:
        if last < first:
            faults.append(_fault(where, "Последний день раньше первого.", "Поменяйте дни местами."))
        elif not (year.from_on <= first and last <= year.to_on):
            faults.append(_fault(where, "Не лежит внутри учебного года.", "Проверьте год в датах."))
    faults += [
        _fault(f"silent {span.name}", "Последний день раньше первого.", "Поменяйте дни местами.")
        for span in year.silent
        if span.to_on < span.from_on
    ]
    return faults


def _bad_numbers(year: SchoolYear) -> list[YearFault]:
    faults = []
    named: list[tuple[str, Sequence[int]]] = [
        *((f"period {one.name}", one.grades) for one in year.periods),
        *((f"holiday {one.name}", one.grades) for one in year.holidays),
        *((f"last_day {one.on:%d.%m.%Y}", one.grades) for one in year.last_days),
        ("saturday_grades", year.saturday_grades),
    ]
    for where, grades in named:
        if any(grade not in GRADES for grade in grades):
            faults.append(_fault(where, "Класса с таким номером нет.", "Номера классов от 1 до 11."))
    weekdays = [*year.weekdays, *(one.weekday for one in year.moved if one.weekday is not None)]
    if any(weekday not in range(1, 8) for weekday in weekdays) or not year.weekdays:
        faults.append(_fault("weekdays", "Дня недели с таким номером нет.", "Понедельник — 1, воскресенье — 7."))
    return faults


def _period_faults(year: SchoolYear, grade: int) -> list[YearFault]:
    periods = year.periods_of(grade)
    faults = [
        _fault(
            f"period {later.name}",
            f"В {grade}-х классах пересекается с «{earlier.name}».",
            "У каждого дня один период.",
        )
        for earlier, later in pairwise(periods)
        if later.from_on <= earlier.to_on
    ]
    if periods and not faults:
        bare = next(
            (day for day, _ in year.iter_school_days(grade=grade) if year.find_period(day, grade) is None), None
        )
        if bare is not None:
            what = f"В {grade}-х классах учебный день {bare:%d.%m.%Y} не лежит ни в одном периоде."
            faults.append(
                YearFault(where="periods", what=what, todo="Продлите период или внесите каникулы.", is_remark=True)
            )
    return faults


def _concerns(grades: Sequence[int], grade: int | None) -> bool:
    """Whether something of some grades is asked about; a day that is free for some grades only is a day of school."""
    return not grades or (grade is not None and grade in grades)


def _fault(where: str, what: str, todo: str) -> YearFault:
    return YearFault(where=where, what=what, todo=todo)


__all__ = [
    "LastDay",
    "MovedDay",
    "SchoolYear",
    "SilentSpan",
    "YearFault",
    "YearHoliday",
    "YearPeriod",
    "check_year",
]
