"""The city's spelling of days and moments: one function a form, both ways.

Used by the wire models when reading and by queries and bodies when writing. One API mixes six forms, and a wrong one
puts a mark on another day, so nothing here guesses: a form that does not fit is refused. Days are Moscow's; moments
without a zone are Moscow's too and come out as aware UTC.

Source: city-journal.md §1.3 (S1, S2, S9, S14, S15).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from gateway.domain.clock import MOSCOW, moscow_day

_DOTTED = re.compile(r"(\d{2})\.(\d{2})\.(\d{4})", re.ASCII)
_DOTTED_MINUTE = re.compile(r"(\d{2})\.(\d{2})\.(\d{4}) (\d{2}):(\d{2})", re.ASCII)
_DASHED = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_SLASHED = re.compile(r"(\d{4})/(\d{2})/(\d{2})", re.ASCII)
_STAMP = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?(Z?)", re.ASCII)


class FormError(ValueError):
    """A value is not of the expected form; the text names the form, never the value."""


def from_dotted(text: object) -> date:
    """`09.11.2026` → a day (core dates)."""
    day, month, year = _numbers(_DOTTED, text, "dd.MM.yyyy")
    return _day(year, month, day)


def to_dotted(day: date) -> str:
    """A day → `09.11.2026`."""
    return f"{day.day:02d}.{day.month:02d}.{day.year:04d}"


def from_dotted_minute(text: object) -> datetime:
    """`09.11.2026 12:05` in Moscow → aware UTC (created_at, updated_at, deleted_at).

    An hour that Moscow lived through twice (autumns until 2014) is taken as the first of the two.
    """
    day, month, year, hour, minute = _numbers(_DOTTED_MINUTE, text, "dd.MM.yyyy HH:mm")
    return _moment(_day(year, month, day), hour, minute, 0)


def to_dotted_minute(moment: datetime) -> str:
    """An aware moment → `09.11.2026 12:05` in Moscow, cut to the minute."""
    local = _aware(moment).astimezone(MOSCOW)
    return f"{to_dotted(local.date())} {local.hour:02d}:{local.minute:02d}"


def from_dashed(text: object) -> date:
    """`2026-11-09` → a day (plan queries, academic years)."""
    year, month, day = _numbers(_DASHED, text, "yyyy-MM-dd")
    return _day(year, month, day)


def to_dashed(day: date) -> str:
    """A day → `2026-11-09`."""
    return f"{day.year:04d}-{day.month:02d}-{day.day:02d}"


def from_slashed(text: object) -> date:
    """`2026/11/09` → a day (queries of lesson_replacements, S1)."""
    year, month, day = _numbers(_SLASHED, text, "yyyy/MM/dd")
    return _day(year, month, day)


def to_slashed(day: date) -> str:
    """A day → `2026/11/09`."""
    return f"{day.year:04d}/{day.month:02d}/{day.day:02d}"


def from_triple(value: object) -> date:
    """`[2026, 11, 9]` → a day (timetable, lesson plans)."""
    numbers = _whole_numbers(value, "[y, m, d]")
    if len(numbers) != 3:
        raise FormError("expected [y, m, d]")
    return _day(*numbers)


def to_triple(day: date) -> list[int]:
    """A day → `[2026, 11, 9]`."""
    return [day.year, day.month, day.day]


def from_clock(value: object) -> tuple[int, int]:
    """`[8, 30]` or `[8, 30, 0]` → hour and minute in Moscow (timetable)."""
    numbers = _whole_numbers(value, "[h, m]")
    if len(numbers) < 2 or not (0 <= numbers[0] < 24 and 0 <= numbers[1] < 60):
        raise FormError("expected [h, m]")
    return numbers[0], numbers[1]


def to_clock(hour: int, minute: int) -> list[int]:
    """Hour and minute → `[8, 30]`."""
    return [hour, minute]


def to_moment(day: date, clock: tuple[int, int]) -> datetime:
    """A Moscow day with hour and minute → aware UTC."""
    return _moment(day, clock[0], clock[1], 0)


def from_stamp(text: object) -> datetime:
    """`2026-11-09T08:30:00.000` (Moscow) or `…Z` (UTC) → aware UTC; seconds are kept, fractions too."""
    found = _STAMP.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise FormError("expected yyyy-MM-ddTHH:mm:ss[.SSS][Z]")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction = int((found[7] or "").ljust(6, "0"))
    zone = UTC if found[8] else MOSCOW
    try:
        return datetime(year, month, day, hour, minute, second, fraction, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise FormError("no such moment") from None


def to_stamp(moment: datetime) -> str:
    """An aware moment → `2026-11-09T08:30:00.000` in Moscow, no zone written, cut to the millisecond."""
    local = _aware(moment).astimezone(MOSCOW)
    return f"{_clock_text(local)}.{local.microsecond // 1000:03d}"


def to_stamp_utc(moment: datetime) -> str:
    """An aware moment → `2026-11-09T05:30:00.000Z`, cut to the millisecond."""
    utc = _aware(moment).astimezone(UTC)
    return f"{_clock_text(utc)}.{utc.microsecond // 1000:03d}Z"


def stamp_day(text: object) -> date:
    """The Moscow day of a stamp: `…T22:30:00Z` is already the next day there."""
    return moscow_day(from_stamp(text))


def _clock_text(moment: datetime) -> str:
    return f"{to_dashed(moment.date())}T{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}"


def _numbers(form: re.Pattern[str], text: object, name: str) -> tuple[int, ...]:
    found = form.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise FormError(f"expected {name}")
    return tuple(int(part) for part in found.groups())


def _whole_numbers(value: object, name: str) -> list[int]:
    if not isinstance(value, list):
        raise FormError(f"expected {name}")
    numbers: list[int] = []
    for part in value:
        if isinstance(part, float) and part.is_integer():
            part = int(part)
        if isinstance(part, bool) or not isinstance(part, int):
            raise FormError(f"expected {name}")
        numbers.append(part)
    return numbers


def _day(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except (ValueError, OverflowError):
        raise FormError("no such day") from None


def _moment(day: date, hour: int, minute: int, second: int) -> datetime:
    try:
        return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=MOSCOW).astimezone(UTC)
    except (ValueError, OverflowError):
        raise FormError("no such moment") from None


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("moment must be aware")
    return moment
