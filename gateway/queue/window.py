"""Whether the period of a day still takes writes, asked at the last moment before a call.

A plan is let out while a period is open and may be sent after its last day: a night's retries cross midnight, an
approval comes next morning. The city may not refuse at all (R14), so that our own lock has to stand here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import msgspec
from sqlalchemy import Connection, bindparam, select

from gateway.domain.city import CityPeriod, Intent, TopicsIntent, day_of_intent
from gateway.domain.reasons import WINDOW_CLOSED, WINDOW_EDIT_OVER
from gateway.mapping.lessons import Timetable
from gateway.reconcile.tables import city_directory


class _Group(msgspec.Struct):
    id: int
    schedule_id: int | None


class _Directory(msgspec.Struct):
    """The two parts of the stored directory that are needed; the rest is skipped while it is decoded."""

    groups: list[_Group]
    periods: tuple[CityPeriod, ...]


class Periods(msgspec.Struct, frozen=True):
    """The periods of every group as the directory was last read; empty where it never was."""

    by_group: Mapping[int, Timetable]

    def find_closed(self, intent: Intent, today: date) -> str | None:
        """Say why an intent's day takes no writes any more; None where it does, or where no period is known.

        Args:
            intent: What is to be sent.
            today: Moscow day.

        Returns:
            `WINDOW_CLOSED` or `WINDOW_EDIT_OVER`.
        """
        if isinstance(intent, TopicsIntent):
            return None  # a plan of the whole year is of no period
        day = day_of_intent(intent)
        timetable = self.by_group.get(intent.group_id)
        period = timetable.find_period(day) if timetable is not None else None
        if period is None:
            return None
        if period.is_closed:
            return WINDOW_CLOSED
        return WINDOW_EDIT_OVER if period.edit_until_on is not None and today > period.edit_until_on else None


# built once: it is asked before every batch
_READ_AT = select(city_directory.c.read_at).where(city_directory.c.place_id == bindparam("place_id"))


class Windows:
    """The periods of a place, kept until its directory is read again."""

    def __init__(self) -> None:
        self._kept: tuple[int, datetime, Periods] | None = None

    def load(self, conn: Connection, place_id: int) -> Periods:
        """Load the periods in the transaction that marks operations as sent."""
        read_at = conn.execute(_READ_AT, {"place_id": place_id}).scalar_one_or_none()
        if read_at is None:
            return Periods({})
        kept = self._kept
        if kept is None or kept[:2] != (place_id, read_at):
            body = conn.execute(select(city_directory.c.body).where(city_directory.c.place_id == place_id)).scalar_one()
            kept = (place_id, read_at, Periods(_by_group(msgspec.json.decode(body, type=_Directory))))
            self._kept = kept
        return kept[2]


def _by_group(directory: _Directory) -> Mapping[int, Timetable]:
    """Give every group the periods of its own schedule, all where it points to none (R13)."""
    schedules: dict[int | None, Timetable] = {None: Timetable((), directory.periods)}
    for period in directory.periods:
        if period.schedule_id not in schedules:
            own = [one for one in directory.periods if one.schedule_id == period.schedule_id]
            schedules[period.schedule_id] = Timetable((), own)
    nothing = Timetable((), ())
    return {group.id: schedules.get(group.schedule_id, nothing) for group in directory.groups}


__all__ = ["Periods", "Windows"]
