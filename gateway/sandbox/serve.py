"""Serving a sandbox on loopback: in a thread for tests and the demo, in the foreground for the command line.

Nothing here knows what is served; the city and the portal sandboxes share it. A sandbox carries made-up people but
accepts anybody who can reach it, so every bind but loopback is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"
START_DEADLINE_S = 15.0  # a state file of a large school is loaded before the first answer
STOP_DEADLINE_S = 10.0
TICK_S = 0.1  # of a server that looks at its clock and its signals; the Date header counts ten of them as a second
GRACE_S = 1  # an answer delayed on purpose may not hold up the stop


class BindRefusedError(ValueError):
    """A sandbox was asked to listen where others could reach it."""


class ServeError(RuntimeError):
    """The server did not start or did not stop in time."""


@dataclass(frozen=True)
class Served:
    """A sandbox that is listening."""

    base_url: str
    port: int


class _Server(uvicorn.Server):
    """uvicorn that tells when it has begun to listen or given up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()
        self._stopped = asyncio.Event()  # belongs to the loop that first waits for it
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await super().startup(sockets)
        finally:
            self.settled.set()

    def stop(self) -> None:
        """Stop from another thread, at once and not at the next tick."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopped.set)

    async def main_loop(self) -> None:
        count = 0
        while not await self.on_tick(count):
            count += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close at once what nobody waits at; uvicorn waits two tenths of a second before it looks whether anybody does."""
        for server in self.servers:
            server.close()
        if not self.server_state.tasks:
            for connection in list(self.server_state.connections):
                connection.shutdown()
            await asyncio.sleep(0)  # a closed connection is taken off the list in the loop's next round
        if self.server_state.tasks or self.server_state.connections:
            await super().shutdown(sockets)
            return
        for listener in sockets or []:
            listener.close()
        await self.lifespan.shutdown()


def open_loopback_socket(port: int = 0, *, host: str = LOOPBACK) -> socket.socket:
    """Bind a listening socket; port 0 lets the system choose a free one.

    Raises:
        BindRefusedError: `host` is not an address of the loopback interface.
        OSError: The port is taken.
    """
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False  # a name may resolve to anything, also to a public address
    if not is_loopback:
        msg = f"a sandbox listens on loopback addresses only, not on {host!r}"
        raise BindRefusedError(msg)
    # The protocol is named because asyncio turns Nagle's wait off only then; it would cost 40 ms an answer.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _build_server(app: ASGIApp) -> _Server:
    # No log configuration of uvicorn's own: its access log would print paths with pupils' ids.
    return _Server(
        uvicorn.Config(
            app,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="auto",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


@contextlib.contextmanager
def serve_in_thread(app: ASGIApp, port: int = 0, *, host: str = LOOPBACK) -> Iterator[Served]:
    """Serve `app` in a thread of this process until the block ends.

    Args:
        app: Any ASGI application.
        port: 0 for a free one.
        host: A loopback address.

    Raises:
        BindRefusedError: `host` is not loopback.
        ServeError: The application did not start, or a request outlived the stop.
    """
    listener = open_loopback_socket(port, host=host)
    bound_port = int(listener.getsockname()[1])
    server = _build_server(app)

    def run() -> None:
        # A failed start leaves uvicorn by SystemExit; the waiting side says it as ServeError.
        with contextlib.suppress(SystemExit):
            server.run(sockets=[listener])

    # A daemon, so that a test run that is interrupted does not hang on its sandbox.
    thread = threading.Thread(target=run, name=f"sandbox-{bound_port}", daemon=True)
    thread.start()
    try:
        if not server.settled.wait(START_DEADLINE_S) or not server.started:
            msg = "the sandbox did not start"
            raise ServeError(msg)
        yield Served(base_url=f"http://{host}:{bound_port}", port=bound_port)
    finally:
        server.stop()
        thread.join(STOP_DEADLINE_S)
        listener.close()
    if thread.is_alive():
        msg = "the sandbox did not stop"
        raise ServeError(msg)


def serve_forever(app: ASGIApp, port: int, *, host: str = LOOPBACK, listener: socket.socket | None = None) -> None:
    """Serve `app` in the foreground until interrupted.

    Args:
        app: Any ASGI application.
        port: Ignored when `listener` is given.
        host: A loopback address.
        listener: A socket of `open_loopback_socket`, for a caller who prints the chosen port first.

    Raises:
        BindRefusedError: `host` is not loopback.
    """
    bound = listener if listener is not None else open_loopback_socket(port, host=host)
    # The command line ends a sandbox with Ctrl-C: that is its ordinary end, not a fault.
    with contextlib.closing(bound), contextlib.suppress(KeyboardInterrupt):
        _build_server(app).run(sockets=[bound])
