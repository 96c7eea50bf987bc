"""The city's spelling of dates, ids and numbers, written apart from the connector's so that both can't be wrong together.

Inside the sandbox a day is an ISO text (`2026-11-09`) and a moment an ISO text in UTC; only here they take the mixed
forms of the wire (reference §1.3): `dd.MM.yyyy`, `dd.MM.yyyy HH:mm` in Moscow, `yyyy-MM-dd`, `yyyy/MM/dd`, `[y,m,d]`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

MOSCOW = ZoneInfo("Europe/Moscow")
_DOTTED = re.compile(r"(\d{2})\.(\d{2})\.(\d{4})")
_DASHED = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_SLASHED = re.compile(r"(\d{4})/(\d{2})/(\d{2})")
_DOTTED_MINUTE = re.compile(r"(\d{2})\.(\d{2})\.(\d{4}) (\d{2}):(\d{2})")


def to_dotted(day: str | None) -> str | None:
    """`2026-11-09` → `09.11.2026` (core dates, B S9 S14)."""
    return None if day is None else date.fromisoformat(day).strftime("%d.%m.%Y")


def to_dotted_minute(moment: str | None) -> str | None:
    """An ISO moment → `09.11.2026 12:05` in Moscow, cut to the minute (B S9 S14)."""
    if moment is None:
        return None
    return datetime.fromisoformat(moment).astimezone(MOSCOW).strftime("%d.%m.%Y %H:%M")


def to_triple(day: str | None) -> list[int] | None:
    """`2026-11-09` → `[2026, 11, 9]` (plan dates, B S14)."""
    if day is None:
        return None
    parsed = date.fromisoformat(day)
    return [parsed.year, parsed.month, parsed.day]


def to_clock_pair(time: str) -> list[int]:
    """`08:30` → `[8, 30]`."""
    hour, minute = time.split(":")
    return [int(hour), int(minute)]


def to_zoneless_stamp(day: str, time: str) -> str:
    """`2026-11-09`, `08:30` → `2026-11-09T08:30:00.000`, Moscow, no zone written (B S1)."""
    return f"{day}T{time}:00.000"


def parse_dotted(text: Any) -> str:
    """`09.11.2026` → `2026-11-09`.

    Raises:
        ValueError: Any other form.
    """
    found = _DOTTED.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        msg = "ожидается дата дд.мм.гггг"
        raise ValueError(msg)
    return date(int(found[3]), int(found[2]), int(found[1])).isoformat()


def parse_dashed(text: str) -> str:
    """`2026-11-09` → the same day, checked.

    Raises:
        ValueError: Any other form.
    """
    found = _DASHED.fullmatch(text)
    if found is None:
        msg = "ожидается дата гггг-мм-дд"
        raise ValueError(msg)
    return date(int(found[1]), int(found[2]), int(found[3])).isoformat()


def parse_slashed(text: str) -> str:
    """`2026/11/09` → `2026-11-09` (lesson_replacements, B S1).

    Raises:
        ValueError: Any other form.
    """
    found = _SLASHED.fullmatch(text)
    if found is None:
        msg = "ожидается дата гггг/мм/дд"
        raise ValueError(msg)
    return date(int(found[1]), int(found[2]), int(found[3])).isoformat()


def parse_dotted_minute(text: Any) -> datetime:
    """`09.11.2026 12:05` in Moscow → aware UTC moment.

    Raises:
        ValueError: Any other form.
    """
    found = _DOTTED_MINUTE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        msg = "ожидается дд.мм.гггг чч:мм"
        raise ValueError(msg)
    day, month, year, hour, minute = (int(part) for part in found.groups())
    return datetime(year, month, day, hour, minute, tzinfo=MOSCOW).astimezone(UTC)


def parse_ids(text: str | None) -> set[int] | None:
    """`1,2,3` → {1, 2, 3}; None when the parameter is absent or empty.

    Raises:
        ValueError: Not a list of integers.
    """
    if not text:
        return None
    return {int(part) for part in text.split(",")}


def parse_flag(text: str | None) -> bool:
    """`true` → True; anything else, absence too, → False."""
    return text is not None and text.lower() in ("true", "1")


def to_moscow_day(moment: datetime) -> str:
    """The Moscow calendar day of an aware moment: 22:30Z is already the next day there."""
    return moment.astimezone(MOSCOW).date().isoformat()


def to_moscow_day_of(moment: str) -> str:
    """The same for a stored moment."""
    return to_moscow_day(datetime.fromisoformat(moment))
