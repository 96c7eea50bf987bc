"""Chooses the lesson of the city's journal on which a mark hangs.

Pure. The work date comes by a rule per item type; the lesson is that day's, else the nearest one of the same marking
period. The answer does not depend on when it is asked: a lesson that has not begun is waited for, not replaced by an
earlier one. All days are Moscow's.

Source: design, "Which lesson a mark hangs on"; city-journal.md R13, R17, V6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

import msgspec

from gateway.domain.city import CityLesson, CityPeriod
from gateway.domain.clock import moscow_day
from gateway.domain.reasons import NO_LESSON
from gateway.domain.records import Attempt, Mark
from gateway.mapping.rules import LessonDate, Rules

_MONTHS = (
    *("января", "февраля", "марта", "апреля", "мая", "июня"),
    *("июля", "августа", "сентября", "октября", "ноября", "декабря"),
)
# A day before a dash is the start of a range («10–12.11.2026»): a range is no day of work.
_FULL = re.compile(r"(?<![\d.])(?<!\d[-–—])(\d{1,2})\.(\d{2})\.(\d{4}|\d{2})(?!\d|\.\d)")
_ISO = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)")
# Two digits each and no numbering sign before: «§ 3.4», «№ 10.11» and «10.11.1» are no dates.
_SHORT = re.compile(r"(?<![\d.№§])(?<!\d[-–—])(?<![№§] )(?<!п\. )(\d{2})\.(\d{2})(?!\d|\.\d)")
_WORDS = re.compile(
    rf"(?<!\d)(?<!\d[-–—])(?<!\d [-–—] )(\d{{1,2}})\s+({'|'.join(_MONTHS)})(?:\s+(\d{{4}}))?", re.IGNORECASE
)


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The lesson.

    Attributes:
        rule: Which date led to it: `page`, `name_date`, `session`, `due`, `finish`, `close`, `graded`; with `.nearest` where
            that day has no lesson and the nearest one of the period stands in.
        on: Moscow day of the lesson.
        work_on: Moscow day of the work.
    """

    lesson: CityLesson
    rule: str
    on: date
    work_on: date


class NotYet(msgspec.Struct, frozen=True, kw_only=True):
    """The lesson is in the future; `due_on` is the Moscow day from which the question may be asked again."""

    due_on: date


class NoLesson(msgspec.Struct, frozen=True, kw_only=True):
    """There is none and waiting does not help.

    Attributes:
        detail: `no_date`, `several_dates`, `no_period` or `no_lesson_in_period`, for the passport.
    """

    reason: str
    detail: str


Choice = Chosen | NotYet | NoLesson


class Timetable:
    """A group's lessons and periods, indexed once for all marks of the group.

    Args:
        lessons: All lessons of one group over whole periods, cancelled ones included: of a part of a period the nearest
            would be wrong.
        periods: Marking periods of the group's schedule.
    """

    def __init__(self, lessons: Sequence[CityLesson], periods: Sequence[CityPeriod]) -> None:
        self.periods = tuple(periods)
        self.by_id: Mapping[int, CityLesson] = {lesson.id: lesson for lesson in lessons}
        self.day_of: Mapping[int, date] = {lesson.id: moscow_day(lesson.starts_at) for lesson in lessons}
        # With two lessons on a day the first is taken: a mark has no time of day, and any fixed choice must be the same
        # on every run. It is also the one that is begun first, so no mark waits for the second.
        first: dict[date, CityLesson] = {}
        for lesson in sorted(lessons, key=lambda one: (one.starts_at, one.number, one.id)):
            if not lesson.is_cancelled:
                first.setdefault(self.day_of[lesson.id], lesson)
        self._first_on = first
        self._days = sorted(first)

    def find_period(self, day: date) -> CityPeriod | None:
        """Return the period of that day, the shortest where a year is listed beside its quarters; None in holidays."""
        around = [period for period in self.periods if period.begins_on <= day <= period.ends_on]
        return min(around, key=lambda one: (one.ends_on - one.begins_on, one.id)) if around else None

    def find_on(self, day: date) -> CityLesson | None:
        """Return that day's first lesson that is not cancelled."""
        return self._first_on.get(day)

    def find_at(self, moment: datetime) -> CityLesson | None:
        """Return the lesson, not cancelled, that starts at exactly that moment."""
        day = moscow_day(moment)
        return next(
            (
                lesson
                for lesson in self.by_id.values()
                if self.day_of[lesson.id] == day and lesson.starts_at == moment and not lesson.is_cancelled
            ),
            None,
        )

    def find_nearest(self, day: date, period: CityPeriod) -> CityLesson | None:
        """Return the lesson of the period whose day is nearest; of two equally near the earlier, already taught one."""
        days = [one for one in self._days if period.begins_on <= one <= period.ends_on]
        if not days:
            return None
        return self._first_on[min(days, key=lambda one: (abs(one - day), one))]


def choose_lesson(
    mark: Mark,
    *,
    lessons: Sequence[CityLesson],
    periods: Sequence[CityPeriod],
    attempts: Sequence[Attempt],
    rules: Rules,
    now: datetime,
) -> Choice:
    """Choose the lesson of a mark; see `choose_in` for a group whose `Timetable` is at hand.

    Args:
        lessons: All lessons of the mark's group over whole periods.
        periods: Periods of the group's schedule.
        attempts: The pupil's attempts at the mark's activity, in any order.
        now: Aware UTC.
    """
    rule = rules.find_item_rule(mark)
    return choose_in(
        Timetable(lessons, periods), mark, attempts=attempts, lesson_date=rule.lesson if rule else None, now=now
    )


def choose_in(
    timetable: Timetable, mark: Mark, *, attempts: Sequence[Attempt], lesson_date: LessonDate | None, now: datetime
) -> Choice:
    """Choose the lesson of a mark: that day's first, else the nearest of the same period, never one in the future.

    A day outside every period (holidays, or no periods known) has only its own lessons: «nearest» could not be kept
    inside a period.

    Args:
        lesson_date: Which date counts by the item's rule; None = by the item's type.
    """
    found = work_date(mark, attempts=attempts, lesson_date=lesson_date, years=_years(timetable.periods, now))
    if isinstance(found, str):
        return NoLesson(reason=NO_LESSON, detail=found)
    rule, on, moment = found
    lesson = timetable.find_at(moment) if rule in ("page", "session") and moment else None
    lesson = lesson or timetable.find_on(on)
    if lesson is None:
        period = timetable.find_period(on)
        if period is None:
            return NoLesson(reason=NO_LESSON, detail="no_period")
        lesson = timetable.find_nearest(on, period)
        rule += ".nearest"
    today = moscow_day(now)
    if lesson is None:
        # A timetable may be filled in later than the work is set: only of a past day it is certain.
        return NotYet(due_on=on) if on > today else NoLesson(reason=NO_LESSON, detail="no_lesson_in_period")
    lesson_on = timetable.day_of[lesson.id]
    if on > today or lesson.starts_at > now:
        return NotYet(due_on=max(on, lesson_on))
    return Chosen(lesson=lesson, rule=rule, on=lesson_on, work_on=on)


def work_date(
    mark: Mark, *, attempts: Sequence[Attempt], lesson_date: LessonDate | None, years: tuple[int, int]
) -> tuple[str, date, datetime | None] | str:
    """Return (rule, Moscow day, moment) of the work, or why there is none.

    Args:
        years: Calendar years of the school year (autumn, spring), for dates written without a year.
    """
    if mark.lesson_at is not None:
        return _dated("page", mark.lesson_at)
    if lesson_date == "graded":
        return _dated("graded", mark.graded_at)
    if lesson_date == "due" or (lesson_date is None and mark.module == "assign"):
        return _dated("due", mark.due_at)
    if lesson_date == "finish" or (lesson_date is None and mark.module == "quiz"):
        counted = find_counted(attempts)
        if counted is not None and counted.finished_at is not None:
            return _dated("finish", counted.finished_at)
        return _dated("close", mark.closes_at)
    if lesson_date is None and mark.module == "attendance" and mark.due_at is not None:
        return _dated("session", mark.due_at)
    named = find_name_date(mark, years)
    if isinstance(named, date):
        return "name_date", named, None
    if named == "no_date" and lesson_date is None and mark.module is not None:
        # A module of another type: its own due or closing day is a fact of the item like those above.
        return _dated("due", mark.due_at) if mark.due_at else _dated("close", mark.closes_at)
    return named


def find_counted(attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the finished attempt that the test counts; None when none is finished.

    The average of several is complete with the last of them.
    """
    finished = sorted((one for one in attempts if one.state == "finished"), key=lambda one: one.number)
    if not finished:
        return None
    match finished[0].counting:
        case "first":
            return finished[0]
        case "highest":
            return max(finished, key=lambda one: (one.points if one.points is not None else -1.0, -one.number))
        case _:
            return finished[-1]


def find_name_date(mark: Mark, years: tuple[int, int]) -> date | str:
    """Return the one date written in the item's name, else in its number; `no_date` or `several_dates` otherwise."""
    for text in (mark.item_name, mark.item_number):
        for days in (set(_full_dates(text, years)), set(_short_dates(text, years))):
            if len(days) == 1:
                return days.pop()
            if days:
                return "several_dates"
    return "no_date"


def _full_dates(text: str, years: tuple[int, int]) -> Iterator[date]:
    for day, month, year in _FULL.findall(text):
        if len(year) == 4:
            yield from _real(int(year), int(month), int(day))
        elif len(day) == 2 and 2000 + int(year) in years:  # «1.10.11» is rather the number of a section
            yield from _real(2000 + int(year), int(month), int(day))
    for year, month, day in _ISO.findall(text):
        yield from _real(int(year), int(month), int(day))
    for day, month, year in _WORDS.findall(text):
        if year:
            yield from _real(int(year), _MONTHS.index(month.lower()) + 1, int(day))


def _short_dates(text: str, years: tuple[int, int]) -> Iterator[date]:
    for day, month in _SHORT.findall(text):
        yield from _real(years[int(month) < 9], int(month), int(day))
    for day, name, year in _WORDS.findall(text):
        month = _MONTHS.index(name.lower()) + 1
        if not year:
            yield from _real(years[month < 9], month, int(day))


def _real(year: int, month: int, day: int) -> Iterator[date]:
    try:
        yield date(year, month, day)
    except ValueError:  # 31.02 and the like are numbers that only look like a date
        return


def _dated(rule: str, moment: datetime | None) -> tuple[str, date, datetime | None] | str:
    return "no_date" if moment is None else (rule, moscow_day(moment), moment)


def _years(periods: Sequence[CityPeriod], now: datetime) -> tuple[int, int]:
    """Return the calendar years of the school year that the periods belong to, else of today (R23: from 1 September)."""
    day = min((period.begins_on for period in periods), default=moscow_day(now))
    autumn = day.year if day.month >= 9 else day.year - 1
    return autumn, autumn + 1
