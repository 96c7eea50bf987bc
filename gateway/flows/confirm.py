"""Confirm: reads back what was answered, group by group; nothing counts as done before it was seen in the city.

Each group is read under a lease, so that two workers do not read the same list at once; what was read under a lease that
is lost by then is thrown away.
"""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

import msgspec
from sqlalchemy import select

from gateway.connectors.pace import Lane, in_lane
from gateway.connectors.port import CityDirectory, CityScope
from gateway.domain.city import Intent
from gateway.domain.errors import ConfigurationError, ThrottledError
from gateway.domain.identifiers import Kind
from gateway.flows.city_reads import CityReads
from gateway.flows.gateway import Gateway
from gateway.flows.pull import Problem
from gateway.queue.breaker import find_wait_until
from gateway.queue.late import settle_late
from gateway.queue.leases import end_lease, holds_lease, take_lease
from gateway.queue.readback import ScopeDue, load_scopes_ripe, postpone
from gateway.queue.tables import operation
from gateway.queue.verify import settle_scope
from gateway.reconcile.resolve import INTENT_TYPES
from gateway.reconcile.shadow import store_city_scope
from gateway.reconcile.tables import city_directory

READ_LEASE_S = 60.0
"""A list of ten pages at half the default pace, each answered in a second, and as much again."""
READ_AGAIN_S = 15.0
"""After a read-back that failed; as long as a first failed write waits."""
ALL_LANES: tuple[Lane, ...] = ("demand", "nightly")


def new_owner() -> str:
    """A name for leases, unique to a process and its start."""
    return uuid4().hex[:12]


def confirm(
    gateway: Gateway,
    place_id: int,
    problems: dict[str, Problem],
    *,
    owner: str,
    wait_s: float = 0.0,
    lanes: tuple[Lane, ...] = ALL_LANES,
) -> int:
    """Read back every scope that is ripe.

    Args:
        gateway: The composed gateway.
        place_id: Where.
        problems: Told by scope what could not be read; cleared when it could.
        owner: Name of this process in leases.
        wait_s: How long an answer waits for the rest of its group, in seconds.
        lanes: Which lanes are read back.

    Returns:
        Operations settled one way or another; 0 = nothing moved.
    """
    with gateway.store.read() as conn:
        scopes = load_scopes_ripe(conn, place_id, gateway.store.now(conn), wait_s=wait_s, lanes=lanes)
    moved = 0
    reads = CityReads(gateway, place_id)
    for due in scopes:
        if find_wait(gateway) is not None:
            break
        moved += _confirm_scope(gateway, reads, place_id, due, problems, owner=owner)
    return moved


def find_wait(gateway: Gateway) -> datetime | None:
    """Until when nobody calls the city, because it asked for it or does not answer; None = calls may go."""
    with gateway.store.read() as conn:
        return find_wait_until(conn, gateway.place.city, gateway.store.now(conn))


def _confirm_scope(
    gateway: Gateway, reads: CityReads, place_id: int, due: ScopeDue, problems: dict[str, Problem], *, owner: str
) -> int:
    name = f"scope:{place_id}:{due.kind}:{due.scope}"
    if not take_lease(gateway.store, name, owner, seconds=READ_LEASE_S):
        return 0
    try:
        asked_at = gateway.now()
        with in_lane(due.lane):
            read = reads.fetch(_scope_to_read(gateway, place_id, due))
        if read.problem is not None:
            problems[due.scope] = Problem(
                scope=due.scope, reason=read.problem.reason_code, sentence=read.problem.sentence
            )
            asked_s = read.problem.retry_after_s if isinstance(read.problem, ThrottledError) else 0.0
            with gateway.store.write() as conn:
                postpone(conn, place_id, due, gateway.store.now(conn), wait_s=max(asked_s, READ_AGAIN_S))
            return 0
        problems.pop(due.scope, None)
        with gateway.store.write() as conn:
            if not holds_lease(conn, name, owner, gateway.store.now(conn)):
                return 0
            store_city_scope(conn, place_id, read, run_id=due.run_id)
        settled = settle_scope(
            gateway.store,
            gateway.ledger,
            gateway.terms,
            place_id=place_id,
            scope=due.scope,
            kind=due.kind,
            days=(due.from_on, due.to_on),
            read_at=asked_at,
            stored_at=read.read_at,
        )
        late = settle_late(gateway.store, gateway.ledger, place_id, [due.scope])
    finally:
        end_lease(gateway.store, name, owner)
    return late + settled.verified + settled.parked + settled.resent + settled.superseded


def _scope_to_read(gateway: Gateway, place_id: int, due: ScopeDue) -> CityScope:
    with gateway.store.read() as conn:
        body = conn.execute(select(operation.c.intent).where(operation.c.id == due.sample_id)).scalar_one()
        stored = conn.execute(
            select(city_directory.c.body).where(city_directory.c.place_id == place_id)
        ).scalar_one_or_none()
    if stored is None:
        raise ConfigurationError("Справочники города не прочитаны: выполните gateway plan")
    intent: Intent = msgspec.json.decode(body, type=INTENT_TYPES[due.kind])
    directory = msgspec.json.decode(stored, type=CityDirectory)
    group = next((one for one in directory.groups if one.id == intent.group_id), None)
    return CityScope(
        kind=Kind(due.kind),
        group_id=intent.group_id,
        subject_id=group.subject_id if group is not None else 0,
        level=group.level if group is not None else 0,
        from_on=due.from_on,
        to_on=due.to_on,
        is_read_twice=True,  # what looks absent here is sent again
    )


__all__ = ["ALL_LANES", "confirm", "find_wait", "new_owner"]
