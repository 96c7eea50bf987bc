"""Shared by all tests: the store on both databases, no outside sockets, and an honest account of what was skipped."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_socket import socket_allow_hosts
from sqlalchemy import create_engine, make_url, text

from gateway.domain.clock import VirtualClock
from gateway.store.transaction import Store

POSTGRES_URL = "GATEWAY_TEST_POSTGRES_URL"
REQUIRED = "GATEWAY_TEST_REQUIRE"

START_AT = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def pytest_runtest_setup(item: pytest.Item) -> None:
    # again for each test, because pytest-socket takes the limit away after each one
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


def require(part: str, reason: str) -> None:
    """Skip because `part` of the machine is missing, or fail where GATEWAY_TEST_REQUIRE names it."""
    if part in os.environ.get(REQUIRED, "").split(","):
        pytest.fail(f"{reason}, and {REQUIRED} asks for {part}")
    pytest.skip(reason)


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that moves only when told, at 08:00 of a Monday in Moscow."""
    return VirtualClock(START_AT)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database: a SQLite file, and a schema of its own on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'gateway.sqlite'}"
        return
    base = os.environ.get(POSTGRES_URL)
    if not base:
        require("postgres", f"{POSTGRES_URL} is not set")
        return
    schema = f"gateway_test_{uuid.uuid4().hex}"
    admin = create_engine(base)
    try:
        with admin.begin() as conn:
            conn.execute(text(f"CREATE SCHEMA {schema}"))
        url = make_url(base).update_query_dict({"options": f"-csearch_path={schema}"})
        yield url.render_as_string(hide_password=False)
        with admin.begin() as conn:
            conn.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    finally:
        admin.dispose()


@pytest.fixture
def open_store(database_url: str, clock: VirtualClock) -> Iterator[Callable[[], Store]]:
    """Opens the test's database; a second call is a second process's view of it."""
    opened: list[Store] = []

    def open_one() -> Store:
        opened.append(Store.open(database_url, clock))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """An empty store at the head of the schema, on each database in turn."""
    return open_store()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what this run did not show."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.getreports("skipped"):
        long = report.longrepr
        reasons[str(long[2]) if isinstance(long, tuple) else str(long)] += 1
    if reasons:
        terminalreporter.section("not shown by this run")
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count:5d}  {reason.removeprefix('Skipped: ')}")
