"""Turns: one run of the whole school at a time, whoever starts it and wherever.

Stands before `sync` and the scheduler. A narrow run (a class, a pupil) may go on beside a whole one, because operations
on one object coalesce; a second whole run may not. A run whose process is gone, or that gave no sign of life for longer
than its lease, is ended here with its sentence, so that nothing waits for the dead.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, or_, select, update

from gateway.connectors.port import Want
from gateway.domain.errors import AlreadyRunningError
from gateway.flows.gateway import Gateway, Progress
from gateway.flows.holder import is_gone
from gateway.flows.runs import RunState, close_run, open_run
from gateway.flows.tables import schedule_state
from gateway.mapping.tables import place
from gateway.reconcile.plan import PlanState
from gateway.reconcile.tables import plan, run
from gateway.store.transaction import upsert
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
TURN_FORMS = ("sync", "plan", "schedule")
"""Forms that read the city and make a plan of it: two of the whole school at once would retire each other's plans."""
BEATS_A_LEASE = 10
ASKED = "asked"
"""Name under which a run that was asked for beside a running one waits for its end."""
_BATCH_COUNT = 500
"""Operations that one run may wait for without a sign of life (`flows.deliver` rings so many at once)."""


def begin_run(gateway: Gateway, form: str, want: Want) -> int:
    """Begin a run where its turn is free.

    Args:
        gateway: The composed gateway.
        form: sync, plan.
        want: What it asks for.

    Raises:
        AlreadyRunningError: A whole run goes on, and this would be another; names it.
    """
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        place_id = gateway.place_id(conn)
        take_turn(conn, gateway, place_id, now)
        busy = None if want.is_narrow else find_whole_run(conn, place_id)
        if busy is None:
            run_id = open_run(conn, gateway, form, want)
    # outside, because the ends of dead runs above are true in any case
    if busy is not None:
        raise AlreadyRunningError(busy)
    LOG.info("run.started", run_id=run_id, form=form)
    return run_id


def take_turn(conn: Connection, gateway: Gateway, place_id: int, now: datetime) -> None:
    """Let one transaction at a time look who runs at a place, and end the runs of the dead.

    On PostgreSQL the place's row is locked until the caller's end; on SQLite a write transaction is alone anyway.
    """
    conn.execute(select(place.c.id).where(place.c.id == place_id).with_for_update(key_share=True))
    end_dead_runs(conn, gateway, place_id, now)


def find_whole_run(conn: Connection, place_id: int) -> int | None:
    """Find the run of the whole school that goes on."""
    rows = conn.execute(
        select(run.c.id, run.c.want)
        .where(run.c.place_id == place_id, run.c.state == RunState.RUNNING.value, run.c.form.in_(TURN_FORMS))
        .order_by(run.c.id)
    )
    return next((row.id for row in rows if not to_want(row.want).is_narrow), None)


def end_dead_runs(conn: Connection, gateway: Gateway, place_id: int, now: datetime) -> list[int]:
    """End the runs whose process died, each with its sentence; a scheduled one's slot is due again at once.

    Returns:
        Their ids.
    """
    silent_since = now - run_lease(gateway)
    ended: list[int] = []
    for row in conn.execute(
        select(run.c.id, run.c.holder, run.c.heartbeat_at, run.c.started_at, run.c.counters, run.c.problems).where(
            run.c.place_id == place_id, run.c.state == RunState.RUNNING.value
        )
    ).all():
        seen_at = row.heartbeat_at or row.started_at
        if seen_at >= silent_since and not is_gone(row.holder):
            continue
        close_run(
            conn,
            gateway,
            row.id,
            RunState.INTERRUPTED,
            counters=row.counters,
            problems=row.problems,
            sentence=f"Прерван: процесс запуска исчез, последний знак {gateway.local(seen_at):%d.%m.%Y %H:%M:%S}; "
            "сделанное сохранено, остальное продолжит следующий запуск",
            due_again_at=now,
        )
        LOG.warning("run.interrupted", run_id=row.id)
        ended.append(row.id)
    return ended


def run_lease(gateway: Gateway) -> timedelta:
    """How long a living run may be silent: the setting, and never less than twice its longest silence.

    That is one wait for an unknown outcome, or one batch of operations at the city's pace, whichever is longer.
    """
    settings = gateway.settings
    wait_s = 2 * (gateway.terms.settle_s + gateway.terms.deadline_s) + 60.0
    batch_s = _BATCH_COUNT / settings.mesh.rate_per_s
    return timedelta(seconds=max(settings.schedule.run_lease_s, 2 * wait_s, 2 * batch_s))


class Beating:
    """Progress that also writes the run's sign of life, at most ten times a lease."""

    def __init__(self, gateway: Gateway, run_id: int) -> None:
        self._gateway = gateway
        self._run_id = run_id
        self._watched: Progress = gateway.progress
        self._every = run_lease(gateway) / BEATS_A_LEASE
        self._beat_at = gateway.clock.now()

    def __call__(self, stage: str, done: int, total: int | None = None) -> None:
        """Tell the watcher, and the store where the last sign is old."""
        self._watched(stage, done, total)
        now = self._gateway.clock.now()
        if now - self._beat_at < self._every:
            return
        self._beat_at = now
        with self._gateway.store.write() as conn:
            conn.execute(update(run).where(run.c.id == self._run_id).values(heartbeat_at=self._gateway.store.now(conn)))


def ask_run(gateway: Gateway, want: Want) -> None:
    """Ask for a run after the one that goes on; what was asked before melts into it."""
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        place_id = gateway.place_id(conn)
        take_turn(conn, gateway, place_id, now)
        key = (schedule_state.c.place_id == place_id, schedule_state.c.name == ASKED)
        stored = conn.execute(select(schedule_state.c.want).where(*key)).scalar_one_or_none()
        merged = want if stored is None else merge_wants(to_want(stored), want)
        store_wish(conn, place_id, ASKED, next_at=now, want=merged, mode="automatic")


def store_wish(
    conn: Connection, place_id: int, name: str, *, next_at: datetime | None, want: Want | None, mode: str
) -> None:
    """Write what one of the scheduler's own two (`held`, `asked`) waits for; None = nothing."""
    row = {
        "place_id": place_id,
        "name": name,
        "rule": mode,
        "next_at": next_at,
        "passed_count": 0,
        "want": None if want is None else msgspec.to_builtins(want),
    }
    upsert(conn, schedule_state, [row], keys=("place_id", "name"), update=("rule", "next_at", "want"))


def forget_asked(gateway: Gateway, run_id: int) -> None:
    """A run that came to its end answers what was asked for before it began, where it looked at all of that."""
    with gateway.store.write() as conn:
        key = (schedule_state.c.place_id == gateway.place_id(conn), schedule_state.c.name == ASKED)
        asked = conn.execute(select(schedule_state).where(*key, schedule_state.c.next_at.is_not(None))).one_or_none()
        if asked is None:
            return
        ended = conn.execute(select(run.c.want, run.c.started_at).where(run.c.id == run_id)).one()
        if asked.next_at <= ended.started_at and to_want(ended.want).covers(to_want(asked.want)):
            conn.execute(update(schedule_state).where(*key).values(next_at=None, want=None))


def merge_wants(one: Want, other: Want) -> Want:
    """The smallest want that covers both."""

    def joined(mine: frozenset[str], theirs: frozenset[str]) -> frozenset[str]:
        # empty means everything
        return mine | theirs if mine and theirs else frozenset()

    return Want(
        kinds=one.kinds | other.kinds,
        class_names=joined(one.class_names, other.class_names),
        subjects=joined(one.subjects, other.subjects),
        pupils=joined(one.pupils, other.pupils),
        from_on=min(one.from_on, other.from_on),
        to_on=max(one.to_on, other.to_on),
    )


def find_kept_plans(conn: Connection, place_id: int, want: Want) -> list[int]:
    """Find open plans that a new one of this want does not replace.

    It looked at less than they, or their run goes on and is about to let them out. Both may be open at once: each item
    is checked against the ground when it is let out and once more before the call.
    """
    rows = conn.execute(
        select(plan.c.id, run.c.want, run.c.state)
        .select_from(plan.join(run, run.c.id == plan.c.run_id))
        .where(
            plan.c.place_id == place_id,
            or_(plan.c.state.in_((PlanState.READY, PlanState.WAITING)), run.c.state == RunState.RUNNING.value),
        )
    )
    return [row.id for row in rows if row.state == RunState.RUNNING.value or not want.covers(to_want(row.want))]


def to_want(stored: object) -> Want:
    """A want as a run's row keeps it."""
    return msgspec.convert(stored, Want)


__all__ = [
    "ASKED",
    "Beating",
    "ask_run",
    "begin_run",
    "end_dead_runs",
    "find_kept_plans",
    "find_whole_run",
    "forget_asked",
    "merge_wants",
    "run_lease",
    "store_wish",
    "take_turn",
    "to_want",
]
