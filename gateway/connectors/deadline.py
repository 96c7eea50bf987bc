"""Sockets that know when the call they serve must be over.

Under `connectors.http`, which puts a call here before it asks the library to send it. The library's time-outs begin
anew with every read; here each socket operation gets only what is left of the whole call.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
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


__all__ = ["CURRENT_CALL", "Call", "DeadlineBackend"]
