"""The sandbox portal answers as the recorded Moodle did, refuses as it does and changes as it does."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

SECRETS = ("http", "127.0.0.1", "token", "privateaccesskey", "remarks")
GRADES = "gradereport_user_get_grade_items"
EVENTS = "core_calendar_get_calendar_events"


def cell(portal: Any, courseid: int, userid: int, itemid: int) -> dict[str, Any]:
    rows = portal.call(GRADES, courseid=courseid)["usergrades"]
    row = next(row for row in rows if row["userid"] == userid)
    return next(item for item in row["gradeitems"] if item["id"] == itemid)


def test_every_recorded_question_gets_its_recorded_answer(portal: Any, recording: list[dict[str, Any]]) -> None:
    wrong = [
        (line["wsfunction"], line["params"])
        for line in recording
        if portal.call(line["wsfunction"], **line["params"]) != line["body"]
    ]

    assert len(recording) == 209
    assert wrong == []
    assert portal.misses() == []


def test_the_shipped_recording_holds_no_markup_address_or_secret(recording: list[dict[str, Any]]) -> None:
    stripped = copy.deepcopy(recording)
    reviews = [line["body"] for line in stripped if line["wsfunction"] == "mod_quiz_get_attempt_review"]
    # the one markup that is kept: a test's question as it stood before the pupil
    pages = "".join(question.pop("html") for review in reviews for question in review["questions"])
    text = json.dumps(stripped, ensure_ascii=False)

    assert pages
    assert not any(word in text for word in ("<", *SECRETS))
    assert not any(word in pages for word in ("rightanswer", *SECRETS))


def test_the_recording_has_284_cells_with_a_value(portal: Any) -> None:
    counts = [
        sum(
            item["graderaw"] is not None and item["itemtype"] in {"mod", "manual"}
            for row in portal.call(GRADES, courseid=courseid)["usergrades"]
            for item in row["gradeitems"]
        )
        for courseid in (2, 4, 3, 5)
    ]

    assert counts == [95, 95, 47, 47]


def test_a_third_of_the_pupils_has_no_external_id(portal: Any) -> None:
    users = portal.call("core_user_get_users_by_field", field="id", values=list(range(3, 35)))

    assert [user["id"] for user in users if not user["customfields"]] == [3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33]


def test_a_page_of_enrolled_users_is_cut_from_the_recorded_list(portal: Any) -> None:
    options = [{"name": "limitfrom", "value": 30}, {"name": "limitnumber", "value": 50}]

    page = portal.call("core_enrol_get_enrolled_users", courseid=2, options=options)

    assert [row["id"] for row in page] == [33, 34, 35, 39]


def test_only_suspended_users_come_when_asked_so(portal: Any) -> None:
    options = [{"name": "onlysuspended", "value": 1}]

    assert [row["id"] for row in portal.call("core_enrol_get_enrolled_users", courseid=2, options=options)] == [39]


def test_group_events_are_dropped_when_courses_are_asked_for_too(portal: Any) -> None:
    both = portal.call(EVENTS, events={"courseids": [2], "groupids": [1]}, options={"userevents": 0})["events"]
    alone = portal.call(EVENTS, events={"groupids": [1]}, options={"userevents": 0})["events"]

    assert {event["groupid"] for event in both} == {None}
    assert len(alone) == 10


def test_a_narrower_window_filters_recorded_events(portal: Any) -> None:
    options = {"timestart": 1795413600, "timeend": 1795500000}

    found = portal.call(EVENTS, events={"groupids": [1]}, options=options)["events"]

    assert [event["id"] for event in found] == [14, 15]


@pytest.mark.parametrize(
    ("changes", "params", "errorcode"),
    [
        ({"wstoken": "wrong"}, {"courseid": 2}, "invalidtoken"),
        ({}, {"courseid": "abc"}, "invalidparameter"),
        ({}, {}, "invalidparameter"),
        ({}, {"courseid": 2, "nosuch": 1}, "invalidparameter"),
        ({}, {"courseid": 999999}, "invalidrecord"),
    ],
)
def test_refusals_are_exception_bodies_inside_http_200(
    portal: Any, changes: dict[str, str], params: dict[str, Any], errorcode: str
) -> None:
    answer = portal.post("core_course_get_contents", params, **changes)

    assert answer.status_code == 200
    assert answer.json()["errorcode"] == errorcode


def test_what_was_not_recorded_is_listed_as_a_miss(portal: Any) -> None:
    portal.call("core_course_get_contents", courseid=999999)
    portal.call("mod_quiz_get_attempt_review", attemptid=2)

    assert [miss["missing"] for miss in portal.misses()] == ["course:999999", "quiz_attempt_review:2"]


def test_without_the_json_format_the_error_is_xml(portal: Any) -> None:
    answer = portal.post("core_webservice_get_site_info", {}, moodlewsrestformat="", wstoken="wrong")

    assert answer.headers["content-type"].startswith("application/xml")
    assert "<ERRORCODE>invalidtoken</ERRORCODE>" in answer.text


def test_a_manual_mark_set_moves_its_value_and_date(portal: Any) -> None:
    before = cell(portal, 2, 16, 5)
    portal.http.post("/__sandbox/clock", json={"advance_s": 60})
    portal.edit("set_grade", courseid=2, userid=16, itemid=5, grade=4)

    after = cell(portal, 2, 16, 5)

    assert (before["graderaw"], after["graderaw"], after["gradeformatted"]) == (2, 4, "4.00")
    assert after["gradedategraded"] > before["gradedategraded"]
    assert after["gradeisoverridden"] is False


def test_a_modules_mark_set_by_hand_is_overridden(portal: Any) -> None:
    portal.edit("set_grade", courseid=2, userid=16, itemid=2, grade=1)

    assert cell(portal, 2, 16, 2)["gradeisoverridden"] is True


def test_a_cleared_mark_leaves_neither_value_nor_date(portal: Any) -> None:
    portal.edit("clear_grade", courseid=2, userid=16, itemid=5)

    after = cell(portal, 2, 16, 5)

    assert (after["graderaw"], after["gradedategraded"], after["gradeformatted"]) == (None, None, "-")


def test_unenrolment_takes_all_rows_of_the_pupil_at_once(portal: Any) -> None:
    portal.edit("unenrol", courseid=2, userid=16)

    assert 16 not in [row["userid"] for row in portal.call(GRADES, courseid=2)["usergrades"]]
    assert 16 not in [row["id"] for row in portal.call("core_enrol_get_enrolled_users", courseid=2)]
    assert 16 not in portal.call("core_group_get_group_members", groupids=[1])[0]["userids"]


def test_a_course_reset_clears_every_value_and_the_attendance(portal: Any) -> None:
    portal.edit("reset_course", courseid=3)

    rows = portal.call(GRADES, courseid=3)["usergrades"]
    assert {item["graderaw"] for row in rows for item in row["gradeitems"]} == {None}
    assert all(not s["attendance_log"] for s in portal.call("mod_attendance_get_sessions", attendanceid=2))


def test_a_removed_item_vanishes_with_its_activity(portal: Any) -> None:
    portal.edit("remove_item", courseid=2, itemid=2)

    answer = portal.call("mod_assign_get_assignments", courseids=[2], includenotenrolledcourses=1)
    assert [each["id"] for each in answer["courses"][0]["assignments"]] == [2]
    assert all(item["id"] != 2 for row in portal.call(GRADES, courseid=2)["usergrades"] for item in row["gradeitems"])


def test_attendance_set_moves_the_sessions_dates(portal: Any) -> None:
    portal.http.post("/__sandbox/clock", json={"advance_s": 60})
    portal.edit("set_attendance", courseid=2, sessionid=2, userid=3, acronym="A")

    session = next(s for s in portal.call("mod_attendance_get_sessions", attendanceid=1) if s["id"] == 2)
    status = [row["statusid"] for row in session["attendance_log"] if row["studentid"] == 3]
    assert status == ["6"]
    assert session["lasttaken"] == session["timemodified"] > 1795448937


def test_a_due_date_moves_in_the_assignment_and_in_the_calendar(portal: Any) -> None:
    portal.edit("set_duedate", assignid=1, duedate=1794895200)

    answer = portal.call("mod_assign_get_assignments", courseids=[2], includenotenrolledcourses=1)
    events = portal.call(EVENTS, events={"courseids": [2]})["events"]
    assert answer["courses"][0]["assignments"][0]["duedate"] == 1794895200
    assert [event["timestart"] for event in events if event["id"] == 1] == [1794895200]


def test_a_new_name_shows_wherever_the_person_does(portal: Any) -> None:
    portal.edit("set_name", userid=16, lastname="Алексеев-Новый")

    assert portal.call("core_user_get_users_by_field", field="id", values=[16])[0]["lastname"] == "Алексеев-Новый"
    rows = portal.call("core_enrol_get_enrolled_users", courseid=2)
    assert [row["lastname"] for row in rows if row["id"] == 16] == ["Алексеев-Новый"]


@pytest.mark.parametrize(
    "edit", [{"op": "nosuch"}, {"op": "unenrol", "courseid": 2}, {"op": "unenrol", "courseid": 2, "userid": 777}]
)
def test_an_edit_that_names_nothing_is_refused(portal: Any, edit: dict[str, Any]) -> None:
    assert portal.http.post("/__sandbox/edit", json=edit).status_code == 400


def test_portal_faults_spoil_only_the_calls_they_name(portal: Any) -> None:
    portal.fault("warnings", "gradereport_user_get_grade_items .*groupid=1 ")
    portal.fault("empty", "core_enrol_get_enrolled_users", times=1)
    portal.fault("maintenance", "core_course_get_categories")
    portal.fault("errorcode:nopermissions", "core_cohort_get_cohorts")

    warned = portal.call(GRADES, courseid=2, groupid=1)
    assert warned["usergrades"] == []
    assert warned["warnings"]
    assert portal.call(GRADES, courseid=2, groupid=2)["warnings"] == []
    assert portal.call("core_enrol_get_enrolled_users", courseid=2) == []
    assert len(portal.call("core_enrol_get_enrolled_users", courseid=2)) == 34
    maintenance = portal.post("core_course_get_categories", {})
    assert (maintenance.status_code, maintenance.headers["content-type"][:9]) == (503, "text/html")
    assert portal.call("core_cohort_get_cohorts")["errorcode"] == "nopermissions"
