"""The made-up school speaks as the recorded Moodle does, is the same for a seed and keeps its edits."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.sandbox.portal.answers import answer
from gateway.sandbox.portal.recording import RecordedBook
from gateway.sandbox.portal.school_server import DEFAULT_NOW, SchoolBook, build_school_app
from gateway.sandbox.school import School
from gateway.sandbox.serve import serve_in_thread

QUESTIONS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("core_webservice_get_site_info", {}, {}),
    ("core_course_get_categories", {}, {}),
    ("core_course_get_courses", {}, {}),
    ("core_cohort_get_cohorts", {}, {}),
    ("core_cohort_get_cohort_members", {"cohortids": ["1"]}, {"cohortids": ["1"]}),
    ("core_group_get_course_groups", {"courseid": "2"}, {"courseid": "2"}),
    ("core_group_get_group_members", {"groupids": ["1"]}, {"groupids": ["1"]}),
    ("core_enrol_get_enrolled_users", {"courseid": "2"}, {"courseid": "2"}),
    ("gradereport_user_get_grade_items", {"courseid": "2", "groupid": "1"}, {"courseid": "2", "groupid": "1"}),
    ("core_course_get_contents", {"courseid": "2"}, {"courseid": "2"}),
    ("mod_attendance_get_sessions", {"attendanceid": "1"}, {"attendanceid": "1"}),
    ("core_calendar_get_calendar_events", {"events": {"groupids": ["1"]}}, {"events": {"groupids": ["1"]}}),
    (
        "core_user_get_users_by_field",
        {"field": "id", "values": ["1000", "1001", "10"]},
        {"field": "id", "values": ["3", "4", "35"]},
    ),
    *(
        (function, {key: ["1"], **more}, {key: ["1"], **more})
        for function, key, more in [
            ("mod_assign_get_submissions", "assignmentids", {}),
            ("mod_assign_get_grades", "assignmentids", {}),
        ]
    ),
    (
        "mod_assign_get_assignments",
        {"courseids": ["2"], "includenotenrolledcourses": "1"},
        {"courseids": ["2"], "includenotenrolledcourses": "1"},
    ),
    ("mod_quiz_get_quizzes_by_courses", {"courseids": ["2"]}, {"courseids": ["2"]}),
]


def leaves(value: Any, path: str = "") -> set[str]:
    """Every path of an answer with the type found there, e.g. `[].id:number`."""
    if isinstance(value, dict):
        return set().union(*(leaves(inner, f"{path}.{key}") for key, inner in value.items()))
    if isinstance(value, list):
        return set().union(*(leaves(inner, f"{path}[]") for inner in value))
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {f"{path}:{'number' if is_number else type(value).__name__}"}


def book(pupils: int = 60) -> SchoolBook:
    return SchoolBook(School(pupils=pupils, seed=1, now=DEFAULT_NOW))


@pytest.mark.parametrize(("function", "asked", "asked_of_recording"), QUESTIONS, ids=[each[0] for each in QUESTIONS])
def test_made_up_answers_have_the_recorded_fields_and_types(
    function: str, asked: dict[str, Any], asked_of_recording: dict[str, Any], recording: list[dict[str, Any]]
) -> None:
    made = answer(function, asked, book=book(), note=lambda _missing: None)
    real = answer(function, asked_of_recording, book=RecordedBook(recording), note=lambda _missing: None)

    assert made
    assert leaves(made) - leaves(real) == set()


def test_one_seed_makes_one_school_and_another_seed_another() -> None:
    first, again = book().course(2), book().course(2)
    other = SchoolBook(School(pupils=60, seed=2, now=DEFAULT_NOW)).course(2)

    assert first == again
    assert first != other


def test_there_are_namesakes_within_a_class_and_across_classes() -> None:
    school = School(pupils=500, seed=1, now=DEFAULT_NOW)

    people = [school.pupil(number) for number in range(500)]

    def pairs(same_class: bool) -> bool:
        return any(
            (a.last_name, a.first_name) == (b.last_name, b.first_name)
            and (a.class_number == b.class_number) is same_class
            for i, a in enumerate(people)
            for b in people[:i]
        )

    assert pairs(same_class=True)
    assert pairs(same_class=False)


def test_lesson_marks_fall_on_days_of_the_groups_lessons() -> None:
    rows = book().course(2)
    assert rows is not None
    days = {
        group["id"]: {session["sessdate"] // 86400 for session in rows.sessions[1] if session["groupid"] == group["id"]}
        for group in rows.groups
    }
    school_days = School(pupils=60, seed=1, now=DEFAULT_NOW).marked_days()

    marked = [
        (group["id"], school_days[item["id"] % 64 - 10])
        for group in rows.groups
        for userid in rows.members[group["id"]]
        if userid in rows.grades
        for item in rows.grades[userid]["gradeitems"]
        if item["itemtype"] == "manual" and item["graderaw"] is not None
    ]

    assert marked
    assert all((day.toordinal() - 719163) in days[groupid] for groupid, day in marked)


def test_an_edit_outlives_the_cache_of_courses() -> None:
    with serve_in_thread(build_school_app(200)) as served, httpx.Client(base_url=served.base_url) as http:
        portal = OverHttp(http)
        portal.edit("set_grade", courseid=2, userid=1000, itemid=10, grade=2)
        for courseid in range(3, 12):
            portal.grades(courseid)

        rows = portal.grades(2)

    cell = next(item for row in rows if row["userid"] == 1000 for item in row["gradeitems"] if item["id"] == 10)
    assert cell["graderaw"] == 2


def test_a_school_of_2000_answers_a_class_gradebook_and_every_account() -> None:
    large = book(2000)
    asked = {"courseid": "2", "groupid": "1"}

    grades = answer("gradereport_user_get_grade_items", asked, book=large, note=lambda _missing: None)
    everyone = large.users(range(1000, 3000))

    assert len(grades["usergrades"]) == 25
    assert len({row["id"] for row in everyone}) == 2000


class OverHttp:
    """Two questions over HTTP."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def edit(self, op: str, **fields: Any) -> None:
        self.http.post("/__sandbox/edit", json={"op": op, **fields}).raise_for_status()

    def grades(self, courseid: int) -> list[dict[str, Any]]:
        form = {
            "wstoken": "sandbox-portal-token",
            "moodlewsrestformat": "json",
            "wsfunction": "gradereport_user_get_grade_items",
            "courseid": str(courseid),
        }
        return list(self.http.post("/webservice/rest/server.php", data=form).json()["usergrades"])
