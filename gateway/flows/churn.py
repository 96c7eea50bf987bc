"""The city's directory against its last whole read, before a plan is sealed: what changed too much holds its part of the plan.

The next read no longer sees what had changed, so a row is kept beside the directory until a person lets out held items of a
plan that showed it and looked at all that it holds: a plan of one class, of one kind or of some days lets out its own lines.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select

from gateway.connectors.port import CityDirectory, Want
from gateway.domain.clock import moscow_day
from gateway.domain.identifiers import SENT_KINDS
from gateway.flows.city_reads import find_whole_directory
from gateway.flows.gateway import Gateway
from gateway.flows.runs import year_bounds
from gateway.mapping.normalise import class_key
from gateway.reconcile.churn import HELD_OPS, OF_DIRECTORY, ChurnLimits, find_churn, judge_churn, parse_span
from gateway.reconcile.guard import GuardRow
from gateway.reconcile.lanes import WHOLE_SCHOOL
from gateway.reconcile.plan import PlanDraft
from gateway.reconcile.plan_lanes import load_class_scopes
from gateway.reconcile.tables import city_directory, plan, run


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A row that nobody has let out yet; `after` = the newest plan when it was found."""

    row: GuardRow
    after: int


def judge_directory(conn: Connection, gateway: Gateway, place_id: int, directory: CityDirectory) -> list[object]:
    """Compare the directory just read with the last whole one, in the transaction in which it takes that one's place.

    Whoever reads it, a plan or not, and whether his work ends or not: the next read can't see any more what has changed.

    Returns:
        What is to be kept beside it: found now, or before and not let out.
    """
    before = find_whole_directory(conn, place_id)
    kept = _load_kept(conn, place_id)
    if before is None or directory.is_partial or before.year != directory.year:
        return _to_json(kept)
    found = judge_churn(find_churn(before, directory), build_churn_limits(gateway), today=moscow_day(gateway.now()))
    newest = _load_newest(conn, place_id)
    names = {(row.guard, row.scope) for row in found}
    kept = [one for one in kept if (one.row.guard, one.row.scope) not in names]
    return _to_json([*(_Kept(row=row, after=newest) for row in found), *kept])


def build_churn_limits(gateway: Gateway) -> ChurnLimits:
    """The numbers from the settings."""
    school = gateway.settings.school
    return ChurnLimits(
        minimum_count=school.guard_minimum_count,
        identity_ratio=school.guard_identity_ratio,
        transfer_count=school.guard_transfer_count,
        transfer_spans=tuple(parse_span(one) for one in school.guard_transfer_days),
    )


def hold_directory(gateway: Gateway, draft: PlanDraft, place_id: int, want: Want) -> None:
    """Hold what stands on a directory that changed too much, now or before somebody has looked at it.

    Args:
        want: What the plan looked at: a row about other classes is none of its business.
    """
    draft.flush()
    with gateway.store.read() as conn:
        held = [one.row for one in _load_kept(conn, place_id) if _concerns(want, one.row)]
        scopes = [load_class_scopes(conn, place_id, draft.id, _class_of(row)) for row in held]
    for mine in scopes:
        for op in HELD_OPS:
            draft.hold(mine, op)
    draft.note_guards(held)


def _load_kept(conn: Connection, place_id: int) -> list[_Kept]:
    """What was found and let out by nobody: no plan since that showed it, and all that it holds, was approved with that."""
    stored = conn.execute(
        select(city_directory.c.churn).where(city_directory.c.place_id == place_id)
    ).scalar_one_or_none()
    if stored is None:
        return _load_shown_last(conn, place_id)
    kept = msgspec.convert(stored, list[_Kept])
    if not kept:
        return []
    approved = conn.execute(
        select(plan.c.id, plan.c.guards, plan.c.open_gates, plan.c.created_at, run.c.want)
        .join(run, run.c.id == plan.c.run_id)
        .where(
            plan.c.place_id == place_id,
            plan.c.approved_at.is_not(None),
            plan.c.id > min(one.after for one in kept),
        )
    ).all()
    let_out = {
        (row.guard, row.scope): one.id
        for one in sorted(approved, key=lambda one: int(one.id))
        if "guard" in one.open_gates
        for row in _of_directory(one.guards)
        if _covers(msgspec.convert(one.want, Want), row, one.created_at)
    }
    return [one for one in kept if let_out.get((one.row.guard, one.row.scope), 0) <= one.after]


def _load_shown_last(conn: Connection, place_id: int) -> list[_Kept]:
    """What the last plan was held by, from the time when it was carried from plan to plan."""
    plans = conn.execute(
        select(plan.c.id, plan.c.guards, plan.c.open_gates, run.c.want)
        .join(run, run.c.id == plan.c.run_id)
        .where(plan.c.place_id == place_id, plan.c.hash.is_not(None), plan.c.undoes.is_(None))
        .order_by(plan.c.id.desc())
    )
    last = next((one for one in plans if not msgspec.convert(one.want, Want).is_narrow), None)
    if last is None or "guard" in last.open_gates:
        return []
    return [_Kept(row=row, after=last.id) for row in _of_directory(last.guards)]


def _class_of(row: GuardRow) -> str:
    return row.scope.partition("|")[2]


def _concerns(want: Want, row: GuardRow) -> bool:
    """Whether a plan looked at anything that a row holds; one of the whole school always did."""
    name = _class_of(row)
    return name == WHOLE_SCHOOL or not want.class_names or name in map(class_key, want.class_names)


def _covers(want: Want, row: GuardRow, at: datetime) -> bool:
    """Whether a plan of this moment looked at all that a row holds."""
    first, last = year_bounds(moscow_day(at))
    is_of_all = not want.class_names or (_class_of(row) != WHOLE_SCHOOL and _concerns(want, row))
    return (
        is_of_all
        and not want.subjects
        and not want.pupils
        and want.kinds >= frozenset(SENT_KINDS)
        and (want.from_on <= first and last <= want.to_on)
    )


def _load_newest(conn: Connection, place_id: int) -> int:
    query = select(func.coalesce(func.max(plan.c.id), 0)).where(plan.c.place_id == place_id)
    return int(conn.execute(query).scalar_one())


def _to_json(kept: list[_Kept]) -> list[object]:
    return list(msgspec.to_builtins(kept))


def _of_directory(guards: list[object]) -> list[GuardRow]:
    found = [msgspec.convert(one, GuardRow) for one in guards]
    return [row for row in found if row.guard in OF_DIRECTORY]
