"""The school's calendar: its zone, its working days, its holidays and the days on which nothing begins by itself.

Pure. Days are civil days of the school's zone; moments are aware UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from gateway.domain.errors import ConfigurationError

_FAR_DAYS = 400
"""A school year and a bit: a calendar without a working day in it is a mistake."""


class DayRange(msgspec.Struct, frozen=True):
    """Days from the first to the last, both of them included."""

    from_on: date
    to_on: date

    def holds(self, day: date) -> bool:
        """Whether a day lies in it."""
        return self.from_on <= day <= self.to_on


class SchoolCalendar(msgspec.Struct, frozen=True, kw_only=True):
    """What days the school has.

    Attributes:
        zone: IANA name of the school's zone.
        weekdays: ISO numbers of working days, Monday is 1.
        holidays: Days without school.
        silent: Days on which no schedule begins anything.
        extra: Working days that were moved onto a day off.
    """

    zone: str
    weekdays: frozenset[int]
    holidays: tuple[DayRange, ...] = ()
    silent: tuple[DayRange, ...] = ()
    extra: frozenset[date] = frozenset()

    def local(self, moment: datetime) -> datetime:
        """The moment as the school's clock on the wall shows it.

        Raises:
            ValueError: `moment` is naive.
        """
        if moment.tzinfo is None:
            raise ValueError("moment must be aware")
        return moment.astimezone(ZoneInfo(self.zone))

    def is_school_day(self, day: date) -> bool:
        """Whether the school works that day."""
        if day in self.extra:
            return True
        return day.isoweekday() in self.weekdays and not any(one.holds(day) for one in self.holidays)

    def is_silent(self, day: date) -> bool:
        """Whether nothing begins by itself that day."""
        return any(one.holds(day) for one in self.silent)

    def next_working_hour(self, after: datetime, hour: int) -> datetime:
        """The first moment after another at which a working day reaches an hour: from the night it is the same day's noon.

        Args:
            after: Aware moment.
            hour: Full hour of the school's clock, 0–23.

        Returns:
            Aware UTC.

        Raises:
            ConfigurationError: No working day within 400 days.
        """
        first = self.local(after).date()
        for number in range(_FAR_DAYS):
            day = first + timedelta(days=number)
            moment = datetime.combine(day, time(hour), ZoneInfo(self.zone)).astimezone(UTC)
            if self.is_school_day(day) and not self.is_silent(day) and moment > after:
                return moment
        raise ConfigurationError("school.weekdays, school.holidays: за год нет ни одного рабочего дня")
