"""Days in every form people write, inside one school year. Pure.

A day without a year belongs to the school year: «05.09» of 2026/27 is in 2026, «05.02» in 2027. What can be read in two ways
is refused, because a mark on a wrong day is a wrong mark.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import Cell
from gateway.connectors.planner.workbook.words import plain
from gateway.domain.reasons import WB_DATE, WB_DATE_AMBIGUOUS, WB_DATE_OUTSIDE_YEAR

_MONTHS = ("янв", "фев", "мар", "апр", "ма", "июн", "июл", "авг", "сен", "окт", "ноя", "дек")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
_WEEKDAYS = ("понедельник", "вторник", "сред", "четверг", "пятниц", "суббот", "воскресень")
_SHORT_WEEKDAYS = ("пн", "вт", "ср", "чт", "пт", "сб", "вс")
_WEEKDAY_AROUND = re.compile(
    r"^(?:пн|вт|ср|чт|пт|сб|вс|понедельник|вторник|среда|четверг|пятница|суббота|воскресенье)[.,]?\s+"
    r"|[\s,(]+(?:пн|вт|ср|чт|пт|сб|вс|понедельник|вторник|среда|четверг|пятница|суббота|воскресенье)\.?\)?$"
)
_ISO = re.compile(
    r"(\d{4})[-./](\d{1,2})[-./](\d{1,2})(?:[t ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:z|[+-]\d\d:?\d\d)?)?"
)
_NUMERIC = re.compile(
    r"(\d{1,2})\s?([./,-])\s?(\d{1,2})(?:\s?[./,-]\s?(\d{4}|\d{2}))?\.?(?:\s?г\.?)?(?:\s+0?0:00(?::00)?)?"
)
_NAMED = re.compile(
    r"(\d{1,2})(?:-?(?:е|го|ое))?[\s.-]*([а-я]{3,9}|[ivx]{1,4})\.?[\s,.-]*(\d{4}|\d{2})?\s?(?:г\.?|года)?"
)
_SERIAL_ZERO = date(1899, 12, 30)
_TIME = re.compile(r"(\d{1,2})\s?[:.,\-–ч]\s?(\d{2})(?::\d{2})?")
_LONG_AGO = 1900


class SchoolYear:
    """The year in which a workbook's days lie.

    Args:
        first_year: Calendar year of its autumn.

    Source: the school year ends on 31 August (city-journal.md R23).
    """

    def __init__(self, first_year: int) -> None:
        self.first_on = date(first_year, 9, 1)
        self.last_on = date(first_year + 1, 8, 31)

    @property
    def name(self) -> str:
        """`2026/27`."""
        return f"{self.first_on.year}/{self.last_on.year % 100:02d}"

    def year_of(self, month: int) -> int:
        """The calendar year of one of its months."""
        return self.first_on.year if month >= self.first_on.month else self.last_on.year

    def checked(self, day: date) -> date:
        """Return a day that lies in it.

        Raises:
            CellError: It doesn't.
        """
        if not self.first_on <= day <= self.last_on:
            raise CellError(WB_DATE_OUTSIDE_YEAR, f"учебный год {self.name}")
        return day


def read_day(cell: Cell, year: SchoolYear) -> date:
    """Read a day of the school year.

    Raises:
        CellError: No day, a day that may be read in two ways, or one of another year.
    """
    return year.checked(_to_day(cell, year))


def read_birth(cell: Cell, today: date) -> date:
    """Read a birthday: it has its year, lies in the past and belongs to somebody younger than 120.

    Raises:
        CellError: It doesn't.
    """
    day = _to_day(cell, None)
    if not date(today.year - 120, 1, 1) <= day <= today:
        raise CellError(WB_DATE)
    return day


def find_day(text: str, year: SchoolYear) -> date | None:
    """Return the day a head says, or None where it says none."""
    try:
        return read_day(text, year)
    except CellError:
        return None


def _to_day(cell: Cell, year: SchoolYear | None) -> date:
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return _from_number(float(cell), year)
    if isinstance(cell, str):
        return _from_text(cell, year)
    raise CellError(WB_DATE)


def _from_number(number: float, year: SchoolYear | None) -> date:
    """A serial where it is one; else «5,09» that a spreadsheet took for a number and whose last zero may be lost."""
    if number.is_integer() and 20_000 <= number < 80_000:
        return _SERIAL_ZERO + timedelta(days=int(number))
    text = f"{number:.10g}"
    found = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", text)
    if found is None or year is None:
        raise CellError(WB_DATE)
    if found[2] == "1":  # 5.1 is 5.01 as well as 5.10
        raise CellError(WB_DATE_AMBIGUOUS)
    month = int(found[2])
    return _real(year.year_of(month) if month <= 12 else 0, month, int(found[1]))


def _from_text(text: str, year: SchoolYear | None) -> date:
    lowered = plain(text).casefold().replace("ё", "е").strip("'\"` ")
    lowered = _WEEKDAY_AROUND.sub("", lowered).strip()
    if found := _ISO.fullmatch(lowered):
        return _real(int(found[1]), int(found[2]), int(found[3]))
    if found := _NUMERIC.fullmatch(lowered):
        if found[4] is None and found[2] == "-":
            raise CellError(WB_DATE)  # «10-12» is as well from the tenth to the twelfth
        if found[4] is None and found[2] == "," and found[3] == "1":
            raise CellError(WB_DATE_AMBIGUOUS)  # a number that a spreadsheet wrote out as text
        return _dated(int(found[1]), int(found[3]), found[4], year)
    if found := _NAMED.fullmatch(lowered):
        return _dated(int(found[1]), _month(found[2]), found[3], year)
    if lowered.isdecimal() and len(lowered) == 5:
        return _from_number(float(lowered), year)
    raise CellError(WB_DATE)


def _month(word: str) -> int:
    if word in _ROMAN:
        return _ROMAN.index(word) + 1
    # «ма» is май and мая; «мар» was asked before it
    return next((number for number, start in enumerate(_MONTHS, start=1) if word.startswith(start)), 0)


def _dated(day: int, month: int, written: str | None, year: SchoolYear | None) -> date:
    if written is None:
        if year is None or not 1 <= month <= 12:
            raise CellError(WB_DATE)
        return _real(year.year_of(month), month, day)
    number = int(written)
    if len(written) == 2:
        number += 2000 if year is not None or number < 50 else _LONG_AGO
    return _real(number, month, day)


def _real(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError as exc:
        raise CellError(WB_DATE) from exc


def find_weekday(text: str) -> int | None:
    """Return the ISO number of a weekday in any of its spellings, or None."""
    lowered = plain(text).casefold().strip(". ")
    if lowered in _SHORT_WEEKDAYS:
        return _SHORT_WEEKDAYS.index(lowered) + 1
    return next((number for number, start in enumerate(_WEEKDAYS, start=1) if lowered.startswith(start)), None)


def find_month(text: str) -> int | None:
    """Return the number of a month by its name alone («Сентябрь», «сент.»), or None."""
    lowered = plain(text).casefold().strip(". ")
    return _month(lowered) or None if re.fullmatch(r"[а-я]{3,9}", lowered) else None


def find_time(cell: Cell) -> time | None:
    """Return a time of day, `08:30`, «8.30» or a cell that is one; None where it is none."""
    if isinstance(cell, datetime):
        return cell.time().replace(second=0, microsecond=0)
    if isinstance(cell, time):
        return cell.replace(second=0, microsecond=0)
    if isinstance(cell, float) and not cell.is_integer() and 0 < cell < 1:
        minutes = round(cell * 1440)
        return time(minutes // 60 % 24, minutes % 60)
    text = f"{cell:.2f}" if isinstance(cell, float) else plain(cell) if isinstance(cell, str) else ""
    found = _TIME.fullmatch(text)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        return None
    return time(int(found[1]), int(found[2]))
