"""A portal and a planner that speak of the same lessons and marks: one record a thing, and two words of it wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from gateway.connectors.port import CheckLine, ScopeRead, Stored, Want
from gateway.domain.clock import Clock
from gateway.domain.errors import IncompleteReadError, UnreachableError
from gateway.domain.identifiers import Kind, scope_key, sourced
from gateway.domain.records import Group, Lesson, Mark, Person, Scale, Subject
from gateway.flows.sync import Synced
from gateway.mapping.tables import record_link, source_conflict
from gateway.reconcile.snapshot import load_records
from gateway.report.source_view import load_conflicts, load_sources

NAME = "planner"
GROUP = sourced(NAME, "group:7a")
DAY_S = 86_400.0


@dataclass
class PaperPlanner:
    """A planner as a list of records; its pages can be torn out or unreadable."""

    clock: Clock
    name: str = NAME
    people: list[Person] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    is_down: bool = False
    is_torn: bool = False

    def check(self) -> Iterator[CheckLine]:
        yield from ()

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        del want, stored
        if self.is_down:
            raise UnreachableError("Планировщик не отвечает", system=NAME)
        site, programme = sourced(NAME, "site"), sourced(NAME, "algebra")
        subject = Subject(ref=sourced(NAME, "subject:алгебра"), name="Алгебра")
        group = Group(ref=GROUP, programme=programme, subject=subject.ref, name="Алгебра 7А", class_name="7-а")
        yield self._read(Kind.SUBJECT, [subject], site)
        yield self._read(Kind.PERSON, self.people, site)
        yield self._read(Kind.GROUP, [group], programme)
        yield self._read(Kind.LESSON, self.lessons, programme, GROUP)
        if self.is_torn:
            problem = IncompleteReadError("Страница оборвана", system=NAME)
            scope = scope_key(Kind.MARK, programme, GROUP)
            yield ScopeRead(scope=scope, kind=Kind.MARK, read_at=self.clock.now(), problem=problem)
            return
        yield self._read(Kind.MARK, list(self.marks.values()), programme, GROUP)

    def _read(self, kind: Kind, records: list[Any], *parts: str) -> ScopeRead:
        return ScopeRead(
            scope=scope_key(kind, *parts),
            kind=kind,
            read_at=self.clock.now(),
            records=records,
            pupils_present=frozenset(person.ref for person in self.people),
            items_present=frozenset(sourced(NAME, f"page:{lesson.starts_at}") for lesson in self.lessons),
        )


class School:
    """The hand of a gateway that hears both, and what its people do."""

    def __init__(self, hand: Any, planner: PaperPlanner, make_hand: Any) -> None:
        self.planner = planner
        self.alone = hand
        gateway = replace(hand.gateway, sources=(*hand.gateway.sources, planner))
        self.hand = make_hand(hand.world, gateway, hand.city)

    def records(self, cls: type[Any]) -> list[Any]:
        place_id = self.hand.place_id()
        with self.hand.gateway.store.read() as conn:
            return load_records(conn, place_id, cls)

    def copy_directory(self) -> None:
        """The planner knows the same pupils by the city's id, or by the school's own, and the same timetable."""
        self.planner.people = [
            msgspec.structs.replace(person, ref=sourced(NAME, person.ref), class_name="7 А", origins={"*": "p"})
            for person in self.records(Person)
            if person.role == "pupil"
        ]
        self.planner.lessons = [
            msgspec.structs.replace(
                lesson, ref=sourced(NAME, lesson.ref), group=GROUP, topic="Степени", origins={"*": "p"}
            )
            for lesson in self.records(Lesson)
        ]

    def page_mark(self, mark: Mark, lesson: Lesson, **changes: Any) -> Mark:
        page = sourced(NAME, f"page:{lesson.starts_at}")
        copy = msgspec.structs.replace(
            mark,
            ref=sourced(NAME, f"{mark.ref}@page"),
            origins={"*": "planner/page"},
            pupil=sourced(NAME, mark.pupil),
            programme=sourced(NAME, "algebra"),
            group=GROUP,
            item=page,
            item_name="",
            item_number="",
            module="page",
            scale=Scale("points", 0, 5),
            lesson_at=lesson.starts_at,
            graded_at=None,
        )
        copy = msgspec.structs.replace(copy, **changes)
        self.planner.marks[copy.ref] = copy
        return copy

    def lesson_marks(self) -> list[tuple[Mark, Lesson]]:
        """Portal marks of lessons that are the only one of their pupil and day, with the lesson."""
        lessons = {
            lesson.starts_at.date().isoformat(): lesson for lesson in self.records(Lesson) if "/" not in lesson.ref
        }
        found = []
        for mark in self.records(Mark):
            day = mark.item_number.rpartition("-")[2]
            key = f"{day[:4]}-{day[4:6]}-{day[6:]}"
            if mark.item_number.startswith("lesson-") and key in lessons:
                found.append((mark, lessons[key]))
        return found

    def decisions_of(self, synced: Synced, ref: str) -> list[str]:
        return [row.reason for row in self.hand.decisions(synced) if row.ref == ref]

    def rows(self, table: Any) -> list[Any]:
        with self.hand.gateway.store.read() as conn:
            return list(conn.execute(select(table)))


@pytest.fixture
def school(small: Any, make_hand: Any) -> Iterator[School]:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        school = School(hand, PaperPlanner(small.clock), make_hand)
        school.copy_directory()
        yield school


def test_what_both_say_is_one_record_and_nothing_is_sent_twice(school: School) -> None:
    before = len(school.hand.city.machine_ledger())
    for mark, lesson in school.lesson_marks():
        school.page_mark(mark, lesson)
    assert len(school.planner.marks) > 3

    synced = school.hand.through()

    assert synced.planned is not None
    counters = synced.planned.plan.counters
    assert (counters["create"], counters["update"], counters["delete"]) == (0, 0, 0)
    assert len(school.hand.city.machine_ledger()) == before
    pairs = {row.ref: row.canonical for row in school.rows(record_link) if row.kind == "mark"}
    assert pairs == {ref: ref.removeprefix("planner/").removesuffix("@page") for ref in school.planner.marks}
    assert {row.kind for row in school.rows(record_link)} == {"person", "group", "lesson", "mark"}
    school.hand.assert_sound()


def test_two_words_on_one_mark_wait_for_the_teacher_and_the_last_writer_does_not_win(school: School) -> None:
    mark, lesson = school.lesson_marks()[0]
    other = 3.0 if mark.raw_points != 3.0 else 4.0
    school.page_mark(mark, lesson, raw_points=other)

    first = school.hand.through()
    school.hand.world.portal.edit(
        "set_grade",
        courseid=int(mark.programme.rpartition(":")[2]),
        itemid=int(mark.item.rpartition(":")[2]),
        userid=int(mark.pupil.rpartition(":")[2]),
        grade=2.0 if other != 2.0 else 5.0,
    )
    second = school.hand.through()

    assert school.decisions_of(first, mark.ref) == ["SOURCES_DISAGREE"]
    assert school.decisions_of(second, mark.ref) == ["SOURCES_DISAGREE"]
    conflict = school.rows(source_conflict)
    assert [(row.ref, row.field, row.reason, row.owner) for row in conflict] == [
        (mark.ref, "mark.value", "SOURCES_DISAGREE", "teacher")
    ]
    place_id = school.hand.place_id()
    with school.hand.gateway.store.read() as conn:
        shown = load_conflicts(conn, place_id)
        names = {line.name: line.unread_scopes for line in load_sources(conn, place_id)}
    assert [(line.ref, line.reason, line.winner, line.others) for line in shown] == [
        (mark.ref, "SOURCES_DISAGREE", mark.ref, list(school.planner.marks))
    ]
    assert names == {"planner": 0, "portal": 0}
    school.hand.assert_sound()

    school.planner.marks[school.page_mark(mark, lesson).ref] = school.page_mark(
        mark, lesson, raw_points=2.0 if other != 2.0 else 5.0
    )
    agreed = school.hand.through()

    assert school.decisions_of(agreed, mark.ref) == ["CHANGE"]
    assert school.rows(source_conflict) == []
    school.hand.assert_sound()


def test_a_mark_that_only_the_planner_has_is_sent_once_and_the_portal_may_confirm_it_later(school: School) -> None:
    mark, _ = school.lesson_marks()[0]
    taken = {(one.pupil, at.starts_at) for one, at in school.lesson_marks()}
    pupil, free = next(
        (person.ref, at)
        for person in school.records(Person)
        for _, at in school.lesson_marks()
        if person.role == "pupil" and "/" not in person.ref and (person.ref, at.starts_at) not in taken
    )
    page = school.page_mark(mark, free, pupil=sourced(NAME, pupil), ref=sourced(NAME, "mark:new"))

    sent = school.hand.through()
    school.hand.world.portal.edit(
        "set_grade",
        courseid=int(mark.programme.rpartition(":")[2]),
        itemid=_item_of(school, free),
        userid=int(pupil.rpartition(":")[2]),
        grade=page.raw_points,
    )
    again = school.hand.through()

    assert school.decisions_of(sent, page.ref) == ["CREATE"]
    assert again.planned is not None
    assert again.planned.plan.counters["create"] == 0
    pairs = {row.ref: row.canonical for row in school.rows(record_link) if row.kind == "mark"}
    assert list(pairs.values()) == [page.ref]  # the city knows it by the planner's ref, which it keeps
    school.hand.assert_sound()


@pytest.mark.row("E15")
def test_a_mark_goes_only_when_no_source_asserts_it(school: School) -> None:
    mark, lesson = school.lesson_marks()[0]
    page = school.page_mark(mark, lesson)
    school.page_mark(*school.lesson_marks()[1])
    school.hand.through()
    school.hand.world.portal.edit(
        "clear_grade",
        courseid=int(mark.programme.rpartition(":")[2]),
        itemid=int(mark.item.rpartition(":")[2]),
        userid=int(mark.pupil.rpartition(":")[2]),
    )
    school.hand.through()
    school.hand.world.clock.advance(DAY_S)
    standing = school.hand.through()

    assert school.decisions_of(standing, mark.ref) == []  # the planner still says it: unchanged
    del school.planner.marks[page.ref]
    first = school.hand.through()
    assert school.decisions_of(first, mark.ref) == ["ABSENCE_UNPROVEN"]
    school.hand.world.clock.advance(DAY_S)
    proven = school.hand.sync()

    assert school.decisions_of(proven, mark.ref) == ["DELETE_HELD"]
    school.hand.assert_sound()


@pytest.mark.parametrize("how", ["down", "torn"])
def test_a_planner_that_can_not_be_read_is_a_remark_and_neither_deletes_nor_outvotes(school: School, how: str) -> None:
    pages = school.lesson_marks()
    mark, _ = pages[0]
    for one, at in pages:
        school.page_mark(one, at)
    school.hand.through()
    school.planner.is_down, school.planner.is_torn = how == "down", how == "torn"
    school.planner.marks.clear()
    school.hand.world.portal.edit(
        "set_grade",
        courseid=int(mark.programme.rpartition(":")[2]),
        itemid=int(mark.item.rpartition(":")[2]),
        userid=int(mark.pupil.rpartition(":")[2]),
        grade=2.0 if mark.raw_points != 2.0 else 5.0,
    )

    synced = school.hand.through()

    assert synced.exit_code == 3
    assert synced.pulled is not None
    assert [problem.reason for problem in synced.pulled.problems] == [
        "TRANSPORT" if how == "down" else "INCOMPLETE_READ"
    ]
    assert school.decisions_of(synced, mark.ref) == ["SOURCE_UNREAD"]
    assert synced.planned is not None
    assert synced.planned.plan.counters["delete"] == 0
    school.hand.assert_sound()


@pytest.mark.row("E5")
def test_a_planner_s_pupil_whom_only_the_name_tells_waits_and_is_nobody_s_namesake(school: School) -> None:
    school.planner.people = [
        msgspec.structs.replace(person, person_id=None, school_id=None) for person in school.planner.people
    ]
    mark, lesson = school.lesson_marks()[0]
    page = school.page_mark(mark, lesson, raw_points=2.0)

    synced = school.hand.through()

    assert school.decisions_of(synced, page.ref) == ["NOT_LINKED"]
    assert school.decisions_of(synced, mark.ref) == []
    waiting = school.hand.waiting()
    assert {waiting[person.ref] for person in school.planner.people} == {"NOT_LINKED"}
    school.hand.assert_sound()


def _item_of(school: School, lesson: Lesson) -> int:
    found = next(mark for mark, at in school.lesson_marks() if at.starts_at == lesson.starts_at)
    return int(found.item.rpartition(":")[2])
