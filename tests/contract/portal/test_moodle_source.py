"""The connector reads the recorded Moodle whole, and a broken answer discards its scope and no other."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import pytest

from gateway.connectors.port import CheckState, ScopeRead
from gateway.domain.clock import moscow_day
from gateway.domain.errors import AccessDeniedError, IncompleteReadError, UnavailableError, UnreachableError
from gateway.domain.identifiers import Kind

GRADES = "gradereport_user_get_grade_items"


def records(scopes: dict[str, ScopeRead], kind: Kind) -> dict[str, Any]:
    return {record.ref: record for scope in scopes.values() if scope.kind is kind for record in scope.records}


def discarded(scopes: dict[str, ScopeRead]) -> list[str]:
    assert all(not scope.records for scope in scopes.values() if not scope.is_complete)
    return sorted(scope.scope for scope in scopes.values() if not scope.is_complete)


def test_the_whole_recording_is_read_without_a_miss_or_a_fault(portal: Any, reader: Any) -> None:
    scopes = reader.read()

    assert discarded(scopes) == []
    assert [fault for scope in scopes.values() for fault in scope.faults] == []
    assert portal.misses() == []
    assert {kind: len(records(scopes, kind)) for kind in Kind if records(scopes, kind)} == {
        Kind.PROGRAMME: 4,
        Kind.SUBJECT: 4,
        Kind.PERSON: 37,
        Kind.GROUP: 6,
        Kind.MEMBERSHIP: 96,
        Kind.ASSIGNMENT: 6,
        Kind.LESSON: 60,
        Kind.MARK: 284,
        Kind.ATTEMPT: 91,
        Kind.ABSENCE: 92,
        Kind.COMMENT: 41,
        Kind.HOMEWORK: 12,
    }


def test_every_record_belongs_to_one_scope_and_a_second_read_gives_the_same(reader: Any) -> None:
    first, second = reader.read(), reader.read()

    keys = [(scope.kind, record.ref) for scope in first.values() for record in scope.records]
    assert len(keys) == len(set(keys))
    assert {name: list(scope.records) for name, scope in first.items()} == {
        name: list(scope.records) for name, scope in second.items()
    }


def test_directories_come_before_what_hangs_on_them(reader: Any) -> None:
    kinds = [scope.kind for scope in reader.read().values()]

    order = [Kind.PROGRAMME, Kind.SUBJECT, Kind.PERSON, Kind.GROUP, Kind.LESSON, Kind.MARK, Kind.ATTEMPT, Kind.ABSENCE]
    assert sorted(order, key=kinds.index) == order


def test_one_gradebook_call_a_course_and_group(portal: Any, reader: Any) -> None:
    reader.read()

    assert portal.http.get("/__sandbox/requests").json()["by_function"][GRADES] == 6


def test_points_are_kept_raw_and_word_scales_are_told_by_the_assignment(reader: Any) -> None:
    marks = records(reader.read(), Kind.MARK)

    homework, project, quiz, lesson = (marks[f"mark:{item}:16"] for item in (2, 3, 4, 5))
    assert (homework.raw_points, homework.scale.form, homework.word) == (4.5, "points", None)
    assert (project.raw_points, project.scale.form, project.word) == (5.0, "words", "5")
    assert (quiz.module, quiz.activity, quiz.scale.maximum) == ("quiz", "quiz:1", 10.0)
    assert (lesson.item_form, lesson.item_name, lesson.comment) == ("manual", "Урок 10.11.2026: работа на уроке", None)
    assert homework.due_at == datetime.fromtimestamp(1794808800, UTC)
    assert (homework.group, homework.programme) == ("group:1", "course:2")


def test_people_carry_class_external_id_and_whether_they_are_active(reader: Any) -> None:
    people = records(reader.read(), Kind.PERSON)

    assert (people["user:4"].person_id, people["user:4"].class_name) == ("00000000-0000-4000-8000-000000000002", "7А")
    assert people["user:3"].person_id is None
    assert (people["user:35"].role, people["user:35"].class_name) == ("teacher", None)
    assert people["user:39"].is_active is False


def test_lessons_are_sessions_and_calendar_events_numbered_within_their_day(reader: Any) -> None:
    lessons = records(reader.read(), Kind.LESSON)

    days = {moscow_day(lesson.starts_at) for lesson in lessons.values()}
    assert {date(2026, 11, 10), date(2026, 11, 11), date(2026, 11, 12), date(2026, 11, 23)} <= days
    assert {ref.partition(":")[0] for ref in lessons} == {"session", "event"}
    assert {lesson.ordinal for lesson in lessons.values()} == {1}
    assert {lesson.duration_min for lesson in lessons.values()} == {45}


def test_absences_hang_on_sessions_and_carry_no_reason(reader: Any) -> None:
    scopes = reader.read()

    absences, lessons = records(scopes, Kind.ABSENCE), records(scopes, Kind.LESSON)
    assert Counter(absence.form for absence in absences.values()).keys() == {"absent", "excused", "late"}
    assert all(absence.lesson in lessons for absence in absences.values())


def test_homework_is_given_to_each_group_between_its_days(reader: Any) -> None:
    homework = records(reader.read(), Kind.HOMEWORK)

    given = homework["homework:1:1"]
    assert (given.assigned_on, given.prepared_for) == (date(2026, 11, 9), date(2026, 11, 16))
    project = homework["homework:2:1"]
    assert (project.assigned_on, project.prepared_for) == (date(2026, 11, 13), date(2026, 11, 23))
    assert project.origins["assigned_on"] == "portal/session/5"


def test_a_hidden_assignment_waits_with_its_reason(portal: Any, reader: Any) -> None:
    portal.edit("hide_module", courseid=2, modname="assign", instance=1)

    scope = reader.read()["homework|course:2|group:1"]

    assert [record.ref for record in scope.records] == ["homework:2:1"]
    assert [(fault.where, fault.reason_code) for fault in scope.faults] == [("homework:1:1", "HIDDEN_AT_SOURCE")]


def test_attempts_are_asked_for_changed_cells_only(portal: Any, reader: Any) -> None:
    reader.stored.changed = ["mark:4:16", "mark:5:16"]

    scopes = reader.read()

    assert [name for name in scopes if name.startswith("attempt|")] == ["attempt|course:2|group:1|quiz:1|user:16"]
    assert portal.http.get("/__sandbox/requests").json()["by_function"]["mod_quiz_get_user_attempts"] == 1


def test_an_attempts_points_are_on_the_quizs_own_scale(reader: Any) -> None:
    attempts = records(reader.read(), Kind.ATTEMPT)

    first = attempts["attempt:1"]
    assert (first.points, first.maximum, first.counting, first.state) == (7.5, 10.0, "highest", "finished")


def test_a_hidden_mark_is_read_with_its_flag(portal: Any, reader: Any) -> None:
    portal.edit("hide_grade", courseid=2, itemid=5)

    marks = records(reader.read(), Kind.MARK)

    assert marks["mark:5:16"].is_hidden
    assert not marks["mark:2:16"].is_hidden


def test_pupils_in_no_group_are_read_with_one_more_call(portal: Any, reader: Any) -> None:
    portal.edit("move_group", courseid=2, userid=16, groupid=2)
    assert "mark|course:2|ungrouped" not in reader.read()
    rows = portal.call("core_enrol_get_enrolled_users", courseid=2)
    assert len(rows) == 34

    portal.edit("leave_groups", courseid=2, userid=16)
    scopes = reader.read()

    assert {mark.pupil for mark in scopes["mark|course:2|ungrouped"].records} == {"user:16"}
    assert {mark.group for mark in scopes["mark|course:2|ungrouped"].records} == {None}
    assert len(records(scopes, Kind.MARK)) == 284


def test_a_course_without_groups_is_itself_the_group(portal: Any, reader: Any) -> None:
    portal.edit("remove_groups", courseid=3)

    scopes = reader.read()

    assert discarded(scopes) == []
    assert len(scopes["mark|course:3|group:all"].records) == 47
    assert scopes["group|course:3"].records[0].class_name == "7А"


@pytest.mark.row("E3")
@pytest.mark.parametrize("fault", ["warnings", "errorcode:nopermissions", "errorcode:whatever", "typeerror", "xml"])
def test_a_broken_gradebook_discards_that_groups_marks_only(portal: Any, reader: Any, fault: str) -> None:
    portal.fault(fault, f"{GRADES} courseid=2 groupid=1 ")

    scopes = reader.read()

    assert discarded(scopes) == ["mark|course:2|group:1"]
    assert isinstance(scopes["mark|course:2|group:1"].problem, IncompleteReadError)


@pytest.mark.parametrize("fault", ["html", "503", "500", "truncate", "reset", "float_ids", "maintenance", "empty"])
def test_a_broken_answer_of_any_kind_discards_its_scope_only(portal: Any, reader: Any, fault: str) -> None:
    portal.fault(fault, f"{GRADES} courseid=4 groupid=5 ")

    assert discarded(reader.read()) == ["mark|course:4|group:5"]


@pytest.mark.row("E3")
def test_a_doubled_list_is_noticed(portal: Any, reader: Any) -> None:
    portal.fault("duplicate_page", f"{GRADES} courseid=4 groupid=5 ")

    assert discarded(reader.read()) == ["mark|course:4|group:5"]


COURSE_3 = [
    "absence|course:3|group:3",
    "comment|course:3|group:3",
    "homework|course:3|group:3",
    "lesson|course:3|group:3",
    "mark|course:3|group:3",
]


@pytest.mark.row("E1")
@pytest.mark.parametrize(
    ("function", "argument", "lost"),
    [
        ("mod_assign_get_assignments", "courseids[0]=3", ["homework|course:3|group:3", "mark|course:3|group:3"]),
        ("mod_quiz_get_quizzes_by_courses", "courseids[0]=3", ["homework|course:3|group:3", "mark|course:3|group:3"]),
        ("core_calendar_get_calendar_events", "events[groupids][0]=3", COURSE_3[:4]),
    ],
)
def test_warnings_discard_the_scopes_that_need_the_answer(
    portal: Any, reader: Any, function: str, argument: str, lost: list[str]
) -> None:
    portal.fault("warnings", f"{function} .*{re.escape(argument)} ")

    assert discarded(reader.read()) == lost


@pytest.mark.parametrize("function", ["mod_assign_get_assignments", "mod_quiz_get_quizzes_by_courses"])
def test_activities_that_vanish_silently_discard_the_marks(portal: Any, reader: Any, function: str) -> None:
    portal.fault("empty", rf"{function} .*courseids\[0\]=3 ")

    assert "mark|course:3|group:3" in discarded(reader.read())


@pytest.mark.parametrize(
    "function", ["core_enrol_get_enrolled_users", "core_group_get_course_groups", "core_group_get_group_members"]
)
def test_people_that_vanish_silently_discard_the_course_and_the_list_of_people(
    portal: Any, reader: Any, function: str
) -> None:
    argument = r"groupids\[0\]=3" if function == "core_group_get_group_members" else "courseid=3"
    portal.fault("empty", f"{function} .*{argument} ")

    lost = discarded(reader.read())

    assert {name.partition("|")[2].partition("|")[0] for name in lost} == {"course:3", "site"}
    assert {name.partition("|")[0] for name in lost} >= {"mark", "absence", "homework", "lesson", "group", "membership"}
    assert "person|site" in lost


def test_accounts_that_vanish_silently_discard_the_list_of_people_only(portal: Any, reader: Any) -> None:
    portal.fault("empty", "core_user_get_users_by_field")

    scopes = reader.read()

    assert discarded(scopes) == ["person|site"]
    assert len(records(scopes, Kind.MARK)) == 284


def test_a_status_that_nobody_described_parks_its_absence(portal: Any, reader: Any) -> None:
    statuses = {"present": ["P"], "absent": ["A"], "excused": ["E"], "late": []}

    scopes = reader.read(statuses=statuses)

    faults = [fault.where for scope in scopes.values() for fault in scope.faults]
    absences = records(scopes, Kind.ABSENCE)
    parked = [where for where in faults if where.startswith("absence:")]
    assert len(parked) + len(absences) == 92
    assert parked
    # a lateness that was told as a remark must not look as if it had been taken back
    assert sorted(set(faults) - set(parked)) == sorted(where.replace("absence", "late") for where in parked)


def test_a_dead_token_ends_the_read(portal: Any, reader: Any) -> None:
    portal.fault("errorcode:invalidtoken", f"{GRADES} courseid=4")

    with pytest.raises(AccessDeniedError):
        reader.read()


def test_a_portal_that_is_down_ends_the_read_after_three_outages(portal: Any, reader: Any) -> None:
    portal.fault("maintenance", "core_(cohort|group)")

    with pytest.raises(UnavailableError):
        reader.read()


def test_nothing_listening_ends_the_read_at_once(reader: Any) -> None:
    with pytest.raises(UnreachableError):
        reader.read(base_url="http://127.0.0.1:9")


def test_no_visible_course_ends_the_read(portal: Any, reader: Any) -> None:
    portal.fault("empty", "core_course_get_courses")

    with pytest.raises(IncompleteReadError):
        reader.read()


def test_a_service_without_a_needed_function_is_named_before_anything_is_read(portal: Any, reader: Any) -> None:
    portal.fault("empty", "core_webservice_get_site_info")

    with pytest.raises(AccessDeniedError, match=GRADES):
        reader.read()


@pytest.mark.row("E2")
def test_known_accounts_must_be_visible(reader: Any) -> None:
    assert reader.read(canary_users=("S-01001", "T-10"))

    with pytest.raises(AccessDeniedError):
        reader.read(canary_users=("S-01001", "S-77777"))


def test_a_wish_chooses_scopes_and_never_cuts_one(reader: Any) -> None:
    whole = reader.read()

    chosen = reader.read({"class_names": frozenset({"7б"}), "subjects": frozenset({"алгебра"})})

    assert {name for name in chosen if name.startswith("mark|")} == {"mark|course:2|group:2"}
    assert list(chosen["mark|course:2|group:2"].records) == list(whole["mark|course:2|group:2"].records)


def test_a_wish_for_a_pupil_reads_his_groups_whole(reader: Any) -> None:
    chosen = reader.read({"pupils": frozenset({"user:3"}), "kinds": frozenset({Kind.MARK})})

    assert set(chosen) == {"mark|course:2|group:1", "mark|course:4|group:4", "mark|course:3|group:3"}
    assert len({mark.pupil for mark in chosen["mark|course:2|group:1"].records}) > 1


def test_categories_bound_the_courses(reader: Any) -> None:
    assert len(records(reader.read(category_names=("2026/27 учебный год",)), Kind.PROGRAMME)) == 4
    with pytest.raises(IncompleteReadError):
        reader.read(category_names=("2025/26 учебный год",))


def test_check_tells_what_is_permitted_and_never_the_token(reader: Any) -> None:
    lines = reader.check(canary_users=("S-01001",))

    assert {line.state for line in lines} == {CheckState.OK}
    assert "portal.capability.grades" in {line.subject for line in lines}
    assert not any("sandbox-portal-token" in line.sentence for line in lines)


def test_check_of_a_dead_portal_is_one_failed_line(reader: Any) -> None:
    lines = reader.check(base_url="http://127.0.0.1:9")

    assert [(line.subject, line.state) for line in lines] == [("portal.reachable", CheckState.FAILED)]
