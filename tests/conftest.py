"""Shared by all tests: the store on both databases, no outside sockets, and an honest account of what was skipped."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from pytest_socket import socket_allow_hosts
from sqlalchemy import create_engine, make_url, text

from gateway.domain.clock import VirtualClock
from gateway.simulation.many import find_commit
from gateway.store.transaction import Store

POSTGRES_URL = "GATEWAY_TEST_POSTGRES_URL"
REQUIRED = "GATEWAY_TEST_REQUIRE"

START_AT = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


MATRIX = "fault_matrix"
READY_SCHEMA = "ready_schema"
SHARED_STATEMENTS = "shared_statements"
UNSYNCED = "unsynced"
FIGURE = "figure"
LONGEST = "simulation"
"""The folder whose files take minutes."""


def load_beside(name: str) -> ModuleType:
    """A module beside this one; tests are no package, so it is loaded by its path."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def fault_matrix() -> ModuleType:
    return load_beside(MATRIX)


@pytest.fixture(scope="session", autouse=True)
def ready_schema() -> Iterator[ModuleType]:
    """Stores that this process opens on an empty database are filled and not migrated, and share statements; see both
    modules."""
    module = load_beside(READY_SCHEMA)
    with module.in_place_of_migrations(), load_beside(SHARED_STATEMENTS).between_engines():
        yield module


@pytest.fixture(scope="session", autouse=True)
def unsynced() -> Iterator[ModuleType]:
    """SQLite files of this process are not forced onto the disk; see the module."""
    module = load_beside(UNSYNCED)
    with module.between_commits():
        yield module


def pytest_configure(config: pytest.Config) -> None:
    """Hand files out to the workers in our order, and not those with the most tests first.

    The longest files have the fewest tests; handed out last, they leave a core idle while the other one plays worlds.
    """
    if hasattr(config.option, "loadscopereorder"):  # only where tests are distributed at all
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; and let each report carry the rows of the fault matrix that its test shows.

    Raises:
        pytest.UsageError: A row that is none.
    """
    items.sort(key=lambda item: item.path.parent.name != LONGEST)
    matrix = load_beside(MATRIX)
    _, rows = matrix.load_rows()
    for item in items:
        for mark in item.iter_markers(matrix.MARKER):
            for name in mark.args:
                if name not in rows:
                    raise pytest.UsageError(f"{item.nodeid}: the fault matrix has no row {name!r}")
                # a property and not a keyword, because only properties come back from another process
                item.user_properties.append((matrix.MARKER, name))


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


@pytest.fixture
def tell_figure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Tells a figure that the test has reached; all of them are printed at the end of the run.

    The fixture's callable takes the figure's name, its value and, where many worlds were played, how many.
    """
    began = time.perf_counter()

    def tell(name: str, value: object, *, seeds: int | None = None) -> None:
        minutes = (time.perf_counter() - began) / 60
        played = "" if seeds is None else f"{seeds} seeds, "
        request.node.user_properties.append((FIGURE, f"{name}: {value} ({played}{minutes:.1f} min"))

    return tell


def _print_figures(reporter: pytest.TerminalReporter) -> None:
    """Print the figures of reliability that this run has reached."""
    told = [
        text
        for report in reporter.stats.get("passed", ())
        for kind, text in getattr(report, "user_properties", ())
        if kind == FIGURE
    ]
    if told:
        reporter.section("figures")
        for line in sorted(told):
            reporter.write_line(f"{line}, commit {find_commit()})")


def _print_matrix(reporter: pytest.TerminalReporter) -> None:
    """Print the fault matrix as this run has shown it: whole after a whole run, else only the rows that were met."""
    matrix = load_beside(MATRIX)
    parts, rows = matrix.load_rows()
    counts: dict[str, Counter[str]] = {name: Counter() for name in rows}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reporter.stats.get(outcome, ()):
            for kind, name in getattr(report, "user_properties", ()):
                if kind == matrix.MARKER:
                    counts[name][outcome] += 1
    if not any(counts.values()):
        return
    is_whole = not reporter.config.option.keyword and reporter.config.args == reporter.config.getini("testpaths")
    reporter.section("fault matrix")
    part = ""
    for name, row in rows.items():
        if not counts[name] and not is_whole:
            continue
        if row.part != part:
            part = row.part
            reporter.write_line(f"{part}  {parts[part]}")
        said = ", ".join(f"{count} {outcome}" for outcome, count in counts[name].items())
        if not said:
            said = f"not tested: {row.why_not}" if row.why_not else f"later: {row.later}" if row.later else "NOT SHOWN"
        reporter.write_line(f"{name:>5}  {row.fault}: {said}")
    shown = sum(1 for name in rows if counts[name]["passed"] and not counts[name]["failed"] + counts[name]["error"])
    reporter.write_line(f"{shown} of {len(rows)} rows shown by this run")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the fault matrix and the figures, and say what this run did not show."""
    _print_matrix(terminalreporter)
    _print_figures(terminalreporter)
    reasons: Counter[str] = Counter()
    for report in terminalreporter.getreports("skipped"):
        long = report.longrepr
        reasons[str(long[2]) if isinstance(long, tuple) else str(long)] += 1
    if reasons:
        terminalreporter.section("not shown by this run")
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count:5d}  {reason.removeprefix('Skipped: ')}")
