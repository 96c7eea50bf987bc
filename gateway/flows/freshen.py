"""Freshen: the city is read again before a plan that was shown some time ago is let out.

Between what was shown and its approval lies a person, and other people type in the city meanwhile. The city offers no
precondition on a write, so the only way to see their hands is to look once more; what moved then drops out visibly
(`queue.ground`). A group that can't be read now stays as it was last read: delivery would fail on it as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Row, and_, func, or_, select

from gateway.connectors.port import CityDirectory, CityScope
from gateway.domain.city import CityGroup, Intent
from gateway.domain.errors import UnavailableError, UnreachableError
from gateway.domain.identifiers import Kind
from gateway.flows.city_reads import CityReads, find_whole_directory
from gateway.flows.gateway import Gateway
from gateway.queue.signed import has_pass, is_locked_gate
from gateway.reconcile.resolve import INTENT_TYPES
from gateway.reconcile.shadow import store_city_scope
from gateway.reconcile.snapshot import CITY_SIDE
from gateway.reconcile.tables import decision, plan, scope_state

SILENT_COUNT = 2
"""Groups in a row that got no answer, each asked as often as any read: somebody waits for his approval meanwhile."""
FRESH_S = 5.0
"""A group read whole so long ago or less is not read again: a plan that is let out at once stands on its own reads. A
read-back reads the days of what was delivered, and says nothing of the others."""


def freshen(gateway: Gateway, plan_id: int) -> int:
    """Read those groups again in which a plan would write and which were not read within the last seconds.

    Args:
        gateway: The composed gateway.
        plan_id: A sealed plan, about to be released.

    Returns:
        Groups (of a kind) that were read.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        now = gateway.store.now(conn)
        run_id = conn.execute(select(plan.c.run_id).where(plan.c.id == plan_id)).scalar_one()
        directory = find_whole_directory(conn, place_id)
        if directory is None:
            return 0
        first = (
            select(func.min(decision.c.seq))
            .outerjoin(
                scope_state,
                and_(
                    scope_state.c.place_id == place_id,
                    scope_state.c.side == CITY_SIDE,
                    scope_state.c.scope == decision.c.scope,
                ),
            )
            .where(
                decision.c.plan_id == plan_id,
                decision.c.op.is_not(None),
                decision.c.outcome.is_(None),
                or_(~is_locked_gate(decision.c.gate), has_pass(now)),  # what a signature holds is not let out
                or_(
                    scope_state.c.complete_at.is_(None),
                    scope_state.c.complete_at < now - timedelta(seconds=FRESH_S),
                    scope_state.c.from_on > directory.year.begins_on,
                    scope_state.c.to_on < directory.year.ends_on,
                ),
            )
            .group_by(decision.c.scope, decision.c.kind)
        )
        # one item of each group says which group it is
        query: Any = (
            select(decision.c.kind, func.coalesce(decision.c.intent, decision.c.old).label("body"))
            .where(decision.c.plan_id == plan_id, decision.c.seq.in_(first))
            .order_by(decision.c.seq)
        )
        stale: Sequence[Row[Any]] = list(conn.execute(query))
    groups = {group.id: group for group in directory.groups}
    reads = CityReads(gateway, place_id)
    count = silent = 0
    for done, row in enumerate(stale, start=1):
        scope = find_scope(directory, groups, row.kind, row.body)
        if scope is None:
            continue
        read = reads.fetch(scope)
        silent = silent + 1 if isinstance(read.problem, UnreachableError | UnavailableError) else 0
        if silent == SILENT_COUNT:
            break  # nobody answers: the rest would not either, and delivery says why
        if read.problem is None:
            with gateway.store.write() as conn:
                store_city_scope(conn, place_id, read, run_id=run_id)
            count += 1
        gateway.progress("freshen", done, len(stale))
    return count


def find_scope(directory: CityDirectory, groups: Mapping[int, CityGroup], kind: str, intent: bytes) -> CityScope | None:
    """The whole year of the group that an intent belongs to; None where the city has no such group any more."""
    found: Intent = msgspec.json.decode(intent, type=INTENT_TYPES[kind])
    group = groups.get(found.group_id)
    if group is None:
        return None
    return directory.scope_of_year(Kind(kind), group)
