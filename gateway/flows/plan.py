"""Plan: read the city's side, say in its terms what should stand there, compare, store the difference.

Scope by scope (kind × group), so that memory stays flat; a scope whose digests and decision inputs all stand, and in
which nothing waits, is counted from its memo and not looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial

import msgspec

from gateway.connectors.port import CityDirectory, CityRead, CityScope, Want
from gateway.domain.clock import moscow_day
from gateway.domain.errors import ConfigurationError, ConnectorError, GatewayError
from gateway.domain.identifiers import SENT_KINDS, Kind
from gateway.domain.reasons import INCOMPLETE_READ, READER_LIMITED
from gateway.domain.records import Group, Person
from gateway.flows.acts import carry_out
from gateway.flows.adopt import await_late_writes, finish_adoption
from gateway.flows.churn import hold_directory
from gateway.flows.city_reads import CityReads, fetch_directory
from gateway.flows.correlate import correlate
from gateway.flows.discrepancies import follow_discrepancies
from gateway.flows.gateway import Gateway
from gateway.flows.ground import load_ground
from gateway.flows.holds import classes_of_scopes
from gateway.flows.linked_scope import Ground, LinkedGroup, LinkedScope, WaitingScope
from gateway.flows.outside import free_unable
from gateway.flows.precedents import apply_precedents
from gateway.flows.pull import Problem
from gateway.flows.scope_batch import ScopeBatch
from gateway.flows.scopes import load_faults
from gateway.flows.turns import find_kept_plans
from gateway.flows.undone import end_moved_undone
from gateway.mapping.dictionaries import save_rule_set
from gateway.mapping.versions import load_counting_rules
from gateway.queue.by_hand import has_by_hand, settle_by_hand
from gateway.queue.late import settle_late
from gateway.queue.outbox import load_busy
from gateway.queue.signed import Signed, keep_signed
from gateway.reconcile.bindings import load_correcting
from gateway.reconcile.compare import Category
from gateway.reconcile.holds import keep_back
from gateway.reconcile.impact import judge_impact
from gateway.reconcile.lanes import OP_OF_GUARD, LaneLimits, judge_lanes
from gateway.reconcile.plan import PlanDraft, SealedPlan, drop_draft, retire_older
from gateway.reconcile.plan_lanes import load_impacts, load_lane_scopes, load_lane_shares
from gateway.reconcile.relinks import let_on
from gateway.reconcile.resolve import NO_CALLS, ScopeDecision, Shared
from gateway.reconcile.shadow import city_scope
from gateway.reconcile.snapshot import load_records
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed plan, with what could not be read of the city."""

    plan: SealedPlan
    problems: list[Problem]
    skipped_scopes: int


def make_plan(gateway: Gateway, want: Want, run_id: int, *, is_dry_run: bool = False) -> Planned:
    """Build and store a plan.

    Args:
        gateway: The composed gateway.
        want: Which groups, pupils, days and kinds.
        run_id: The run it belongs to.
        is_dry_run: The plan is stored and shown but can't be released.

    Raises:
        ConnectorError: The city's directory can't be read: nothing can be decided.
    """
    await_late_writes(gateway)
    carry_out(gateway)
    end_moved_undone(gateway)
    today = moscow_day(gateway.now())
    directory = fetch_directory(gateway, today)
    who = correlate(gateway, directory, run_id)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        epoch = get_epoch(conn)
        rules = load_counting_rules(conn, place_id, gateway.rules)
        version = save_rule_set(conn, rules, gateway.store.now(conn))
    with gateway.store.read() as conn:
        ground = load_ground(gateway, conn, place_id, directory, who, rules, want=want, today=today, run_id=run_id)

    def run_planner(drifted: frozenset[Kind]) -> tuple[_Planner, PlanDraft]:
        draft = PlanDraft(
            gateway.store,
            place_id=place_id,
            run_id=run_id,
            rule_version=version,
            epoch=epoch,
            is_dry_run=is_dry_run,
            ttl_hours=gateway.settings.school.plan_ttl_hours,
        )
        planner = _Planner(gateway, ground, draft, run_id, not_read=drifted)
        try:
            planner.run()
        except GatewayError:
            with gateway.store.write() as conn:
                drop_draft(conn, draft.id)
            raise
        return planner, draft

    planner, draft = run_planner(frozenset())
    if planner.drifted:
        # what was planned of these kinds before the misfits were met may be misread as well: once more, without them
        with gateway.store.write() as conn:
            drop_draft(conn, draft.id)
        planner, draft = run_planner(planner.drifted)
    if gateway.lane_limits is not None:
        hold_lanes(gateway.store, draft, place_id, gateway.lane_limits, today=today)
    hold_directory(gateway, draft, place_id, want)
    sealed = draft.seal()
    if not is_dry_run:
        with gateway.store.write() as conn:
            retire_older(conn, place_id, sealed.id, keep=find_kept_plans(conn, place_id, want))
        follow_discrepancies(gateway, place_id, sealed.id, is_whole=planner.is_whole)
        apply_precedents(gateway, place_id)
        free_unable(gateway, place_id)
    if not is_dry_run and not planner.problems and planner.is_whole_place():
        finish_adoption(gateway, run_id)
    problems = [*_directory_problems(directory), *planner.problems]
    return Planned(plan=sealed, problems=problems, skipped_scopes=planner.skipped)


def hold_lanes(
    store: Store,
    draft: PlanDraft,
    place_id: int,
    limits: LaneLimits,
    *,
    today: date,
    stood: Mapping[str, int] | None = None,
) -> None:
    """Judge a plan as a whole before it is sealed: a guard holds its lane, the others go on; `stood` as `load_lane_shares`."""
    draft.flush()
    with store.read() as conn:
        rows = judge_lanes(load_lane_shares(conn, place_id, draft.id, today=today, stood=stood), limits)
        rows += judge_impact(load_impacts(conn, place_id, draft.id, limits), limits)
        held = [row for row in rows if row.verdict == "hold"]
        lanes = [
            (load_lane_scopes(conn, place_id, draft.id, row.scope), OP_OF_GUARD[row.guard])
            for row in held
            if row.guard in OP_OF_GUARD
        ]
    for scopes, op in lanes:
        draft.hold(scopes, op)
    draft.note_guards(held)


def _directory_problems(directory: CityDirectory) -> list[Problem]:
    """Rows of the directory that could not be read: what they name waits without a reason of its own, so it is told here."""
    sentence = "Строка справочника города не разобрана: то, что в ней названо, ждёт"
    problems = [
        Problem(scope="directory", where=place, reason="CONTRACT", sentence=sentence) for place in directory.faults
    ]
    if directory.is_partial:
        sentence = "Справочник города прочитан профилем учителя: чего он не видит, ждёт"
        problems.append(Problem(scope="directory", reason=READER_LIMITED, sentence=sentence))
    return problems


class _Planner:
    """One planning pass: the walk over the groups that are wanted."""

    def __init__(
        self, gateway: Gateway, ground: Ground, draft: PlanDraft, run_id: int, *, not_read: frozenset[Kind]
    ) -> None:
        self._gateway = gateway
        self._ground = ground
        self._want = ground.want
        self._draft = draft
        self._kinds = [kind for kind in SENT_KINDS if kind in ground.want.kinds & ground.rules.sent_kinds]
        self._reads = CityReads(gateway, ground.place_id, not_read=not_read)
        self._batch = ScopeBatch(
            gateway.store,
            place_id=ground.place_id,
            run_id=run_id,
            draft=draft,
            limits=gateway.limits,
            busy_of=load_busy,
            missed_by=ground.missed_by,
            settle_late=partial(settle_late, gateway.store, gateway.ledger, ground.place_id),
            narrow=self._narrow_down,
            no_calls=() if gateway.settings.mesh.kind == "file" else NO_CALLS,
            settle_by_hand=self._settle_by_hand if has_by_hand(gateway.store, ground.place_id) else None,
        )
        self._classes = classes_of_scopes(ground.directory.groups) if ground.holds else {}
        with gateway.store.read() as conn:
            self._locks = Signed().load(conn, ground.place_id, gateway.store.now(conn))
        self.problems: list[Problem] = []

    @property
    def drifted(self) -> frozenset[Kind]:
        """Kinds of which so many groups did not fit that none of them is to be believed (`CityReads.drifted`)."""
        return self._reads.drifted

    @property
    def skipped(self) -> int:
        """Scopes that were skipped whole."""
        return self._batch.skipped

    def run(self) -> None:
        """Plan every group that is wanted, then what belongs to no group of the city."""
        local = self._ground.who.local_groups
        known = sorted(set(self._ground.scopes) & set(local))
        groups = [ref for ref in known if self._is_wanted(local[ref])]
        if known and not groups:
            raise ConfigurationError("Такого класса или предмета на портале нет: проверьте --class и --subject")
        with self._gateway.store.read() as conn:
            if strangers := self._want.pupils - self._ground.who.pupils.keys():
                people = load_records(conn, self._ground.place_id, Person)
                if strangers - {person.ref for person in people}:
                    raise ConfigurationError("Такого ученика на портале нет: проверьте --pupil, код вида user:3")
            faults = load_faults(conn, self._ground.place_id)
        for done, ref in enumerate(groups, start=1):
            self._plan_group(local[ref])
            self._gateway.progress("plan", done, len(groups))
        self._batch.finish()
        for scope, (reason, count) in faults.items():
            self._draft.add(
                ScopeDecision(
                    scope=scope,
                    items=(),
                    shared=[Shared(category=Category.REJECTED, reason=reason, count=count, digest=bytes(16))],
                    guards=(),
                    read=count,
                )
            )

    def _is_wanted(self, group: Group) -> bool:
        subject = self._ground.who.subjects.get(group.subject)
        names = {group.subject, subject.name if subject else ""}
        return (not self._want.class_names or group.class_name in self._want.class_names) and (
            not self._want.subjects or bool(names & self._want.subjects)
        )

    def _plan_group(self, group: Group) -> None:
        city_id = self._ground.who.groups.get(group.ref)
        if city_id is None:
            # Records of a group that the city's side of is not known wait, each with that reason.
            reason = self._ground.who.groups_waiting.get(group.ref, "GROUP_NOT_LINKED")
            self._plan_waiting(group, lambda kind: f"{kind.value}|{group.ref}", reason)
            return
        year = self._ground.directory.year
        try:
            # The whole year whatever was asked for: the nearest lesson is chosen once and kept.
            lessons = tuple(self._gateway.city.fetch_lessons([city_id], year.begins_on, year.ends_on))
        except ConnectorError as error:
            self.problems.append(
                Problem(scope=f"lesson|city-group:{city_id}", reason=error.reason_code, sentence=error.sentence)
            )
            reason = READER_LIMITED if error.reason_code == READER_LIMITED else INCOMPLETE_READ
            self._plan_waiting(group, lambda kind: city_scope(kind.value, city_id), reason)
            return
        linked = LinkedGroup(self._ground, group, lessons)
        for kind in self._kinds:
            self._plan_scope(linked, kind)

    def _plan_waiting(self, group: Group, scope_of: Callable[[Kind], str], reason: str) -> None:
        for kind in self._kinds:
            self._batch.add(WaitingScope(self._ground, group, kind, scope_of(kind), reason))

    def _plan_scope(self, linked: LinkedGroup, kind: Kind) -> None:
        city_group = linked.city_group
        read = self._reads.fetch(
            CityScope(
                kind=kind,
                group_id=city_group.id,
                subject_id=city_group.subject_id,
                level=city_group.level,
                from_on=self._want.from_on,
                to_on=self._want.to_on,
                is_read_twice=self.is_whole,
            )
        )
        scope = LinkedScope(linked, kind, read, is_whole=self.is_whole)
        if read.problem is not None:
            self.problems.append(
                Problem(scope=scope.scope, reason=read.problem.reason_code, sentence=read.problem.sentence)
            )
        self._batch.add(scope)

    def _settle_by_hand(self, scope: str, read: CityRead | None) -> None:
        """What was to be typed is judged by the export that was just read, before anything is decided by it."""
        settle_by_hand(
            self._gateway.store,
            self._gateway.ledger,
            place_id=self._ground.place_id,
            scope=scope,
            exported_at=read.read_at if read is not None and read.is_complete else None,
        )

    def _narrow_down(self, decided: ScopeDecision) -> ScopeDecision:
        """Leave of a decision what was asked for, and let wait what people hold back, have to let out, or have signed."""
        narrowed = let_on(self._narrow(decided), self._ground.relinked)
        kept = keep_back(narrowed, self._ground.holds, self._classes, self._ground.undone)
        return keep_signed(self._gate_corrections(kept) if self._ground.bound else kept, self._locks)

    def _gate_corrections(self, decided: ScopeDecision) -> ScopeDecision:
        """What another version of the rules corrects goes out only when a person has seen it in a plan."""
        changes = [item.triple.ref for item in decided.items if item.decision.op == "change" and item.gate == "none"]
        if not changes:
            return decided
        with self._gateway.store.read() as conn:
            correcting = load_correcting(conn, self._ground.place_id, changes)
        items = [
            msgspec.structs.replace(item, gate="approval")
            if item.gate == "none"
            and item.decision.op == "change"
            and (item.triple.kind, item.triple.ref) in correcting
            else item
            for item in decided.items
        ]
        return msgspec.structs.replace(decided, items=items)

    def _narrow(self, decided: ScopeDecision) -> ScopeDecision:
        """Keep only the wanted pupils and days; what is not looked at is not counted.

        A run that looks at a part may not delete: it has not seen the whole.
        """
        if self.is_whole:
            return decided
        pupils = {self._ground.who.pupils.get(ref) for ref in self._want.pupils}
        items = [
            item
            for item in decided.items
            if (not self._want.pupils or _pupil_of(item.triple.object_key) in pupils)
            and item.decision.op != "delete"
            and item.triple.on_date is not None
            and self._want.from_on <= item.triple.on_date <= self._want.to_on
        ]
        return msgspec.structs.replace(decided, items=items, shared=(), read=len(items))

    def is_whole_place(self) -> bool:
        """Whether every scope of the place was looked at, whole."""
        narrowed = (
            self._want.class_names or self._want.subjects or not self._ground.rules.sent_kinds <= self._want.kinds
        )
        return not narrowed and self.is_whole

    @property
    def is_whole(self) -> bool:
        """Whether every pupil and day is asked for: what was not read, before the first day or after the last, is not absent."""
        year = self._ground.directory.year
        is_whole_year = self._want.from_on <= year.begins_on and self._want.to_on >= year.ends_on
        return not self._want.pupils and is_whole_year


_KINDS_OF_A_PUPIL = (Kind.MARK, Kind.ABSENCE, Kind.COMMENT, Kind.FINAL)


def _pupil_of(object_key: str | None) -> int | None:
    """The city's pupil id in a cell's key; None where the object has no single pupil."""
    parts = (object_key or "").split("/")
    return int(parts[1]) if parts[0] in _KINDS_OF_A_PUPIL else None
