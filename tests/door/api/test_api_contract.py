"""The OpenAPI document is true, and nothing that fits it makes a fault of ours: Schemathesis asks on its behalf."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES_COUNT = 6
"""Calls a route and kind; with a route's dozen of parameters more find nothing new and cost CI its minutes."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OWN_SESSION = "/session"
"""Routes that end or change the session that asks; `test_api_sessions` has them."""


@pytest.fixture(scope="module")
def director(shared_school: Any) -> Any:
    return shared_school.call("director")


@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_no_request_makes_a_fault_of_ours_and_every_answer_is_as_the_document_says(
    mode: Any, shared_school: Any, director: Any
) -> None:
    headers = {**director.headers, "Host": "127.0.0.1"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", shared_school.client.app, headers=headers)
    asked = 0

    for found in schema.get_all_operations():
        operation = found.ok()
        has_input = any(list(operation.iter_parameters())) or bool(list(operation.body))
        if OWN_SESSION in operation.path or (mode is schemathesis.GenerationMode.NEGATIVE and not has_input):
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
            nonlocal asked
            asked += 1
            case.validate_response(case.call(headers=headers), checks=CHECKS)

        ask()

    assert asked > 100


def test_the_document_is_openapi_3_1_and_every_route_says_how_it_refuses(shared_school: Any, director: Any) -> None:
    tree = director.get("/openapi.json").json()
    operations = [operation for path in tree["paths"].values() for operation in path.values()]

    assert tree["openapi"].startswith("3.1.")
    assert all({"401", "404", "422"} <= set(operation["responses"]) for operation in operations)
