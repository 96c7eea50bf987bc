"""The city's directory against its last whole read, before a plan is sealed: what changed too much holds its part of the plan.

The next read no longer sees what had changed, so a row is carried from plan to plan until a person lets held items out.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from gateway.connectors.port import CityDirectory
from gateway.domain.clock import moscow_day
from gateway.flows.city_reads import find_whole_directory
from gateway.flows.gateway import Gateway
from gateway.reconcile.churn import HELD_OPS, OF_DIRECTORY, ChurnLimits, find_churn, judge_churn, parse_span
from gateway.reconcile.guard import GuardRow
from gateway.reconcile.plan import PlanDraft
from gateway.reconcile.plan_lanes import load_class_scopes
from gateway.reconcile.tables import plan


def judge_directory(gateway: Gateway, directory: CityDirectory) -> list[GuardRow]:
    """Compare the directory just read with the last whole one; to be called before it takes that one's place."""
    with gateway.store.write() as conn:
        before = find_whole_directory(conn, gateway.place_id(conn))
    if before is None or directory.is_partial or before.year != directory.year:
        return []
    return judge_churn(find_churn(before, directory), build_churn_limits(gateway), today=moscow_day(gateway.now()))


def build_churn_limits(gateway: Gateway) -> ChurnLimits:
    """The numbers from the settings."""
    school = gateway.settings.school
    return ChurnLimits(
        minimum_count=school.guard_minimum_count,
        identity_ratio=school.guard_identity_ratio,
        transfer_count=school.guard_transfer_count,
        transfer_spans=tuple(parse_span(one) for one in school.guard_transfer_days),
    )


def hold_directory(gateway: Gateway, draft: PlanDraft, place_id: int, rows: list[GuardRow]) -> None:
    """Hold what stands on a directory that changed too much, now or before somebody has looked at it."""
    draft.flush()
    with gateway.store.read() as conn:
        last = conn.execute(
            select(plan.c.guards, plan.c.open_gates)
            .where(plan.c.place_id == place_id, plan.c.hash.is_not(None), plan.c.id < draft.id)
            .order_by(plan.c.id.desc())
            .limit(1)
        ).one_or_none()
        carried = [] if last is None or "guard" in last.open_gates else _of_directory(last.guards)
        known = {(row.guard, row.scope) for row in rows}
        held = [*rows, *(row for row in carried if (row.guard, row.scope) not in known)]
        scopes = [load_class_scopes(conn, place_id, draft.id, row.scope.partition("|")[2]) for row in held]
    for mine in scopes:
        for op in HELD_OPS:
            draft.hold(mine, op)
    draft.note_guards(held)


def _of_directory(guards: list[object]) -> list[GuardRow]:
    found = [msgspec.convert(one, GuardRow) for one in guards]
    return [row for row in found if row.guard in OF_DIRECTORY]
