"""Every day and moment that a route takes, at the calendar's two ends: refused in words or answered, never a fault of ours.

Made of the OpenAPI document, so that a route that is written tomorrow is asked as well.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.access.roles import Role

MOMENTS = ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00")
DAYS = ("0001-01-01", "9999-12-31")
EXTREMES = {"date-time": MOMENTS, "date": DAYS}
CYRILLIC = re.compile(r"[А-Яа-яё]")


class Document:
    """The OpenAPI document, as far as this test reads it."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self._tree = tree

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema behind references, and the first alternative that is no null."""
        while "$ref" in schema or "anyOf" in schema:
            if "anyOf" in schema:
                schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
            else:
                schema = self._tree["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def sample(self, schema: dict[str, Any]) -> Any:
        """A value that fits."""
        schema = self.resolve(schema)
        if "const" in schema or "enum" in schema:
            return schema.get("const") or schema["enum"][0]
        match schema.get("type"):
            case "object":
                needed = schema.get("required", ())
                return {name: self.sample(schema["properties"][name]) for name in needed if "properties" in schema}
            case "array":
                return [self.sample(schema["items"])] * max(1, schema.get("minItems", 0))
            case "integer" | "number":
                return max(1, schema.get("minimum", 1))
            case "boolean":
                return False
            case _:
                if schema.get("format") in EXTREMES:
                    return {"date-time": "2026-11-26T09:00:00+03:00", "date": "2026-11-26"}[schema["format"]]
                return "a" * (64 if "{64}" in schema.get("pattern", "") else max(8, schema.get("minLength", 0)))

    def iter_asked(self) -> Iterator[tuple[str, str, str, str, dict[str, Any] | None]]:
        """Each place of a day: (method, path, where, field, a body that fits)."""
        for path, operations in self._tree["paths"].items():
            for method, operation in operations.items():
                for one in operation.get("parameters", ()):
                    if self.resolve(one["schema"]).get("format") in EXTREMES:
                        yield method.upper(), path, one["in"], one["name"], None
                content = operation.get("requestBody", {}).get("content", {}).get("application/json")
                if content is None:
                    continue
                schema = self.resolve(content["schema"])
                for field, inner in schema.get("properties", {}).items():
                    if self.resolve(inner).get("format") in EXTREMES:
                        yield method.upper(), path, "body", field, self.sample(schema)

    def form_of(self, path: str, method: str, where: str, field: str) -> str:
        """`date` or `date-time`."""
        operation = self._tree["paths"][path][method.lower()]
        if where == "body":
            schema = self.resolve(operation["requestBody"]["content"]["application/json"]["schema"])
            return str(self.resolve(schema["properties"][field])["format"])
        return str(
            next(self.resolve(one["schema"])["format"] for one in operation["parameters"] if one["name"] == field)
        )


@pytest.fixture
def director(school: Any) -> Any:
    school.account("director", Role.DIRECTOR)
    return school.call("director")


def test_no_day_at_the_calendars_ends_is_a_fault_of_ours_whatever_route_takes_it(director: Any) -> None:
    document = Document(director.get("/openapi.json").json())
    places = list(document.iter_asked())
    in_bodies = 0

    for method, path, where, field, body in places:
        own = re.sub(r"\{\w+\}", "1", path.removeprefix("/api/v1"))
        for extreme in EXTREMES[document.form_of(path, method, where, field)]:
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            if where == "body":
                answer = director.ask(method, own, json={**(body or {}), field: extreme}, headers=headers)
                in_bodies += 1
                assert answer.status_code == 422, (method, path, field, extreme, answer.text)
                told = {one["pointer"]: one["detail"] for one in answer.json()["errors"]}
                assert told.get(f"/body/{field}") == "нужен день от 1900-01-01 до 2199-12-31", (path, field, told)
            else:
                answer = director.ask(method, own, params={field: extreme}, headers=headers)
                assert answer.status_code in (200, 404, 422), (method, path, field, extreme, answer.text)

    fields = {(path, field) for _, path, where, field, _ in places if where == "body"}
    assert ("/api/v1/mapping/rollback", "since") in fields
    assert len(fields) >= 10
    assert in_bodies >= 2 * len(fields)


def test_a_day_beyond_the_calendar_is_told_in_english_too(director: Any) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex, "Accept-Language": "en"}
    body = {"reason": "why", "since": "0001-01-01T00:00:00+14:00"}

    beyond = director.ask("POST", "/mapping/rollback", json=body, headers=headers)
    days = {"from_on": "2026-11-10", "to_on": "2026-11-01"}
    turned = director.ask("POST", "/runs", json=days, headers={**headers, "Idempotency-Key": uuid.uuid4().hex})

    assert [one.status_code for one in (beyond, turned)] == [422, 422]
    assert beyond.json()["errors"][0]["detail"] == "a day from 1900-01-01 to 2199-12-31 is needed"
    assert turned.json()["errors"][0]["detail"] == "to_on is before from_on"
    assert not CYRILLIC.search(beyond.text + turned.text)


def test_a_day_that_is_yet_to_come_corrects_nothing_and_says_so(director: Any) -> None:
    body = {"reason": "почему", "since": "2027-01-01T00:00:00+03:00"}

    answer = director.post("/mapping/rollback", body, key=uuid.uuid4().hex)

    assert (answer.status_code, answer.json()["code"]) == (409, "DAY_OUT_OF_REACH")
