"""Joins the HTTP door to the composed gateway: `gateway serve`, or any ASGI server by `gateway.asgi:create_app`.

On the embedded default the worker (delivery, read-back, schedules) runs beside the door in one process; with Redis it is
`gateway worker`. Only loopback is listened on unless a proxy that does TLS is named.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from gateway.api.app import build_api
from gateway.api.desk import Desk
from gateway.bootstrap import build_gate, open_gateway
from gateway.domain.errors import ConfigurationError
from gateway.flows.gateway import Gateway
from gateway.settings import GatewaySettings, load_settings
from gateway.telemetry import get_logger
from gateway.worker.loop import Worker

LOG = get_logger(__name__)
CONFIG = "GATEWAY_CONFIG"
"""Path of `gateway.toml` for `create_app`, which takes no arguments."""
STOP_S = 10
"""How long requests in hand are waited for, in seconds; long work is in the worker and on its rows."""


def create_app() -> FastAPI:
    """Compose the application for an ASGI server of the school's own (`--factory`); closes the gateway at its end.

    Raises:
        ConfigurationError: The settings are wrong.
    """
    named = os.environ.get(CONFIG)
    stack = ExitStack()
    path = None if named is None else Path(named)
    gateway = stack.enter_context(open_gateway(load_settings(path), folder=(path or Path("gateway.toml")).parent))
    app = build_api(build_desk(gateway))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with stack:
            yield

    app.router.lifespan_context = lifespan
    return app


def build_desk(gateway: Gateway) -> Desk:
    """What the routes work with."""
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    return Desk(gateway=gateway, gate=build_gate(gateway), place_id=place_id, begin=_begin)


def serve(gateway: Gateway, *, host: str, port: int, with_worker: bool, on_listening: Callable[[int], None]) -> None:
    """Serve until told to stop.

    Args:
        port: 0 lets the system choose.
        with_worker: Deliver, read back and keep the schedules in this process too.
        on_listening: Told the port once nobody can be refused any more.

    Raises:
        ConfigurationError: An address that others could reach without a proxy that does TLS, or one that is taken.
    """
    settings = gateway.settings
    refuse_open_address(settings, host)
    config = uvicorn.Config(
        build_api(build_desk(gateway)),
        host=host,
        port=port,
        log_config=None,  # its access log would print paths with pupils' ids
        access_log=False,
        server_header=False,
        date_header=True,
        ws="none",
        proxy_headers=bool(settings.web.trusted_proxies),
        forwarded_allow_ips=list(settings.web.trusted_proxies),
        timeout_graceful_shutdown=STOP_S,
    )
    server = uvicorn.Server(config)
    listener = _listen(host, port)
    bound: int = listener.getsockname()[1]
    on_listening(bound)
    LOG.info("serving.started", host=host, port=bound)
    with listener, _ended_by_signals(server), _working(gateway, server) if with_worker else ExitStack():
        server.run(sockets=[listener])
    LOG.info("serving.stopped")


def refuse_open_address(settings: GatewaySettings, host: str) -> None:
    """Let loopback pass, and any address behind a named proxy.

    Raises:
        ConfigurationError: Passwords would go over the network in the clear.
    """
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback and not settings.web.trusted_proxies:
        raise ConfigurationError(
            "web.host: без TLS слушаем только этот компьютер; назовите прокси с TLS в web.trusted_proxies"
        )


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything is told: a taken port is a setting to be mended, not a line in a log."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except OSError as exc:
        raise ConfigurationError(f"Порт {port} занят или адрес не наш: web.host, web.port") from exc


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Come to our own end on a signal: uvicorn stops and then raises it again, which would kill the worker in mid-step."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _working(gateway: Gateway, server: uvicorn.Server) -> Iterator[None]:
    """Run the worker beside the door; a worker that ends on a fault takes the door with it, for the service to restart."""
    worker = Worker(gateway)
    faults: list[BaseException] = []

    def work() -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001  # raised again below, in the thread that is waited for
            faults.append(error)
        server.should_exit = True

    thread = threading.Thread(target=work, name="worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(gateway.settings.queue.stop_s * 2)
    if faults:
        raise faults[0]


def _begin(work: Callable[[], object]) -> None:
    """Long work in a thread of its own: killed with the process, it is found dead by the next run and goes on from its rows."""
    threading.Thread(target=work, name="asked-sync", daemon=True).start()
