"""Guards in rows: guard · lane · limit · actual · verdict · who may override, for one plan, and for many under other limits.

Reads only. An old plan is judged by its own rows, so the table of `try` says what each night would have held.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
from sqlalchemy import Connection, and_, case, func, select

from gateway.domain.clock import moscow_day
from gateway.domain.identifiers import Kind
from gateway.reconcile.compare import Category
from gateway.reconcile.guard import GuardRow
from gateway.reconcile.impact import Impact, judge_impact, tell_impact
from gateway.reconcile.lanes import LaneLimits, LaneShare, judge_lanes
from gateway.reconcile.plan import SealedPlan, load_plan
from gateway.reconcile.plan_lanes import load_impacts, load_lane_shares, load_stood
from gateway.reconcile.tables import decision, plan

HELD = ("hold", "refuse")


class ShownGuard(GuardRow, frozen=True, kw_only=True):
    """A line of the guards' table for one plan.

    Attributes:
        in_force: Whether the plan was judged by it; False = it only says what the guard would have done.
    """

    in_force: bool


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


def show_guards(
    conn: Connection, place_id: int, found: SealedPlan, limits: LaneLimits, *, with_impact: bool = True
) -> list[ShownGuard]:
    """List what judged a plan when it was made, then what today's limits say of its lanes without having held any."""
    stored = {(row.guard, row.scope) for row in found.guards}
    judged = judge_plan(conn, place_id, found, limits, with_impact=with_impact)
    return [
        *(ShownGuard(**msgspec.structs.asdict(row), in_force=True) for row in found.guards),
        *(
            ShownGuard(**msgspec.structs.asdict(row), in_force=False)
            for row in judged
            if (row.guard, row.scope) not in stored
        ),
    ]


def judge_plan(
    conn: Connection, place_id: int, found: SealedPlan, limits: LaneLimits, *, with_impact: bool = True
) -> list[GuardRow]:
    """Judge a stored plan: its lanes, and what it means for averages."""
    rows = judge_lanes(_load_shares(conn, place_id, found), limits)
    if with_impact:
        rows += judge_impact(load_impacts(conn, place_id, found.id, limits), limits)
    return rows


class PlanImpact(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan means: one sentence, and a row for each class and subject with changes or deletes of delivered marks."""

    sentence: str
    classes: list[Impact]


def load_plan_impact(conn: Connection, place_id: int, plan_id: int, limits: LaneLimits) -> PlanImpact:
    """Say what a stored plan means for averages and period marks, and what of it that leaves out or takes for granted."""
    impacts = load_impacts(conn, place_id, plan_id, limits)
    is_of_delivered = and_(decision.c.op.in_(("change", "delete")), decision.c.base.is_not(None))
    is_held = and_(is_of_delivered, decision.c.category == Category.HELD.value)
    is_new = and_(decision.c.op == "create", decision.c.category == Category.CREATE.value)
    held, new = conn.execute(
        select(func.sum(case((is_held, 1), else_=0)), func.sum(case((is_new, 1), else_=0))).where(
            decision.c.plan_id == plan_id, decision.c.kind == Kind.MARK.value
        )
    ).one()
    return PlanImpact(sentence=tell_impact(impacts, has_held=bool(held), new_count=int(new or 0)), classes=impacts)


def iter_trials(
    conn: Connection, place_id: int, *, since: datetime, limits: LaneLimits, tried: LaneLimits
) -> Iterator[Trial]:
    """Judge every real plan since a moment by today's limits and by others, the oldest first.

    For averages the plan's own marks are taken as they stood that night, the others as they stand today.
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
        shares = _load_shares(conn, place_id, found)
        impacts = load_impacts(conn, place_id, number, limits)
        yield Trial(
            plan_id=number,
            plan_hash=found.hash,
            created_at=found.created_at,
            items=sum(found.counters.get(name, 0) for name in ("create", "update", "delete")),
            held=_held([*judge_lanes(shares, limits), *judge_impact(impacts, limits)]),
            held_then=_held([*judge_lanes(shares, tried), *judge_impact(impacts, tried)]),
        )


def _load_shares(conn: Connection, place_id: int, found: SealedPlan) -> list[LaneShare]:
    # the plan of an undo holds what it moves and nothing of what it leaves alone
    stood = None if found.undoes is None else load_stood(conn, place_id, found.id)
    return load_lane_shares(conn, place_id, found.id, today=moscow_day(found.created_at), stood=stood)


def _held(rows: list[GuardRow]) -> list[str]:
    return [f"{row.guard} {row.scope}" for row in rows if row.verdict in HELD]
