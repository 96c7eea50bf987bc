"""Schedules as they stand: when each runs next, how its newest slot ended, and the next slots of all of them in order."""

from __future__ import annotations

from datetime import datetime
from heapq import merge
from itertools import islice

import msgspec

from gateway.domain.errors import ConfigurationError
from gateway.domain.slots import iter_slots
from gateway.flows.calendar import load_calendar
from gateway.flows.gateway import Gateway
from gateway.flows.held import HELD
from gateway.flows.turns import ASKED
from gateway.worker.claims import adjust_states, iter_last_slots, load_states
from gateway.worker.wants import build_rule, build_want, load_named


class ScheduleLine(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule as it stands.

    Attributes:
        next_at: Aware UTC; None = never, or off.
        last_slot_at: Its newest slot that was begun; with the run, how it ended and how many slots melted into it.
        problem: Why it can't run as it is written.
    """

    name: str
    cron: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    window: str = ""
    school_days_only: bool = False
    mode: str = ""
    next_at: datetime | None = None
    last_slot_at: datetime | None = None
    last_run: int | None = None
    last_state: str | None = None
    last_passed_count: int | None = None
    problem: str | None = None


class NextSlot(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule's turn to come; aware UTC."""

    at: datetime
    name: str


def build_lines(gateway: Gateway) -> list[ScheduleLine]:
    """The schedules of the settings, then the scheduler's own two where they wait for something."""
    calendar = load_calendar(gateway)
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        place_id = gateway.place_id(conn)
        adjust_states(conn, gateway, place_id, now)
        states = {row.name: row for row in load_states(conn, place_id)}
        last = dict(iter_last_slots(conn, place_id))
    lines: list[ScheduleLine] = []
    for name, schedule in load_named(gateway.settings, with_off=True).items():
        problem = None
        try:
            build_want(schedule, calendar, now)
        except ConfigurationError as error:
            problem = error.sentence
        lines.append(
            ScheduleLine(
                name=name,
                cron=schedule.cron,
                kinds=schedule.kinds,
                classes=schedule.classes,
                window=schedule.window,
                school_days_only=schedule.school_days_only,
                mode=schedule.mode,
                next_at=states[name].next_at if name in states else None,
                problem=problem,
            )
        )
    own = [states[name] for name in (HELD, ASKED) if name in states]
    lines += [ScheduleLine(name=row.name, mode=row.rule, next_at=row.next_at) for row in own if row.next_at is not None]
    return [
        msgspec.structs.replace(
            line,
            last_slot_at=last[line.name].slot_at,
            last_run=last[line.name].run_id,
            last_state=last[line.name].run_state,
            last_passed_count=last[line.name].passed_count,
        )
        if line.name in last
        else line
        for line in lines
    ]


def build_next(gateway: Gateway, *, count: int) -> list[NextSlot]:
    """The next slots of all schedules, silent days, school days and hours counted."""
    calendar = load_calendar(gateway)
    now = gateway.now()
    streams = [
        [(slot, name) for slot in islice(iter_slots(build_rule(one), calendar, now), count)]
        for name, one in load_named(gateway.settings).items()
    ]
    return [NextSlot(at=at, name=name) for at, name in islice(merge(*streams), count)]
