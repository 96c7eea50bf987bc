"""Activity at the portal by API: of a pupil and of a teacher, by kind and day, and counts that name nobody."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.access.roles import Role


@pytest.fixture
def admitted(school: Any, storing: Any) -> Any:
    storing.all(school)
    return school


def kinds_of(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["kind"] for one in answer.json()["items"]]


def test_a_pupils_activity_is_asked_by_kind_and_by_days_of_the_school(admitted: Any) -> None:
    parent = admitted.call("parent")
    path = "/pupils/user:1/activity"

    assert sorted(kinds_of(parent.get(path))) == ["entered", "viewed", "viewed"]
    assert kinds_of(parent.get(path, params={"kind": "entered"})) == ["entered"]
    assert kinds_of(parent.get(path, params={"from": "2026-11-26"})) == []
    assert len(kinds_of(parent.get(path, params={"from": "2026-11-25", "to": "2026-11-25"}))) == 3
    assert kinds_of(parent.get(path, params={"to": "2026-11-24"})) == []
    assert kinds_of(parent.get(path, params={"from": "0001-01-01", "to": "9999-12-31", "kind": "marked"})) == []
    refused = parent.get(path, params={"kind": "slept"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/query/kind")


def test_a_teacher_sees_what_he_did_himself_and_the_heads_see_everybody(admitted: Any) -> None:
    teacher, deputy = admitted.call("teacher"), admitted.call("deputy")

    own = teacher.get("/teachers/user:50/activity")

    assert kinds_of(own) == ["marked"]
    assert own.json()["items"][0]["about"] == "user:1"
    assert teacher.get("/teachers/user:51/activity").status_code == 404
    assert kinds_of(deputy.get("/teachers/user:51/activity")) == ["marked"]
    # a pupil is no teacher, by whatever way he is asked for
    assert deputy.get("/teachers/user:1/activity").status_code == 404
    assert deputy.get("/pupils/user:50/activity").status_code == 404


@pytest.mark.parametrize(
    "mark",
    [
        "1.1.99999999999999999999",
        "1.9223372036854775808.1",
        "1.2147483648.1",
        "99999999999999999999.1.1",
        "1.1.-1",
        "1.-1.1",
        "-1.1.1",
        "1.1",
        "x.1.1",
    ],
)
def test_a_mark_that_no_page_gave_is_no_fault_of_ours(admitted: Any, mark: str) -> None:
    deputy = admitted.call("deputy")

    for path in ("/pupils/user:1/activity", "/teachers/user:50/activity"):
        answer = deputy.get(path, params={"after": mark})
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_VISIBLE"), path
        assert deputy.get(path, params={"after": f"{2**33}.{2**31 - 1}.{2**63 - 1}"}).status_code == 200


def test_a_look_at_a_teachers_deeds_is_written_for_him_and_for_whose_work_he_marked(admitted: Any) -> None:
    before = len(admitted.entries("access"))

    admitted.call("deputy").get("/teachers/user:50/activity")

    looks = [one for one in admitted.entries("access")[before:] if one.object_type == "activity"]
    assert len({one.subject for one in looks}) == 2


def test_counts_of_kinds_name_nobody_and_are_for_those_who_keep_the_machine(admitted: Any) -> None:
    for login in ("deputy", "director", "admin", "auditor"):
        answer = admitted.call(login).get("/activity/kinds")
        assert answer.json()["stored"] == {"entered": 6, "marked": 2, "viewed": 8}
        assert "user:" not in answer.text
    for login in ("teacher", "parent", "pupil", "inspector"):
        assert admitted.call(login).get("/activity/kinds").status_code == 404


def test_an_account_without_a_person_of_the_school_has_no_deeds(admitted: Any) -> None:
    admitted.account("nameless", Role.TEACHER)

    assert admitted.call("nameless").get("/teachers/user:50/activity").status_code == 404
