"""Guards in rows: guard · lane · limit · actual · verdict · who may override, for one plan, and for many under other limits.

Reads only. An old plan is judged by its own rows, so the table of `try` says what each night would have held.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from gateway.domain.clock import moscow_day
from gateway.reconcile.guard import GuardRow
from gateway.reconcile.lanes import LaneLimits, judge_impact, judge_lanes
from gateway.reconcile.plan import SealedPlan, load_plan
from gateway.reconcile.plan_lanes import load_impacts, load_lane_shares
from gateway.reconcile.tables import plan

HELD = ("hold", "refuse")


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One stored plan under today's limits and under others.

    Attributes:
        held: Lanes that today's limits hold, `guard lane`.
        held_then: Lanes that the other limits would hold.
        items: What the plan would have sent: creates, changes and deletes.
    """

    plan_id: int
    plan_hash: str
    created_at: datetime
    items: int
    held: list[str]
    held_then: list[str]

    @property
    def newly_held(self) -> list[str]:
        """What only the other limits hold."""
        return sorted(set(self.held_then) - set(self.held))

    @property
    def newly_free(self) -> list[str]:
        """What only today's limits hold."""
        return sorted(set(self.held) - set(self.held_then))


def judge_plan(
    conn: Connection, place_id: int, found: SealedPlan, limits: LaneLimits, *, with_impact: bool = True
) -> list[GuardRow]:
    """Judge a stored plan: its lanes, and what it means for averages."""
    today = moscow_day(found.created_at)
    rows = judge_lanes(load_lane_shares(conn, place_id, found.id, today=today), limits)
    if with_impact:
        rows += judge_impact(load_impacts(conn, place_id, found.id, limits), limits)
    return rows


def iter_trials(
    conn: Connection, place_id: int, *, since: datetime, limits: LaneLimits, tried: LaneLimits
) -> Iterator[Trial]:
    """Judge every real plan since a moment by today's limits and by others, the oldest first.

    Averages are left out: they would be counted over marks that stand today, not over those of that night.
    """
    numbers = conn.execute(
        select(plan.c.id)
        .where(
            plan.c.place_id == place_id,
            plan.c.created_at >= since,
            plan.c.hash.is_not(None),
            plan.c.is_dry_run.is_(False),
        )
        .order_by(plan.c.id)
    ).scalars()
    for number in list(numbers):
        found = load_plan(conn, number)
        shares = load_lane_shares(conn, place_id, number, today=moscow_day(found.created_at))
        yield Trial(
            plan_id=number,
            plan_hash=found.hash,
            created_at=found.created_at,
            items=sum(found.counters.get(name, 0) for name in ("create", "update", "delete")),
            held=_held(judge_lanes(shares, limits)),
            held_then=_held(judge_lanes(shares, tried)),
        )


def _held(rows: list[GuardRow]) -> list[str]:
    return [f"{row.guard} {row.scope}" for row in rows if row.verdict in HELD]
