"""Runs: one execution of a flow; its id is on every operation and audit entry."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, insert, select, update

from gateway.audit.deed import Deed
from gateway.connectors.port import Want
from gateway.domain.errors import ConfigurationError
from gateway.flows.gateway import Gateway
from gateway.flows.holder import describe_holder
from gateway.flows.tables import schedule_slot
from gateway.reconcile.plan import PLAN_STATE_NOW
from gateway.reconcile.tables import run
from gateway.telemetry import get_logger

LOG = get_logger(__name__)


class RunState(StrEnum):
    """How a run stands or ended."""

    RUNNING = "running"
    DONE = "done"
    REMARKS = "done_with_remarks"
    WAITING = "waiting_approval"
    PAUSED = "paused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run as people see it; `counters` as the flows filled them, `plan_state` is its plan's today."""

    id: int
    form: str
    state: str
    actor: str
    started_at: datetime
    finished_at: datetime | None
    counters: dict[str, object]
    problems: list[dict[str, object]]
    sentence: str | None
    heartbeat_at: datetime | None
    plan_state: str | None = None


def start_run(gateway: Gateway, form: str, want: Want) -> int:
    """Begin a run and write it down; several of these may go on at once (`turns.begin_run` lets only one whole run).

    Args:
        gateway: The composed gateway.
        form: pull, plan, sync, deliver, verify, schedule.
        want: What it asks for.
    """
    with gateway.store.write() as conn:
        run_id = open_run(conn, gateway, form, want)
    LOG.info("run.started", run_id=run_id, form=form)
    return run_id


def open_run(conn: Connection, gateway: Gateway, form: str, want: Want) -> int:
    """Write a new run in the caller's transaction."""
    now = gateway.store.now(conn)
    run_id: int = conn.execute(
        insert(run)
        .values(
            place_id=gateway.place_id(conn),
            form=form,
            state=RunState.RUNNING.value,
            actor=gateway.actor.name,
            want=msgspec.to_builtins(want),
            started_at=now,
            counters={},
            problems=[],
            holder=describe_holder(),
            heartbeat_at=now,
        )
        .returning(run.c.id)
    ).scalar_one()
    gateway.audit.append(
        conn,
        Deed(
            action="run.started",
            actor=gateway.actor,
            originator=gateway.originator,
            place=gateway.place,
            object_type="run",
            object_id=f"run:{run_id}",
            run_id=run_id,
            outcome="decided",
        ),
    )
    return run_id


def finish_run(
    gateway: Gateway,
    run_id: int,
    state: RunState,
    *,
    counters: dict[str, object],
    problems: list[dict[str, object]] | None = None,
    sentence: str | None = None,
    due_again_at: datetime | None = None,
) -> None:
    """End a run with what it counted and one sentence; `due_again_at` as for `close_run`."""
    with gateway.store.write() as conn:
        close_run(
            conn,
            gateway,
            run_id,
            state,
            counters=counters,
            problems=problems,
            sentence=sentence,
            due_again_at=due_again_at,
        )
    LOG.info("run.finished", run_id=run_id, state=state.value, problem_count=len(problems or ()))


def close_run(
    conn: Connection,
    gateway: Gateway,
    run_id: int,
    state: RunState,
    *,
    counters: dict[str, object],
    problems: list[dict[str, object]] | None = None,
    sentence: str | None = None,
    due_again_at: datetime | None = None,
) -> None:
    """End a run in the caller's transaction.

    Args:
        due_again_at: When the slot that it was begun for may be begun again. In the same transaction, because a slot whose
            run has ended is looked at by nobody.
    """
    if due_again_at is not None:
        conn.execute(update(schedule_slot).where(schedule_slot.c.run_id == run_id).values(retry_at=due_again_at))
    conn.execute(
        update(run)
        .where(run.c.id == run_id)
        .values(
            state=state.value,
            finished_at=gateway.store.now(conn),
            counters=counters,
            problems=problems or [],
            sentence=sentence,
        )
    )
    gateway.audit.append(
        conn,
        Deed(
            action="run.finished",
            actor=gateway.actor,
            originator=gateway.originator,
            place=gateway.place,
            object_type="run",
            object_id=f"run:{run_id}",
            run_id=run_id,
            outcome=state.value,
        ),
        is_run_end=True,
    )


def add_problem(gateway: Gateway, run_id: int, problem: dict[str, object]) -> None:
    """Add a remark to a run that has ended; one that was well is done with remarks from then on."""
    with gateway.store.write() as conn:
        row = conn.execute(select(run.c.state, run.c.problems).where(run.c.id == run_id).with_for_update()).one()
        state = RunState.REMARKS.value if row.state == RunState.DONE.value else row.state
        conn.execute(update(run).where(run.c.id == run_id).values(state=state, problems=[*row.problems, problem]))


def load_runs(gateway: Gateway, *, limit: int = 20) -> list[RunRow]:
    """Load the place's newest runs."""
    with gateway.store.read() as conn:
        rows = conn.execute(select(run, PLAN_STATE_NOW).order_by(run.c.id.desc()).limit(limit)).all()
    return [_to_run(row) for row in rows]


def get_run(gateway: Gateway, run_id: int) -> RunRow:
    """Load one run.

    Raises:
        ConfigurationError: There is no such run.
    """
    with gateway.store.read() as conn:
        row = conn.execute(select(run, PLAN_STATE_NOW).where(run.c.id == run_id)).one_or_none()
    if row is None:
        raise ConfigurationError(f"Запуска {run_id} нет")
    return _to_run(row)


def _to_run(row) -> RunRow:  # type: ignore[no-untyped-def]  # SQLAlchemy's row is untyped
    return RunRow(
        id=row.id,
        form=row.form,
        state=row.state,
        actor=row.actor,
        started_at=row.started_at,
        finished_at=row.finished_at,
        counters=row.counters,
        problems=row.problems,
        sentence=row.sentence,
        heartbeat_at=row.heartbeat_at,
        plan_state=row.plan_state,
    )


def year_bounds(today: date) -> tuple[date, date]:
    """First and last day of the school year of a day (R23: 01.09–31.08)."""
    first = today.year if today.month >= 9 else today.year - 1
    return date(first, 9, 1), date(first + 1, 8, 31)
