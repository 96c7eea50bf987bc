"""Runs and plans as a door lists them: counters, states and sentences, nobody's data; the newest first, a page at a time."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from gateway.access.roles import Reach
from gateway.access.scope import Scope, account_code
from gateway.domain.errors import NotVisibleError
from gateway.reconcile.lanes import OF_MEANING
from gateway.reconcile.plan import PLAN_STATE_NOW, SealedPlan, load_plan
from gateway.reconcile.tables import plan, run


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run; `problems` counts its remarks, whose texts are read by their owners; `plan_state` is its plan's today."""

    id: int
    form: str
    state: str
    actor: str
    started_at: datetime
    finished_at: datetime | None
    counters: dict[str, object]
    problems: int
    sentence: str | None
    plan_state: str | None = None


def load_seen_runs(conn: Connection, scope: Scope, place_id: int, *, before: int, limit: int) -> list[RunView]:
    """Load runs; `before` is the smallest number of the page before, 0 = from the newest."""
    query = _runs(scope, place_id)
    if before:
        query = query.where(run.c.id < before)
    return [_to_run(row) for row in conn.execute(query.order_by(run.c.id.desc()).limit(limit))]


def get_seen_run(conn: Connection, scope: Scope, place_id: int, run_id: int) -> RunView:
    """Load one run.

    Raises:
        NotVisibleError: There is none, or it is not this account's.
    """
    row = conn.execute(_runs(scope, place_id).where(run.c.id == run_id)).one_or_none()
    if row is None:
        raise NotVisibleError("Такой записи нет")
    return _to_run(row)


def load_seen_plans(conn: Connection, scope: Scope, place_id: int, *, before: int, limit: int) -> list[SealedPlan]:
    """Load sealed plans; pages as `load_seen_runs`."""
    query = select(plan.c.id).where(plan.c.place_id == place_id, plan.c.hash.is_not(None))
    if before:
        query = query.where(plan.c.id < before)
    numbers = conn.execute(query.order_by(plan.c.id.desc()).limit(limit)).scalars().all()
    return [_seen(scope, load_plan(conn, number)) for number in numbers]


def get_seen_plan(conn: Connection, scope: Scope, place_id: int, plan_id: int) -> SealedPlan:
    """Load one sealed plan.

    Raises:
        NotVisibleError: There is none at this place.
    """
    query = select(plan.c.id).where(plan.c.id == plan_id, plan.c.place_id == place_id, plan.c.hash.is_not(None))
    if conn.execute(query).one_or_none() is None:
        raise NotVisibleError("Такой записи нет")
    return _seen(scope, load_plan(conn, plan_id))


def _seen(scope: Scope, found: SealedPlan) -> SealedPlan:
    """A plan's counters are of the whole school and of nobody; the average of a class is not for every teacher."""
    if scope.is_whole:
        return found
    return msgspec.structs.replace(found, guards=[row for row in found.guards if row.guard not in OF_MEANING])


def _runs(scope: Scope, place_id: int):  # type: ignore[no-untyped-def]  # a select of all columns
    query = select(run, PLAN_STATE_NOW).where(run.c.place_id == place_id)
    if scope.reach is Reach.OWN_DEEDS:
        query = query.where(run.c.actor == account_code(scope.principal.account_id))
    return query


def _to_run(row) -> RunView:  # type: ignore[no-untyped-def]  # SQLAlchemy's row is untyped
    return RunView(
        id=row.id,
        form=row.form,
        state=row.state,
        actor=row.actor,
        started_at=row.started_at,
        finished_at=row.finished_at,
        counters=row.counters,
        problems=len(row.problems),
        sentence=row.sentence,
        plan_state=row.plan_state,
    )
