"""Moodle's moments: Unix seconds in UTC, where 0 and null both mean «not set»."""

from __future__ import annotations

from datetime import UTC, date, datetime

from gateway.domain.clock import MOSCOW, moscow_day

_END_OF_DAYS = 7_258_118_400
"""2200-01-01: later moments leave what days can be counted by; a milliseconds' number is among them."""


def from_unix(seconds: int | None) -> datetime | None:
    """Aware UTC moment, or None where nothing is set, or nothing that any school lives to see."""
    return datetime.fromtimestamp(seconds, UTC) if seconds and abs(seconds) < _END_OF_DAYS else None


def day_of(seconds: int | None) -> date | None:
    """Moscow day, or None where nothing is set."""
    moment = from_unix(seconds)
    return moscow_day(moment) if moment is not None else None


def year_bounds(day: date) -> tuple[datetime, datetime]:
    """First moment of the school year of that Moscow day and first moment of the next one.

    Source: city-journal.md R23 (boundary 01.09-31.08).
    """
    first = day.year if day.month >= 9 else day.year - 1
    return datetime(first, 9, 1, tzinfo=MOSCOW), datetime(first + 1, 9, 1, tzinfo=MOSCOW)
