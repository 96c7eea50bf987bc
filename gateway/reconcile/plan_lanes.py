"""What a stored plan brings to each lane, read from the plan alone: what stood then is counted from its own rows.

A delivered record that the plan left alone is in its scope's shared count, one that it decided about has a row with a
base; together they are what stood when the plan was made, whatever has been delivered since. So an old plan can be judged
by other limits as it would have been that night.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, case, func, select

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityGroup, CityPeriod, MarkIntent
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import MARKED_HOLD, NO_CHANGE, UNDONE
from gateway.mapping.normalise import class_key
from gateway.mapping.values import FIVE
from gateway.reconcile.impact import Impact, MarkCell, build_impact
from gateway.reconcile.lanes import WHOLE_SCHOOL, LaneLimits, LaneShare, is_past
from gateway.reconcile.shadow import city_scope
from gateway.reconcile.tables import base, city_directory, decision, decision_scope

_POINTS = {"five": 5, "ten": 10, "hundred": 100}
"""Largest mark of a grade system; one that has none (зачёт) counts in no average."""


def load_lane_shares(
    conn: Connection, place_id: int, plan_id: int, *, today: date, stood: Mapping[str, int] | None = None
) -> list[LaneShare]:
    """Count what a plan brings, by kind in the whole school and by kind in each class.

    Args:
        today: Moscow day of the plan, by which a period has ended or not.
        stood: Scope → delivered records, for a plan that has no rows for what it leaves alone; None = counted from its rows.
    """
    classes = _Classes(conn, place_id)
    sums: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add(scope: str, name: str, count: int) -> None:
        kind = scope.partition("|")[0]
        for class_name in {WHOLE_SCHOOL, classes.of_scope(scope)}:
            sums[kind, class_name][name] += count

    untouched = select(decision_scope.c.scope, decision_scope.c.count.label("how_many")).where(
        decision_scope.c.plan_id == plan_id, decision_scope.c.reason == NO_CHANGE
    )
    for left in conn.execute(untouched):
        add(left.scope, "base", left.how_many)
    for scope, count in (stood or {}).items():
        add(scope, "base", count)
    # what a person holds back is nobody's operation of this plan, and weighs on no lane
    op = case((decision.c.reason.in_((MARKED_HOLD, UNDONE)), None), else_=decision.c.op)
    counted = (
        select(
            decision.c.scope,
            func.sum(case((decision.c.base.is_not(None), 1), else_=0)).label("base"),
            func.sum(case((op == "create", 1), else_=0)).label("creates"),
            func.sum(case((op == "change", 1), else_=0)).label("changes"),
            func.sum(case((op == "delete", 1), else_=0)).label("deletes"),
        )
        .where(decision.c.plan_id == plan_id)
        .group_by(decision.c.scope)
    )
    for row in conn.execute(counted):
        for name in ("creates", "changes", "deletes", *(("base",) if stood is None else ())):
            add(row.scope, name, getattr(row, name))
    dated = (
        select(decision.c.scope, decision.c.on_date, func.count().label("how_many"))
        .where(decision.c.plan_id == plan_id, op.in_(("change", "delete")), decision.c.on_date.is_not(None))
        .group_by(decision.c.scope, decision.c.on_date)
    )
    for day in conn.execute(dated):
        if is_past(day.on_date, classes.period_end(day.scope, day.on_date), today):
            add(day.scope, "past", day.how_many)
    return [
        LaneShare(
            kind=kind,
            class_name=class_name,
            base=counts["base"],
            creates=counts["creates"],
            changes=counts["changes"],
            deletes=counts["deletes"],
            past=counts["past"],
        )
        for (kind, class_name), counts in sorted(sums.items())
        if counts["creates"] or counts["changes"] or counts["deletes"]
    ]


def load_stood(conn: Connection, place_id: int, plan_id: int) -> dict[str, int]:
    """Delivered records of each scope of a plan that has no rows for what it leaves alone, as they stood when it was made.

    Counted from what stands now and what the plan itself has taken away or set since; what others delivered in between is
    in it too.
    """
    mine = decision.c.plan_id == plan_id
    scopes = select(decision.c.scope).where(mine).distinct()
    now = select(base.c.scope, func.count()).where(base.c.place_id == place_id, base.c.scope.in_(scopes))
    stood: dict[str, int] = defaultdict(int, {row[0]: row[1] for row in conn.execute(now.group_by(base.c.scope))})
    moved = (
        select(decision.c.scope, decision.c.op, base.c.ref.is_not(None).label("stands"), func.count().label("how_many"))
        .outerjoin(
            base,
            and_(base.c.place_id == place_id, base.c.kind == decision.c.kind, base.c.ref == decision.c.ref),
        )
        .where(mine, decision.c.op.in_(("create", "delete")))
        .group_by(decision.c.scope, decision.c.op, base.c.ref.is_not(None))
    )
    for row in conn.execute(moved):
        if row.op == "delete" and not row.stands:
            stood[row.scope] += row.how_many
        elif row.op == "create" and row.stands:
            stood[row.scope] -= row.how_many
    return dict(stood)


def load_lane_scopes(conn: Connection, place_id: int, plan_id: int, lane: str) -> list[str]:
    """The scopes in which a plan would do something to a lane, named as in a guard's row: kind, class, perhaps subject."""
    kind, class_name, subject = (*lane.split("|"), "")[:3]
    classes = _Classes(conn, place_id)
    scopes = conn.execute(
        select(decision.c.scope)
        .where(decision.c.plan_id == plan_id, decision.c.kind == kind, decision.c.op.is_not(None))
        .distinct()
    ).scalars()
    return [
        scope
        for scope in sorted(scopes)
        if class_name in (WHOLE_SCHOOL, classes.of_scope(scope))
        and (not subject or ((group := classes.group_of(scope)) is not None and group.subject_name == subject))
    ]


def load_class_scopes(conn: Connection, place_id: int, plan_id: int, class_name: str) -> list[str]:
    """The scopes of all kinds in which a plan would do something in a class, or in the whole school."""
    classes = _Classes(conn, place_id)
    scopes = conn.execute(
        select(decision.c.scope).where(decision.c.plan_id == plan_id, decision.c.op.is_not(None)).distinct()
    ).scalars()
    return [
        scope
        for scope in sorted(scopes)
        if class_name == WHOLE_SCHOOL or class_key(classes.of_scope(scope)) == class_name
    ]


def load_impacts(conn: Connection, place_id: int, plan_id: int, limits: LaneLimits) -> list[Impact]:
    """Say how averages and period marks would move by a plan's changes and deletes of delivered marks, a class and subject each.

    Marks that the plan leaves alone are those delivered by now; its own are taken as they stood when it was made, so that
    an old plan tells what it meant.
    """
    classes = _Classes(conn, place_id)
    rows: dict[str, list[Any]] = defaultdict(list)
    for row in conn.execute(
        select(decision.c.scope, decision.c.ref, decision.c.op, decision.c.intent, decision.c.old).where(
            decision.c.plan_id == plan_id,
            decision.c.kind == Kind.MARK.value,
            decision.c.op.in_(("change", "delete")),
            decision.c.base.is_not(None),
        )
    ):
        rows[row.scope].append(row)
    impacts = []
    for scope, mine in sorted(rows.items()):
        stored = conn.execute(
            select(base.c.ref, base.c.intent).where(
                and_(base.c.place_id == place_id, base.c.scope == scope, base.c.kind == Kind.MARK.value)
            )
        )
        standing = {row.ref: row.intent for row in stored} | {row.ref: row.old for row in mine if row.old is not None}
        before = {ref: cell for ref, body in standing.items() if (cell := classes.cell_of(scope, body)) is not None}
        group = classes.group_of(scope)
        impacts.append(
            build_impact(
                classes.of_scope(scope),
                "" if group is None else group.subject_name,
                before,
                {
                    row.ref: None if row.op == "delete" or row.intent is None else classes.cell_of(scope, row.intent)
                    for row in mine
                },
                round_up_from=limits.round_up_from,
            )
        )
    return impacts


class _Classes:
    """Which class and period a scope of the city belongs to, by its directory as last read."""

    def __init__(self, conn: Connection, place_id: int) -> None:
        body = conn.execute(
            select(city_directory.c.body).where(city_directory.c.place_id == place_id)
        ).scalar_one_or_none()
        directory = None if body is None else msgspec.json.decode(body, type=CityDirectory)
        self._groups: Mapping[int, CityGroup] = {} if directory is None else {one.id: one for one in directory.groups}
        self._periods = () if directory is None else directory.periods
        self._systems = {} if directory is None else {one.id: one.grade_system for one in directory.forms}

    def group_of(self, scope: str) -> CityGroup | None:
        kind, _, named = scope.partition("|")
        number = named.rpartition(":")[2]
        group = self._groups.get(int(number)) if number.isdigit() else None
        return group if group is not None and city_scope(kind, group.id) == scope else None

    def of_scope(self, scope: str) -> str:
        group = self.group_of(scope)
        return "—" if group is None else group.class_name or "—"

    def period_end(self, scope: str, on: date) -> date | None:
        period = self._find_period(scope, on)
        return None if period is None else period.ends_on

    def cell_of(self, scope: str, body: bytes) -> MarkCell | None:
        """A mark as an average counts it; one that is no number (зачёт, н) counts in none."""
        mark = msgspec.json.decode(body, type=MarkIntent)
        points = _POINTS.get(self._systems.get(mark.form_id, "five"))
        try:
            value = float(mark.value.replace(",", "."))
        except ValueError:
            return None
        if points is None:
            return None
        period = self._find_period(scope, mark.on)
        return MarkCell(mark.pupil_id, value * FIVE / points, mark.weight, 0 if period is None else period.id)

    def _find_period(self, scope: str, on: date) -> CityPeriod | None:
        group = self.group_of(scope)
        return next(
            (
                period
                for period in self._periods
                if group is not None
                and period.schedule_id == group.schedule_id
                and period.begins_on <= on <= period.ends_on
            ),
            None,
        )
