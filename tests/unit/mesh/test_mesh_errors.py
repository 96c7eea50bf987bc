"""What each answer of the city means, decided at the HTTP edge."""

from __future__ import annotations

import json
import traceback
from typing import Any

import httpx
import pytest
import respx

from gateway.connectors.mesh.connector import MeshConnector
from gateway.connectors.port import CityScope
from gateway.domain.city import MarkIntent
from gateway.domain.errors import (
    AccessDeniedError,
    ConnectorError,
    ContractError,
    IncompleteReadError,
    LockedPeriodError,
    OutcomeUnknownError,
    RejectedError,
    StaleError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from gateway.domain.identifiers import Kind

SESSION_ENDED = "Предыдущая сессия работы в ЭЖД завершена. Войдите в ЭЖД заново"
CANARY = "Канарейкина Алёна 4.37"
PAGE = "<html><body><h1>Bad Gateway</h1></body></html>"
MARKS = "/api/ej/core/teacher/v1/marks"


def refusal(code: int, message: str = CANARY) -> dict[str, Any]:
    return {"code": code, "message": message}


def scope_of(mark: MarkIntent) -> CityScope:
    return CityScope(
        kind=Kind.MARK, group_id=mark.group_id, subject_id=mark.subject_id, level=7, from_on=mark.on, to_on=mark.on
    )


def read_problem(connector: MeshConnector, mark: MarkIntent) -> ConnectorError:
    read = connector.fetch_scope(scope_of(mark))
    assert read.problem is not None
    assert not read.objects
    return read.problem


# (status, body, headers) → class on a read, class on a create
ANSWERS: list[tuple[int, Any, type[ConnectorError], type[ConnectorError]]] = [
    (400, refusal(400), ContractError, RejectedError),
    (401, refusal(401, SESSION_ENDED), AccessDeniedError, AccessDeniedError),
    (401, {"apikey": None}, AccessDeniedError, AccessDeniedError),
    (401, PAGE, AccessDeniedError, AccessDeniedError),
    (403, {"message": SESSION_ENDED}, AccessDeniedError, AccessDeniedError),
    (403, refusal(403), AccessDeniedError, RejectedError),
    (403, refusal(403, "Период закрыт для редактирования"), LockedPeriodError, LockedPeriodError),
    (403, refusal(403, "Профиль не принадлежит пользователю"), AccessDeniedError, AccessDeniedError),
    (403, refusal(403, "Подсистема недоступна"), AccessDeniedError, AccessDeniedError),
    (403, PAGE, UnavailableError, OutcomeUnknownError),
    (404, refusal(404), ContractError, RejectedError),
    (404, PAGE, UnavailableError, OutcomeUnknownError),
    (404, refusal(404, "method does not exist"), ContractError, RejectedError),
    (405, refusal(405), ContractError, RejectedError),
    (408, "", UnavailableError, OutcomeUnknownError),
    (409, refusal(409), ContractError, StaleError),
    (422, refusal(422), ContractError, RejectedError),
    (429, refusal(429), ThrottledError, ThrottledError),
    (429, PAGE, ThrottledError, ThrottledError),
    (433, "", ThrottledError, ThrottledError),
    (499, "ServerError & ContentTypeError", UnavailableError, OutcomeUnknownError),
    (500, refusal(500), UnavailableError, OutcomeUnknownError),
    (502, PAGE, UnavailableError, OutcomeUnknownError),
    (503, PAGE, UnavailableError, OutcomeUnknownError),
    (504, PAGE, UnavailableError, OutcomeUnknownError),
    (302, "", UnavailableError, OutcomeUnknownError),
    (200, PAGE, UnavailableError, OutcomeUnknownError),
    (200, "", IncompleteReadError, OutcomeUnknownError),
    (204, "", IncompleteReadError, OutcomeUnknownError),
    (200, '[{"id": 1', IncompleteReadError, OutcomeUnknownError),
    (200, refusal(400), ContractError, RejectedError),
    (200, refusal(403, "Период закрыт для редактирования"), LockedPeriodError, LockedPeriodError),
    (200, refusal(429), ThrottledError, ThrottledError),
    (200, refusal(500), UnavailableError, OutcomeUnknownError),
    (200, {"message": SESSION_ENDED}, AccessDeniedError, AccessDeniedError),
    (200, {"type": "apiRequestLimit", "description": CANARY}, ThrottledError, ThrottledError),
    (403, {"type": "apiRequestLimit", "description": CANARY}, ThrottledError, ThrottledError),
    (200, {"type": "apiServerError", "description": CANARY}, UnavailableError, OutcomeUnknownError),
    (200, {"type": "parameterInvalid", "description": CANARY}, ContractError, RejectedError),
    (200, {"type": "authorizationInvalidToken", "description": CANARY}, AccessDeniedError, AccessDeniedError),
    (200, {"type": "neverSeen", "description": CANARY}, UnavailableError, OutcomeUnknownError),
    (200, {"something": "else"}, ContractError, OutcomeUnknownError),
    (200, [{"name": "5"}], ContractError, OutcomeUnknownError),
]


def respond(route: respx.Route, status: int, body: Any) -> None:
    if isinstance(body, str):
        kind = "text/html" if body.startswith("<") else "text/plain"
        route.respond(status, text=body, headers={"content-type": kind})
    else:
        route.respond(status, json=body)


@pytest.mark.row("A13", "A14")
@pytest.mark.parametrize(("status", "body", "on_read", "on_write"), ANSWERS)
def test_an_answer_to_a_read_says_what_to_do_next(
    journal: respx.MockRouter,
    build: Any,
    mark: MarkIntent,
    status: int,
    body: Any,
    on_read: type[ConnectorError],
    on_write: type[ConnectorError],
) -> None:
    respond(journal.get(path=MARKS), status, body)

    problem = read_problem(build(), mark)

    assert type(problem) is on_read
    assert CANARY not in "".join(traceback.format_exception(problem))


@pytest.mark.row("A6", "A13", "A16")
@pytest.mark.parametrize(("status", "body", "on_read", "on_write"), ANSWERS)
def test_an_answer_to_a_write_says_what_to_do_next(
    journal: respx.MockRouter,
    build: Any,
    mark: MarkIntent,
    status: int,
    body: Any,
    on_read: type[ConnectorError],
    on_write: type[ConnectorError],
) -> None:
    route = journal.post(path=MARKS)
    respond(route, status, body)

    with pytest.raises(ConnectorError) as caught:
        build().create(mark, request_id="r1")

    assert type(caught.value) is on_write
    assert route.call_count == 1
    assert (caught.value.system, caught.value.request_id) in {("mesh", "r1"), ("mesh", "")}
    text = "".join(traceback.format_exception(caught.value))
    assert not any(canary in text for canary in (CANARY, "canary", SESSION_ENDED))


PHASES: list[tuple[type[httpx.TransportError], type[ConnectorError], type[ConnectorError]]] = [
    (httpx.ConnectError, UnreachableError, UnreachableError),
    (httpx.ConnectTimeout, UnreachableError, UnreachableError),
    (httpx.PoolTimeout, UnreachableError, UnreachableError),
    (httpx.WriteTimeout, UnavailableError, OutcomeUnknownError),
    (httpx.WriteError, UnavailableError, OutcomeUnknownError),
    (httpx.ReadTimeout, UnavailableError, OutcomeUnknownError),
    (httpx.ReadError, UnavailableError, OutcomeUnknownError),
    (httpx.RemoteProtocolError, UnavailableError, OutcomeUnknownError),
]


@pytest.mark.parametrize(("fault", "on_read", "on_write"), PHASES)
def test_a_fault_of_each_phase_is_sent_again_only_where_nothing_was_sent(
    journal: respx.MockRouter,
    build: Any,
    mark: MarkIntent,
    fault: type[httpx.TransportError],
    on_read: type[ConnectorError],
    on_write: type[ConnectorError],
) -> None:
    reading, writing = journal.get(path=MARKS), journal.post(path=MARKS)
    for route in (reading, writing):
        route.side_effect = fault(CANARY)
    connector = build()

    assert type(read_problem(connector, mark)) is on_read
    with pytest.raises(ConnectorError) as caught:
        connector.create(mark, request_id="r1")

    assert type(caught.value) is on_write
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert reading.call_count == 3
    assert writing.call_count == (3 if on_write is UnreachableError else 1)


@pytest.mark.row("A12")
def test_a_wait_asked_for_is_carried_within_bounds(journal: respx.MockRouter, build: Any, mark: MarkIntent) -> None:
    for value, expected_s in (("30", 30.0), ("1000000000", 3600.0), ("-5", 1.0)):
        journal.post(path=MARKS).respond(429, json=refusal(429), headers={"Retry-After": value})
        with pytest.raises(ThrottledError) as caught:
            build().create(mark, request_id="r1")
        assert caught.value.retry_after_s == expected_s


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (405, refusal(405), "NO_CITY_CALL"),
        (404, refusal(404, "method does not exist"), "NO_CITY_CALL"),
        (404, "Not Found", "NO_CITY_CALL"),
        (400, refusal(400), "REJECTED_TARGET"),
    ],
)
def test_a_refusal_has_its_reason_code(
    journal: respx.MockRouter, build: Any, mark: MarkIntent, status: int, body: Any, reason: str
) -> None:
    respond(journal.delete(path=f"{MARKS}/5"), status, body)

    with pytest.raises(RejectedError) as caught:
        build().delete(5, mark, request_id="r1")

    assert caught.value.reason_code == reason


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("Ученик не состоит в группе на дату урока", "ученик не состоит в группе"),
        ("Урок отменён", "урок отменён"),
        ("Недопустимое значение отметки", "вне шкалы"),
        ("Канарейкина: особый случай № 7", "причина не из известных"),
    ],
)
def test_a_known_refusal_is_told_in_our_words_and_an_unknown_one_not_at_all(
    journal: respx.MockRouter, build: Any, mark: MarkIntent, message: str, sentence: str
) -> None:
    journal.post(path=MARKS).respond(400, json=refusal(400, message))

    with pytest.raises(RejectedError) as caught:
        build().create(mark, request_id="r1")

    assert sentence in caught.value.sentence
    assert "Канарейкина" not in caught.value.sentence


@pytest.mark.row("A25")
def test_a_deep_or_doubled_answer_is_no_list(journal: respx.MockRouter, build: Any, mark: MarkIntent) -> None:
    for body in ('[{"id": 1, "id": 2}]', "[" * 5000, '[{"weight": NaN}]', json.dumps([]).encode("utf-16")):
        journal.get(path=MARKS).respond(content=body, headers={"content-type": "application/json"})
        assert isinstance(read_problem(build(), mark), IncompleteReadError)


@pytest.mark.row("A8")
def test_repeated_500s_are_a_dead_session_when_the_city_says_so(
    journal: respx.MockRouter, build: Any, mark: MarkIntent
) -> None:
    journal.get(path=MARKS).respond(500, json=refusal(500))
    sessions = journal.post(path="/api/ej/acl/v1/sessions")
    sessions.respond(401, json=refusal(401, SESSION_ENDED))

    problem = read_problem(build(), mark)

    assert isinstance(problem, AccessDeniedError)
    assert (problem.is_session_dead, problem.profile, sessions.call_count) == (True, "office", 1)


@pytest.mark.row("A11")
@pytest.mark.parametrize(
    ("status", "body"), [(503, PAGE), (500, refusal(500)), (422, refusal(422, "accountDoesNotExist"))]
)
def test_a_session_service_that_is_out_of_order_itself_says_nothing_of_the_session(
    journal: respx.MockRouter, build: Any, mark: MarkIntent, status: int, body: Any
) -> None:
    """The work waits as for any outage, no profile is paused on a guess, and the service is not stormed."""
    journal.get(path=MARKS).respond(500, json=refusal(500))
    sessions = journal.post(path="/api/ej/acl/v1/sessions")
    respond(sessions, status, body)

    problem = read_problem(build(), mark)

    assert type(problem) is UnavailableError
    assert 1 <= sessions.call_count <= 3
