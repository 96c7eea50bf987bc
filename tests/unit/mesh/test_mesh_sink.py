"""What is sent to the city, byte for byte, and what its answers to a write become."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx

from gateway.domain.city import AbsenceIntent, HomeworkIntent, MarkIntent
from gateway.domain.errors import OutcomeUnknownError, StaleError, UnavailableError, UnreachableError

CORE = "/api/ej/core/teacher/v1"
STORED = {
    "id": 5,
    "student_profile_id": 40,
    "schedule_lesson_id": 101,
    "comment": "за доклад",
    "is_exam": True,
    "updated_at": "20.11.2026 12:00",
    "deleted_at": None,
}


def sent_body(route: respx.Route) -> Any:
    return json.loads(route.calls.last.request.content)


def respond_list(journal: respx.MockRouter, path: str, rows: list[Any]) -> respx.Route:
    return journal.get(path=path).respond(json=rows, headers={"total-entities": str(len(rows))})


def test_a_new_mark_is_the_attested_body(journal: respx.MockRouter, build: Any, mark: MarkIntent) -> None:
    route = journal.post(path=f"{CORE}/marks").respond(json={"id": 1664176530})

    accepted = build().create(mark, request_id="r1")

    assert sent_body(route) == {
        "comment": "",
        "is_exam": False,
        "is_criterion": False,
        "is_point": False,
        "point_date": "",
        "schedule_lesson_id": 101,
        "student_profile_id": 40,
        "teacher_id": 1,
        "control_form_id": 21,
        "weight": 2,
        "theme_frame_integration_id": None,
        "course_lesson_topic_id": None,
        "grade_origins": [{"grade_origin": "5", "grade_system_id": 31}],
        "grade_system_type": False,
        "mark_type_id": 1,
    }
    assert (accepted.city_id, accepted.status, accepted.profile, accepted.request_id) == (
        1664176530,
        200,
        "algebra",
        "r1",
    )


def test_a_changed_mark_is_whole_and_keeps_what_is_not_ours(
    journal: respx.MockRouter, build: Any, mark: MarkIntent
) -> None:
    listed = respond_list(journal, f"{CORE}/marks", [{"id": 4}, STORED])
    route = journal.put(path=f"{CORE}/marks/5").respond(json={"id": 5.0})

    accepted = build().change(5, mark, request_id="r1")

    body = sent_body(route)
    assert (body["id"], body["name"], body["weight"], body["comment"], body["is_exam"]) == (
        5,
        "5",
        2,
        "за доклад",
        True,
    )
    assert body["updated_at"] == "20.11.2026 12:00"
    assert len(body) == 18
    assert accepted.city_id == 5
    query = dict(listed.calls.last.request.url.params)
    assert (query["created_at_from"], query["created_at_to"]) == ("20.11.2026", "24.11.2026")


@pytest.mark.parametrize(
    "change", [{"deleted_at": "20.11.2026 13:00"}, {"student_profile_id": 41}, {"schedule_lesson_id": 7}]
)
def test_a_mark_that_is_gone_or_anothers_is_not_touched(
    journal: respx.MockRouter, build: Any, mark: MarkIntent, change: dict[str, Any]
) -> None:
    respond_list(journal, f"{CORE}/marks", [{**STORED, **change}])
    route = journal.put(path=f"{CORE}/marks/5").respond(json={"id": 5})

    with pytest.raises(StaleError):
        build().change(5, mark, request_id="r1")

    assert not route.called


def test_a_change_that_can_not_read_first_has_written_nothing(
    journal: respx.MockRouter, build: Any, mark: MarkIntent, homework: HomeworkIntent
) -> None:
    listed = journal.get(path=f"{CORE}/marks").respond(503, text="")
    journal.get(path=f"{CORE}/homeworks/5").respond(503, text="")
    route = journal.put(path__startswith=CORE).respond(json={"id": 5})

    for intent in (mark, homework):
        with pytest.raises(UnavailableError):
            build().change(5, intent, request_id="r1")

    assert (route.called, listed.call_count) == (False, 1)


@pytest.mark.parametrize("answer", [{"id": 5}, [{"id": 5}], {"id": 5.0, "code": 400}])
def test_object_and_list_of_one_are_both_answers(
    journal: respx.MockRouter, build: Any, mark: MarkIntent, answer: Any
) -> None:
    journal.post(path=f"{CORE}/marks").respond(201, json=answer)

    assert build().create(mark, request_id="r1").city_id == 5


@pytest.mark.parametrize("answer", [[], {}, [{"id": 5}, {"id": 6}], {"id": None}, {"id": "5"}, 5, None, "ok"])
def test_a_yes_without_a_number_must_be_looked_up(
    journal: respx.MockRouter, build: Any, mark: MarkIntent, answer: Any
) -> None:
    journal.post(path=f"{CORE}/marks").respond(json=answer)

    with pytest.raises(OutcomeUnknownError):
        build().create(mark, request_id="r1")


def test_a_change_that_answers_with_another_number_must_be_looked_up(
    journal: respx.MockRouter, build: Any, mark: MarkIntent
) -> None:
    respond_list(journal, f"{CORE}/marks", [STORED])
    journal.put(path=f"{CORE}/marks/5").respond(json={"id": 6})

    with pytest.raises(OutcomeUnknownError):
        build().change(5, mark, request_id="r1")


@pytest.mark.parametrize(("status", "body"), [(200, {"status": "ok", "http_status_code": 200}), (204, {}), (200, {})])
def test_a_deleted_mark_has_no_number(
    journal: respx.MockRouter, build: Any, mark: MarkIntent, status: int, body: Any
) -> None:
    journal.delete(path=f"{CORE}/marks/5").return_value = httpx.Response(status, json=body)

    accepted = build().delete(5, mark, request_id="r1")

    assert (accepted.city_id, accepted.already_there) == (None, False)


@pytest.mark.row("A17")
@pytest.mark.parametrize("status", [404, 200])
def test_a_delete_of_what_is_gone_is_done(journal: respx.MockRouter, build: Any, mark: MarkIntent, status: int) -> None:
    journal.delete(path=f"{CORE}/marks/5").respond(status, json={"code": 404, "message": "Объект не найден"})

    assert build().delete(5, mark, request_id="r1").already_there


def test_a_new_absence_goes_the_way_that_is_set(journal: respx.MockRouter, build: Any, absence: AbsenceIntent) -> None:
    new = journal.post(path=f"{CORE}/attendances").respond(json={"id": 7})
    legacy = journal.post(path="/core/api/attendances").respond(json={"id": 8})

    assert build().create(absence, request_id="r1").city_id == 7
    assert build(absence_path="legacy").create(absence, request_id="r2").city_id == 8

    body = {"absence_reason": None, "absence_reason_id": 2, "schedule_lesson_id": 101, "student_profile_id": 40}
    assert (sent_body(new), sent_body(legacy)) == (body, body)
    request = legacy.calls.last.request
    assert (request.url.params["pid"], request.headers["auth-token"]) == ("1", "canary-teacher-token")


@pytest.mark.row("A16")
@pytest.mark.parametrize("status", [403, 200])
def test_an_absence_that_stands_there_is_done(
    journal: respx.MockRouter, build: Any, absence: AbsenceIntent, status: int
) -> None:
    message = "Пропуск для выбранного ученика и урока уже существует"
    journal.post(path=f"{CORE}/attendances").respond(status, json={"code": 403, "message": message})

    accepted = build().create(absence, request_id="r1")

    assert (accepted.already_there, accepted.city_id, accepted.status) == (True, None, 403)


def test_new_homework_is_the_attested_body(journal: respx.MockRouter, build: Any, homework: HomeworkIntent) -> None:
    route = journal.post(path=f"{CORE}/homeworks").respond(json={"id": 11})

    assert build().create(homework, request_id="r1").city_id == 11
    assert sent_body(route) == {
        "group_id": 7,
        "teacher_id": 1,
        "subject_id": 3,
        "date_assigned_on": "20.11.2026",
        "date_prepared_for": "24.11.2026",
        "homework_entries": [
            {
                "description": "№ 5",
                "duration": 15,
                "student_ids": [40, 41],
                "attachment_ids": [],
                "attachments": [],
                "scripts": None,
            }
        ],
    }


def test_changed_homework_is_the_stored_object_with_our_words(
    journal: respx.MockRouter, build: Any, homework: HomeworkIntent
) -> None:
    entry = {"id": 3, "description": "старое", "student_ids": [40], "books": [1], "attachments": ["a"]}
    stored = {"id": 11, "group_id": 7, "is_required": True, "teacher_id": 1, "homework_entries": [entry]}
    journal.get(path=f"{CORE}/homeworks/11").respond(json=stored)
    route = journal.put(path=f"{CORE}/homeworks/11").respond(json={"id": 11})

    build().change(11, homework, request_id="r1")

    body = sent_body(route)
    assert body["homework_entries"] == [{**entry, "description": "№ 5", "student_ids": [40, 41]}]
    assert (body["is_required"], body["date_prepared_for"]) == (True, "24.11.2026")


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {"id": 11, "group_id": 8, "homework_entries": [{"id": 3}]},
        {"id": 11, "group_id": 7, "deleted_at": "20.11.2026 10:00", "homework_entries": [{"id": 3}]},
        {"id": 11, "group_id": 7, "homework_entries": [{"id": 3}, {"id": 4}]},
        {"id": 11, "group_id": 7, "homework_entries": []},
        {"id": 11, "group_id": 7},
    ],
    ids=["gone", "another group", "deleted", "two entries", "no entry", "without entries"],
)
def test_homework_that_is_not_what_was_planned_on_is_not_touched(
    journal: respx.MockRouter, build: Any, homework: HomeworkIntent, stored: Any
) -> None:
    gone = {"code": 404, "message": "Объект не найден"}
    journal.get(path=f"{CORE}/homeworks/11").respond(404 if stored is None else 200, json=stored or gone)
    route = journal.put(path=f"{CORE}/homeworks/11").respond(json={"id": 11})

    with pytest.raises(StaleError):
        build().change(11, homework, request_id="r1")

    assert not route.called


@pytest.mark.row("B4")
def test_a_write_that_had_to_wait_too_long_is_not_sent_at_all(
    journal: respx.MockRouter, build: Any, mark: MarkIntent
) -> None:
    """Its fence was checked long ago: another worker may have taken it over."""
    route = journal.post(path=f"{CORE}/marks").respond(json={"id": 5})
    slow = build(deadline_s=10.0, monotonic=Ticking(6.0))
    with pytest.raises(UnreachableError):
        slow.create(mark, request_id="r1")

    assert not route.called


class Ticking:
    """A clock that moves on by so many seconds at each look."""

    def __init__(self, step_s: float) -> None:
        self._now = 0.0
        self._step_s = step_s

    def __call__(self) -> float:
        self._now += self._step_s
        return self._now


def test_a_write_is_sent_again_while_no_connection_is_made(
    journal: respx.MockRouter, build: Any, mark: MarkIntent
) -> None:
    route = journal.post(path=f"{CORE}/marks")
    route.side_effect = [httpx.ConnectError("refused"), httpx.Response(200, json={"id": 5})]

    assert build().create(mark, request_id="r1").city_id == 5
    assert [call.request.headers["x-request-id"] for call in route.calls] == ["r1", "r1"]
