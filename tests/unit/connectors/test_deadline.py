"""Each socket operation gets what is left of the call, never more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpcore
import pytest

from gateway.connectors.deadline import (
    CURRENT_CALL,
    Call,
    DeadlineBackend,
    is_waiting_over,
    waited_left_s,
    waiting,
)
from gateway.connectors.http import HttpDoor
from gateway.connectors.retry import Retry
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import UnavailableError, UnreachableError

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


class Recording(httpcore.MockBackend):
    """A backend that notes how long each operation might have taken."""

    def __init__(self) -> None:
        super().__init__([b"answer"])
        self.granted_s: list[float | None] = []

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *more: object) -> httpcore.NetworkStream:
        self.granted_s.append(timeout)
        inner = super().connect_tcp(host, port)
        granted_s = self.granted_s

        class Stream(httpcore.NetworkStream):
            def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
                granted_s.append(timeout)
                return inner.read(max_bytes)

            def write(self, buffer: bytes, timeout: float | None = None) -> None:
                granted_s.append(timeout)

        return Stream()


@pytest.mark.row("A23")
def test_what_is_left_shrinks_with_the_call_and_then_ends_it() -> None:
    now = [0.0]
    call = Call(until=10.0, monotonic=lambda: now[0])
    backend = Recording()
    token = CURRENT_CALL.set(call)
    try:
        stream = DeadlineBackend(backend).connect_tcp("127.0.0.1", 80, timeout=20.0)
        now[0] = 4.0
        stream.write(b"request", timeout=20.0)
        now[0] = 9.5
        stream.read(100, timeout=20.0)
        now[0] = 10.0
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(100, timeout=20.0)
        with pytest.raises(httpcore.WriteTimeout):
            stream.write(b"more", timeout=20.0)
    finally:
        CURRENT_CALL.reset(token)

    assert (backend.granted_s, call.is_sent) == ([10.0, 6.0, 0.5], True)


def test_a_call_over_before_it_wrote_has_sent_nothing() -> None:
    now = [0.0]
    call = Call(until=10.0, monotonic=lambda: now[0])
    token = CURRENT_CALL.set(call)
    try:
        stream = DeadlineBackend(Recording()).connect_tcp("127.0.0.1", 80)
        now[0] = 10.0
        with pytest.raises(httpcore.ConnectTimeout):
            stream.write(b"request")
    finally:
        CURRENT_CALL.reset(token)

    assert not call.is_sent


def test_who_waits_gives_every_call_what_is_left_of_his_time_and_none_after_it(raw_server: Any) -> None:
    """The door's own deadline is longer; a call after the time is over makes no connection."""
    raw_server.serve(lambda _connection, _request: raw_server.stopped.wait(30))
    now = [0.0]
    with HttpDoor(system="mesh", base_url=raw_server.base_url, deadline_s=60.0) as door:
        with waiting(0.2), pytest.raises(UnavailableError):
            door.call("GET", "/slow", is_write=False)
        asked = len(raw_server.requests)

        with waiting(5.0, monotonic=lambda: now[0]):
            assert not is_waiting_over()
            now[0] = 5.0
            assert is_waiting_over()
            with pytest.raises(UnreachableError, match="время запроса вышло"):
                door.call("GET", "/late", is_write=False)

    assert len(raw_server.requests) == asked
    assert waited_left_s() is None


def test_nothing_is_repeated_for_who_does_not_wait_any_longer() -> None:
    calls = [0]

    def call() -> None:
        calls[0] += 1
        raise UnavailableError

    with waiting(0.1, monotonic=lambda: 0.0), pytest.raises(UnavailableError):
        Retry(VirtualClock(NOW), random_ratio=lambda: 1.0).read(call)

    assert calls == [1]
