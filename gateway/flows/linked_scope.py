"""A kind of one group as planning takes it: what it is decided by, and what should stand in the city for its records.

Between the walk over the groups (`flows.plan`) and mapping. What all kinds of a group share (timetable, links of lessons)
is made once, and only when one of them is not skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property

import msgspec
import xxhash
from sqlalchemy import Connection

from gateway.connectors.port import CityDirectory, CityRead, Want
from gateway.domain.city import CityGroup, CityLesson, CityPupil, CityTopics
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import GROUP_NOT_LINKED, NOT_LINKED
from gateway.domain.records import Attempt, Group, Lesson, LessonPlan, Record, Topics
from gateway.domain.school_year import SchoolYear
from gateway.flows.correlate import WhoIsWho
from gateway.flows.joint import GroupJoining, is_joint
from gateway.flows.scopes import LocalScope, load_of_scopes
from gateway.mapping.chosen import topics_of_lessons, topics_of_rows
from gateway.mapping.context import periods_of_group
from gateway.mapping.correlate import correlate_lessons
from gateway.mapping.joint import rewrite
from gateway.mapping.links import load_chosen_lessons, save_chosen_lessons
from gateway.mapping.mesh import GroupContext, Mapped, Sent, map_record
from gateway.mapping.rules import Mode, Rules
from gateway.mapping.unmapped import Unmapped, count_unmapped, find_unmapped_group, save_unmapped
from gateway.reconcile.bindings import BOUND_KINDS, drop_bindings, find_unbound, load_bindings
from gateway.reconcile.corrections import Correction, apply_corrections, end_corrections, load_digests
from gateway.reconcile.holds import Hold
from gateway.reconcile.relinks import PUPIL_KINDS, LetOn, load_links_stamp, load_moving
from gateway.reconcile.shadow import city_scope, load_objects
from gateway.reconcile.triples import COMPARED


class Ground(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What all groups of one planning pass share.

    Attributes:
        today: Moscow day of the pass.
        scopes: Canonical group ref → the scopes of all sources that feed it.
        year: The school's calendar, for groups of which the city knows no periods; None where it was not imported.
        lesson_plans: The rows of all lesson plans, where topics are sent.
        corrections: (kind, ref) → what a person decided about that record.
        holds: What people keep from being sent.
        undone: (kind, ref) of what an undo keeps undone.
        relinked: What was approved to be created at the right child (`reconcile.relinks.load_let_on`).
        speaking: Sources whose words count.
        activation: Number of the last step that changed which rules count.
        bound: Version → rules by which what it sent keeps its value.
        missed_by: A record must have been missed first before this moment for its absence to be proven.
        now_of: The store's moment, asked on a connection.
    """

    place_id: int
    want: Want
    today: date
    run_id: int
    directory: CityDirectory
    year: SchoolYear | None
    who: WhoIsWho
    scopes: Mapping[str, Sequence[LocalScope]]
    lesson_plans: Sequence[LessonPlan]
    corrections: Mapping[tuple[str, str], Correction]
    holds: Sequence[Hold]
    undone: Collection[tuple[str, str]]
    relinked: Collection[LetOn]
    speaking: frozenset[str]
    rules: Rules
    rule_version: str
    activation: int
    bound: Mapping[str, Rules]
    absence_reason_id: int
    late_text: str
    missed_by: datetime
    now_of: Callable[[Connection], datetime]

    def find_moving(self, conn: Connection) -> Collection[int]:
        """Profiles whose links are not those any more that this pass decides by."""
        if load_links_stamp(conn, self.place_id) == self.who.links_stamp:
            return ()
        linked = {ref: city_id for ref, city_id in self.who.pupils.items() if ref not in self.who.pupils_waiting}
        return load_moving(conn, self.place_id, linked, now=self.now_of(conn))

    @cached_property
    def city_groups(self) -> Mapping[int, CityGroup]:
        """The city's groups by id."""
        return {group.id: group for group in self.directory.groups}

    @cached_property
    def city_pupils(self) -> Mapping[int, CityPupil]:
        """The city's pupils by id."""
        return {pupil.id: pupil for pupil in self.directory.pupils}

    @cached_property
    def everywhere(self) -> bytes:
        """What every scope is decided by."""
        return msgspec.json.encode(
            (
                self.rule_version,
                self.activation,
                self.today,
                (self.want.from_on, self.want.to_on),
                sorted(self.who.pupils.items()),
                # linked, and waiting all the same: his records must not be taken for settled
                sorted((ref, why) for ref, why in self.who.pupils_waiting.items() if ref in self.who.pupils),
                self.directory.periods,
                self.directory.forms,
                self.year,
            )
        )

    @cached_property
    def by_programme(self) -> Mapping[str, Sequence[LocalScope]]:
        """The portal's scopes by their course, in order of their names."""
        found: dict[str, list[LocalScope]] = {}
        for scope in sorted((scope for some in self.scopes.values() for scope in some), key=lambda one: one.scope):
            found.setdefault(scope.programme, []).append(scope)
        return found

    def load(self, conn: Connection, group: Group, kind: Kind) -> list[Record]:
        """Load the live records of one kind of a group."""
        return self.load_of(conn, self.scopes.get(group.ref, ()), kind)

    def load_of(self, conn: Connection, scopes: Sequence[LocalScope], kind: Kind) -> list[Record]:
        """Load the live records of one kind, their references to people and groups led to one of each."""
        records = load_of_scopes(conn, self.place_id, scopes, kind)
        joint = self.who.joint
        return [rewrite(item, joint.people, joint.groups) for item in records] if joint.is_several else records

    def count(self, group: Group, kind: Kind) -> int:
        """How many records the portal showed in a group's scopes of one kind."""
        return sum(scope.records for scope in self.scopes.get(group.ref, ()) if scope.kind is kind)


class LinkedGroup:
    """A group whose counterpart in the city is known, with its timetable there."""

    def __init__(self, ground: Ground, group: Group, lessons: tuple[CityLesson, ...]) -> None:
        self.ground = ground
        self.group = group
        self.city_group = ground.city_groups[ground.who.groups[group.ref]]
        self.lessons = lessons
        self.joining = _build_joining(ground, group)
        self._context: GroupContext | None = None
        self._local_lessons: Sequence[Lesson] = ()

    @cached_property
    def subject(self) -> str:
        """The portal's name of the subject."""
        subject = self.ground.who.subjects.get(self.group.subject)
        return subject.name if subject is not None else self.group.subject

    @cached_property
    def positions(self) -> Mapping[int, int]:
        """City lesson id → its ordinal among the group's lessons in time."""
        ordered = sorted(self.lessons, key=lambda lesson: (lesson.starts_at, lesson.id))
        return {lesson.id: position for position, lesson in enumerate(ordered)}

    @cached_property
    def decided_by(self) -> bytes:
        """What every kind of the group is decided by."""
        pupils = self.ground.city_pupils
        members = [pupils[pupil] for pupil in self.city_group.pupil_ids if pupil in pupils]
        return self.ground.everywhere + msgspec.json.encode((self.city_group, self.lessons, members))

    def load_context(self, conn: Connection, kind: Kind, records: Sequence[Record]) -> GroupContext:
        """Load what mapping needs to know; marks need their attempts and the lessons chosen for them as well."""
        context = self._load_shared(conn)
        if kind is not Kind.MARK:
            return context
        attempts: dict[tuple[str, str], list[Attempt]] = {}
        scopes = self.ground.by_programme.get(self.group.programme, ())
        for item in self.ground.load_of(conn, scopes, Kind.ATTEMPT):
            if isinstance(item, Attempt):
                attempts.setdefault((item.activity, item.pupil), []).append(item)
        return msgspec.structs.replace(
            context,
            attempts={key: tuple(found) for key, found in attempts.items()},
            chosen=load_chosen_lessons(conn, self.ground.place_id, [item.ref for item in records], self.lessons),
        )

    def load_topics(self, conn: Connection, scope: str) -> tuple[Sequence[Record], GroupContext]:
        """What a group is taught: by a lesson plan of the school, else by what its lessons say of their topics."""
        plans = load_objects(conn, self.ground.place_id, scope, CityTopics)
        context = msgspec.structs.replace(self._load_shared(conn), city_plans=tuple(plans))
        topics = self.planned_topics
        if topics is None:
            topics = topics_of_lessons(self.group, self._local_lessons, context)
        return [] if topics is None else [topics], context

    @cached_property
    def planned_topics(self) -> Topics | None:
        """What the group is taught by a lesson plan of the school."""
        return topics_of_rows(self.group, self.city_group.level, self.ground.lesson_plans)

    def _load_shared(self, conn: Connection) -> GroupContext:
        """Load what all kinds share, once; each lesson once as well, whichever source's ref leads to it."""
        if self._context is not None:
            return self._context
        ground = self.ground
        lessons = [item for item in ground.load(conn, self.group, Kind.LESSON) if isinstance(item, Lesson)]
        also: Mapping[str, str] = {}
        if self.joining is not None:
            joint = self.joining.lessons(conn, lessons)
            lessons, also = list(joint.lessons), joint.canonical
        self._local_lessons = lessons
        linked, _ = correlate_lessons(lessons, self.lessons)
        lesson_links = {ref: lesson.id for ref, lesson in linked.items()}
        lesson_links |= {ref: lesson_links[own] for ref, own in also.items() if own in lesson_links}
        self._context = GroupContext(
            group=self.group,
            city_group=self.city_group,
            subject=self.subject,
            class_name=self.group.class_name,
            pupils=ground.who.pupils,
            pupils_waiting=ground.who.pupils_waiting,
            city_pupils=ground.city_pupils,
            lessons=self.lessons,
            lesson_links=lesson_links,
            periods=periods_of_group(self.city_group, ground.directory.periods, ground.year),
            forms=tuple(form for form in ground.directory.forms if form.subject_id == self.city_group.subject_id),
            attempts={},
            chosen={},
            rules=ground.rules,
            now=ground.now_of(conn),
            absence_reason_id=ground.absence_reason_id,
            late_text=ground.late_text,
        )
        return self._context


def _pupil_of(mapped: Mapped) -> int | None:
    return getattr(mapped.intent, "pupil_id", None) if mapped.state in COMPARED else None


def _waiting(mapped: Mapped) -> Mapped:
    return msgspec.structs.replace(mapped, state="waiting", reason=NOT_LINKED)


def _build_joining(ground: Ground, group: Group) -> GroupJoining | None:
    """What joins the group's sources; None where there is one."""
    scopes = ground.scopes.get(group.ref, ())
    if not is_joint(scopes):
        return None
    return GroupJoining(
        ground.place_id,
        group.ref,
        scopes,
        speaking=ground.speaking,
        rules=ground.rules,
        rule_version=ground.rule_version,
        run_id=ground.run_id,
        missed_by=ground.missed_by,
    )


class LinkedScope:
    """A kind of a linked group, with the city's side as read (`flows.scope_batch.ScopeToPlan`)."""

    def __init__(self, linked: LinkedGroup, kind: Kind, read: CityRead | None, *, is_whole: bool) -> None:
        self._linked = linked
        self._kind = kind
        self._ground = linked.ground
        self.read = read
        self.is_whole = is_whole
        self._ended: Mapping[tuple[str, str], Correction] = {}
        self._unbound: Collection[str] = ()
        self._unmapped: Mapping[Unmapped, int] = {}
        self.scope = city_scope(kind.value, linked.city_group.id)
        self.count = self._ground.count(linked.group, kind)
        names = (linked.subject, linked.city_group.subject_name)
        self.delete_mode: Mode = self._ground.rules.scope_for(kind, names, linked.group.class_name).modes.delete

    def find_position(self, lesson_id: int) -> int | None:
        """The ordinal of a lesson among the group's lessons in time."""
        return self._linked.positions.get(lesson_id)

    def digest_inputs(self, conn: Connection, shown: bytes) -> bytes:
        """Everything that the scope is decided by, as one digest: data, rules, links, timetable, calendar day."""
        state = xxhash.xxh3_128(self._linked.decided_by)
        if self._kind is Kind.TOPICS:
            state.update(msgspec.json.encode(self._linked.planned_topics))
        if self._kind is Kind.COMMENT:
            state.update(msgspec.json.encode(self._ground.late_text))
        if self._linked.joining is not None:
            for part in self._linked.joining.iter_inputs(conn, self._kind, self.scope):
                state.update(part)
        for scope in self._ground.by_programme.get(self._linked.group.programme, ()):
            if scope.kind in (self._kind, Kind.ATTEMPT, Kind.LESSON):
                state.update(scope.scope.encode() + b"\x00" + scope.digest)
        state.update(shown)
        return state.digest()

    @property
    def kind(self) -> Kind:
        """Kind of its records."""
        return self._kind

    def load(self, conn: Connection) -> tuple[Sequence[Record], GroupContext]:
        """Load its records, and what mapping needs to know of the group."""
        if self._kind is Kind.TOPICS:
            return self._linked.load_topics(conn, self.scope)
        records = self._ground.load(conn, self._linked.group, self._kind)
        return records, self._linked.load_context(conn, self._kind, records)

    def map_records(self, conn: Connection) -> Sequence[Mapped]:
        """What should stand in the city for each record of ours, what people decided about it laid over."""
        records, context = self.load(conn)
        joining = None if self._kind is Kind.TOPICS else self._linked.joining
        sent = [item for item in records if isinstance(item, Sent)]
        mapped = (
            [map_record(item, context) for item in sent]
            if joining is None
            else joining.map_scope(conn, self._kind, sent, context, self.scope)
        )
        self._unmapped = count_unmapped(records, mapped, self._ground.rules)
        if self._ground.bound and self._kind in BOUND_KINDS:
            mapped = self._keep_values(conn, sent, context, mapped)
        found = self._ground.corrections
        digests = load_digests(conn, self._ground.place_id, found, mapped) if found else {}
        corrected = apply_corrections(found, digests, mapped)
        self._ended = corrected.ended
        return corrected.mapped

    def _keep_values(
        self, conn: Connection, sent: Sequence[Sent], context: GroupContext, mapped: Sequence[Mapped]
    ) -> list[Mapped]:
        """What an earlier version of the rules has sent keeps its value, unless its record moved or it is to be corrected."""
        ground, kind = self._ground, self._kind
        local = [one.scope for one in ground.scopes.get(self._linked.group.ref, ()) if one.kind is kind]
        bindings = load_bindings(conn, ground.place_id, kind, local)
        kept: dict[str, Mapped] = {}
        for version, rules in ground.bound.items():
            if version == ground.rule_version:
                continue  # it says what the active rules have just said
            refs = {
                ref
                for ref, one in bindings.items()
                if one.rule_version == version and not one.is_moved and one.correction_id is None
            }
            if refs:
                by_then = msgspec.structs.replace(context, rules=rules)
                kept |= {one.ref: one for one in self._map(conn, sent, by_then) if one.ref in refs}
        self._unbound = find_unbound(conn, ground.place_id, kind, bindings, mapped)
        return [kept.get(one.ref, one) for one in mapped]

    def _map(self, conn: Connection, sent: Sequence[Sent], context: GroupContext) -> Sequence[Mapped]:
        joining = self._linked.joining
        if joining is None:
            return [map_record(one, context) for one in sent]
        return joining.map_again(conn, self._kind, sent, context, self.scope)

    def keep_linked(self, conn: Connection, mapped: Sequence[Mapped]) -> Sequence[Mapped]:
        """Let wait what is of pupils whose links were changed while the pass went on: it was decided by another child."""
        moving = self._ground.find_moving(conn) if self._kind in PUPIL_KINDS else frozenset()
        return [_waiting(one) if _pupil_of(one) in moving else one for one in mapped] if moving else mapped

    def store_choices(self, conn: Connection, mapped: Sequence[Mapped]) -> None:
        """Keep what this mapping came to: lessons chosen, records of several sources found to be one, corrections over."""
        ground = self._ground
        now = ground.now_of(conn)
        save_chosen_lessons(conn, ground.place_id, mapped, self._linked.lessons, ground.rule_version, now)
        if self._linked.joining is not None:
            self._linked.joining.store_found(conn, now)
        end_corrections(conn, ground.place_id, self._ended, now)
        drop_bindings(conn, ground.place_id, self._kind, self._unbound)
        former = f"{self._kind.value}|{self._linked.group.ref}"
        save_unmapped(conn, ground.place_id, self.scope, self._unmapped, now, former=former)


class WaitingScope:
    """A kind of a group of which the city's side is not known now: every record waits (`flows.scope_batch.ScopeToPlan`)."""

    read: CityRead | None = None
    delete_mode: Mode = "off"
    is_whole = False

    def __init__(self, ground: Ground, group: Group, kind: Kind, scope: str, reason: str) -> None:
        self._ground = ground
        self._group = group
        self._kind = kind
        self._reason = reason
        self.scope = scope
        self.count = ground.count(group, kind)

    def find_position(self, lesson_id: int) -> int | None:
        """Nothing is compared by its neighbours here."""
        del lesson_id
        return None

    def digest_inputs(self, conn: Connection, shown: bytes) -> bytes:
        """Such a scope is never remembered."""
        del conn
        return shown

    def map_records(self, conn: Connection) -> Sequence[Mapped]:
        """Every record with the reason why it waits."""
        records = self._ground.load(conn, self._group, self._kind)
        return [Mapped(ref=item.ref, kind=self._kind, state="waiting", reason=self._reason) for item in records]

    def keep_linked(self, conn: Connection, mapped: Sequence[Mapped]) -> Sequence[Mapped]:
        """Everything waits here anyway."""
        del conn
        return mapped

    def store_choices(self, conn: Connection, mapped: Sequence[Mapped]) -> None:
        """Keep what the group waits for, where it is a subject or a class that leads nowhere."""
        ground = self._ground
        value = None
        if self._reason == GROUP_NOT_LINKED:
            value = find_unmapped_group(
                self._group,
                ground.who.subjects.get(self._group.subject),
                ground.rules,
                city_subjects={group.subject_name for group in ground.directory.groups},
                city_classes={group.class_name for group in ground.directory.groups if group.class_name},
            )
        found = {value: len(mapped)} if value is not None and mapped else {}
        save_unmapped(conn, ground.place_id, self.scope, found, ground.now_of(conn))


__all__ = ["Ground", "LinkedGroup", "LinkedScope", "WaitingScope"]
