"""Time as an argument: the clock that everything below the doors is given.

Days are Moscow's: a mark set at 22:30 UTC belongs to the next school day there. Moments are aware UTC everywhere.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

MOSCOW = ZoneInfo("Europe/Moscow")


class Clock(Protocol):
    """What tells the time and lets it pass."""

    def now(self) -> datetime:
        """Return the aware UTC moment."""
        ...

    def wait(self, seconds: float) -> None:
        """Let that much time pass."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class ShiftedClock:
    """A real clock that starts at another moment and goes on at the real pace.

    The demo plays a recording of a past day: the city refuses lessons in the future, so both sides must believe it is that day.
    """

    def __init__(self, start_at: datetime) -> None:
        self._shift = start_at - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._shift

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class VirtualClock:
    """A clock that moves only when told; waiting moves it. For tests and simulation."""

    def __init__(self, start_at: datetime) -> None:
        if start_at.tzinfo is None:
            raise ValueError("start_at must be aware")
        self._now = start_at.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def wait(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move forward by that many seconds."""
        with self._lock:
            self._now += timedelta(seconds=max(0.0, seconds))


def moscow_day(moment: datetime) -> date:
    """The civil day in Moscow on which an aware moment falls.

    Raises:
        ValueError: `moment` is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("moment must be aware")
    return moment.astimezone(MOSCOW).date()


def school_year(day: date) -> str:
    """Name the school year of a day: 2026-09-01 … 2027-08-31 is «2026/27».

    Source: city-journal.md R23 (boundary 01.09–31.08).
    """
    first = day.year if day.month >= 9 else day.year - 1
    return f"{first}/{(first + 1) % 100:02d}"
