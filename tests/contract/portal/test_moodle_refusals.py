"""Every refusal a real Moodle gave becomes the error that says what to do next, over a mocked HTTP edge."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from pydantic import SecretStr, TypeAdapter

from gateway.connectors.http import HttpDoor
from gateway.connectors.pace import Unpaced
from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.client import ENDPOINT, SYSTEM, MoodleClient, Token
from gateway.connectors.portal.moodle.directory import CourseDirectory
from gateway.connectors.portal.moodle.errors import CLASS_OF, error_of_code, require_answered
from gateway.connectors.portal.moodle.tasks import to_attempt
from gateway.connectors.retry import Retry
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import (
    AccessDeniedError,
    ConfigurationError,
    ConnectorError,
    ContractError,
    IncompleteReadError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)

BASE = "http://portal.invalid"
ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)
REFUSALS = json.loads((Path(__file__).parents[2] / "samples" / "moodle" / "refusals.json").read_text(encoding="utf-8"))

DEAD, DENIED, CONTRACT, INCOMPLETE, DOWN = (
    (AccessDeniedError, True),
    (AccessDeniedError, False),
    (ContractError, None),
    (IncompleteReadError, None),
    (UnavailableError, None),
)
EXPECTED = {
    "errors.invalidtoken": DEAD,
    "errors.expired_token": DEAD,
    "errors.function_not_in_service": DEAD,
    "core_user_get_users.as_student": DEAD,
    "errors.xml_when_no_format": DEAD,
    "errors.nopermission": DENIED,
    "mod_quiz_get_attempt_summary": DENIED,
    "login_token.bad_password": DENIED,
    "login_token.bad_service": DENIED,
    "login_token.not_authorised_for_service": DENIED,
    "errors.missing_param": CONTRACT,
    "errors.bad_type_param": CONTRACT,
    "errors.extra_param": CONTRACT,
    "errors.duplicate_key": CONTRACT,
    "errors.unknown_function": INCOMPLETE,
    "errors.no_such_course": INCOMPLETE,
    "errors.no_such_course_grades": INCOMPLETE,
    "errors.no_such_attempt": INCOMPLETE,
    "core_completion_get_course_completion_status": INCOMPLETE,
    "gradereport_singleview_get_grade_items_for_search_widget": INCOMPLETE,
    "mod_assign_get_assignments.not_enrolled": INCOMPLETE,
    "mod_assign_get_user_flags": INCOMPLETE,
    "errors.maintenance_mode": DOWN,
}
NOT_REFUSED = {"errors.warning_instead_of_error", "errors.attempt_in_progress_review"}


def client(token: Token | None = None, *, tries_count: int = 1) -> MoodleClient:
    clock = VirtualClock(datetime(2026, 11, 23, 16, tzinfo=UTC))
    return MoodleClient(
        HttpDoor(system=SYSTEM, base_url=BASE, deadline_s=5),
        token or Token(SecretStr("canary-token"), None),
        clock=clock,
        pace=Unpaced(),
        retry=Retry(clock, tries_count=tries_count),
    )


def recorded(name: str) -> httpx.Response:
    case = REFUSALS[name]
    content = case["text"] if "text" in case else json.dumps(case["body"])
    return httpx.Response(case["status"], text=content, headers={"content-type": case["content_type"]})


def error_of(response: httpx.Response | Exception, *, tries_count: int = 1) -> ConnectorError:
    with respx.mock(base_url=BASE) as portal:
        portal.post(ENDPOINT).mock(
            side_effect=response if isinstance(response, Exception) else None,
            return_value=response if isinstance(response, httpx.Response) else None,
        )
        with pytest.raises(ConnectorError) as caught:
            client(tries_count=tries_count).fetch("core_course_get_contents", {"courseid": 2}, ANYTHING)
    return caught.value


def test_every_recorded_refusal_has_an_expected_class() -> None:
    assert set(REFUSALS) == set(EXPECTED) | NOT_REFUSED


@pytest.mark.row("E1")
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_recorded_refusal_becomes_its_class(name: str) -> None:
    error = error_of(recorded(name))

    kind, is_dead = EXPECTED[name]
    assert type(error) is kind
    assert getattr(error, "is_session_dead", None) is is_dead
    assert (error.system, error.method) == (SYSTEM, "core_course_get_contents")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_no_error_repeats_the_portals_text_or_the_token(name: str) -> None:
    error = error_of(recorded(name))

    message = REFUSALS[name].get("body", {}).get("message", "Invalid token - token not found")
    assert message not in str(error)
    assert "canary-token" not in str(error)


def test_ids_left_out_without_a_word_make_the_read_incomplete() -> None:
    body = REFUSALS["errors.warning_instead_of_error"]["body"]

    with pytest.raises(IncompleteReadError):
        require_answered([999999], [row["assignmentid"] for row in body["assignments"]], system=SYSTEM, function="f")


def test_a_review_of_an_open_attempt_is_an_unfinished_attempt_without_points() -> None:
    attempt = wire.QuizAttempt.model_validate(REFUSALS["errors.attempt_in_progress_review"]["body"]["attempt"])
    course = wire.Course(id=2, shortname="ALG-7", fullname="Алгебра, 7 класс", categoryid=2)
    directory = CourseDirectory(course=course, subject="Алгебра", groups={}, home={}, ungrouped=(), people={})
    quiz = wire.Quiz(id=1, course=2, grademethod=1, sumgrades=4.0, grade=10.0)

    record = to_attempt("portal", directory, quiz, attempt)

    assert (record.state, record.points, record.finished_at) == ("unfinished", None, None)


@pytest.mark.parametrize("code", sorted(CLASS_OF))
def test_every_code_of_the_table_builds_its_class(code: str) -> None:
    assert type(error_of_code(code, system=SYSTEM, function="f")) is CLASS_OF[code]


def test_an_unknown_code_discards_the_scope_and_is_not_repeated_when_it_is_text() -> None:
    error = error_of_code("Иванова Алёна", system=SYSTEM, function="f")

    assert type(error) is IncompleteReadError
    assert "Иванова" not in str(error)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (httpx.ConnectError("refused"), UnreachableError),
        (httpx.ConnectTimeout("slow"), UnreachableError),
        (httpx.ReadTimeout("slow"), UnavailableError),
        (httpx.ReadError("reset"), UnavailableError),
        (httpx.Response(500, text="<html></html>"), UnavailableError),
        (httpx.Response(429, headers={"retry-after": "7"}), ThrottledError),
        (httpx.Response(403, text="<html></html>"), AccessDeniedError),
        (httpx.Response(404, text="<html></html>"), ContractError),
        (httpx.Response(200, html="<html><body>Вход</body></html>"), UnavailableError),
        (httpx.Response(200, content=b'{"usergrades": ['), IncompleteReadError),
    ],
)
def test_the_transport_says_what_to_do_next(response: httpx.Response | Exception, kind: type[ConnectorError]) -> None:
    assert type(error_of(response)) is kind


def test_a_read_is_repeated_after_an_outage() -> None:
    with respx.mock(base_url=BASE) as portal:
        route = portal.post(ENDPOINT)
        route.side_effect = [recorded("errors.maintenance_mode"), httpx.Response(200, json=[])]

        answer = client(tries_count=2).fetch("core_course_get_contents", {"courseid": 2}, ANYTHING)

    assert answer == []
    assert route.call_count == 2


def test_a_call_is_a_post_with_the_token_in_its_body_only() -> None:
    with respx.mock(base_url=BASE) as portal:
        route = portal.post(ENDPOINT).mock(return_value=httpx.Response(200, json=[]))

        client().fetch("core_group_get_group_members", {"groupids": [1, 2]}, ANYTHING)

    sent = route.calls.last.request
    assert "canary-token" not in str(sent.url)
    assert sent.content.decode() == (
        "wstoken=canary-token&wsfunction=core_group_get_group_members&moodlewsrestformat=json"
        "&groupids%5B0%5D=1&groupids%5B1%5D=2"
    )


def test_a_dead_token_is_read_again_from_its_file_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n", encoding="utf-8")
    token = Token(None, file)
    file.write_text("new\n", encoding="utf-8")
    with respx.mock(base_url=BASE) as portal:
        route = portal.post(ENDPOINT)
        route.side_effect = [recorded("errors.invalidtoken"), httpx.Response(200, json=[])]

        assert client(token).fetch("core_course_get_contents", {"courseid": 2}, ANYTHING) == []

    assert route.calls.last.request.content.startswith(b"wstoken=new&")


def test_a_dead_token_that_was_not_replaced_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n", encoding="utf-8")
    with respx.mock(base_url=BASE) as portal:
        route = portal.post(ENDPOINT).mock(return_value=recorded("errors.invalidtoken"))

        with pytest.raises(AccessDeniedError):
            client(Token(None, file)).fetch("core_course_get_contents", {"courseid": 2}, ANYTHING)

    assert route.call_count == 1


def test_no_token_at_all_names_the_settings() -> None:
    with pytest.raises(ConfigurationError, match=r"portal\.token"):
        Token(None, None)


def test_a_misfit_names_the_fields_and_never_their_values() -> None:
    body = {"usergrades": [{"courseid": 2, "userid": "Иванова", "gradeitems": []}]}
    with respx.mock(base_url=BASE) as portal:
        portal.post(ENDPOINT).mock(return_value=httpx.Response(200, json=body))

        with pytest.raises(ContractError) as caught:
            client().fetch("gradereport_user_get_grade_items", {"courseid": 2}, wire.GRADE_REPORT)

    assert "usergrades.userid" in str(caught.value)
    assert "Иванова" not in str(caught.value)
