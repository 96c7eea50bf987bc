"""One site of the delivery benchmark: a city, a database, a Redis, an outbox full of marks, and workers between them."""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import create_engine, func, make_url, select, text

from benchmarks.delivery_cost import cpu_s, find_server
from benchmarks.delivery_school import Outbox
from benchmarks.servers import serve_postgres, serve_redis
from gateway.bootstrap import open_gateway
from gateway.flows.gateway import Gateway
from gateway.queue.tables import operation
from gateway.settings import load_settings

SETTLE_S, DEADLINE_S = 3.0, 5.0
"""The sandbox applies a call at once or never, so a kill may be settled in seconds; a real city is given 150 s."""


class Site:
    """A city, a database and a Redis of a run's own, and workers between them."""

    def __init__(
        self, stack: ExitStack, arguments: argparse.Namespace, *, marks: int, rate: float, is_paced: bool
    ) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="delivery-")))
        self._folder = folder
        database = arguments.postgres or stack.enter_context(serve_postgres(folder))
        redis_url = arguments.redis or stack.enter_context(serve_redis(folder))
        self.city = stack.enter_context(_serve_city(marks, rate if is_paced else None))
        self._http = stack.enter_context(httpx.Client(base_url=self.city["base_url"], trust_env=False, timeout=60))
        admin = self.city["profiles"][0]
        self.groups: dict[str, dict[str, Any]] = {
            "database": {"url": _own_schema(database, stack)},
            "portal": {"base_url": "http://127.0.0.1:9", "token": "0" * 32},
            "school": {"year": "2026/27"},
            "schedule": {"silent": [{"from": "2000-01-01", "to": "2100-01-01"}]},
            "mesh": {
                "base_url": self.city["base_url"],
                "school_id": self.city["school_id"],
                "profile_id": admin["profile_id"],
                "token": admin["token"],
                "rate_per_s": rate,
                "parallel": arguments.threads,
                "settle_s": SETTLE_S,
                "deadline_s": DEADLINE_S,
            },
            "queue": {"redis_url": redis_url, "threads": arguments.threads, "tick_s": 1.0, "lease_s": 5.0},
        }
        self.gateway: Gateway = stack.enter_context(open_gateway(load_settings(None, **self.groups)))
        self.outbox = Outbox(self.gateway)
        self._workers: list[subprocess.Popen[bytes]] = []
        stack.callback(self.end_workers)

    def start_worker(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        for group, fields in self.groups.items():
            environment |= {
                f"GATEWAY_{group}__{name}".upper(): value if isinstance(value, str) else json.dumps(value)
                for name, value in fields.items()
            }
        command = [sys.executable, "-m", "gateway", "--log-level", "ERROR", "worker"]
        self._workers.append(subprocess.Popen(command, env=environment, cwd=self._folder))
        return self._workers[-1]

    def end_workers(self) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in self._workers:
            worker.wait()

    def kill_one(self, draw: random.Random) -> None:
        alive = [worker for worker in self._workers if worker.poll() is None]
        victim = draw.choice(alive)
        victim.kill()
        victim.wait()
        self.start_worker()

    def states(self) -> dict[str, int]:
        with self.gateway.store.read() as conn:
            rows = conn.execute(select(operation.c.state, func.count()).group_by(operation.c.state))
            return {row[0]: row[1] for row in rows}

    def cpu_s(self) -> dict[str, float]:
        """Processor time used so far by each role, in seconds."""
        used = {"workers": cpu_s(worker.pid for worker in self._workers), "city": cpu_s([self.city["pid"]])}
        server = find_server(self._folder)
        return used | ({"postgres": cpu_s(server)} if server else {})

    def get(self, name: str) -> Any:
        return self._http.get(f"/__sandbox/{name}").raise_for_status().json()

    def post(self, name: str, body: dict[str, Any]) -> None:
        self._http.post(f"/__sandbox/{name}", json=body).raise_for_status()


@contextmanager
def _serve_city(marks: int, rate: float | None) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.delivery_school", "--marks", str(marks)]
    process = subprocess.Popen(
        command + ([] if rate is None else ["--rate", str(rate)]), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield {**json.loads(process.stdout.readline()), "pid": process.pid}
    finally:
        process.terminate()
        process.wait()


def _own_schema(url: str, stack: ExitStack) -> str:
    name = f"delivery_{os.getpid()}_{time.monotonic_ns()}"
    admin = create_engine(url)
    with admin.begin() as conn:
        conn.execute(text(f"CREATE SCHEMA {name}"))

    def drop() -> None:
        with admin.begin() as conn:
            conn.execute(text(f"DROP SCHEMA {name} CASCADE"))
        admin.dispose()

    stack.callback(drop)
    return make_url(url).update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)


__all__ = ["Site"]
