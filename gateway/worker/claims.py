"""Claims of slots: which process begins what is due, decided in the store.

Stands between the pure decisions of `domain.slots` and the flows. A claim is one transaction: the place's turn is taken,
the schedule's `next_at` is moved where it is still the one that was seen, the slot's row and the run are written. So a
slot is begun once whatever the number of processes, and a process that dies in the middle has claimed nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from gateway.connectors.port import Want
from gateway.domain.calendar import SchoolCalendar
from gateway.domain.errors import ConfigurationError
from gateway.domain.slots import decide, may_begin, next_slot
from gateway.flows.calendar import load_calendar
from gateway.flows.gateway import Gateway
from gateway.flows.held import HELD
from gateway.flows.holder import describe_holder
from gateway.flows.runs import RunState, open_run
from gateway.flows.tables import schedule_slot, schedule_state
from gateway.flows.turns import ASKED, find_whole_run, store_wish, take_turn, to_want
from gateway.reconcile.tables import run
from gateway.settings import NamedSchedule
from gateway.telemetry import get_logger
from gateway.worker.wants import Mode, build_rule, build_want, describe_rule, is_of_expression, load_named

LOG = get_logger(__name__)
MAX_TRIES = 3
"""Runs of one slot: a slot that ends its process three times is left to the next one (a kill counts)."""
FAR_AHEAD = timedelta(days=1)
"""A clock that was wrong by so much has left slots of days that have not been; by less, what it has begun counts as begun."""
OWN = (HELD, ASKED)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A slot that this process has begun.

    Attributes:
        slot_at: The newest slot that it stands for, aware UTC.
        passed_count: Slots that melted into it, itself included.
        tries: Which run of this slot it is, from 1.
    """

    name: str
    slot_at: datetime
    passed_count: int
    tries: int
    run_id: int
    want: Want
    mode: Mode


def claim_next(gateway: Gateway, now: datetime) -> Claim | None:
    """Claim the next thing that is due; None = nothing, or it waits for a run that goes on.

    Args:
        gateway: The composed gateway.
        now: Aware UTC.
    """
    with gateway.store.read() as conn:
        is_worth_it = _is_anything_due(conn, gateway, now)
    if not is_worth_it:
        return None
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        take_turn(conn, gateway, place_id, now)
        adjust_states(conn, gateway, place_id, now)
        claim = _claim_retry(conn, gateway, place_id, now) or _claim_due(conn, gateway, place_id, now)
    if claim is not None:
        LOG.info("run.started", run_id=claim.run_id, form="schedule")
        LOG.info("schedule.slot_claimed", run_id=claim.run_id, reason=claim.name, number=claim.tries)
    return claim


def adjust_states(conn: Connection, gateway: Gateway, place_id: int, now: datetime) -> None:
    """Give each schedule of the settings its row: a new or changed one waits for its next slot from now.

    A slot that is due already outlives another edition of the calendar: nobody asked for the run to be left out. One that
    was worked out while the clock was far ahead is worked out anew.
    """
    calendar = load_calendar(gateway, conn)
    named = load_named(gateway.settings)
    stored = {row.name: row for row in load_states(conn, place_id)}
    for name, schedule in named.items():
        rule = describe_rule(schedule, calendar)
        row = stored.get(name)
        if row is not None and row.rule == rule:
            earlier = _find_earlier(schedule, calendar, row, now)
            if earlier is not None:
                conn.execute(update(schedule_state).where(_key(place_id, name)).values(next_at=earlier, passed_count=0))
                LOG.warning("schedule.clock_was_ahead", stage=name)
            continue
        if row is not None and row.next_at is not None and row.next_at <= now and is_of_expression(row.rule, schedule):
            conn.execute(update(schedule_state).where(_key(place_id, name)).values(rule=rule))
            continue
        values = {"rule": rule, "next_at": next_slot(build_rule(schedule), calendar, now), "passed_count": 0}
        if row is not None:
            conn.execute(update(schedule_state).where(_key(place_id, name)).values(**values))
        else:
            conn.execute(insert(schedule_state).values(place_id=place_id, name=name, want=None, **values))
    gone = sorted(set(stored) - set(named) - set(OWN))
    conn.execute(delete(schedule_state).where(schedule_state.c.place_id == place_id, schedule_state.c.name.in_(gone)))


def _find_earlier(schedule: NamedSchedule, calendar: SchoolCalendar, row: Row[Any], now: datetime) -> datetime | None:
    """The next slot from now, where the one that is waited for is a later one; None where all is well."""
    if row.next_at is None or row.next_at - now <= FAR_AHEAD:
        return None
    found = next_slot(build_rule(schedule), calendar, now)
    return found if found is not None and found < row.next_at else None


def _is_anything_due(conn: Connection, gateway: Gateway, now: datetime) -> bool:
    """A cheap look without a lock: what it misses is found at the next one."""
    place_id = gateway.place_id(conn)
    calendar = load_calendar(gateway, conn)
    named = load_named(gateway.settings)
    wanted = {name: describe_rule(one, calendar) for name, one in named.items()}
    states = load_states(conn, place_id)
    if {row.name: row.rule for row in states if row.name not in OWN} != wanted:
        return True
    if any(row.next_at is not None and row.next_at <= now for row in states):
        return True
    if any(_find_earlier(named[row.name], calendar, row, now) is not None for row in states if row.name in named):
        return True
    retry = select(schedule_slot.c.name).where(schedule_slot.c.place_id == place_id, schedule_slot.c.retry_at <= now)
    running = select(run.c.id).where(run.c.place_id == place_id, run.c.state == RunState.RUNNING.value)
    return any(conn.execute(query.limit(1)).one_or_none() is not None for query in (retry, running))


def load_states(conn: Connection, place_id: int) -> list[Row[Any]]:
    """Load what each schedule waits for, the earliest first."""
    return list(
        conn.execute(
            select(schedule_state)
            .where(schedule_state.c.place_id == place_id)
            .order_by(schedule_state.c.next_at, schedule_state.c.name)
        )
    )


def _claim_due(conn: Connection, gateway: Gateway, place_id: int, now: datetime) -> Claim | None:
    for row in load_states(conn, place_id):
        if row.next_at is None or row.next_at > now:
            continue
        due = _find_due(conn, gateway, place_id, row, now)
        if due is None or _is_busy(conn, place_id, due.want):
            continue
        moved = conn.execute(
            update(schedule_state)
            .where(_key(place_id, row.name), schedule_state.c.next_at == row.next_at)
            .values(next_at=due.next_at, passed_count=0, want=None)
        )
        if moved.rowcount == 1:
            return _begin(conn, gateway, place_id, row.name, due)
    return None


class _Due(msgspec.Struct, frozen=True, kw_only=True):
    slot_at: datetime
    passed_count: int
    next_at: datetime | None
    want: Want
    mode: Mode


def _find_due(conn: Connection, gateway: Gateway, place_id: int, row: Row[Any], now: datetime) -> _Due | None:
    calendar = load_calendar(gateway, conn)
    if row.name in OWN:
        return _find_own_due(conn, gateway, place_id, row, calendar, now)
    schedule = load_named(gateway.settings)[row.name]
    rule = build_rule(schedule)
    decision = decide(rule, calendar, next_at=row.next_at, now=now)
    passed = row.passed_count + decision.passed_count
    want: Want | None = None
    try:
        want = build_want(schedule, calendar, now)
    except ConfigurationError as error:
        # One schedule's wrong class must not keep the others waiting; it is told at each slot and by `schedule list`.
        LOG.warning("schedule.slot_refused", reason=error.reason_code, stage=row.name)
    was_begun = conn.execute(
        select(schedule_slot.c.run_id).where(
            schedule_slot.c.place_id == place_id,
            schedule_slot.c.name == row.name,
            schedule_slot.c.slot_at >= decision.slot_at,
            # not one of a clock that was far ahead
            schedule_slot.c.slot_at < (decision.slot_at or now) + FAR_AHEAD,
        )
    ).first()
    if decision.slot_at is None or want is None or decision.verdict != "begin" or was_begun is not None:
        conn.execute(
            update(schedule_state)
            .where(_key(place_id, row.name), schedule_state.c.next_at == row.next_at)
            .values(next_at=decision.next_at, passed_count=passed)
        )
        LOG.info("schedule.slot_skipped", stage=row.name, slot_count=passed)
        return None
    return _Due(slot_at=decision.slot_at, passed_count=passed, next_at=decision.next_at, want=want, mode=schedule.mode)


def _find_own_due(
    conn: Connection, gateway: Gateway, place_id: int, row: Row[Any], calendar: SchoolCalendar, now: datetime
) -> _Due | None:
    """What was asked for goes at once; what is held goes on no silent day, and only where something goes by itself."""
    want = to_want(row.want)
    if row.name == HELD:
        is_off = not load_named(gateway.settings)
        if is_off or calendar.is_silent(calendar.local(now).date()):
            later = calendar.next_working_hour(now, gateway.settings.school.held_until_hour)
            store_wish(conn, place_id, HELD, next_at=later, want=want, mode=row.rule)
            return None
    slot_at = _after_last(conn, place_id, row.name, row.next_at)
    return _Due(slot_at=slot_at, passed_count=1, next_at=None, want=want, mode=_mode(row.rule))


def _after_last(conn: Connection, place_id: int, name: str, slot_at: datetime) -> datetime:
    """The moment under which a wish is begun: a clock that was set back comes to one that stands as a slot already."""
    begun_at: datetime | None = conn.execute(
        select(func.max(schedule_slot.c.slot_at, type_=schedule_slot.c.slot_at.type)).where(
            schedule_slot.c.place_id == place_id, schedule_slot.c.name == name
        )
    ).scalar_one()
    return slot_at if begun_at is None or begun_at < slot_at else begun_at + timedelta(seconds=1)


def _claim_retry(conn: Connection, gateway: Gateway, place_id: int, now: datetime) -> Claim | None:
    """Begin a slot again whose run died or met a portal that was down; a newer slot of the same name takes its place."""
    calendar = load_calendar(gateway, conn)
    named = load_named(gateway.settings)
    for row in conn.execute(
        select(schedule_slot)
        .where(schedule_slot.c.place_id == place_id, schedule_slot.c.retry_at <= now)
        .order_by(schedule_slot.c.retry_at, schedule_slot.c.name)
    ).all():
        newer = conn.execute(
            select(schedule_slot.c.run_id).where(
                schedule_slot.c.place_id == place_id,
                schedule_slot.c.name == row.name,
                schedule_slot.c.slot_at > row.slot_at,
            )
        ).first()
        is_wanted = row.name in OWN or (row.name in named and may_begin(build_rule(named[row.name]), calendar, now))
        key = (_slot_key(place_id, row.name, row.slot_at), schedule_slot.c.tries == row.tries)
        if newer is not None or row.tries >= MAX_TRIES or not is_wanted:
            conn.execute(update(schedule_slot).where(*key).values(retry_at=None))
            LOG.warning("schedule.slot_given_up", run_id=row.run_id, stage=row.name, number=row.tries)
            continue
        stored = conn.execute(select(run.c.want).where(run.c.id == row.run_id)).scalar_one()
        want = to_want(stored)
        if _is_busy(conn, place_id, want):
            continue
        run_id = open_run(conn, gateway, "schedule", want)
        conn.execute(
            update(schedule_slot)
            .where(*key)
            .values(tries=row.tries + 1, retry_at=None, run_id=run_id, claimed_at=now, holder=describe_holder())
        )
        return Claim(
            name=row.name,
            slot_at=row.slot_at,
            passed_count=row.passed_count,
            tries=row.tries + 1,
            run_id=run_id,
            want=want,
            mode=_mode(row.mode),
        )
    return None


def begin_by_hand(gateway: Gateway, name: str) -> Claim | int:
    """Begin a schedule's run outside its slots; the number of the run that goes on where that is in the way.

    Raises:
        ConfigurationError: No such schedule, or a class in it that is none.
    """
    named = load_named(gateway.settings, with_off=True)
    if name not in named:
        raise ConfigurationError(f"Расписания с таким именем нет, есть: {', '.join(sorted(named))}")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        place_id = gateway.place_id(conn)
        want = build_want(named[name], load_calendar(gateway, conn), now)
        take_turn(conn, gateway, place_id, now)
        busy = None if want.is_narrow else find_whole_run(conn, place_id)
        if busy is not None:
            return busy
        mode: Mode = "observe" if named[name].mode == "off" else named[name].mode
        # no row of a slot: a run by hand stands beside the slots and is not begun again by itself
        run_id = open_run(conn, gateway, "schedule", want)
        return Claim(name=name, slot_at=now, passed_count=0, tries=MAX_TRIES, run_id=run_id, want=want, mode=mode)


def iter_last_slots(conn: Connection, place_id: int) -> Iterator[tuple[str, Row[Any]]]:
    """Yield each schedule's last slot with its run's state."""
    rows = conn.execute(
        select(schedule_slot, run.c.state.label("run_state"))
        .select_from(schedule_slot.outerjoin(run, run.c.id == schedule_slot.c.run_id))
        .where(schedule_slot.c.place_id == place_id)
        .order_by(schedule_slot.c.name, schedule_slot.c.slot_at)
    )
    yield from {row.name: row for row in rows}.items()


def _begin(conn: Connection, gateway: Gateway, place_id: int, name: str, due: _Due) -> Claim:
    run_id = open_run(conn, gateway, "schedule", due.want)
    conn.execute(
        insert(schedule_slot).values(
            place_id=place_id,
            name=name,
            slot_at=due.slot_at,
            claimed_at=gateway.store.now(conn),
            holder=describe_holder(),
            passed_count=due.passed_count,
            tries=1,
            mode=due.mode,
            run_id=run_id,
        )
    )
    return Claim(
        name=name,
        slot_at=due.slot_at,
        passed_count=due.passed_count,
        tries=1,
        run_id=run_id,
        want=due.want,
        mode=due.mode,
    )


def _is_busy(conn: Connection, place_id: int, want: Want) -> bool:
    """A whole run waits for the one that goes on and loses nothing by it: its slot stays due."""
    return not want.is_narrow and find_whole_run(conn, place_id) is not None


def _mode(stored: str) -> Mode:
    mode: Mode = msgspec.convert(stored, Mode)
    return mode


def _key(place_id: int, name: str) -> Any:
    return (schedule_state.c.place_id == place_id) & (schedule_state.c.name == name)


def _slot_key(place_id: int, name: str, slot_at: datetime) -> Any:
    return (
        (schedule_slot.c.place_id == place_id) & (schedule_slot.c.name == name) & (schedule_slot.c.slot_at == slot_at)
    )


__all__ = ["Claim", "adjust_states", "begin_by_hand", "claim_next", "iter_last_slots", "load_states"]
