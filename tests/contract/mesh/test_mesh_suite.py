"""One suite for the city connector, run in every weather of the sandbox (every value of every switch alone)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from gateway.domain.city import AbsenceIntent, HomeworkIntent
from gateway.domain.errors import AccessDeniedError, LockedPeriodError, RejectedError, StaleError
from gateway.domain.identifiers import Kind

ALGEBRA = "7А — Алгебра"
RUSSIAN = "7А — Русский язык"

Open = Callable[..., Any]


def test_the_directory_is_read_whole(any_city: Any, open_journal: Open) -> None:
    state = any_city.state()
    directory = open_journal(any_city).directory

    for name, kind in (
        ("classes", "class_units"),
        ("subjects", "subjects"),
        ("groups", "groups"),
        ("teachers", "teacher_profiles"),
        ("pupils", "student_profiles"),
    ):
        assert {one.id for one in getattr(directory, name)} == {one["id"] for one in state[kind]}, name
    schedules = state["attestation_periods_schedules"]
    assert {one.id for one in directory.periods} == {period["id"] for one in schedules for period in one["periods"]}
    assert {one.id for one in directory.forms} == {one["id"] for one in state["control_forms"]}
    assert (directory.year.id, directory.faults) == (14, ())


def test_the_traps_of_the_directory_are_told(any_city: Any, open_journal: Open) -> None:
    directory = open_journal(any_city).directory
    first_quarter = next(one for one in directory.periods if one.name == "1 Четверть")

    assert (first_quarter.is_closed, first_quarter.edit_until_on) == (True, date(2026, 11, 1))
    assert [one.name for one in directory.groups if one.is_metagroup] == ["7 параллель — Робототехника"]
    assert sum(one.is_subgroup for one in directory.groups) == 2
    assert [one.last_name for one in directory.pupils if not one.is_active] == ["Уехавший"]
    assert sum(one.last_name is None for one in directory.pupils) == 1
    assert {one.name for one in directory.forms if one.is_deleted} == {"Срез знаний"}
    assert {one.grade_system for one in directory.forms} == {"five", "ten", "hundred", "approve"}
    left = next(one for one in directory.pupils if not one.is_active)
    assert {one.ends_on for one in left.memberships} == {date(2026, 10, 16)}


def test_the_timetable_has_double_cancelled_replaced_and_moved_lessons(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    tuesday = [one for one in journal.lessons(journal.group(ALGEBRA)) if one.starts_at.date() == date(2026, 11, 10)]
    replaced = [one for one in journal.lessons(journal.group(RUSSIAN)) if one.replacement_teacher_id]
    cancelled = [one for one in journal.lessons(journal.group("7А — Физкультура")) if one.is_cancelled]
    moved = [
        one for one in journal.lessons(journal.group("7Б — Алгебра")) if one.starts_at.date() == date(2026, 11, 20)
    ]

    assert [(one.number, one.starts_at.hour, one.starts_at.minute) for one in tuesday] == [(2, 6, 25), (3, 7, 30)]
    assert [one.starts_at.date() for one in replaced] == [date(2026, 11, 16)]
    assert [one.starts_at.date() for one in cancelled] == [date(2026, 11, 13)]
    assert len(moved) == 1


@pytest.mark.row("A20")
def test_all_marks_that_stand_there_are_read_and_no_others(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    gone = next(one for one in journal.read(Kind.MARK, group).values() if one.value == "4")
    any_city.human("delete", "mark", id=gone.id)
    any_city.settle()

    found = journal.read(Kind.MARK, group)

    standing = [one for one in any_city.state()["marks"] if one["group_id"] == group.id and not one["deleted_at"]]
    assert {one.id: one.value for one in found.values()} == {one["id"]: one["name"] for one in standing}
    assert [one.value for one in found.values() if one.is_point] == ["2"]
    assert gone.id not in found


def test_a_scope_of_some_days_has_marks_of_those_days_only(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    day = date(2026, 10, 13)

    read = journal.connector.fetch_scope(journal.scope(Kind.MARK, group, day, day))

    assert read.is_complete
    assert {one.on for one in read.objects} == {day}
    assert len(read.objects) == len([one for one in journal.read(Kind.MARK, group).values() if one.on == day])


def test_a_mark_is_created_once_and_read_back(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    intent = journal.mark(group, lesson, value="4", weight=2)

    accepted = journal.connector.create(intent, request_id="create-1")
    any_city.settle()

    (mark,) = journal.cell(group, lesson, intent.pupil_id)
    assert (mark.id, mark.value, mark.weight, mark.form_id) == (accepted.city_id, "4", 2, intent.form_id)
    assert (mark.on, mark.teacher_id, mark.is_point) == (intent.on, lesson.teacher_id, False)
    (entry,) = any_city.ledger()
    assert (entry["op"], entry["request_id"], entry["actor"]) == ("create", "create-1", lesson.teacher_id)
    assert (accepted.profile, accepted.already_there) == (f"p{lesson.teacher_id}", False)


def test_a_mark_is_changed_under_its_id_and_a_persons_comment_stays(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    intent = journal.mark(group, lesson)
    city_id = journal.connector.create(intent, request_id="create-1").city_id
    any_city.human("change", "mark", id=city_id, comment="за доклад")
    any_city.settle()
    changed = journal.mark(group, lesson, value="3", weight=2)

    if any_city.weather["put_mark"] == 405:
        with pytest.raises(RejectedError) as caught:
            journal.connector.change(city_id, changed, request_id="change-1")
        assert caught.value.reason_code == "NO_CITY_CALL"
        return
    accepted = journal.connector.change(city_id, changed, request_id="change-1")
    any_city.settle()

    (mark,) = journal.cell(group, lesson, intent.pupil_id)
    assert (accepted.city_id, mark.id, mark.value, mark.weight) == (city_id, city_id, "3", 2)
    stored = next(one for one in any_city.state()["marks"] if one["id"] == city_id)
    assert stored["comment"] == "за доклад"


@pytest.mark.row("A17")
def test_a_mark_is_deleted_and_a_second_delete_finds_it_gone(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    intent = journal.mark(group, lesson)
    city_id = journal.connector.create(intent, request_id="create-1").city_id

    first = journal.connector.delete(city_id, intent, request_id="delete-1")
    second = journal.connector.delete(city_id, intent, request_id="delete-2")
    any_city.settle()

    assert [(one.city_id, one.already_there) for one in (first, second)] == [(None, False), (None, True)]
    assert journal.cell(group, lesson, intent.pupil_id) == []
    assert [one["op"] for one in any_city.ledger()] == ["create", "delete"]


@pytest.mark.row("A18")
def test_a_mark_that_a_person_deleted_is_not_changed(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    intent = journal.mark(group, lesson)
    city_id = journal.connector.create(intent, request_id="create-1").city_id
    any_city.human("delete", "mark", id=city_id)
    any_city.settle()

    # a city without that call says so before it looks for the mark
    with pytest.raises(RejectedError if any_city.weather["put_mark"] == 405 else StaleError):
        journal.connector.change(city_id, journal.mark(group, lesson, value="3"), request_id="change-1")

    assert [one["op"] for one in any_city.ledger()] == ["create", "delete"]


def test_an_id_of_another_cell_is_not_changed(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    other = next(iter(journal.read(Kind.MARK, group)))

    with pytest.raises((StaleError, RejectedError)):
        journal.connector.change(other, journal.mark(group, journal.lesson(group, "2026-10-13")), request_id="change-1")

    assert any_city.ledger() == []


def test_an_absence_is_created_once_and_deleted_where_the_city_can(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    intent = AbsenceIntent(
        pupil_id=group.pupil_ids[3],
        lesson_id=lesson.id,
        group_id=group.id,
        teacher_id=lesson.teacher_id,
        on=lesson.starts_at.date(),
        reason_id=2,
    )

    first = journal.connector.create(intent, request_id="absence-1")
    second = journal.connector.create(intent, request_id="absence-2")
    any_city.settle()

    absence = journal.read(Kind.ABSENCE, group)[first.city_id]
    assert (absence.pupil_id, absence.lesson_id, absence.reason_id) == (intent.pupil_id, lesson.id, 2)
    assert (second.already_there, second.city_id) == (True, None)
    assert len(any_city.ledger()) == 1
    if any_city.weather["delete_absence"] != "on":
        with pytest.raises(RejectedError) as caught:
            journal.connector.delete(first.city_id, intent, request_id="absence-3")
        assert caught.value.reason_code == "NO_CITY_CALL"
        return
    assert not journal.connector.delete(first.city_id, intent, request_id="absence-3").already_there
    any_city.settle()
    assert first.city_id not in journal.read(Kind.ABSENCE, group)


def test_an_absence_can_not_be_changed(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    intent = AbsenceIntent(pupil_id=1, lesson_id=1, group_id=1, teacher_id=1, on=date(2026, 11, 17), reason_id=1)

    with pytest.raises(RejectedError) as caught:
        journal.connector.change(1100000001, intent, request_id="absence-1")

    assert caught.value.reason_code == "NO_CITY_CALL"


def test_homework_is_created_changed_and_read_back(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    fields: dict[str, Any] = {
        "group_id": group.id,
        "subject_id": group.subject_id,
        "teacher_id": group.teacher_ids[0],
        "assigned_on": date(2026, 11, 17),
        "prepared_for": date(2026, 11, 19),
        "pupil_ids": group.pupil_ids[:4],
    }

    city_id = journal.connector.create(HomeworkIntent(text="№ 1–5", **fields), request_id="home-1").city_id
    any_city.settle()
    assert journal.read(Kind.HOMEWORK, group)[city_id].text == "№ 1–5"
    later = {**fields, "prepared_for": date(2026, 11, 24), "pupil_ids": group.pupil_ids[:3]}
    changed = journal.connector.change(city_id, HomeworkIntent(text="№ 6", **later), request_id="home-2")
    any_city.settle()

    homework = journal.read(Kind.HOMEWORK, group)[city_id]
    assert (changed.city_id, homework.text, homework.prepared_for) == (city_id, "№ 6", date(2026, 11, 24))
    assert homework.pupil_ids == tuple(sorted(group.pupil_ids[:3]))
    stored = next(one for one in any_city.state()["homeworks"] if one["id"] == city_id)
    assert (stored["is_required"], stored["homework_entries"][0]["duration"]) == (True, 15)


def test_homework_to_which_a_person_added_an_entry_is_not_changed(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    intent = HomeworkIntent(
        group_id=group.id,
        subject_id=group.subject_id,
        teacher_id=group.teacher_ids[0],
        assigned_on=date(2026, 11, 17),
        prepared_for=date(2026, 11, 19),
        text="№ 1",
        pupil_ids=group.pupil_ids[:4],
    )
    city_id = journal.connector.create(intent, request_id="home-1").city_id
    any_city.settle()
    entries = next(one for one in any_city.state()["homeworks"] if one["id"] == city_id)["homework_entries"]
    added = {"description": "и стих", "student_ids": list(group.pupil_ids[:1])}
    any_city.human("change", "homework", id=city_id, homework_entries=[*entries, added])
    any_city.settle()

    with pytest.raises(StaleError):
        journal.connector.change(city_id, intent, request_id="home-2")

    assert journal.read(Kind.HOMEWORK, group)[city_id].text == "№ 1\nи стих"


def test_homework_can_not_be_deleted_there(any_city: Any, open_journal: Open) -> None:
    """No source attests such a call and the sandbox has none."""
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    city_id, stored = next(iter(journal.read(Kind.HOMEWORK, group).items()))
    intent = HomeworkIntent(
        group_id=group.id,
        subject_id=group.subject_id,
        teacher_id=group.teacher_ids[0],
        assigned_on=stored.assigned_on,
        prepared_for=stored.prepared_for,
        text=stored.text,
        pupil_ids=stored.pupil_ids,
    )

    with pytest.raises(RejectedError) as caught:
        journal.connector.delete(city_id, intent, request_id="home-1")

    assert caught.value.reason_code == "NO_CITY_CALL"


def test_a_closed_period_is_for_a_person_unless_the_city_does_not_care(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    intent = journal.mark(group, journal.lesson(group, "2026-10-13"))

    if any_city.weather["closed_period"] == "accept":
        assert journal.connector.create(intent, request_id="create-1").city_id is not None
        return
    with pytest.raises(LockedPeriodError):
        journal.connector.create(intent, request_id="create-1")
    assert any_city.ledger() == []


def test_the_rules_of_the_city_reject_one_record_and_write_nothing(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    stranger = next(one for one in journal.directory.pupils if one.class_name == "10А")
    forms = [one for one in journal.directory.forms if one.subject_id == group.subject_id and one.level == 2]
    deleted = next(one for one in forms if one.is_deleted)
    foreign = next(one for one in journal.directory.forms if one.subject_id != group.subject_id)
    future = journal.lesson(group, "2026-12-01")
    other_teacher = journal.group(RUSSIAN).teacher_ids[0]

    for changes in (
        {"pupil_id": 1},
        {"lesson_id": 1},
        {"form_id": 1},
        {"form_id": deleted.id},
        {"form_id": foreign.id},
        {"grade_system_id": next(one.grade_system_id for one in forms if one.grade_system == "ten")},
        {"value": "7"},
        {"pupil_id": stranger.id},
        {"teacher_id": other_teacher},
        {"lesson_id": future.id, "on": future.starts_at.date()},
    ):
        with pytest.raises(RejectedError) as caught:
            journal.connector.create(journal.mark(group, lesson, **changes), request_id="create-1")
        assert caught.value.reason_code == "REJECTED_TARGET", changes
        assert "не из известных" not in caught.value.sentence, changes

    assert any_city.ledger() == []


def test_a_replacement_writes_by_the_profile_of_who_stands_in(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    group = journal.group(RUSSIAN)
    lesson = journal.lesson(group, "2026-11-16")

    accepted = journal.connector.create(journal.mark(group, lesson), request_id="create-1")

    assert accepted.profile == f"p{lesson.replacement_teacher_id}"
    assert any_city.ledger()[0]["actor"] == lesson.replacement_teacher_id


def test_a_dead_token_stops_its_profile_only(any_city: Any, open_journal: Open) -> None:
    teacher = next(one for one in any_city.profiles if one["role"] == "teacher")
    admin = any_city.profiles[0]
    journal = open_journal(
        any_city,
        profiles={
            "office": {"profile_id": admin["profile_id"], "token": admin["token"], "role": "school_admin"},
            "algebra": {"profile_id": teacher["profile_id"], "token": "dead", "role": "teacher"},
        },
    )
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")

    with pytest.raises(AccessDeniedError) as caught:
        journal.connector.create(journal.mark(group, lesson), request_id="create-1")

    assert (caught.value.profile, caught.value.is_session_dead) == ("algebra", True)
    assert any_city.ledger() == []
    assert journal.read(Kind.MARK, group)


def test_a_read_of_a_scope_of_one_day_ahead_is_empty_and_complete(any_city: Any, open_journal: Open) -> None:
    journal = open_journal(any_city)
    day = date(2026, 12, 1)

    for kind in (Kind.MARK, Kind.ABSENCE, Kind.HOMEWORK):
        read = journal.connector.fetch_scope(journal.scope(kind, journal.group(ALGEBRA), day, day + timedelta(days=1)))
        assert (read.is_complete, list(read.objects)) == (True, [])
