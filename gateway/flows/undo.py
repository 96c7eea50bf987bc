"""Undo: the inverse of what a run carried out, as an ordinary plan: stored, guarded, shown, approved, let out once.

The city is read again before anything is concluded; what others have changed since is left alone and listed. Nothing here
sends: a person lets the plan out, and from then on what was undone stays so until its source moves or he releases it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
from sqlalchemy import Connection, func, select

from gateway.connectors.port import Want
from gateway.domain.clock import moscow_day
from gateway.domain.errors import ConfigurationError, GatewayError, PlanRefusedError
from gateway.domain.reasons import GUARD_HOLD, INCOMPLETE_READ, UNDO
from gateway.flows.adopt import await_late_writes
from gateway.flows.city_reads import CityReads, fetch_directory
from gateway.flows.freshen import find_scope
from gateway.flows.gateway import Gateway
from gateway.flows.holds import classes_of_scopes
from gateway.flows.plan import hold_lanes
from gateway.flows.pull import Problem
from gateway.flows.runs import RunState, finish_run, start_run, year_bounds
from gateway.flows.sync import written_down
from gateway.flows.turns import Beating
from gateway.queue.late import settle_late
from gateway.queue.undo import ScopeWritten, iter_inverse, load_scopes_written
from gateway.reconcile.compare import Category, Decision
from gateway.reconcile.guard import GuardRow, ScopeShare, judge
from gateway.reconcile.holds import Hold, keep_back, load_holds
from gateway.reconcile.plan import PlanDraft, SealedPlan, drop_draft, hold_plan, load_plan, retire_undo
from gateway.reconcile.resolve import Item, ScopeDecision
from gateway.reconcile.same_child import load_children
from gateway.reconcile.shadow import store_city_scope
from gateway.reconcile.tables import base, plan, run
from gateway.store.epoch import get_epoch

GOING = (UNDO, GUARD_HOLD)
"""Reasons of the lines that an approval lets out."""


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed plan that undoes a run.

    Attributes:
        run_id: The run that made the plan; its undo is an undo of the undo.
        undoes: The run to be undone.
        count: How much of that run would be put back.
        left: Reason → how much of that run stays as it is; each is a line of the plan.
    """

    run_id: int
    undoes: int
    plan: SealedPlan
    count: int
    left: dict[str, int]
    problems: list[Problem]
    sentence: str


def begin_undo(gateway: Gateway, number: int) -> int:
    """Begin the run that undoes another.

    Raises:
        ConfigurationError: There is no such run here.
        PlanRefusedError: It goes on.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        row = conn.execute(select(run.c.state).where(run.c.id == number, run.c.place_id == place_id)).one_or_none()
    if row is None:
        raise ConfigurationError(f"Запуска {number} нет")
    if row.state == RunState.RUNNING.value:
        raise PlanRefusedError(
            f"Запуск {number} ещё идёт: остановите отправку (gateway stop-sending) и дождитесь его конца",
            reason="IN_WORK",
        )
    first, last = year_bounds(moscow_day(gateway.now()))
    return start_run(gateway, "undo", Want(from_on=first, to_on=last))


def undo_run(gateway: Gateway, number: int, run_id: int) -> Undo:
    """Build the plan that undoes a run; nothing is sent.

    Args:
        gateway: The composed gateway.
        number: The run to be undone.
        run_id: From `begin_undo`.

    Raises:
        GatewayError: The city's directory can't be read; the run is written down with its sentence before.
    """
    gateway = replace(gateway, progress=Beating(gateway, run_id))
    with written_down(gateway, run_id):
        await_late_writes(gateway)
        made, problems = _Undoing(gateway, number, run_id).make()
    left = {code: count for code, count in made.by_reason.items() if code not in GOING}
    count = sum(made.by_reason.values()) - sum(left.values())
    sentence = _sentence(number, made, count, sum(left.values()))
    finish_run(
        gateway,
        run_id,
        RunState.WAITING if count else RunState.REMARKS if problems else RunState.DONE,
        counters={"plan": made.counters, "by_reason": made.by_reason, "plan_id": made.id, "undoes": number},
        problems=[msgspec.to_builtins(problem) for problem in problems],
        sentence=sentence,
    )
    return Undo(run_id=run_id, undoes=number, plan=made, count=count, left=left, problems=problems, sentence=sentence)


def _sentence(number: int, made: SealedPlan, undone: int, left: int) -> str:
    if not undone:
        return f"Отменять у запуска {number} нечего" + (f"; оставлено {left}: gateway plan show" if left else "")
    return (
        f"План отмены запуска {number}: {undone}, оставлено {left}; посмотреть: gateway plan show {made.hash[:12]}, "
        f"утвердить: gateway plan approve {made.hash[:12]}"
    )


class _Undoing:
    """One building of an inverse plan."""

    def __init__(self, gateway: Gateway, number: int, run_id: int) -> None:
        self._gateway = gateway
        self._number = number
        self._run_id = run_id
        self._today = moscow_day(gateway.now())
        with gateway.store.write() as conn:
            self._place_id = gateway.place_id(conn)
            self._epoch = get_epoch(conn)
            self._holds: Sequence[Hold] = load_holds(conn, self._place_id, now=gateway.store.now(conn))
            self._scopes = load_scopes_written(conn, self._place_id, number)
            self._children = load_children(conn, self._place_id, now=gateway.store.now(conn))
        self._classes: Mapping[str, frozenset[str]] = {}
        self._rule_version = self._load_rule_version()
        self.problems: list[Problem] = []

    def _load_rule_version(self) -> str:
        """The rules by which that run wrote: what is put back stood under them or older ones."""
        with self._gateway.store.read() as conn:
            query = select(plan.c.rule_version).where(plan.c.run_id == self._number).order_by(plan.c.id.desc())
            return str(conn.execute(query.limit(1)).scalar_one_or_none() or "-")

    def make(self) -> tuple[SealedPlan, list[Problem]]:
        """Read the city, decide scope by scope, judge, seal."""
        gateway = self._gateway
        unread = self._read_city()
        draft = PlanDraft(
            gateway.store,
            place_id=self._place_id,
            run_id=self._run_id,
            rule_version=self._rule_version,
            epoch=self._epoch,
            is_dry_run=False,
            ttl_hours=gateway.settings.school.plan_ttl_hours,
            undoes=self._number,
        )
        try:
            stood = {one.scope: self._add(draft, one, is_read=one.scope not in unread) for one in self._scopes}
        except GatewayError:
            with gateway.store.write() as conn:
                drop_draft(conn, draft.id)
            raise
        if gateway.lane_limits is not None:
            hold_lanes(gateway.store, draft, self._place_id, gateway.lane_limits, today=self._today, stood=stood)
        sealed = draft.seal()
        with gateway.store.write() as conn:
            retire_undo(conn, self._place_id, sealed.id, self._number)
            if any(sealed.by_reason.get(code) for code in GOING):
                hold_plan(conn, sealed.id)
            return load_plan(conn, sealed.id), self.problems

    def _read_city(self) -> set[str]:
        """Read again every group that the run wrote to; the names of those that could not be read."""
        if not self._scopes:
            return set()
        gateway = self._gateway
        directory = fetch_directory(gateway, self._today)
        groups = {group.id: group for group in directory.groups}
        self._classes = classes_of_scopes(directory.groups) if self._holds else {}
        reads = CityReads(gateway, self._place_id)
        unread: set[str] = set()
        for done, one in enumerate(self._scopes, start=1):
            wanted = find_scope(directory, groups, one.kind, one.sample)
            read = None if wanted is None else reads.fetch(wanted)
            if read is None or read.problem is not None:
                unread.add(one.scope)
                self.problems.append(_problem(one.scope, None if read is None else read.problem))
            else:
                with gateway.store.write() as conn:
                    store_city_scope(conn, self._place_id, read, run_id=self._run_id)
            gateway.progress("undo", done, len(self._scopes))
        settle_late(
            gateway.store,
            gateway.ledger,
            self._place_id,
            [one.scope for one in self._scopes if one.scope not in unread],
        )
        return unread

    def _add(self, draft: PlanDraft, one: ScopeWritten, *, is_read: bool) -> int:
        """Decide one scope; how many delivered records stand there."""
        with self._gateway.store.read() as conn:
            items = list(
                iter_inverse(conn, self._place_id, self._number, one.scope, is_read=is_read, children=self._children)
            )
            stood = _count_base(conn, self._place_id, one.scope)
        ops = Counter(item.decision.op for item in items)
        share = ScopeShare(
            scope=one.scope,
            base=stood,
            live=stood,
            creates=ops["create"],
            changes=ops["change"],
            deletes=ops["delete"],
        )
        guards = judge(share, self._gateway.limits)
        decided = ScopeDecision(
            scope=one.scope,
            items=[_gated(item, guards) for item in items],
            shared=(),
            guards=guards,
            read=len(items),
        )
        draft.add(keep_back(decided, self._holds, self._classes))
        return stood


def _gated(item: Item, guards: Sequence[GuardRow]) -> Item:
    if item.decision.op is None:
        return item
    if item.decision.op == "delete":
        return msgspec.structs.replace(item, gate="delete")
    if item.decision.op == "change" and any(row.guard == "change_share" for row in guards):
        return msgspec.structs.replace(item, gate="guard", decision=Decision(Category.HELD, GUARD_HOLD, "change"))
    return msgspec.structs.replace(item, gate="approval")


def _count_base(conn: Connection, place_id: int, scope: str) -> int:
    query = select(func.count()).select_from(base).where(base.c.place_id == place_id, base.c.scope == scope)
    return int(conn.execute(query).scalar_one())


def _problem(scope: str, error: GatewayError | None) -> Problem:
    if error is None:
        return Problem(scope=scope, reason=INCOMPLETE_READ, sentence="Группы в городском журнале больше нет")
    return Problem(scope=scope, reason=error.reason_code, sentence=error.sentence)


__all__ = ["Undo", "begin_undo", "undo_run"]
