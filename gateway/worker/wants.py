"""What a named schedule of the settings asks for: its slots' rule, and a run's want on the day of the run.

Pure, but for the settings that are handed in.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from gateway.connectors.port import Want
from gateway.domain.calendar import SchoolCalendar
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import SENT_KINDS, Kind
from gateway.domain.slots import SlotRule, parse_hours
from gateway.flows.runs import year_bounds
from gateway.mapping.normalise import class_key
from gateway.settings import GatewaySettings, NamedSchedule

Mode = Literal["automatic", "approve", "observe", "off"]
_CONTEXT = frozenset(Kind) - {*SENT_KINDS, Kind.ATTEMPT}
"""Read in any case: a mark hangs on its people, groups and lessons. Attempts belong to marks alone."""


def load_named(settings: GatewaySettings, *, with_off: bool = False) -> dict[str, NamedSchedule]:
    """The schedules by name, in the order of their names; those that are off only where asked for."""
    named = sorted(settings.schedule.named.items())
    return {name: one for name, one in named if with_off or one.mode != "off"}


def build_rule(schedule: NamedSchedule) -> SlotRule:
    """Which slots it has."""
    return SlotRule(crons=schedule.cron, hours=parse_hours(schedule.window), school_days_only=schedule.school_days_only)


def describe_rule(schedule: NamedSchedule, calendar: SchoolCalendar) -> str:
    """Everything that its slots depend on, as one text: another text means that the next slot is worked out anew."""
    days = [
        f"{span.from_on}/{span.to_on}"
        for span in (*calendar.silent, *(calendar.holidays if schedule.school_days_only else ()))
    ]
    weekdays = "".join(str(day) for day in sorted(calendar.weekdays)) if schedule.school_days_only else "any"
    moved = [f"+{day}" for day in sorted(calendar.extra)] if schedule.school_days_only else []
    return "|".join([_describe_expression(schedule), calendar.zone, weekdays, *days, *moved])


def is_of_expression(rule: str, schedule: NamedSchedule) -> bool:
    """Whether a stored text is of these crons and hours, whatever it says of the calendar's days."""
    return rule.startswith(f"{_describe_expression(schedule)}|")


def _describe_expression(schedule: NamedSchedule) -> str:
    return "|".join([*schedule.cron, schedule.window])


def build_want(schedule: NamedSchedule, calendar: SchoolCalendar, now: datetime) -> Want:
    """What a run of it asks for.

    Args:
        schedule: The settings' table.
        calendar: The school's zone.
        now: Aware moment; its day counts as the day of the run to the end, also over midnight.

    Raises:
        ConfigurationError: A class that can't be read as one.
    """
    today = calendar.local(now).date()
    first, last = year_bounds(today)
    kinds = frozenset(Kind(kind) for kind in schedule.kinds) or frozenset(SENT_KINDS)
    classes = [class_key(name) for name in schedule.classes]
    names = frozenset(name for name in classes if name)
    if not all(classes):
        raise ConfigurationError("schedule: в classes класс вида 7А")
    return Want(
        kinds=_CONTEXT | kinds | ({Kind.ATTEMPT} if Kind.MARK in kinds else frozenset()),
        class_names=names,
        from_on=first if schedule.from_day is None else max(first, today + timedelta(days=schedule.from_day)),
        to_on=last if schedule.to_day is None else min(last, today + timedelta(days=schedule.to_day)),
    )
