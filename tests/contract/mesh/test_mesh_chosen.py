"""Remarks, final marks and lesson plans: written once, read back as meant, refused in the city's own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.domain.city import CommentIntent, FinalIntent, TopicsIntent
from gateway.domain.errors import LockedPeriodError, OutcomeUnknownError, RejectedError, StaleError
from gateway.domain.identifiers import Kind
from gateway.domain.records import PlannedLesson
from gateway.mapping.atoms import atom_of_city, atom_of_intent, object_key_of

ALGEBRA = "7А — Алгебра"
Open = Callable[..., Any]


def final(journal: Any, **changes: Any) -> FinalIntent:
    """The fourth pupil's mark of the second quarter, which is open."""
    group = journal.group(ALGEBRA)
    period = next(one for one in journal.directory.periods if one.name == "2 Четверть")
    fields: dict[str, Any] = {
        "pupil_id": group.pupil_ids[3],
        "group_id": group.id,
        "subject_id": group.subject_id,
        "teacher_id": group.teacher_ids[0],
        "on": period.ends_on,
        "form": "period",
        "period_id": period.id,
        "value": "4",
        "grade_system": "five",
    }
    return FinalIntent(**{**fields, **changes})


def comment(journal: Any, **changes: Any) -> CommentIntent:
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    fields: dict[str, Any] = {
        "pupil_id": group.pupil_ids[3],
        "lesson_id": lesson.id,
        "group_id": group.id,
        "subject_id": group.subject_id,
        "teacher_id": lesson.teacher_id,
        "on": lesson.starts_at.date(),
        "form": "late",
        "text": "О",
    }
    return CommentIntent(**{**fields, **changes})


def topics(journal: Any, *lessons: tuple[str, str]) -> TopicsIntent:
    group = journal.group(ALGEBRA)
    (plan,) = journal.read(Kind.TOPICS, group).values()
    return TopicsIntent(
        plan_id=plan.id,
        calendar_id=plan.calendar_id,
        group_id=group.id,
        subject_id=group.subject_id,
        teacher_id=group.teacher_ids[0],
        on=journal.directory.year.begins_on,
        name=plan.name,
        lessons=tuple(PlannedLesson(module=module, topic=topic) for module, topic in lessons),
    )


def assert_stands(journal: Any, intent: Any, city_id: int) -> Any:
    """What was meant is what is read, in the place that the intent names."""
    kind = {FinalIntent: Kind.FINAL, CommentIntent: Kind.COMMENT, TopicsIntent: Kind.TOPICS}[type(intent)]
    found = journal.read(kind, journal.group(ALGEBRA))[city_id]
    assert atom_of_city(found) == atom_of_intent(intent)
    assert object_key_of(found) == intent.object_key
    return found


def empty_plan(city: Any) -> None:
    (stored,) = city.state()["lesson_plans"]
    city.human("change", "lesson_plan", id=stored["id"], modules=[])


def test_every_kind_is_created_once_and_read_back(any_city: Any, open_journal: Open) -> None:
    empty_plan(any_city)
    any_city.settle()
    journal = open_journal(any_city)
    written = [final(journal), comment(journal), topics(journal, ("Степени", "Степень"), ("Степени", "Свойства"))]
    before = any_city.request_count("final_marks")

    accepted = [journal.connector.create(intent, request_id=f"r{n}") for n, intent in enumerate(written)]
    any_city.settle()

    for intent, answer in zip(written, accepted, strict=True):
        assert_stands(journal, intent, answer.city_id)
    assert any_city.request_count("final_marks") == before + 1
    ours = [one for one in any_city.ledger() if one["actor"] != "human"]
    kinds = [one["kind"] for one in ours if one["kind"] != "calendar_plan"]
    assert kinds == ["final_mark", "lesson_comment", "lesson_plan"]


@pytest.mark.parametrize(
    ("form", "value", "system"),
    [("intermediate", "1", "approve"), ("year", "5", "five"), ("final", "3", "five")],
)
def test_each_form_of_a_final_mark_comes_back_as_itself(
    city: Any, open_journal: Open, form: str, value: str, system: str
) -> None:
    journal = open_journal(city)
    intent = final(journal, form=form, value=value, grade_system=system, period_id=0)

    accepted = journal.connector.create(intent, request_id="r1")

    assert_stands(journal, intent, accepted.city_id)


def test_a_final_mark_that_stands_there_is_not_doubled(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    journal.connector.create(final(journal), request_id="r1")

    again = journal.connector.create(final(journal, value="5"), request_id="r2")

    assert (again.already_there, again.city_id) == (True, None)
    assert [one["kind"] for one in city.ledger()] == ["final_mark"]


def test_a_final_mark_is_deleted_and_one_that_is_gone_is_already_deleted(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    intent = final(journal)
    city_id = journal.connector.create(intent, request_id="r1").city_id

    first = journal.connector.delete(city_id, intent, request_id="r2")
    second = journal.connector.delete(city_id, intent, request_id="r3")

    assert (first.already_there, second.already_there) == (False, True)
    assert city_id not in journal.read(Kind.FINAL, journal.group(ALGEBRA))


def test_a_final_mark_of_a_closed_period_is_locked(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    closed = next(one for one in journal.directory.periods if one.name == "1 Четверть")
    group = journal.group(ALGEBRA)
    have = {one.pupil_id for one in journal.read(Kind.FINAL, group).values()}
    pupil = next(one for one in group.pupil_ids if one not in have)

    with pytest.raises(LockedPeriodError):
        journal.connector.create(
            final(journal, pupil_id=pupil, period_id=closed.id, on=closed.ends_on), request_id="r1"
        )


def test_what_the_city_has_no_call_for_is_refused_and_nothing_is_sent(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    connector = journal.connector
    plan = topics(journal, ("Степени", "Степень"))
    asked = [
        lambda: connector.change(1, final(journal), request_id="r1"),
        lambda: connector.change(1, comment(journal), request_id="r2"),
        lambda: connector.delete(1, comment(journal), request_id="r3"),
        lambda: connector.delete(plan.plan_id, plan, request_id="r4"),
    ]

    for call in asked:
        with pytest.raises(RejectedError) as told:
            call()
        assert told.value.reason_code == "NO_CITY_CALL"
    assert city.ledger() == []


def test_a_remark_of_other_words_is_no_lateness(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    remark = comment(journal, form="remark", text="Помогал товарищу")
    late = comment(journal)

    ids = [journal.connector.create(one, request_id=f"r{n}").city_id for n, one in enumerate((remark, late))]

    assert [assert_stands(journal, one, city_id).form for one, city_id in zip((remark, late), ids, strict=True)] == [
        "remark",
        "late",
    ]


def test_remarks_at_lessons_outside_the_days_are_left_out(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    group = journal.group(ALGEBRA)
    intent = comment(journal)
    journal.connector.create(intent, request_id="r1")

    day = intent.on
    inside = journal.connector.fetch_scope(journal.scope(Kind.COMMENT, group, day, day))
    before = journal.connector.fetch_scope(
        journal.scope(Kind.COMMENT, group, day.replace(day=1), day.replace(day=day.day - 1))
    )

    assert [one.on for one in inside.objects] == [day]
    assert (before.is_complete, list(before.objects)) == (True, [])


def test_pupils_without_the_part_that_was_asked_for_are_an_incomplete_read(city: Any, open_journal: Open) -> None:
    """A city that does not know the flag answers with pupils and says nothing of their marks."""
    journal = open_journal(city)
    group = journal.group(ALGEBRA)
    scope = journal.scope(Kind.FINAL, group)
    assert journal.connector.fetch_scope(scope).is_complete
    client = journal.connector._client
    real = client.fetch_rows

    def without_flag(path: str, query: dict[str, Any], **more: Any) -> Any:
        return real(path, {name: value for name, value in query.items() if name != "with_final_marks"}, **more)

    client.fetch_rows = without_flag
    read = journal.connector.fetch_scope(scope)

    assert read.problem is not None
    assert not read.objects


def test_a_plan_keeps_what_a_person_gave_its_topics(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    (stored,) = city.state()["lesson_plans"]
    module = stored["modules"][0]
    module["topics"][1]["color"] = "red"
    city.human("change", "lesson_plan", id=stored["id"], modules=stored["modules"])
    names = [("Раздел 1", topic["name"]) for topic in module["topics"][:3]]

    journal.connector.change(stored["id"], topics(journal, ("Раздел 0", "Введение"), *names), request_id="r1")

    (plan,) = city.state()["lesson_plans"]
    first, second = plan["modules"]
    assert [topic["name"] for topic in first["topics"]] == ["Введение"]
    assert [(topic["id"], topic["color"]) for topic in second["topics"]] == [(1, None), (2, "red"), (3, None)]
    lessons = [one for one in city.state()["schedule_items"] if one["group_id"] == plan["group_ids"][0]]
    taught = sorted(lessons, key=lambda one: (one["date"], one["time"]))
    assert [one["topic_name"] for one in taught[:5]] == ["Введение", *(name for _, name in names), None]


def test_an_empty_plan_that_somebody_filled_meanwhile_is_left_alone(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    intent = topics(journal, ("Степени", "Степень"))

    with pytest.raises(StaleError):
        journal.connector.create(intent, request_id="r1")

    assert city.ledger() == []


def test_a_plan_whose_dates_were_not_built_says_so(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    intent = topics(journal, ("Степени", "Степень"))
    city.fault("500", "/recalc", "POST")

    with pytest.raises(RejectedError) as told:
        journal.connector.change(intent.plan_id, intent, request_id="r1")

    assert told.value.reason_code == "DATES_NOT_BUILT"
    assert_stands(journal, intent, intent.plan_id)


@pytest.mark.parametrize("build", [final, comment])
def test_an_unanswered_write_is_unknown_and_sent_once(city: Any, open_journal: Open, build: Any) -> None:
    journal = open_journal(city)
    city.fault("drop_after_commit", "", "POST", times=1)

    with pytest.raises(OutcomeUnknownError):
        journal.connector.create(build(journal), request_id="r1")

    assert len(city.ledger()) == 1


def test_a_final_mark_of_a_period_that_names_none_discards_the_read(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    group = journal.group(ALGEBRA)
    city.human(
        "create",
        "final_mark",
        student_profile_id=group.pupil_ids[3],
        subject_id=group.subject_id,
        academic_year_id=journal.directory.year.id,
        value="4",
    )

    read = journal.connector.fetch_scope(journal.scope(Kind.FINAL, group))

    assert read.problem is not None
    assert [fault.reason_code for fault in read.faults] == ["CONTRACT"]


def test_shared_and_empty_plans_are_told(city: Any, open_journal: Open) -> None:
    journal = open_journal(city)
    group = journal.group(ALGEBRA)

    empty_plan(city)
    (empty,) = journal.read(Kind.TOPICS, group).values()

    assert (empty.lessons, empty.is_shared) == ((), False)
    assert msgspec.structs.asdict(empty)["calendar_id"] is not None
    assert not journal.read(Kind.TOPICS, journal.group("10А — Физика"))
