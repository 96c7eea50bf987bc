"""The made-up school heard twice, from its portal and from its planner's door: the city gets it once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from gateway.audit.deed import Actor
from gateway.domain.errors import ConfigurationError, RecordError
from gateway.domain.identifiers import Kind, source_of
from gateway.domain.records import CurriculumHours, Guardian, LessonPlan, ProgrammeSection
from gateway.domain.school_year import SchoolYear
from gateway.flows.calendar import import_calendar
from gateway.flows.joint import join_directory
from gateway.flows.planner_push import receive_planner_batch
from gateway.mapping.joint import join_lessons, join_scope
from gateway.mapping.tables import record_link, source_conflict
from gateway.reconcile.snapshot import load_records
from gateway.sandbox.planner import DEFAULT_TOKEN, build_planner_app
from gateway.sandbox.planner.books import FORMS
from gateway.sandbox.planner.timetable import build_asc_xml
from gateway.sandbox.school import School
from gateway.sandbox.serve import serve_in_thread
from tests.flow.office import SchoolOffice

NOW = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
PLANNER = Actor(kind="service", name="planner", is_authenticated=True)


@contextmanager
def both(world: Any, **planner: Any) -> Iterator[tuple[Any, Any]]:
    app = build_planner_app(3, now=lambda: NOW, subjects_count=1)
    here = world.stack.enter_context(serve_in_thread(app))
    door = {} if "accepts_push" in planner else {"door_url": here.base_url, "token": DEFAULT_TOKEN}
    fields = {**door, **planner}
    world.settings_changes["planner"] = fields
    with world.open() as hand:
        hand.link_everybody()
        yield hand, app.state.planner.books


def seen(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[Kind, str], Any]:
    """The canonical records of each kind and group as the plan makes them, the newest ones."""
    found: dict[tuple[Kind, str], Any] = {}

    def scope(kind: Kind, records: Any, context: Any, standing: Any) -> Any:
        joint = join_scope(kind, records, context, standing)
        found[kind, context.group.ref] = joint.records
        return joint

    def lessons(records: Any, standing: Any, rules: Any) -> Any:
        joint = join_lessons(records, standing, rules)
        found[Kind.LESSON, joint.lessons[0].group] = joint.lessons
        return joint

    def directory(*args: Any, **more: Any) -> Any:
        found[Kind.PERSON, ""] = join_directory(*args, **more)
        return found[Kind.PERSON, ""]

    monkeypatch.setattr("gateway.flows.correlate.join_directory", directory)
    monkeypatch.setattr("gateway.flows.joint.join_scope", scope)
    monkeypatch.setattr("gateway.flows.joint.join_lessons", lessons)
    return found


def test_portal_planner_workbooks_and_timetable_together_are_as_one_perfect_source(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the school knows is what comes out: nothing missing, nothing twice, whichever source told it."""
    school = School(pupils=3, seed=1, now=NOW)
    found = seen(monkeypatch)
    timetable = tmp_path / "timetable.xml"
    timetable.write_bytes(build_asc_xml(school, subjects_count=1))
    folder = tmp_path / "planner"
    folder.mkdir()
    year = SchoolYear(year="2026/27", from_on=date(2026, 9, 1), to_on=date(2027, 5, 26))
    with both(small, timetable_file=timetable, folder=folder, settle_s=0) as (hand, books):
        import_calendar(hand.gateway, year, Path("calendar.xlsx"))
        office = SchoolOffice(school, books, folder)
        office.write()
        names = [source.name for source in hand.gateway.sources]
        assert names == ["portal", "planner", "workbook", "timetable", "journal"]

        synced = hand.sync(is_dry_run=True)

        assert synced.pulled is not None
        assert not synced.pulled.problems
        assert_people_and_groups(found[Kind.PERSON, ""], school)
        group = next(ref for kind, ref in found if kind is Kind.MARK)
        told = {one.starts_at: one for one in found[Kind.LESSON, group]}
        assert len(told) == len(found[Kind.LESSON, group]) > 100
        for slot in office.slots:
            lesson = told[slot.starts_at]
            assert (lesson.topic, lesson.ordinal) == (office.topics[slot.starts_at.isoformat()], slot.ordinal)
        taught = {slot.day for slot in office.past}
        marks = [
            (one.pupil, one.item_number.rpartition("-")[2], one.raw_points)
            for one in found[Kind.MARK, group]
            if one.item_number.startswith("lesson-")
        ]
        assert sorted(marks) == sorted(
            (f"user:{1000 + number}", f"{day:%Y%m%d}", float(value))
            for number in range(3)
            for day in school.marked_days()
            if day in taught and (value := school.lesson_mark(number, 0, day)) is not None
        )
        assert not [one.ref for one in found[Kind.MARK, group] if source_of(one.ref)]
        starts = {one.ref: one.starts_at for one in found[Kind.LESSON, group]}
        missed = [(one.pupil, starts[one.lesson], one.form) for one in found[Kind.ABSENCE, group]]
        assert sorted(missed) == sorted(
            (f"user:{1000 + number}", slot.starts_at, FORMS[letter])
            for slot in office.past
            for number in range(3)
            if (letter := school.attendance(number, slot, 0)) in FORMS
        )
        tasks = [(one.title, one.text, one.prepared_for.isoformat()) for one in found[Kind.HOMEWORK, group]]
        assert sorted(tasks) == sorted(
            (row["title"], row["text"], row["prepared_for"]) for row in books.book("homework", "7А-ALG")
        )
        assert_plans(hand, office)


def assert_people_and_groups(joint: Any, school: School) -> None:
    pupils = [one for one in joint.persons if one.role == "pupil"]
    known = [school.pupil(number) for number in range(3)]
    assert not joint.waiting
    assert sorted((one.last_name, one.first_name, one.class_name, one.person_id) for one in pupils) == sorted(
        (one.last_name, one.first_name, "7А", one.person_id) for one in known
    )
    assert [one.ref for one in joint.group_records] == ["group:1"]


def assert_plans(hand: Any, office: SchoolOffice) -> None:
    """What only a workbook carries comes out as it was written."""
    with hand.gateway.store.read() as conn:
        plans, guardians, hours, sections = (
            load_records(conn, hand.place_id(), cls)
            for cls in (LessonPlan, Guardian, CurriculumHours, ProgrammeSection)
        )
    assert [(one.number, one.topic) for one in sorted(plans, key=lambda one: one.number)] == [
        *enumerate(office.topics.values(), start=1)
    ]
    assert sorted(str(one.email) for one in guardians) == ["p0@example.org", "p1@example.org", "p2@example.org"]
    assert [(one.level, one.hours, one.unit) for one in hours] == [(7, 4, "week")]
    assert [(one.level, one.topic, one.hours) for one in sections] == [(7, "Степень", 10)]


def test_portal_planner_and_workbooks_together_plan_what_the_portal_alone_does(
    small: Any, make_hand: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "planner"
    folder.mkdir()
    with both(small, folder=folder, settle_s=0) as (hand, books):
        SchoolOffice(School(pupils=3, seed=1, now=NOW), books, folder).write()
        alone = make_hand(small, replace(hand.gateway, sources=hand.gateway.sources[:1]), hand.city)
        wanted = alone.sync(is_dry_run=True)
        assert wanted.planned is not None

        hand.through()
        again = hand.sync()

        assert again.planned is not None
        created = {row.op for row in hand.operations()}
        states = hand.states()
        assert created == {"create"}
        assert sum(states.values()) == wanted.planned.plan.counters["create"]
        counters = again.planned.plan.counters
        assert (counters["create"], counters["update"], counters["delete"]) == (0, 0, 0)
        assert not set(again.planned.plan.by_reason) & {"SOURCES_DISAGREE", "SOURCE_UNREAD", "AMBIGUOUS_LINK"}
        with hand.gateway.store.read() as conn:
            paired = {(source_of(row.ref), row.kind) for row in conn.execute(select(record_link))}
            conflicts = conn.execute(select(source_conflict.c.field)).scalars().all()
        assert paired == {
            (source, kind)
            for source in ("planner", "workbook")
            for kind in ("person", "group", "lesson", "mark", "absence", "homework")
        }
        assert set(conflicts) <= {"lesson.form"}
        assert again.pulled is not None
        assert not again.pulled.problems
        hand.assert_sound()


def test_what_the_planner_pushes_is_heard_like_what_is_asked_for(small: Any) -> None:
    with both(small, accepts_push=True) as (hand, books):
        hand.through()
        ledger = len(hand.city.machine_ledger())
        group = books.book("groups", None)[0]["id"]
        for book in ("people", "subjects", "groups", "lessons", "marks", "absences", "homework"):
            of = group if book in ("lessons", "marks", "absences", "homework") else None
            body = batch(book, books.book(book, of), group=of)
            received = receive_planner_batch(hand.gateway, body, sender=PLANNER)
            assert received.new == received.read > 0
            assert receive_planner_batch(hand.gateway, body, sender=PLANNER).is_repeated

        synced = hand.through()

        assert synced.planned is not None
        assert synced.planned.plan.counters["create"] == 0
        assert len(hand.city.machine_ledger()) == ledger
        rows = books.book("marks", group)
        receive_planner_batch(hand.gateway, batch("marks", rows, group=group, revision=7), sender=PLANNER)
        with pytest.raises(RecordError, match="старше"):
            receive_planner_batch(hand.gateway, batch("marks", rows, group=group, revision=6), sender=PLANNER)
        rows = [{**rows[0], "value": 6}, *rows[1:]]
        parked = receive_planner_batch(hand.gateway, batch("marks", rows, group=group, revision=8), sender=PLANNER)
        assert [where for where, _ in parked.parked] == [f"planner/mark:{rows[0]['id']}"]
        assert parked.gone == 0
        assert [entry.action for entry in hand.actions()].count("planner.received") == 9
        hand.assert_sound()


def test_a_push_that_nobody_allowed_is_refused(small: Any) -> None:
    with both(small) as (hand, _), pytest.raises(ConfigurationError, match="accepts_push"):
        receive_planner_batch(hand.gateway, b"{}", sender=PLANNER)


def batch(book: str, rows: list[Any], *, group: str | None = None, revision: int = 1) -> bytes:
    return msgspec.json.encode({"book": book, "group": group, "revision": revision, "total": len(rows), "rows": rows})
