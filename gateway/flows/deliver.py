"""Deliver: ring what is due, read back what was answered, until nothing more can be done now.

The loop is all there is here: every step is a transaction of `queue`, and what waits stands on its row. Where Redis is
set the threads are those of `gateway worker`, and this side rings and watches the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, and_, case, func, select

from gateway.domain.errors import BrokerAwayError
from gateway.flows.confirm import confirm, find_wait, new_owner
from gateway.flows.gateway import Gateway
from gateway.flows.pull import Problem
from gateway.queue.barrier import STOPPED, find_city_obstacle
from gateway.queue.broker import Doorbell
from gateway.queue.deliver import Delivery
from gateway.queue.due import load_due, next_due_at, sweep
from gateway.queue.lanes import LANES, DueRow, load_due_rows
from gateway.queue.leases import count_leases
from gateway.queue.pauses import load_paused
from gateway.queue.states import OPEN, State
from gateway.queue.tables import attempt, operation
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
BATCH_COUNT = 500
"""Operations rung at once: at five a second, under two minutes of work."""
WATCH_S = 0.5
NO_WORKER_S = 20.0
"""Two of a worker's signs of life: a restarting one is not called absent."""
_CALLED = ("sending", State.UNKNOWN.value, State.ACCEPTED.value)
"""Outcomes of an attempt that say, even without an answer's status, that its call left."""
WORKER_LEASE = "worker:"
"""Workers show that they live by a lease of this name and their own."""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery did and what it left open.

    Attributes:
        sent: Operations sent at least once; accepted by the city; verified by read-back; parked with a reason.
        by_hand: Operations on the list «enter by hand», proven by the next export of the journal.
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
    by_hand: int = 0


def deliver(gateway: Gateway, run_id: int, *, max_wait_s: float) -> Delivered:
    """Send everything that is due and read it back.

    Args:
        gateway: The composed gateway.
        run_id: Run on whose behalf; for the log.
        max_wait_s: How long to wait for what is due later (settling, throttled); 0 = not at all.

    Raises:
        AuditError: Something could not be written down and was not done.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    since = gateway.now()
    if gateway.settings.queue.redis_url is not None:
        problems = _leave_to_workers(gateway, place_id, max_wait_s=max_wait_s)
    else:
        problems = _deliver_here(gateway, place_id, since, max_wait_s=max_wait_s)
    delivered = _count(gateway, place_id, since, problems)
    LOG.info("delivery.ended", run_id=run_id, sent_count=delivered.sent, open_count=delivered.open_count)
    return delivered


def build_delivery(gateway: Gateway, *, is_stopping: Callable[[], bool] = lambda: False) -> Delivery:
    """Make the steps of delivery of the composed gateway."""
    return Delivery(
        gateway.store,
        gateway.city,
        gateway.ledger,
        gateway.terms,
        city=gateway.place.city,
        pace=gateway.pace,
        is_stopping=is_stopping,
        paused=gateway.forget_pauses,
    )


def _deliver_here(gateway: Gateway, place_id: int, since: datetime, *, max_wait_s: float) -> list[Problem]:
    work = build_delivery(gateway)
    owner = new_owner()
    problems: dict[str, Problem] = {}
    with Doorbell(work.deliver_beside, threads=count_threads(gateway)) as bell:
        rung: Sequence[int] = ()
        while True:
            sweep(gateway.store)
            wait_until = find_wait(gateway)
            with gateway.store.read() as conn:
                is_blocked = find_city_obstacle(conn, gateway.place.city) is not None
                is_quiet = is_blocked or wait_until is not None
                due = () if is_quiet else load_due(conn, place_id, gateway.store.now(conn), limit=BATCH_COUNT)
            bell.ring(due[:: gateway.terms.batch_count])
            bell.wait()
            settled = confirm(gateway, place_id, problems, owner=owner)
            _report(gateway, place_id)
            if settled or (due and due != rung):
                rung = due
                continue
            wait_s = None if is_blocked else _seconds_to_next(gateway, place_id, since, max_wait_s, wait_until)
            if wait_s is None:
                break
            gateway.progress("wait", int(wait_s))
            gateway.clock.wait(wait_s)
    return list(problems.values())


def _leave_to_workers(gateway: Gateway, place_id: int, *, max_wait_s: float) -> list[Problem]:
    """Ring the workers' doorbell and watch the rows until nothing moves for so long; a worker's relay rings what is left.

    A broker that is away just now stops no run that has come so far: what it decided stands on the rows.
    """
    problems: list[Problem] = []
    try:
        with (
            Doorbell(lambda _: None, threads=0, redis_url=gateway.settings.queue.redis_url) as bell,
            gateway.store.read() as conn,
        ):
            if find_wait(gateway) is None:
                _ring_workers(gateway, bell, load_due_rows(conn, place_id, gateway.store.now(conn), limit=BATCH_COUNT))
    except BrokerAwayError as error:
        sentence = f"{error.sentence}: операции ждут в базе, работники возьмут их сами, когда он вернётся"
        problems.append(Problem(scope="queue", reason=error.reason_code, sentence=sentence))
    moved_at, last = gateway.now(), None
    while max_wait_s > 0:
        with gateway.store.read() as conn:
            is_blocked = find_city_obstacle(conn, gateway.place.city) is not None
            states = _by_state(conn, place_id)
            worker_count = count_leases(conn, WORKER_LEASE, gateway.store.now(conn))
        _report(gateway, place_id)
        if states != last:
            moved_at, last = gateway.now(), states
        is_open = any(states.get(state.value, 0) for state in OPEN)
        if not is_open or is_blocked or (gateway.now() - moved_at).total_seconds() > max_wait_s:
            return problems
        if worker_count == 0 and (gateway.now() - moved_at).total_seconds() > NO_WORKER_S:
            sentence = "Очередь на Redis, а ни один gateway worker не работает: запустите его, операции ждут в базе"
            return [*problems, Problem(scope="queue", reason="CONFIGURATION", sentence=sentence)]
        gateway.clock.wait(WATCH_S)
    return problems


def _ring_workers(gateway: Gateway, bell: Doorbell, rows: Sequence[DueRow]) -> None:
    """Ring for what somebody waits for, and for the night's where nothing of it is rung: the rest is the relay's."""
    for lane in LANES:
        if lane == "demand" or bell.count_waiting(lane) == 0:
            ids = [row.id for row in rows if row.lane == lane]
            bell.ring(ids[:: gateway.terms.batch_count], lane=lane)


def count_threads(gateway: Gateway) -> int:
    """How many calls one process makes at once."""
    return min(gateway.settings.queue.threads, gateway.settings.mesh.parallel)


def _seconds_to_next(
    gateway: Gateway, place_id: int, since: datetime, max_wait_s: float, wait_until: datetime | None
) -> float | None:
    """How long to wait for the next thing that is due; None = longer than this run may wait, or nothing is open."""
    with gateway.store.read() as conn:
        next_at = next_due_at(conn, place_id)
        now = gateway.store.now(conn)
    if next_at is None or max_wait_s <= 0:
        return None
    if wait_until is not None:
        next_at = max(next_at, wait_until)
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
    # `sent_at` stands from before the calls: a batch that ended early, or a paused profile, marked rows that no call was
    # made for. A call was made where the city answered, or may still have heard it.
    called = select(attempt.c.id).where(
        attempt.c.operation_id == operation.c.id, attempt.c.status.is_not(None) | attempt.c.outcome.in_(_CALLED)
    )
    was_sent = and_(operation.c.sent_at.is_not(None), called.exists())
    changed = (
        select(operation.c.state, case((was_sent, 1), else_=0).label("was_sent"))
        .where(operation.c.place_id == place_id, operation.c.changed_at >= since)
        .subquery()
    )
    with gateway.store.read() as conn:
        rows = conn.execute(
            select(changed.c.state, changed.c.was_sent, func.count()).group_by(changed.c.state, changed.c.was_sent)
        ).all()
        paused = sorted(load_paused(conn, gateway.place.city))
        is_stopped = find_city_obstacle(conn, gateway.place.city) == STOPPED
        next_at = next_due_at(conn, place_id)
        states = _by_state(conn, place_id)
    by_state: dict[str, int] = {}
    for state, _, count in rows:
        by_state[state] = by_state.get(state, 0) + count
    return Delivered(
        sent=sum(count for state, is_sent, count in rows if is_sent and state != State.BY_HAND.value),
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
        by_hand=states.get(State.BY_HAND.value, 0),
    )
