"""The OpenAPI document is true, and nothing that fits it makes a fault of ours: Schemathesis asks on its behalf."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.access.roles import Role

EXAMPLES_COUNT = 6
"""Calls a route and kind; with a route's dozen of parameters more find nothing new and cost CI its minutes."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BOTH_MODES = pytest.mark.parametrize(
    "mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
)
OWN_SESSION = "/session"
"""Routes that end or change the session that asks, and count failed tries: asked in a school of their own."""


@pytest.fixture(scope="module")
def director(shared_school: Any) -> Any:
    return shared_school.call("director")


def ask_all(app: Any, mode: Any, *, reader: Any, headers: dict[str, str], about_sessions: bool) -> Counter[int]:
    """Ask every route, or those of sessions, what the document allows or what it forbids; how often each status came."""
    reading = {**reader.headers, "Host": "127.0.0.1"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=reading)
    own = {**headers, "Host": "127.0.0.1"}
    asked: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        has_input = any(list(operation.iter_parameters())) or bool(list(operation.body))
        if (OWN_SESSION in operation.path) is not about_sessions:
            continue
        if mode is schemathesis.GenerationMode.NEGATIVE and not has_input:
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES_COUNT,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            answer = case.call(headers=own)
            asked[answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        try:
            ask()
        except Unsatisfiable:
            # any text in a path is a text: of a route that asks for nothing else nothing wrong can be asked
            assert mode is schemathesis.GenerationMode.NEGATIVE
            assert not list(operation.body)
            assert {one.location for one in operation.iter_parameters()} == {"path"}, operation.path
    return asked


@BOTH_MODES
def test_no_request_makes_a_fault_of_ours_and_every_answer_is_as_the_document_says(
    mode: Any, shared_school: Any, director: Any
) -> None:
    asked = ask_all(shared_school.client.app, mode, reader=director, headers=director.headers, about_sessions=False)

    assert asked.total() > 100


@BOTH_MODES
@pytest.mark.parametrize("is_logged_in", [False, True])
def test_no_request_about_a_session_makes_a_fault_of_ours(mode: Any, is_logged_in: bool, school: Any) -> None:
    """What is open to everybody who finds the address."""
    school.account("director", Role.DIRECTOR)
    headers = school.call("director").headers if is_logged_in else {}

    asked = ask_all(school.client.app, mode, reader=school.call("director"), headers=headers, about_sessions=True)

    assert asked.total() > EXAMPLES_COUNT
    assert asked[401] + asked[422] > 0


def test_the_document_is_openapi_3_1_and_every_route_says_how_it_refuses(shared_school: Any, director: Any) -> None:
    tree = director.get("/openapi.json").json()
    operations = [operation for path in tree["paths"].values() for operation in path.values()]

    assert tree["openapi"].startswith("3.1.")
    assert all({"401", "404", "422"} <= set(operation["responses"]) for operation in operations)
