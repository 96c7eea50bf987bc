"""The sandbox portal over real HTTP on loopback, and a plain caller of its protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from gateway.connectors.port import CheckLine, ScopeRead, Want
from gateway.connectors.portal.moodle.source import MoodleSource, build_moodle_source
from gateway.connectors.retry import Retry
from gateway.domain.clock import VirtualClock
from gateway.domain.identifiers import Kind
from gateway.sandbox.portal.app import DEFAULT_TOKEN, ENDPOINT
from gateway.sandbox.portal.recording import read_recording
from gateway.sandbox.portal.replay import build_replay_app
from gateway.sandbox.serve import serve_in_thread
from gateway.settings import PortalSettings


class Caller:
    """Speaks Moodle's REST protocol without any of the connector's code."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.http = httpx.Client(base_url=base_url, timeout=30, verify=False)  # nothing here is encrypted

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


class Remembering:
    """What a store would answer about the scopes of this read: every mark is new."""

    def __init__(self) -> None:
        self.marks: dict[str, list[str]] = {}
        self.changed: list[str] | None = None

    def changed_marks(self, scope: str) -> list[str]:
        return self.marks.get(scope, []) if self.changed is None else self.changed


class Reader:
    """Reads the sandbox portal with the real connector."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.stored = Remembering()

    def source(self, **changes: Any) -> MoodleSource:
        fields = {"name": "portal", "base_url": self.base_url, "token": DEFAULT_TOKEN, **changes}
        clock = VirtualClock(datetime(2026, 11, 23, 16, tzinfo=UTC))
        return build_moodle_source(PortalSettings(**fields), clock=clock, retry=Retry(clock, tries_count=1))

    def check(self, **changes: Any) -> list[CheckLine]:
        source = self.source(**changes)
        try:
            return list(source.check())
        finally:
            source.close()

    def read(self, want: dict[str, Any] | None = None, **changes: Any) -> dict[str, ScopeRead]:
        """All scopes of one read by name."""
        asked = Want(from_on=date(2026, 9, 1), to_on=date(2026, 11, 23), **(want or {}))
        source = self.source(**changes)
        scopes: dict[str, ScopeRead] = {}
        try:
            for scope in source.iter_scopes(asked, self.stored):
                assert scope.scope not in scopes, "a scope came twice"
                scopes[scope.scope] = scope
                if scope.kind is Kind.MARK:
                    self.stored.marks[scope.scope] = [record.ref for record in scope.records]
        finally:
            source.close()
        return scopes


@pytest.fixture
def reader(portal: Caller) -> Reader:
    return Reader(portal.base_url)
