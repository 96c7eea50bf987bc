"""Deliver and confirm: ring what is due, read back what was answered, until nothing more can be done now.

The loop is all there is here: every step is a transaction of `queue`, and what waits stands on its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select

from gateway.connectors.port import CityDirectory, CityScope
from gateway.domain.city import Intent
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Kind
from gateway.flows.gateway import Gateway
from gateway.flows.pull import Problem
from gateway.queue.barrier import STOPPED, find_city_obstacle
from gateway.queue.broker import Doorbell
from gateway.queue.deliver import Delivery, load_due, sweep
from gateway.queue.pauses import load_paused
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.queue.verify import load_scopes_due, next_due_at, settle_scope
from gateway.reconcile.resolve import INTENT_TYPES
from gateway.reconcile.shadow import store_city_scope
from gateway.reconcile.tables import city_directory

BATCH_COUNT = 500
"""Operations rung at once: at five a second, under two minutes of work."""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery did and what it left open.

    Attributes:
        sent: Operations sent at least once; accepted by the city; verified by read-back; parked with a reason.
        open_count: Operations that go on by themselves, the earliest at `next_at`.
        paused: Profiles that the city refused.
        is_stopped: A person stopped sending.
    """

    sent: int
    accepted: int
    verified: int
    parked: int
    open_count: int
    next_at: datetime | None
    paused: list[str]
    problems: list[Problem]
    is_stopped: bool = False


def deliver(gateway: Gateway, run_id: int, *, max_wait_s: float) -> Delivered:
    """Send everything that is due and read it back.

    Args:
        gateway: The composed gateway.
        run_id: Run on whose behalf; read-backs are noted under it.
        max_wait_s: How long to wait for what is due later (settling, throttled); 0 = not at all.

    Raises:
        AuditError: Something could not be written down and was not done.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    work = Delivery(gateway.store, gateway.city, gateway.ledger, gateway.terms, city=gateway.place.city)
    problems: dict[str, Problem] = {}
    since = gateway.now()
    with Doorbell(work.deliver, threads=_threads(gateway), redis_url=gateway.settings.queue.redis_url) as bell:
        rung: Sequence[int] = ()
        while True:
            sweep(gateway.store)
            with gateway.store.read() as conn:
                is_blocked = find_city_obstacle(conn, gateway.place.city) is not None
                due = () if is_blocked else load_due(conn, place_id, gateway.store.now(conn), limit=BATCH_COUNT)
            bell.ring(due)
            bell.wait()
            settled = confirm(gateway, place_id, run_id, problems)
            _report(gateway, place_id)
            if settled or (due and due != rung):
                rung = due
                continue
            wait_s = None if is_blocked else _seconds_to_next(gateway, place_id, since, max_wait_s)
            if wait_s is None:
                break
            gateway.progress("wait", int(wait_s))
            gateway.clock.wait(wait_s)
    return _count(gateway, place_id, since, list(problems.values()))


def confirm(gateway: Gateway, place_id: int, run_id: int, problems: dict[str, Problem]) -> int:
    """Read back every scope that has something to prove: one list a group.

    Returns:
        Operations settled one way or another; 0 = nothing moved.
    """
    asked_at = gateway.now()
    with gateway.store.read() as conn:
        scopes = load_scopes_due(conn, place_id, asked_at)
    moved = 0
    for due in scopes:
        asked_at = gateway.now()
        read = gateway.city.fetch_scope(_scope_to_read(gateway, place_id, due))
        if read.problem is not None:
            problems[due.scope] = Problem(
                scope=due.scope, reason=read.problem.reason_code, sentence=read.problem.sentence
            )
            continue
        problems.pop(due.scope, None)
        with gateway.store.write() as conn:
            store_city_scope(conn, place_id, read, run_id=run_id)
        settled = settle_scope(
            gateway.store,
            gateway.ledger,
            gateway.terms,
            place_id=place_id,
            scope=due.scope,
            kind=due.kind,
            read_at=asked_at,
        )
        moved += settled.verified + settled.parked + settled.resent + settled.superseded
    return moved


def _scope_to_read(gateway: Gateway, place_id: int, due: Row[Any]) -> CityScope:
    with gateway.store.read() as conn:
        body = conn.execute(select(operation.c.intent).where(operation.c.id == due.sample_id)).scalar_one()
        stored = conn.execute(
            select(city_directory.c.body).where(city_directory.c.place_id == place_id)
        ).scalar_one_or_none()
    if stored is None:
        raise ConfigurationError("Справочники города не прочитаны: выполните gateway plan")
    intent: Intent = msgspec.json.decode(body, type=INTENT_TYPES[due.kind])
    directory = msgspec.json.decode(stored, type=CityDirectory)
    level = next((group.level for group in directory.groups if group.id == intent.group_id), 0)
    return CityScope(
        kind=Kind(due.kind),
        group_id=intent.group_id,
        subject_id=_subject_of(directory, intent.group_id),
        level=level,
        from_on=due.from_on,
        to_on=due.to_on,
    )


def _subject_of(directory: CityDirectory, group_id: int) -> int:
    return next((group.subject_id for group in directory.groups if group.id == group_id), 0)


def _threads(gateway: Gateway) -> int:
    return min(gateway.settings.queue.threads, gateway.settings.mesh.parallel)


def _seconds_to_next(gateway: Gateway, place_id: int, since: datetime, max_wait_s: float) -> float | None:
    """How long to wait for the next thing that is due; None = longer than this run may wait, or nothing is open."""
    with gateway.store.read() as conn:
        next_at = next_due_at(conn, place_id)
        now = gateway.store.now(conn)
    if next_at is None or max_wait_s <= 0:
        return None
    wait_s = max((next_at - now).total_seconds(), 0.05)
    return wait_s if (now - since).total_seconds() + wait_s <= max_wait_s else None


def _report(gateway: Gateway, place_id: int) -> None:
    with gateway.store.read() as conn:
        counts = _by_state(conn, place_id)
    total = sum(counts.values())
    open_count = sum(counts.get(state.value, 0) for state in (State.READY, State.CLAIMED, State.SENDING))
    gateway.progress("deliver", total - open_count, total)


def _by_state(conn: Connection, place_id: int) -> dict[str, int]:
    rows = conn.execute(
        select(operation.c.state, func.count()).where(operation.c.place_id == place_id).group_by(operation.c.state)
    )
    return {row[0]: row[1] for row in rows}


def _count(gateway: Gateway, place_id: int, since: datetime, problems: list[Problem]) -> Delivered:
    with gateway.store.read() as conn:
        rows = conn.execute(
            select(operation.c.state, operation.c.sent_at.is_not(None), func.count())
            .where(operation.c.place_id == place_id, operation.c.changed_at >= since)
            .group_by(operation.c.state, operation.c.sent_at.is_not(None))
        ).all()
        paused = sorted(load_paused(conn, gateway.place.city))
        is_stopped = find_city_obstacle(conn, gateway.place.city) == STOPPED
        next_at = next_due_at(conn, place_id)
        states = _by_state(conn, place_id)
    by_state: dict[str, int] = {}
    for state, _, count in rows:
        by_state[state] = by_state.get(state, 0) + count
    return Delivered(
        sent=sum(count for _, was_sent, count in rows if was_sent),
        accepted=by_state.get(State.ACCEPTED.value, 0) + by_state.get(State.VERIFIED.value, 0),
        verified=by_state.get(State.VERIFIED.value, 0),
        parked=by_state.get(State.PARKED.value, 0),
        open_count=sum(
            states.get(state.value, 0)
            for state in (State.READY, State.CLAIMED, State.SENDING, State.UNKNOWN, State.ACCEPTED)
        ),
        next_at=next_at,
        paused=paused,
        problems=problems,
        is_stopped=is_stopped,
    )
