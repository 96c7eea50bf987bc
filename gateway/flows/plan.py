"""Plan: read the city's side, say in its terms what should stand there, compare, store the difference.

Scope by scope (kind × group), so that memory stays flat; a scope whose digests and decision inputs all stand, and in
which nothing waits, is counted from its memo and not looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

import msgspec
import xxhash
from sqlalchemy import Connection, bindparam, select

from gateway.connectors.port import CityDirectory, CityScope, Want
from gateway.domain.city import CityGroup, CityLesson, CityTopics
from gateway.domain.clock import moscow_day
from gateway.domain.errors import ConfigurationError, ConnectorError, GatewayError
from gateway.domain.identifiers import SENT_KINDS, Kind
from gateway.domain.records import Attempt, Group, Lesson, LessonPlan, Record
from gateway.flows.adopt import await_late_writes, finish_adoption
from gateway.flows.city_reads import CityReads
from gateway.flows.correlate import WhoIsWho, correlate
from gateway.flows.discrepancies import follow_discrepancies
from gateway.flows.gateway import Gateway
from gateway.flows.joint import GroupJoining, is_joint, speaking_sources
from gateway.flows.pull import Problem
from gateway.flows.scopes import LocalScope, load_faults, load_of_scopes, load_scopes
from gateway.flows.turns import find_kept_plans
from gateway.mapping.chosen import topics_of_lessons, topics_of_rows
from gateway.mapping.correlate import correlate_lessons
from gateway.mapping.dictionaries import load_subjects, save_rule_set
from gateway.mapping.joint import rewrite
from gateway.mapping.links import load_chosen_lessons, save_chosen_lessons
from gateway.mapping.mesh import GroupContext, Mapped, Sent, map_record
from gateway.mapping.rules import Mode, Rules
from gateway.queue.outbox import load_busy
from gateway.reconcile.compare import Category
from gateway.reconcile.corrections import Correction, apply_corrections, load_corrections
from gateway.reconcile.coverage import note_covered
from gateway.reconcile.intend import store_intended
from gateway.reconcile.memo import find_memo, store_memo
from gateway.reconcile.plan import PlanDraft, SealedPlan, drop_draft, retire_older
from gateway.reconcile.resolve import ScopeDecision, Shared, decide_scope
from gateway.reconcile.shadow import city_scope, load_objects, store_city_scope
from gateway.reconcile.snapshot import CITY_SIDE, load_records
from gateway.reconcile.tables import scope_state
from gateway.store.epoch import get_epoch

_CITY_DIGEST = select(scope_state.c.digest).where(
    scope_state.c.place_id == bindparam("place_id"),
    scope_state.c.side == CITY_SIDE,
    scope_state.c.scope == bindparam("scope"),
)


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
    today = moscow_day(gateway.now())
    directory = gateway.city.fetch_directory(today)
    who = correlate(gateway, directory, run_id)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        epoch = get_epoch(conn)
        rules = load_subjects(conn, place_id, gateway.rules)
        version = save_rule_set(conn, rules, gateway.store.now(conn))
    draft = PlanDraft(
        gateway.store,
        place_id=place_id,
        run_id=run_id,
        rule_version=version,
        epoch=epoch,
        is_dry_run=is_dry_run,
        ttl_hours=gateway.settings.school.plan_ttl_hours,
    )
    planner = _Planner(gateway, want, run_id, place_id, directory, who, draft, today, rules, version)
    try:
        planner.run()
    except GatewayError:
        with gateway.store.write() as conn:
            drop_draft(conn, draft.id)
        raise
    sealed = draft.seal()
    if not is_dry_run:
        with gateway.store.write() as conn:
            retire_older(conn, place_id, sealed.id, keep=find_kept_plans(conn, place_id, want))
        follow_discrepancies(gateway, place_id, sealed.id)
    if not is_dry_run and not planner.problems and planner.is_whole_place():
        finish_adoption(gateway, run_id)
    problems = [*_directory_problems(directory), *planner.problems]
    return Planned(plan=sealed, problems=problems, skipped_scopes=planner.skipped)


def _directory_problems(directory: CityDirectory) -> list[Problem]:
    """Rows of the directory that could not be read: what they name waits without a reason of its own, so it is told here."""
    sentence = "Строка справочника города не разобрана: то, что в ней названо, ждёт"
    return [Problem(scope="directory", where=place, reason="CONTRACT", sentence=sentence) for place in directory.faults]


class _Planner:
    """One planning pass: what all its groups share."""

    def __init__(
        self,
        gateway: Gateway,
        want: Want,
        run_id: int,
        place_id: int,
        directory: CityDirectory,
        who: WhoIsWho,
        draft: PlanDraft,
        today: date,
        rules: Rules,
        version: str,
    ) -> None:
        self._rules = rules
        self._rule_version = version
        self._gateway = gateway
        self._want = want
        self._run_id = run_id
        self._place_id = place_id
        self._directory = directory
        self._who = who
        self._draft = draft
        self._today = today
        self._kinds = [kind for kind in SENT_KINDS if kind in want.kinds & rules.sent_kinds]
        self._city_groups = {group.id: group for group in directory.groups}
        self._city_pupils = {pupil.id: pupil for pupil in directory.pupils}
        self._plan_rows: list[LessonPlan] | None = None
        self._scopes: Mapping[str, Sequence[LocalScope]] = {}
        self._reads = CityReads(gateway, place_id)
        self._corrections: Mapping[tuple[str, str], Correction] = {}
        self.problems: list[Problem] = []
        self.skipped = 0

    def run(self) -> None:
        """Plan every group that is wanted, then what belongs to no group of the city."""
        with self._gateway.store.read() as conn:
            self._scopes = load_scopes(
                conn, self._place_id, canonical=self._who.joint.groups, groups=self._who.local_groups
            )
            faults = load_faults(conn, self._place_id)
            self._corrections = load_corrections(conn, self._place_id)
        known = sorted(set(self._scopes) & set(self._who.local_groups))
        groups = [ref for ref in known if self._is_wanted(self._who.local_groups[ref])]
        if known and not groups:
            raise ConfigurationError("Такого класса или предмета на портале нет: проверьте --class и --subject")
        for done, ref in enumerate(groups, start=1):
            self._plan_group(self._who.local_groups[ref])
            self._gateway.progress("plan", done, len(groups))
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
        subject = self._who.subjects.get(group.subject)
        names = {group.subject, subject.name if subject else ""}
        return (not self._want.class_names or group.class_name in self._want.class_names) and (
            not self._want.subjects or bool(names & self._want.subjects)
        )

    def _plan_group(self, group: Group) -> None:
        city_id = self._who.groups.get(group.ref)
        if city_id is None:
            self._plan_unlinked(group)
            return
        city_group = self._city_groups[city_id]
        year = self._directory.year
        try:
            # The whole year whatever was asked for: the nearest lesson is chosen once and kept.
            lessons = tuple(self._gateway.city.fetch_lessons([city_id], year.begins_on, year.ends_on))
        except ConnectorError as error:
            self.problems.append(
                Problem(scope=f"lesson|city-group:{city_id}", reason=error.reason_code, sentence=error.sentence)
            )
            self._plan_waiting(group, lambda kind: city_scope(kind.value, city_id), "INCOMPLETE_READ")
            return
        for kind in self._kinds:
            self._plan_scope(group, city_group, kind, lessons)

    def _plan_unlinked(self, group: Group) -> None:
        """Records of a group that the city's side of is not known wait, each with that reason."""
        reason = self._who.groups_waiting.get(group.ref, "GROUP_NOT_LINKED")
        self._plan_waiting(group, lambda kind: f"{kind.value}|{group.ref}", reason)

    def _plan_waiting(self, group: Group, scope_of: Callable[[Kind], str], reason: str) -> None:
        for kind in self._kinds:
            scope = scope_of(kind)
            with self._gateway.store.write() as conn:
                records = self._load(conn, group, kind)
                waiting = [Mapped(ref=item.ref, kind=kind, state="waiting", reason=reason) for item in records]
                store_intended(conn, self._place_id, scope, waiting)
            self._decide(scope, is_read=False, delete_mode="off", lessons=())

    def _plan_scope(self, group: Group, city_group: CityGroup, kind: Kind, lessons: tuple[CityLesson, ...]) -> None:
        scope = city_scope(kind.value, city_group.id)
        read = self._reads.fetch(
            CityScope(
                kind=kind,
                group_id=city_group.id,
                subject_id=city_group.subject_id,
                level=city_group.level,
                from_on=self._want.from_on,
                to_on=self._want.to_on,
                is_read_twice=self._is_whole(),
            )
        )
        if read.problem is not None:
            self.problems.append(Problem(scope=scope, reason=read.problem.reason_code, sentence=read.problem.sentence))
        subject = self._who.subjects[group.subject].name if group.subject in self._who.subjects else group.subject
        names = (subject, city_group.subject_name)
        delete_mode = self._rules.scope_for(kind, names, group.class_name).modes.delete
        with self._gateway.store.write() as conn:
            store_city_scope(conn, self._place_id, read, run_id=self._run_id)
            if read.is_complete and self._is_whole():
                note_covered(conn, self._place_id, scope, read_at=read.read_at, run_id=self._run_id)
            inputs = self._inputs(conn, group, city_group, kind, lessons)
            memo = find_memo(conn, self._place_id, scope, inputs) if read.is_complete and self._is_whole() else None
        if memo is not None:
            self._draft.add_remembered(
                scope,
                unchanged=memo.unchanged,
                foreign_count=memo.foreign_count,
                out_of_scope=memo.out_of_scope,
            )
            self.skipped += 1
            return
        with self._gateway.store.write() as conn:
            self._map_scope(conn, scope, group, city_group, kind, lessons, subject)
        decided = self._decide(scope, is_read=read.is_complete, delete_mode=delete_mode, lessons=lessons)
        if read.is_complete and self._is_whole():
            with self._gateway.store.write() as conn:
                store_memo(conn, self._place_id, scope, inputs, decided, self._gateway.store.now(conn))

    def _map_scope(
        self,
        conn: Connection,
        scope: str,
        group: Group,
        city_group: CityGroup,
        kind: Kind,
        lessons: tuple[CityLesson, ...],
        subject: str,
    ) -> None:
        records = self._load(conn, group, kind)
        context = self._context(conn, group, city_group, lessons, subject, records)
        if kind is Kind.TOPICS:
            plans = load_objects(conn, self._place_id, scope, CityTopics)
            context = msgspec.structs.replace(context, city_plans=tuple(plans))
            records = self._topics(conn, group, city_group, context)
        sent = [item for item in records if isinstance(item, Sent)]
        joining = self._joining(conn, group)
        if joining is None or kind is Kind.TOPICS:
            mapped = [map_record(item, context) for item in sent]
        else:
            mapped = joining.map_scope(conn, kind, sent, context, scope)
        mapped = list(
            apply_corrections(
                conn, self._place_id, self._corrections, records, mapped, now=self._gateway.store.now(conn)
            )
        )
        save_chosen_lessons(conn, self._place_id, mapped, lessons, self._rule_version, self._gateway.store.now(conn))
        store_intended(conn, self._place_id, scope, mapped)

    def _topics(self, conn: Connection, group: Group, city_group: CityGroup, context: GroupContext) -> list[Record]:
        """What a group is taught: by a lesson plan of the school, else by what its lessons say of their topics."""
        topics = topics_of_rows(group, city_group.level, self._lesson_plans(conn))
        if topics is None:
            topics = topics_of_lessons(group, self._local_lessons(conn, group)[0], context)
        return [] if topics is None else [topics]

    def _local_lessons(self, conn: Connection, group: Group) -> tuple[Sequence[Lesson], Mapping[str, str]]:
        """The group's lessons, each once, and how every source's ref leads to them."""
        lessons = [item for item in self._load(conn, group, Kind.LESSON) if isinstance(item, Lesson)]
        joining = self._joining(conn, group)
        if joining is None:
            return lessons, {}
        joint = joining.lessons(conn, lessons, self._gateway.store.now(conn))
        return joint.lessons, joint.canonical

    def _lesson_plans(self, conn: Connection) -> list[LessonPlan]:
        """The rows of all lesson plans, loaded once a run."""
        if self._plan_rows is None:
            self._plan_rows = load_records(conn, self._place_id, LessonPlan)
        return self._plan_rows

    def _context(
        self,
        conn: Connection,
        group: Group,
        city_group: CityGroup,
        lessons: tuple[CityLesson, ...],
        subject: str,
        records: Sequence[Record],
    ) -> GroupContext:
        local_lessons, also = self._local_lessons(conn, group)
        linked, _ = correlate_lessons(local_lessons, lessons)
        lesson_links = {ref: lesson.id for ref, lesson in linked.items()}
        lesson_links |= {ref: lesson_links[own] for ref, own in also.items() if own in lesson_links}
        attempts: dict[tuple[str, str], list[Attempt]] = {}
        for item in self._load_course(conn, group, Kind.ATTEMPT):
            if isinstance(item, Attempt):
                attempts.setdefault((item.activity, item.pupil), []).append(item)
        schedule = city_group.schedule_id
        return GroupContext(
            group=group,
            city_group=city_group,
            subject=subject,
            class_name=group.class_name,
            pupils=self._who.pupils,
            pupils_waiting=self._who.pupils_waiting,
            city_pupils=self._city_pupils,
            lessons=lessons,
            lesson_links=lesson_links,
            periods=tuple(period for period in self._directory.periods if period.schedule_id == schedule),
            forms=tuple(form for form in self._directory.forms if form.subject_id == city_group.subject_id),
            attempts={key: tuple(found) for key, found in attempts.items()},
            chosen=load_chosen_lessons(conn, self._place_id, [item.ref for item in records], lessons),
            rules=self._rules,
            now=self._gateway.store.now(conn),
            absence_reason_id=self._gateway.settings.mesh.absence_reason_id,
            late_text=self._gateway.settings.mesh.late_text,
        )

    def _decide(self, scope: str, *, is_read: bool, delete_mode: Mode, lessons: Sequence[CityLesson]) -> ScopeDecision:
        ordered = sorted(lessons, key=lambda lesson: (lesson.starts_at, lesson.id))
        positions = {lesson.id: position for position, lesson in enumerate(ordered)}
        with self._gateway.store.read() as conn:
            decided = decide_scope(
                conn,
                self._place_id,
                scope,
                is_read=is_read,
                delete_mode=delete_mode,
                limits=self._gateway.limits,
                position_of=positions.get,
                busy=load_busy(conn, self._place_id, scope),
                missed_by=self._missed_by(conn),
            )
        kept = self._narrow(decided)
        self._draft.add(kept)
        return decided

    def _missed_by(self, conn: Connection) -> datetime:
        """Moment before which a record must have been missed first for its absence to be proven."""
        return self._gateway.store.now(conn) - timedelta(hours=self._gateway.settings.school.delete_grace_hours)

    def _narrow(self, decided: ScopeDecision) -> ScopeDecision:
        """Keep only the wanted pupils and days; what is not looked at is not counted.

        A run that looks at a part may not delete: it has not seen the whole.
        """
        if self._is_whole():
            return decided
        pupils = {self._who.pupils.get(ref) for ref in self._want.pupils}
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
        narrowed = self._want.class_names or self._want.subjects or not self._rules.sent_kinds <= self._want.kinds
        return not narrowed and self._is_whole()

    def _is_whole(self) -> bool:
        return not self._want.pupils and self._want.from_on <= self._year_start()

    def _year_start(self) -> date:
        return self._directory.year.begins_on

    def _joining(self, conn: Connection, group: Group) -> GroupJoining | None:
        """What joins the group's sources; None where there is one."""
        scopes = self._scopes.get(group.ref, ())
        if not is_joint(scopes):
            return None
        return GroupJoining(
            self._place_id,
            group.ref,
            scopes,
            speaking=speaking_sources(source.name for source in self._gateway.sources),
            rules=self._rules,
            rule_version=self._rule_version,
            run_id=self._run_id,
            missed_by=self._missed_by(conn),
        )

    def _load(self, conn: Connection, group: Group, kind: Kind) -> list[Record]:
        return self._led(load_of_scopes(conn, self._place_id, self._scopes.get(group.ref, ()), kind))

    def _led(self, records: list[Record]) -> list[Record]:
        """Lead the references of several sources to one person and one group."""
        joint = self._who.joint
        return [rewrite(item, joint.people, joint.groups) for item in records] if joint.is_several else records

    def _load_course(self, conn: Connection, group: Group, kind: Kind) -> list[Record]:
        scopes = [scope for found in self._scopes.values() for scope in found if scope.programme == group.programme]
        return self._led(load_of_scopes(conn, self._place_id, scopes, kind))

    def _inputs(
        self,
        conn: Connection,
        group: Group,
        city_group: CityGroup,
        kind: Kind,
        lessons: tuple[CityLesson, ...],
    ) -> bytes:
        """Everything that the scope is decided by, as one digest: data, rules, links, timetable, calendar day."""
        state = xxhash.xxh3_128()
        for part in self._iter_inputs(conn, group, city_group, kind, lessons):
            state.update(part)
            state.update(b"\x00")
        return state.digest()

    def _iter_inputs(
        self,
        conn: Connection,
        group: Group,
        city_group: CityGroup,
        kind: Kind,
        lessons: tuple[CityLesson, ...],
    ) -> Iterator[bytes]:
        yield self._rule_version.encode()
        yield self._today.isoformat().encode()
        yield f"{self._want.from_on}|{self._want.to_on}".encode()
        local = [
            scope
            for found in self._scopes.values()
            for scope in found
            if scope.programme == group.programme and scope.kind in (kind, Kind.ATTEMPT, Kind.LESSON)
        ]
        if kind is Kind.TOPICS:
            topics = topics_of_rows(group, city_group.level, self._lesson_plans(conn))
            yield b"" if topics is None else msgspec.json.encode(topics)
        if kind is Kind.COMMENT:
            yield self._gateway.settings.mesh.late_text.encode()
        for scope in sorted(local, key=lambda found: found.scope):
            yield scope.scope.encode() + scope.digest
        yield msgspec.json.encode(city_group)
        yield msgspec.json.encode(lessons)
        yield msgspec.json.encode(sorted(self._who.pupils.items()))
        members = [self._city_pupils[pupil] for pupil in city_group.pupil_ids if pupil in self._city_pupils]
        yield msgspec.json.encode(members)
        yield msgspec.json.encode((self._directory.periods, self._directory.forms))
        joining = self._joining(conn, group)
        if joining is not None:
            yield from joining.iter_inputs(conn, kind, city_scope(kind.value, city_group.id))
        where = {"place_id": self._place_id, "scope": city_scope(kind.value, city_group.id)}
        yield conn.execute(_CITY_DIGEST, where).scalar_one()


_KINDS_OF_A_PUPIL = (Kind.MARK, Kind.ABSENCE, Kind.COMMENT, Kind.FINAL)


def _pupil_of(object_key: str | None) -> int | None:
    """The city's pupil id in a cell's key; None where the object has no single pupil."""
    parts = (object_key or "").split("/")
    return int(parts[1]) if parts[0] in _KINDS_OF_A_PUPIL else None
