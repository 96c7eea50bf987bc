"""When a schedule is due: slots of a cron expression, and what becomes of those that nobody began in time.

Pure. A slot is a moment at which a schedule asks for one run. Slots that were missed melt into one run; a slot that may
not begin when it is found (silent days, outside its hours) melts into the next one, because a run reads everything anew.

Source: cronsim's rule is Debian cron's: a fixed hour comes once on the day it repeats and once on the day it is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from heapq import merge
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from gateway.domain.calendar import SchoolCalendar

ON_TIME = timedelta(minutes=15)
"""A slot found so late is judged by its own moment: a busy machine must not push 18:00 out of a window that ends at 18:00."""
_COUNTED = timedelta(days=35)
"""Missed slots are counted this far back; a longer sleep only gets a smaller number."""
_FAR = timedelta(days=800)
"""An expression without a slot for so long (29 February on a Monday) is answered by «never»."""
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Hours(msgspec.Struct, frozen=True):
    """Hours of the day in which something may begin, both ends included; over midnight when the end is the earlier."""

    begins_at: time
    ends_at: time

    def hold(self, at: time) -> bool:
        """Whether a time of the day lies in them."""
        if self.begins_at <= self.ends_at:
            return self.begins_at <= at <= self.ends_at
        return at >= self.begins_at or at <= self.ends_at


class SlotRule(msgspec.Struct, frozen=True, kw_only=True):
    """Which slots a schedule has."""

    crons: tuple[str, ...]
    hours: Hours | None = None
    school_days_only: bool = False


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do about a schedule now.

    Attributes:
        verdict: `wait` until `next_at`; `begin` a run for `slot_at`; `skip` what is due, it goes into the next slot.
        slot_at: The newest slot that is due, aware UTC.
        passed_count: Slots that are due, the newest included.
        next_at: The slot after now; None = never.
    """

    verdict: Literal["wait", "begin", "skip"]
    next_at: datetime | None
    slot_at: datetime | None = None
    passed_count: int = 0


def check_cron(cron: str) -> None:
    """Refuse what is no cron expression of five fields.

    Raises:
        ValueError: It is not.
    """
    # A sixth field would be seconds: nothing here is that urgent, and a slot every second would never be let to finish.
    if len(cron.split()) != 5:
        raise ValueError("cron has five fields: minute hour day month weekday")
    try:
        CronSim(cron, datetime(2026, 9, 1, tzinfo=UTC))
    except CronSimError as exc:
        raise ValueError(f"cron is not understood: {exc}") from exc


def parse_hours(text: str) -> Hours | None:
    """Read `08:00-20:00`; empty = any hour.

    Raises:
        ValueError: Something else.
    """
    if not text:
        return None
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError("a window is HH:MM-HH:MM")
    first, second, third, fourth = (int(part) for part in found.groups())
    return Hours(time(first, second), time(third, fourth))


def iter_slots(rule: SlotRule, calendar: SchoolCalendar, after: datetime) -> Iterator[datetime]:
    """Yield the slots after a moment, each once and in order, aware UTC.

    Args:
        rule: The expression and its limits.
        calendar: The school's zone and days; silent days have no slots.
        after: Aware moment; a slot at exactly this moment is not yielded.
    """
    last = after
    limit = after + _FAR
    start = after.astimezone(ZoneInfo(calendar.zone))
    for local in merge(*(CronSim(cron, start) for cron in rule.crons), key=_instant):
        moment = _instant(local)
        if moment > limit:
            return
        # In a repeated hour the expression is asked by the clock on the wall and answers with its first pass again.
        if moment <= last:
            continue
        if may_begin(rule, calendar, moment):
            last = moment
            yield moment


def next_slot(rule: SlotRule, calendar: SchoolCalendar, after: datetime) -> datetime | None:
    """The first slot after a moment; None = never."""
    return next(iter_slots(rule, calendar, after), None)


def decide(rule: SlotRule, calendar: SchoolCalendar, *, next_at: datetime | None, now: datetime) -> Decision:
    """Decide what is to be done about a schedule.

    Args:
        rule: Its expression and limits.
        calendar: The school's days.
        next_at: The slot it waits for, as stored; None = none.
        now: Aware UTC.
    """
    if next_at is None or now < next_at:
        return Decision(verdict="wait", next_at=next_at)
    slot_at, passed = next_at, 1
    for moment in iter_slots(rule, calendar, max(next_at, now - _COUNTED)):
        if moment > now:
            break
        slot_at, passed = moment, passed + 1
    judged_at = slot_at if now - slot_at <= ON_TIME else now
    return Decision(
        verdict="begin" if may_begin(rule, calendar, judged_at) else "skip",
        slot_at=slot_at,
        passed_count=passed,
        next_at=next_slot(rule, calendar, now),
    )


def _instant(local: datetime) -> datetime:
    """In one zone Python compares the clocks on the wall, which go back once a year."""
    return local.astimezone(UTC)


def may_begin(rule: SlotRule, calendar: SchoolCalendar, moment: datetime) -> bool:
    """Whether a schedule may begin a run at a moment: no silent day, a working day where it asks for one, in its hours."""
    local = calendar.local(moment)
    if calendar.is_silent(local.date()) or (rule.school_days_only and not calendar.is_school_day(local.date())):
        return False
    return rule.hours is None or rule.hours.hold(local.time())
