"""The control interface of §7.5b: ledger, state, clock, period, a person's edits, counts, reset."""

from __future__ import annotations

from typing import Any

import pytest

ALGEBRA = "7А — Алгебра"


def test_the_ledger_tells_every_accepted_write_in_the_agreed_shape(desk: Any) -> None:
    body = desk.mark(weight=2)
    mark = desk.call("POST", "marks", as_=desk.teacher(), body=body, headers={"X-Request-Id": "r-1"}).json()
    desk.post_mark(control_form_id=1)
    desk.call("DELETE", f"marks/{mark['id']}")

    first, second = desk.ledger()

    assert {name: value for name, value in first.items() if name != "group_id"} == {
        "seq": 1,
        "at": "2026-11-23T16:00:00+00:00",
        "op": "create",
        "kind": "mark",
        "id": mark["id"],
        "cell": {name: body[name] for name in ("student_profile_id", "schedule_lesson_id")},
        "value": "5",
        "weight": 2,
        "control_form_id": body["control_form_id"],
        "actor": desk.teacher()["profile_id"],
        "request_id": "r-1",
    }
    assert (second["seq"], second["op"], second["actor"]) == (2, "delete", desk.admin["profile_id"])
    assert desk.ledger(since=1) == [second]


def test_homework_and_absences_stand_in_the_ledger_too(desk: Any) -> None:
    desk.call("POST", "homeworks", as_=desk.teacher(), body=desk.homework())
    desk.call("POST", "attendances", as_=desk.teacher(), body=desk.absence())

    homework, absence = desk.ledger()

    assert (homework["kind"], homework["cell"]) == (
        "homework",
        {"student_profile_id": None, "schedule_lesson_id": None},
    )
    assert (homework["value"], homework["group_id"]) == ("Упражнение 1", desk.group(ALGEBRA)["id"])
    assert (absence["kind"], absence["value"]) == ("attendance", 1)


def test_a_request_id_is_echoed_or_given(desk: Any) -> None:
    own = desk.call("GET", "marks", headers={"X-Request-Id": "r-2"})
    given = desk.call("DELETE", "marks/1")

    assert own.headers["x-request-id"] == "r-2"
    assert given.headers["x-request-id"].startswith("sandbox-")


def test_the_state_tells_all_objects_by_kind_deleted_ones_too(desk: Any) -> None:
    mark = desk.post_mark().json()["id"]
    desk.call("DELETE", f"marks/{mark}")

    state = desk.control("GET", "state")

    assert next(one for one in state["marks"] if one["id"] == mark)["deleted_at"] == "23.11.2026 19:00"
    assert {"student_profiles", "schedule_items", "groups", "control_forms", "attendances", "homeworks"} <= set(state)
    assert state["like"] is None


def test_the_clock_is_set_and_moved_and_a_naive_moment_is_refused(desk: Any) -> None:
    assert desk.control("POST", "clock", {"now": "2026-12-01T10:00:00+03:00"})["now"] == "2026-12-01T07:00:00+00:00"
    assert desk.control("POST", "clock", {"advance_s": 90})["now"] == "2026-12-01T07:01:30+00:00"
    desk.control("POST", "clock", {"now": "2026-12-01T10:00:00"}, status=400)
    desk.control("POST", "clock", {}, status=400)


def test_tokens_end_with_the_school_year_and_a_logins_with_the_day(desk: Any) -> None:
    teacher = desk.teacher()
    login = {"login": teacher["login"], "password_plain": teacher["password"]}
    fresh = desk.http.post("/lms/api/sessions", json=login).json()["authentication_token"]

    assert desk.call("GET", "marks", as_=teacher).status_code == 401
    assert desk.call("GET", "marks", as_={**teacher, "token": fresh}).status_code == 200
    desk.control("POST", "clock", {"advance_s": 24 * 3600})
    assert desk.call("GET", "marks", as_={**teacher, "token": fresh}).status_code == 401
    assert desk.call("GET", "marks").status_code == 200
    desk.control("POST", "clock", {"now": "2027-09-01T00:00:00+03:00"})
    assert desk.call("GET", "marks").status_code == 401


def test_a_foreign_profile_and_another_year_are_refused(desk: Any) -> None:
    other = str(desk.teacher()["profile_id"])

    assert desk.call("GET", "marks", headers={"Profile-Id": other}).status_code == 403
    assert desk.call("GET", "marks", academic_year_id=13).status_code == 400
    assert desk.call("GET", "marks", academic_year_id=14).status_code == 200


def test_closing_an_unknown_period_is_refused(desk: Any) -> None:
    desk.control("POST", "period", {"id": 1, "closed": True}, status=400)


def test_a_person_writes_past_pace_and_closed_periods_and_other_teachers(desk: Any) -> None:
    desk.switch(rate=0.001)
    body = desk.mark(schedule_lesson_id=desk.lesson(ALGEBRA, [2026, 10, 13])["id"])
    cell = {name: body[name] for name in ("student_profile_id", "schedule_lesson_id")}
    form_id = desk.form(ALGEBRA, "Ответ на уроке")["id"]

    made = desk.control(
        "POST", "human", {"op": "create", "kind": "mark", "cell": cell, "value": "4", "control_form_id": form_id}
    )
    changed = desk.control("POST", "human", {"op": "change", "kind": "mark", "id": made["id"], "value": 3, "weight": 2})
    desk.control("POST", "human", {"op": "delete", "kind": "mark", "id": made["id"]})

    assert (made["name"], made["weight"]) == ("4", 1)
    assert (changed["name"], changed["weight"], changed["control_form_id"]) == ("3", 2, form_id)
    assert [(entry["op"], entry["actor"], entry["value"]) for entry in desk.ledger()] == [
        ("create", "human", "4"),
        ("change", "human", "3"),
        ("delete", "human", "3"),
    ]


def test_a_persons_edit_of_an_unknown_object_is_not_found(desk: Any) -> None:
    desk.control("POST", "human", {"op": "change", "kind": "mark", "id": 1, "value": "5"}, status=404)
    cell = {"student_profile_id": 1, "schedule_lesson_id": 1}
    desk.control("POST", "human", {"op": "create", "kind": "mark", "cell": cell, "value": "5"}, status=404)
    desk.control("POST", "human", {"op": "burn", "kind": "mark"}, status=400)
    assert desk.ledger() == []


def test_a_person_changes_the_form_of_a_mark_and_it_stays_the_same_mark(desk: Any) -> None:
    mark = desk.post_mark(comment="молодец").json()
    other = desk.form(ALGEBRA, "Ответ на уроке")["id"]

    changed = desk.control(
        "POST", "human", {"op": "change", "kind": "mark", "id": mark["id"], "control_form_id": other}
    )

    assert (changed["id"], changed["control_form_id"]) == (mark["id"], other)
    assert (changed["name"], changed["comment"]) == ("5", "молодец")


@pytest.mark.parametrize("kind", ["attendance", "homework", "final_mark", "lesson_comment"])
def test_a_person_writes_every_kind(desk: Any, kind: str) -> None:
    group = desk.group(ALGEBRA)
    pupil, lesson = group["student_ids"][4], desk.lesson(ALGEBRA, [2026, 11, 10])["id"]
    body = {
        "attendance": {"cell": {"student_profile_id": pupil, "schedule_lesson_id": lesson}, "value": 2},
        "homework": {**desk.homework(), "value": "Параграф 5"},
        "final_mark": {
            "student_profile_id": pupil,
            "subject_id": group["subject_id"],
            "academic_year_id": 14,
            "is_year_mark": True,
            "value": "5",
        },
        "lesson_comment": {"student_id": pupil, "cell": {"schedule_lesson_id": lesson}, "value": "О"},
    }[kind]

    made = desk.control("POST", "human", {"op": "create", "kind": kind, **body})

    assert [(entry["kind"], entry["id"], entry["actor"]) for entry in desk.ledger()] == [(kind, made["id"], "human")]
    assert str(desk.ledger()[0]["value"]) == str(body["value"])


def test_a_person_deletes_homework_and_changes_a_reason(desk: Any) -> None:
    homework, absence = desk.state["homeworks"][0]["id"], desk.state["attendances"][0]["id"]

    changed = desk.control("POST", "human", {"op": "change", "kind": "homework", "id": homework, "value": "Параграф 6"})
    desk.control("POST", "human", {"op": "delete", "kind": "homework", "id": homework})
    reason = desk.control("POST", "human", {"op": "change", "kind": "attendance", "id": absence, "value": 2})

    assert changed["homework_entries"][0]["description"] == "Параграф 6"
    assert desk.list("homeworks") == []
    assert reason["absence_reason_id"] == 2


def test_requests_are_counted_by_path_and_status_with_the_largest_number_in_a_second(desk: Any) -> None:
    for _ in range(3):
        desk.call("GET", "marks")
    desk.control("POST", "clock", {"advance_s": 1})
    desk.call("DELETE", "marks/1")

    told = desk.control("GET", "requests")

    assert told["counts"] == {
        "GET /api/ej/core/teacher/v1/marks": {"200": 3},
        "DELETE /api/ej/core/teacher/v1/marks/{id}": {"404": 1},
    }
    assert (told["total"], told["largest_in_one_second"]) == (4, 3)


def test_a_reset_forgets_writes_faults_switches_and_the_clock(desk: Any) -> None:
    desk.post_mark()
    desk.fault("500")
    desk.switch(per_page="refuse")
    desk.control("POST", "clock", {"advance_s": 3600})

    desk.begin()

    assert desk.ledger() == []
    assert desk.control("GET", "faults") == []
    assert desk.control("GET", "switches")["per_page"] == "clamp"
    assert desk.control("GET", "clock")["now"] == "2026-11-23T16:00:00+00:00"


def test_another_seed_has_other_names_and_tokens_and_the_same_seed_the_same(desk: Any) -> None:
    first = desk.control("POST", "reset", {"seed": 7})
    names = [one["last_name"] for one in desk.control("GET", "state")["student_profiles"]]
    again = desk.control("POST", "reset", {"seed": 7})

    assert first == again
    assert names == [one["last_name"] for one in desk.control("GET", "state")["student_profiles"]]
    assert names != [one["last_name"] for one in desk.state["student_profiles"]]
    assert first["tokens"] != {str(one["profile_id"]): one["token"] for one in desk.profiles}


def test_a_body_that_is_not_an_object_is_refused(desk: Any) -> None:
    answer = desk.http.post("/__sandbox/switches", content=b"[")
    mark = desk.call("POST", "marks", body=["no"])

    assert (answer.status_code, mark.status_code) == (400, 400)
