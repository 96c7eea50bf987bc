"""Every fault on request, over real HTTP, and what has happened to the write under it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.sandbox.faults import FaultError, FaultRule, Faults

ALGEBRA = "7А — Алгебра"


@pytest.mark.parametrize(
    ("fault", "status", "is_written"),
    [
        ("drop_after_commit", 504, True),
        ("drop_before", 504, False),
        ("500", 500, False),
        ("502", 502, False),
        ("503", 503, False),
        ("504", 504, False),
        ("429", 429, False),
        ("html", 200, False),
    ],
)
def test_a_fault_answers_its_status_and_the_ledger_tells_whether_it_was_written(
    desk: Any, fault: str, status: int, is_written: bool
) -> None:
    desk.fault(fault, match={"method": "POST", "path": "/marks"})

    answer = desk.post_mark()

    assert answer.status_code == status
    assert len(desk.ledger()) == int(is_written)
    assert desk.call("GET", "marks").status_code == 200


@pytest.mark.parametrize("fault", ["502", "503", "504", "html"])
def test_gateway_faults_speak_html(desk: Any, fault: str) -> None:
    desk.fault(fault)

    answer = desk.call("GET", "marks")

    assert answer.headers["content-type"].startswith("text/html")
    assert ("retry-after" in answer.headers) == (fault == "503")


def test_500_has_the_other_error_shape_and_429_says_when_to_come_back(desk: Any) -> None:
    desk.fault("500", times=1)
    desk.fault("429")

    assert set(desk.call("GET", "marks").json()) == {"type", "description"}
    assert int(desk.call("GET", "marks").headers["retry-after"]) > 0


def test_reset_cuts_the_connection_after_the_write(desk: Any) -> None:
    desk.fault("reset", match={"method": "POST"}, times=1)

    with pytest.raises(httpx.RemoteProtocolError):
        desk.post_mark()

    assert len(desk.ledger()) == 1


def test_slow_waits_before_it_answers(desk: Any) -> None:
    desk.fault("slow", delay_s=0.3, times=1)

    with pytest.raises(httpx.ReadTimeout):
        desk.http.get("/api/ej/core/teacher/v1/marks", headers=desk.headers(desk.admin), timeout=0.05)

    assert desk.call("GET", "marks").status_code == 200


def test_truncate_cuts_the_body_in_the_middle(desk: Any) -> None:
    whole = desk.call("GET", "marks").content
    desk.fault("truncate")

    answer = desk.call("GET", "marks")

    assert answer.content == whole[: len(whole) // 2]
    with pytest.raises(ValueError, match=r".+"):
        answer.json()


def test_an_empty_list_is_one_and_an_object_stays(desk: Any) -> None:
    desk.fault("empty_list")

    assert desk.call("GET", "marks").json() == []


def test_duplicate_page_repeats_every_row(desk: Any) -> None:
    ids = [one["id"] for one in desk.list("marks")]
    desk.fault("duplicate_page")

    assert [one["id"] for one in desk.list("marks")] == ids + ids


def test_float_ids_turn_every_id_into_a_float_and_nothing_else(desk: Any) -> None:
    desk.fault("float_ids", match={"path": "/marks"})

    mark = desk.list("marks")[0]

    for name in ("id", "student_profile_id", "schedule_lesson_id"):
        assert isinstance(mark[name], float)
    assert isinstance(mark["weight"], int)


def test_null_names_take_the_names_of_pupils(desk: Any) -> None:
    desk.fault("null_names", match={"path": "student_profiles"})

    pupils = desk.list("student_profiles")

    assert {(one["last_name"], one["first_name"], one["middle_name"]) for one in pupils} == {(None, None, None)}
    assert all(one["person_id"] for one in pupils)


def test_kill_token_ends_that_session_for_good_and_no_other(desk: Any) -> None:
    desk.fault("kill_token", match={"path": "/marks"}, times=1)

    assert desk.post_mark().status_code == 401
    assert desk.post_mark().status_code == 401
    assert desk.call("POST", "marks", body=desk.mark()).status_code == 200


def test_every_third_match_at_most_twice(desk: Any) -> None:
    desk.fault("500", match={"method": "GET", "path": "/marks"}, every=3, times=2)

    answers = [desk.call("GET", "marks").status_code for _ in range(12)]

    assert answers == [200, 200, 500, 200, 200, 500] + [200] * 6
    assert desk.control("GET", "faults")[0]["fired"] == 2


def test_a_path_may_be_a_regular_expression(desk: Any) -> None:
    desk.fault("500", match={"path": r"/marks/\d+$"})

    assert desk.call("GET", "marks").status_code == 200
    assert desk.call("DELETE", "marks/1").status_code == 500


def test_clearing_lifts_all_faults_and_none_touches_the_control_interface(desk: Any) -> None:
    desk.fault("500")
    assert desk.call("GET", "marks").status_code == 500
    assert desk.ledger() == []

    desk.control("DELETE", "faults")

    assert desk.call("GET", "marks").status_code == 200


@pytest.mark.parametrize(
    "rule",
    [{"fault": "earthquake"}, {"fault": "500", "every": 0}, {"fault": "500", "match": {"path": "("}}, {"what": 1}],
)
def test_a_rule_that_can_not_be_understood_is_refused(desk: Any, rule: dict[str, Any]) -> None:
    desk.control("POST", "faults", [{"fault": "500"}, rule], status=400)

    assert desk.control("GET", "faults") == []


def test_an_application_may_name_faults_of_its_own_with_an_argument() -> None:
    faults = Faults(own=["warnings", "errorcode"])

    faults.add(FaultRule(fault="errorcode:invalidtoken"))

    due = faults.find_due("POST", "/anything")
    assert due is not None
    assert due.fault == "errorcode:invalidtoken"
    with pytest.raises(FaultError):
        faults.add(FaultRule(fault="truncated:half"))
