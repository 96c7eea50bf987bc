"""The portal of a seed: who holds what since when (the causes), read scope by scope as a source, with its own lapses."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.connectors.port import CheckLine, ScopeRead, Stored, Want
from gateway.domain.clock import MOSCOW
from gateway.domain.errors import IncompleteReadError, UnavailableError, UnreachableError
from gateway.domain.identifiers import Kind, scope_key
from gateway.domain.records import (
    Absence,
    Final,
    Group,
    Homework,
    Lesson,
    LessonComment,
    Mark,
    Membership,
    Person,
    Programme,
    Record,
    Scale,
    Subject,
)
from gateway.simulation.school import (
    ITEMS,
    LESSON_AT,
    PROGRAMME,
    SUBJECT,
    SUBJECT_REF,
    YEAR_PERIOD,
    NaturalKey,
    Place,
    SmallSchool,
    TaughtGroup,
    is_late,
)
from gateway.simulation.stage import Stage

ABSENCE_VALUE = "2"  # the city's plain «н» of the settings
FORGOTTEN_OF = 4
"""Of fewer marks one that is lacking may be most of what there is, and then the list is refused as too short."""
GRADED = (Kind.MARK, Kind.ABSENCE, Kind.HOMEWORK, Kind.COMMENT, Kind.FINAL)
"""Kinds that teachers fill; the last two are asked for only where the world sends them."""
FINAL_ITEM = "item:final"
YEAR_ITEM = "item:year"


@dataclass
class Causes:
    """What the portal held in one place: every change with its time; None = nothing."""

    at_s: list[float] = field(default_factory=list)
    values: list[str | None] = field(default_factory=list)

    def set(self, now_s: float, value: str | None) -> bool:
        """Change it; False where it is so already."""
        if value == self.now:
            return False
        self.at_s.append(now_s)
        self.values.append(value)
        return True

    @property
    def now(self) -> str | None:
        return self.values[-1] if self.values else None

    def at(self, moment_s: float) -> str | None:
        """What it was at a moment."""
        count = bisect_right(self.at_s, moment_s)
        return self.values[count - 1] if count else None

    def count(self, value: str | None) -> int:
        """How often it became that value."""
        return self.values.count(value)


@dataclass(frozen=True)
class PortalWeather:
    """Probabilities of the portal's lapses at one scope, while faults are on.

    Attributes:
        p_forgetful: A list that says it is whole lacks a mark; the next one of the scope has it again.
    """

    p_incomplete: float
    p_down: float
    p_forgetful: float


class SimPortal:
    """The portal's state; teachers change it, sources read it."""

    name = "portal"

    def __init__(self, stage: Stage, school: SmallSchool) -> None:
        self._stage = stage
        self.school = school
        self.causes: dict[NaturalKey, Causes] = {place.key: Causes() for place in school.places}
        self.absent_pupils: set[str] = set()
        """Refs of pupils who are not enrolled now."""
        self.left_once: set[str] = set()
        self.forgot: set[str] = set()
        """Scopes whose last list lacked a mark."""
        self.emptied: set[tuple[Kind, str]] = set()
        """(kind, group) that some complete read found empty: nobody can tell a reset from a teacher who cleared it all."""

    def set(self, place: Place, value: str | None) -> bool:
        """A teacher types; False where it changes nothing."""
        changed = self.causes[place.key].set(self._stage.elapsed_s, value)
        if changed:
            self._stage.note(f"portal {place.ref} -> {value if place.kind is not Kind.HOMEWORK else len(value or '')}")
        return changed

    def is_enrolled(self, place: Place) -> bool:
        """Whether the portal shows the pupil at all."""
        return place.pupil is None or place.pupil.ref not in self.absent_pupils

    def records_of(self, group: TaughtGroup, kind: Kind) -> list[Record]:
        """The records of a group now."""
        if kind is Kind.LESSON:
            return _lessons_of(group, self.topics_of(group))
        found = [place for place in self.school.places if place.group is group and place.kind is kind]
        return [
            _to_record(place, value)
            for place in found
            if self.is_enrolled(place) and (value := self.causes[place.key].now) is not None
        ]

    def topics_of(self, group: TaughtGroup) -> list[str | None]:
        """What each of a group's lessons is about now, in order of their days."""
        causes = self.causes.get(("topics", group.city_id, 0, 0))
        if causes is None or causes.now is None:
            return [None] * len(group.lessons)
        return [*causes.now.split("\n")]


class SimSource:
    """A `PortalSource`: one process's connection to the portal."""

    name = "portal"

    def __init__(self, stage: Stage, portal: SimPortal, weather: PortalWeather) -> None:
        self._stage = stage
        self._portal = portal
        self._weather = weather

    def check(self) -> Iterator[CheckLine]:
        """Nothing to check."""
        return iter(())

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        """Read everything, directories first.

        Raises:
            UnreachableError: The portal is away.
            UnavailableError: It went away in the middle.
        """
        del stored
        if self._is_struck(self._weather.p_down):
            raise UnreachableError("портал недоступен", system="portal", method="POST")
        yield from self._iter_directories()
        for group in self._portal.school.groups:
            for kind in (Kind.LESSON, *GRADED):
                if kind not in want.kinds:
                    continue
                self._stage.point(f"portal {kind.value}")
                if self._is_struck(self._weather.p_down / 4):
                    raise UnavailableError("портал не отвечает", system="portal", method="POST")
                yield self._read(group, kind)

    def _is_struck(self, probability: float) -> bool:
        return self._stage.is_stormy and self._stage.rng.random() < probability

    def _iter_directories(self) -> Iterator[ScopeRead]:
        school, portal = self._portal.school, self._portal
        yield self._scope(
            Kind.PROGRAMME,
            "portal",
            [Programme(ref=PROGRAMME, name=f"{SUBJECT}, {school.level} класс", short_name="alg")],
        )
        yield self._scope(Kind.SUBJECT, "portal", [Subject(ref=SUBJECT_REF, name=SUBJECT)])
        people = [
            Person(
                ref=pupil.ref,
                role="pupil",
                last_name=pupil.last_name,
                first_name=pupil.first_name,
                class_name=pupil.class_name,
                person_id=pupil.person_id,
            )
            for group in school.groups
            for pupil in group.pupils
        ]
        yield self._scope(Kind.PERSON, "portal", people)
        groups = [
            Group(
                ref=group.ref,
                programme=PROGRAMME,
                subject=SUBJECT_REF,
                name=group.class_name,
                class_name=group.class_name,
            )
            for group in school.groups
        ]
        yield self._scope(Kind.GROUP, PROGRAMME, groups)
        memberships = [
            Membership(ref=f"{group.ref}/{pupil.ref}", person=pupil.ref, group=group.ref)
            for group in school.groups
            for pupil in group.pupils
            if pupil.ref not in portal.absent_pupils
        ]
        yield self._scope(Kind.MEMBERSHIP, PROGRAMME, memberships)

    def _scope(self, kind: Kind, where: str, records: Iterable[Record]) -> ScopeRead:
        found = tuple(records)
        return ScopeRead(
            scope=scope_key(kind, where),
            kind=kind,
            read_at=self._stage.now(),
            records=found,
            items_present=frozenset(record.ref for record in found),
        )

    def _read(self, group: TaughtGroup, kind: Kind) -> ScopeRead:
        stage, portal = self._stage, self._portal
        scope = scope_key(kind, PROGRAMME, group.ref)
        read_at = stage.now()
        records = portal.records_of(group, kind)
        present = frozenset(pupil.ref for pupil in group.pupils if pupil.ref not in portal.absent_pupils)
        if self._is_struck(self._weather.p_incomplete):
            part = tuple(record for record in records if stage.rng.random() < 0.5)
            problem = IncompleteReadError("часть страниц не отдана", system="portal", method="POST")
            return ScopeRead(
                scope=scope, kind=kind, read_at=read_at, records=part, problem=problem, pupils_present=present
            )
        if kind is Kind.MARK and self._forgets(scope, len(records)):
            records = [*records]
            records.pop(stage.rng.randrange(len(records)))
        stage.point("portal answers")
        if not records:
            portal.emptied.add((kind, group.ref))
        stage.note(f"read {scope} {len(records)}")
        return ScopeRead(
            scope=scope,
            kind=kind,
            read_at=read_at,
            records=tuple(records),
            pupils_present=present,
            items_present=_items_of(group, kind),
        )

    def _forgets(self, scope: str, count: int) -> bool:
        """Whether a list lacks something, which one that is read again never does twice in a row."""
        forgot = self._portal.forgot
        if scope not in forgot and count >= FORGOTTEN_OF and self._is_struck(self._weather.p_forgetful):
            forgot.add(scope)
            return True
        forgot.discard(scope)
        return False


def _items_of(group: TaughtGroup, kind: Kind) -> frozenset[str]:
    if kind is Kind.MARK:
        return frozenset(f"item:{number}" for number in range(1, len(ITEMS) + 1))
    if kind is Kind.HOMEWORK:
        return frozenset({f"{group.ref}/homework:1"})
    if kind is Kind.FINAL:
        return frozenset({FINAL_ITEM, YEAR_ITEM})
    return frozenset(ref for ref, _ in group.lessons.values())


def _lessons_of(group: TaughtGroup, topics: Sequence[str | None]) -> list[Record]:
    return [
        Lesson(
            ref=ref,
            group=group.ref,
            starts_at=datetime.combine(day, LESSON_AT, MOSCOW).astimezone(UTC),
            duration_min=45,
            ordinal=1,
            topic=topic,
        )
        for (day, (ref, _)), topic in zip(sorted(group.lessons.items()), topics, strict=True)
    ]


def _to_record(place: Place, value: str) -> Record:
    if place.kind is Kind.HOMEWORK or place.pupil is None:
        return Homework(
            ref=place.ref,
            group=place.group.ref,
            programme=PROGRAMME,
            title=value,
            text="",
            assigned_on=place.lesson_on,
            prepared_for=place.lesson_on + timedelta(days=2),
        )
    if place.kind is Kind.ABSENCE:
        lesson, _ = place.group.lessons[place.lesson_on]
        return Absence(ref=place.ref, pupil=place.pupil.ref, lesson=lesson, group=place.group.ref, form="absent")
    if place.kind is Kind.COMMENT:
        lesson, _ = place.group.lessons[place.lesson_on]
        return LessonComment(
            ref=place.ref,
            pupil=place.pupil.ref,
            lesson=lesson,
            group=place.group.ref,
            form="late" if is_late(place) else "remark",
            text="" if is_late(place) else value,
        )
    if place.kind is Kind.FINAL:
        is_year = place.key[2] == YEAR_PERIOD
        return Final(
            ref=place.ref,
            pupil=place.pupil.ref,
            group=place.group.ref,
            item=YEAR_ITEM if is_year else FINAL_ITEM,
            item_name="Год" if is_year else "2 четверть",
            form="year" if is_year else "period",
            period=None if is_year else "2",
            scale=Scale("points", 0.0, 5.0),
            raw_points=float(value),
        )
    name, _ = ITEMS[place.item - 1]
    return Mark(
        ref=place.ref,
        pupil=place.pupil.ref,
        programme=PROGRAMME,
        group=place.group.ref,
        item=f"item:{place.item}",
        item_name=f"{name} {place.lesson_on:%d.%m.%Y}",
        item_form="manual",
        scale=Scale("points", 0.0, 5.0),
        raw_points=float(value),
    )
