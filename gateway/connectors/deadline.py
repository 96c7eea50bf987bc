"""Sockets that know when the call they serve must be over, and callers who wait only so long for all of their calls.

Under `connectors.http`, which puts a call here before it asks the library to send it. The library's time-outs begin
anew with every read; here each socket operation gets only what is left of the whole call.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import httpcore


@dataclass(slots=True)
class Call:
    """One call under way in this thread: when it must be over and whether a byte has left.

    Attributes:
        until: Moment of `monotonic`, in seconds.
    """

    until: float
    monotonic: Callable[[], float]
    is_sent: bool = False

    def left_s(self) -> float:
        """Seconds left; negative when it is over."""
        return self.until - self.monotonic()


CURRENT_CALL: ContextVar[Call | None] = ContextVar("http_call", default=None)
_WAITED_FOR: ContextVar[Call | None] = ContextVar("waited_for", default=None)


@contextmanager
def waiting(within_s: float | None, *, monotonic: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """All calls that this thread makes inside are over within this many seconds, and none is repeated after that.

    Somebody waits for the answer, at an HTTP door: a foreign system that drips must not hold him for calls times groups.

    Args:
        within_s: Seconds; None = for as long as it takes.
        monotonic: Clock of the deadline, in seconds.
    """
    if within_s is None:
        yield
        return
    token = _WAITED_FOR.set(Call(until=monotonic() + within_s, monotonic=monotonic))
    try:
        yield
    finally:
        _WAITED_FOR.reset(token)


def waited_left_s() -> float | None:
    """Seconds for which somebody still waits, negative when he does no longer; None where nobody does."""
    waited = _WAITED_FOR.get()
    return None if waited is None else waited.left_s()


def is_waiting_over() -> bool:
    """Whether somebody has waited for as long as he does."""
    left_s = waited_left_s()
    return left_s is not None and left_s <= 0


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens connections whose every operation ends with the current call."""

    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _left_s(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left_s, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """One connection; remembers in the call that bytes may have left."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left_s(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        call = CURRENT_CALL.get()
        # A deadline that ran out while connecting is still «nothing sent».
        left_s = _left_s(timeout, httpcore.WriteTimeout if call and call.is_sent else httpcore.ConnectTimeout)
        if call is not None:
            call.is_sent = True
        self._inner.write(buffer, left_s)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left_s = _left_s(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


def _left_s(timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    """Return what one socket operation may take in seconds; raises `late` when the call's time is up."""
    call = CURRENT_CALL.get()
    if call is None:
        return timeout
    left_s = call.left_s()
    if left_s <= 0:
        raise late("deadline")
    return left_s if timeout is None else min(timeout, left_s)


__all__ = ["CURRENT_CALL", "Call", "DeadlineBackend", "is_waiting_over", "waited_left_s", "waiting"]
