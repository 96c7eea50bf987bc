"""The sandbox portal over real HTTP on loopback, and a plain caller of its protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from gateway.sandbox.portal.app import DEFAULT_TOKEN, ENDPOINT
from gateway.sandbox.portal.recording import read_recording
from gateway.sandbox.portal.replay import build_replay_app
from gateway.sandbox.serve import serve_in_thread


class Caller:
    """Speaks Moodle's REST protocol without any of the connector's code."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.http = httpx.Client(base_url=base_url, timeout=30)

    def post(self, function: str, params: Mapping[str, Any], **changes: str) -> httpx.Response:
        form = {"wstoken": DEFAULT_TOKEN, "moodlewsrestformat": "json", "wsfunction": function, **flatten(params)}
        form.update(changes)
        return self.http.post(ENDPOINT, data={key: value for key, value in form.items() if value})

    def call(self, function: str, **params: Any) -> Any:
        return self.post(function, params).json()

    def edit(self, op: str, **fields: Any) -> httpx.Response:
        return self.http.post("/__sandbox/edit", json={"op": op, **fields})

    def fault(self, fault: str, path: str = "", **fields: Any) -> None:
        self.http.post("/__sandbox/faults", json={"fault": fault, "match": {"path": path}, **fields}).raise_for_status()

    def misses(self) -> list[dict[str, str]]:
        return list(self.http.get("/__sandbox/misses").json())


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, (list, tuple)):
        pairs = list(enumerate(value))
    else:
        return {prefix: str(int(value)) if isinstance(value, bool) else str(value)}
    flat: dict[str, str] = {}
    for key, inner in pairs:
        flat.update(flatten(inner, f"{prefix}[{key}]" if prefix else str(key)))
    return flat


@pytest.fixture(scope="session")
def recording() -> list[dict[str, Any]]:
    return read_recording()


@pytest.fixture
def portal(recording: list[dict[str, Any]]) -> Iterator[Caller]:
    with serve_in_thread(build_replay_app(recording)) as served:
        caller = Caller(served.base_url)
        yield caller
        caller.http.close()
