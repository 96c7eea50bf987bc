"""The sandbox answers as the reference says: pairs typed by hand, played over real HTTP."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent.parent / "golden"
PAIRS = [pair for path in sorted(GOLDEN.glob("*.json")) for pair in json.loads(path.read_text("utf-8"))]
FORMS = {
    "<str>": r".+",
    "<uuid>": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "<dd.MM.yyyy>": r"\d{2}\.\d{2}\.\d{4}",
    "<dd.MM.yyyy HH:mm>": r"\d{2}\.\d{2}\.\d{4} \d{2}:\d{2}",
    "<существует>": r".*существует.*",
}


def assert_matches(expected: Any, actual: Any, at: str = "answer") -> None:
    if expected == "<int>":
        assert type(actual) is int, at
    elif isinstance(expected, str) and expected in FORMS:
        assert isinstance(actual, str), at
        assert re.fullmatch(FORMS[expected], actual), (at, actual)
    elif isinstance(expected, dict):
        assert isinstance(actual, dict), at
        for name, value in expected.items():
            assert name in actual, f"{at}.{name} is missing"
            assert_matches(value, actual[name], f"{at}.{name}")
    elif isinstance(expected, list):
        assert isinstance(actual, list), at
        goes_on = bool(expected) and expected[-1] == "..."
        wanted = expected[:-1] if goes_on else expected
        assert len(actual) > len(wanted) if goes_on else len(actual) == len(wanted), (at, len(actual))
        for number, value in enumerate(wanted):
            assert_matches(value, actual[number], f"{at}[{number}]")
    else:
        assert actual == expected, at
        assert type(actual) is type(expected), at


def fill(value: Any, secrets: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: fill(inner, secrets) for name, inner in value.items()}
    if isinstance(value, str):
        for name, secret in secrets.items():
            value = value.replace("{" + name + "}", secret)
    return value


def test_there_are_enough_pairs_and_each_names_its_evidence() -> None:
    assert len(PAIRS) >= 25
    assert all(pair["source"] and pair["grade"] for pair in PAIRS)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["name"])
def test_the_sandbox_answers_as_the_reference_says(desk: Any, pair: dict[str, Any]) -> None:
    request, answer = pair["request"], pair["answer"]
    teacher = desk.teacher()
    secrets = {
        "admin_token": desk.admin["token"],
        "teacher_token": teacher["token"],
        "teacher_password": teacher["password"],
    }
    headers, query = dict(fill(request.get("headers", {}), secrets)), fill(request.get("query", {}), secrets)
    if request["as"] == "legacy":
        headers, query = desk.headers(teacher, legacy=True) | headers, {"pid": teacher["profile_id"], **query}
    elif request["as"] is not None:
        headers = desk.headers(desk.admin if request["as"] == "admin" else teacher) | headers

    got = desk.http.request(
        request["method"], request["path"], params=query, headers=headers, json=fill(request.get("body"), secrets)
    )

    assert got.status_code == answer["status"], got.text
    for name, value in answer.get("headers", {}).items():
        assert got.headers[name] == value
    if "raw_contains" in answer:
        assert answer["raw_contains"] in got.text
    if "body" in answer:
        assert_matches(answer["body"], got.json())
