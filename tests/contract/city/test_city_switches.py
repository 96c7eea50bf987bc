"""Every switch of §7.5a with each of its values, over real HTTP; the first value of each is the default."""

from __future__ import annotations

from typing import Any

import pytest

ALGEBRA = "7А — Алгебра"


def test_an_unknown_switch_or_value_changes_nothing(desk: Any) -> None:
    before = desk.control("GET", "switches")

    desk.control("POST", "switches", {"per_page": "refuse", "no_such": 1}, status=400)
    desk.control("POST", "switches", {"per_page": "sometimes"}, status=400)

    assert desk.control("GET", "switches") == before


def test_the_defaults_are_the_first_values_of_the_reference(desk: Any) -> None:
    assert desk.control("GET", "switches") == {
        "marks_filter": "lesson",
        "paging_headers": "students",
        "per_page": "clamp",
        "error_status": "code",
        "post_answer": "object",
        "put_mark": "on",
        "delete_absence": "on",
        "absence_path": "new",
        "soft_deleted": "hidden",
        "wrong_subsystem": "empty",
        "strict_put": "null",
        "closed_period": 403,
        "read_lag_s": 0.0,
        "late_s": 0.0,
        "republish_lesson_ids": "off",
        "teacher_reads": "all",
        "idempotency_key": "off",
        "conflict_409": "off",
        "rate": "off",  # the tests' own choice
        "rate_status": 429,
    }


@pytest.mark.parametrize(("value", "day"), [("lesson", "10.11.2026"), ("entry", "23.11.2026")])
def test_marks_filter_is_by_the_lessons_day_or_the_entrys(desk: Any, value: str, day: str) -> None:
    desk.switch(marks_filter=value)
    mark = desk.post_mark().json()["id"]

    def found(on: str) -> bool:
        return mark in [one["id"] for one in desk.list("marks", created_at_from=on, created_at_to=on)]

    assert found(day)
    assert not found("23.11.2026" if day == "10.11.2026" else "10.11.2026")


@pytest.mark.parametrize(
    ("value", "on_pupils", "on_marks"), [("students", True, False), ("all", True, True), ("none", False, False)]
)
def test_paging_headers_come_where_the_switch_says(desk: Any, value: str, on_pupils: bool, on_marks: bool) -> None:
    desk.switch(paging_headers=value)

    pupils, marks = desk.call("GET", "student_profiles", per_page=10), desk.call("GET", "marks", per_page=10)

    assert ("total-entities" in pupils.headers, "total-entities" in marks.headers) == (on_pupils, on_marks)
    if on_marks:
        assert (marks.headers["pages"], marks.headers["pagesize"]) == ("5", "10")


def test_per_page_above_the_cap_is_clamped_or_refused(desk: Any) -> None:
    clamped = desk.call("GET", "student_profiles", per_page=5000)
    desk.switch(per_page="refuse")
    refused = desk.call("GET", "student_profiles", per_page=5000)

    assert clamped.headers["pagesize"] == "100"
    assert refused.status_code == 400


@pytest.mark.parametrize(("value", "status"), [("code", 404), (200, 200)])
def test_errors_have_their_status_or_only_a_code_in_the_body(desk: Any, value: Any, status: int) -> None:
    desk.switch(error_status=value)

    answer = desk.call("DELETE", "marks/1")

    assert (answer.status_code, answer.json()["code"]) == (status, 404)


@pytest.mark.parametrize(("value", "kind"), [("object", dict), ("list", list)])
def test_a_post_answers_an_object_or_a_list_of_one(desk: Any, value: str, kind: type) -> None:
    desk.switch(post_answer=value)

    answer = desk.post_mark().json()

    assert isinstance(answer, kind)
    assert (answer[0] if kind is list else answer)["id"] == desk.ledger()[0]["id"]


@pytest.mark.parametrize(("value", "status"), [("on", 200), (405, 405)])
def test_put_of_a_mark_is_there_or_not(desk: Any, value: Any, status: int) -> None:
    mark = desk.post_mark().json()["id"]
    desk.switch(put_mark=value)

    assert desk.call("PUT", f"marks/{mark}", body=desk.mark()).status_code == status


@pytest.mark.parametrize(("value", "status", "left"), [("on", 200, 0), (405, 405, 1), (404, 404, 1)])
def test_delete_of_an_absence_is_there_or_not(desk: Any, value: Any, status: int, left: int) -> None:
    desk.switch(delete_absence=value)
    absence = desk.state["attendances"][0]["id"]

    assert desk.call("DELETE", f"attendances/{absence}").status_code == status
    assert len(desk.list("attendances")) == left


@pytest.mark.parametrize(("value", "on_new"), [("new", 200), ("legacy", 404)])
def test_absences_are_posted_on_the_new_path_or_on_the_legacy_one_only(desk: Any, value: str, on_new: int) -> None:
    desk.switch(absence_path=value)
    pupils = desk.group(ALGEBRA)["student_ids"]

    new = desk.call("POST", "attendances", body=desk.absence(student_profile_id=pupils[3]))
    legacy = desk.call("POST", "/core/api/attendances", body=desk.absence(student_profile_id=pupils[4]))

    assert (new.status_code, legacy.status_code) == (on_new, 200)


@pytest.mark.parametrize(("value", "is_listed"), [("hidden", False), ("listed", True)])
def test_deleted_marks_are_hidden_or_listed_with_their_moment(desk: Any, value: str, is_listed: bool) -> None:
    desk.switch(soft_deleted=value)
    mark = desk.post_mark().json()["id"]
    desk.call("DELETE", f"marks/{mark}")

    found = [one for one in desk.list("marks") if one["id"] == mark]

    assert [one["deleted_at"] for one in found] == (["23.11.2026 19:00"] if is_listed else [])


def test_a_wrong_subsystem_gives_an_empty_list_or_403(desk: Any) -> None:
    headers = {"X-Mes-Subsystem": "journalsw"}
    empty = desk.call("GET", "control_forms", headers=headers)
    written = desk.call("POST", "marks", body=desk.mark(), headers=headers)
    desk.switch(wrong_subsystem=403)
    refused = desk.call("GET", "control_forms", headers=headers)

    assert (empty.status_code, empty.json()) == (200, [])
    assert (written.status_code, refused.status_code) == (403, 403)


@pytest.mark.parametrize(("value", "status"), [("null", 200), (400, 400)])
def test_a_partial_put_resets_or_is_refused(desk: Any, value: Any, status: int) -> None:
    desk.switch(strict_put=value)
    mark = desk.post_mark().json()["id"]
    body = desk.mark()
    del body["comment"]

    assert desk.call("PUT", f"marks/{mark}", body=body).status_code == status


@pytest.mark.parametrize(("value", "status"), [(403, 403), ("accept", 200)])
def test_a_closed_period_refuses_or_not_at_all(desk: Any, value: Any, status: int) -> None:
    desk.switch(closed_period=value)

    assert desk.post_mark(schedule_lesson_id=desk.lesson(ALGEBRA, [2026, 10, 13])["id"]).status_code == status


def test_read_lag_hides_ones_own_write_for_a_while(desk: Any) -> None:
    desk.switch(read_lag_s=30)
    mark = desk.post_mark().json()["id"]

    def names() -> list[str]:
        return [one["name"] for one in desk.list("marks") if one["id"] == mark]

    assert names() == []
    desk.control("POST", "clock", {"advance_s": 31})
    assert names() == ["5"]
    desk.control("POST", "human", {"op": "change", "kind": "mark", "id": mark, "value": "3"})
    assert names() == ["5"]
    desk.call("DELETE", f"marks/{mark}")
    assert names() == ["5"]
    desk.control("POST", "clock", {"advance_s": 31})
    assert names() == []


def test_a_timed_out_write_lands_late(desk: Any) -> None:
    desk.switch(late_s=60)
    desk.fault("drop_after_commit", match={"method": "POST", "path": "/marks"}, times=1)

    assert desk.post_mark().status_code == 504
    assert desk.ledger() == []
    desk.control("POST", "clock", {"advance_s": 59})
    assert desk.ledger() == []
    desk.control("POST", "clock", {"advance_s": 1})
    assert [(entry["op"], entry["kind"]) for entry in desk.ledger()] == [("create", "mark")]
    assert desk.ledger()[0]["actor"] == desk.teacher()["profile_id"]


def test_a_late_write_that_is_refused_by_then_is_never_written(desk: Any) -> None:
    desk.switch(late_s=60)
    desk.fault("drop_after_commit", times=1)
    assert desk.post_mark().status_code == 504
    period = desk.state["attestation_periods_schedules"][0]["periods"][1]["id"]
    desk.control("POST", "period", {"id": period, "closed": True})

    desk.control("POST", "clock", {"advance_s": 61})

    assert desk.ledger() == []


def test_a_republished_timetable_has_other_ids_and_marks_follow(desk: Any) -> None:
    mark = desk.post_mark().json()
    desk.switch(republish_lesson_ids="on")

    lessons = desk.list("/api/ej/plan/teacher/v1/schedule_items", **{"from": "2026-11-10", "to": "2026-11-10"})
    moved = next(one for one in desk.list("marks") if one["id"] == mark["id"])

    assert mark["schedule_lesson_id"] not in [one["id"] for one in lessons]
    assert moved["schedule_lesson_id"] in [one["id"] for one in lessons]
    assert desk.post_mark().status_code == 404
    desk.switch(republish_lesson_ids="off")
    assert desk.post_mark(schedule_lesson_id=moved["schedule_lesson_id"]).status_code == 200


@pytest.mark.parametrize(("value", "marks"), [("off", 2), ("on", 1)])
def test_an_idempotency_key_is_ignored_or_kept(desk: Any, value: str, marks: int) -> None:
    desk.switch(idempotency_key=value)
    headers = {"Idempotency-Key": "one"}

    ids = {desk.call("POST", "marks", body=desk.mark(), headers=headers).json()["id"] for _ in range(2)}

    assert (len(ids), len(desk.ledger())) == (marks, marks)


@pytest.mark.parametrize(("value", "status"), [("off", 200), ("on", 409)])
def test_conflict_409_looks_at_updated_at(desk: Any, value: str, status: int) -> None:
    desk.switch(conflict_409=value)
    mark = desk.post_mark().json()["id"]
    body = desk.mark(updated_at="23.11.2026 18:59")

    assert desk.call("PUT", f"marks/{mark}", body=body).status_code == status
    fresh = desk.mark(updated_at="23.11.2026 19:00")
    assert desk.call("PUT", f"marks/{mark}", body=fresh).status_code == 200


@pytest.mark.parametrize("status", [429, 433])
def test_a_rate_lets_a_burst_through_then_asks_to_wait(desk: Any, status: int) -> None:
    desk.switch(rate=5, rate_status=status)

    answers = [desk.call("GET", "academic_years") for _ in range(11)]

    assert [one.status_code for one in answers] == [200] * 10 + [status]
    assert answers[-1].headers["retry-after"] == "1"
    desk.control("POST", "clock", {"advance_s": 1})
    assert [desk.call("GET", "academic_years").status_code for _ in range(6)] == [200] * 5 + [status]


def test_rate_off_lets_everything_through(desk: Any) -> None:
    desk.switch(rate="off")

    assert {desk.call("GET", "academic_years").status_code for _ in range(30)} == {200}
