"""A server of plain sockets: it answers exactly the bytes a test wants, also broken ones."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

Answering = Callable[[socket.socket, bytes], None]


class RawServer:
    """Listens on loopback; hands each connection's first request to `answering` and then closes it."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def base_url(self) -> str:
        return f"http://{self.address}"

    def serve(self, answering: Answering) -> None:
        thread = threading.Thread(target=self._accept, args=(answering,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self, answering: Answering) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(connection, answering), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket, answering: Answering) -> None:
        with connection, contextlib.suppress(OSError):
            request = _read_request(connection)
            self.requests.append(request)
            answering(connection, request)


def _read_request(connection: socket.socket) -> bytes:
    """Read head and body; what is no HTTP (a TLS hello) is read as far as it came."""
    request = connection.recv(65536)
    head, end, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while end and len(body) < length:
        more = connection.recv(65536)
        if not more:
            break
        request, body = request + more, body + more
    return request


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.stop()
