"""What a night costs on which nobody changed a mark: the portal is read again, and how many rows are written?

    python -m benchmarks.reread --cells 1000000 --json

A made-up portal of that many cells (a scope holds a thousand: 25 pupils × 40 lessons) is read twice through
`gateway.flows.pull`, the very code of a sync, into a new SQLite file. Every INSERT, UPDATE and DELETE is counted with its
rows by the driver's own events. The second read must find every cell unchanged, else there is no figure.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
from sqlalchemy import Engine, event

from gateway.audit.deed import Actor
from gateway.audit.log import AuditLog
from gateway.connectors.port import CheckLine, CityPort, ScopeRead, Stored, Want
from gateway.domain.clock import VirtualClock
from gateway.domain.identifiers import Kind, Place, scope_key
from gateway.domain.records import Mark, Scale
from gateway.flows.gateway import Gateway
from gateway.flows.pull import pull
from gateway.mapping.rules import Rules
from gateway.queue.breaker import BreakerTerms
from gateway.queue.terms import Terms
from gateway.reconcile.guard import Limits
from gateway.settings import GatewaySettings
from gateway.store.transaction import Store

PUPILS_COUNT, LESSONS_COUNT = 25, 40
SCOPE_CELLS = PUPILS_COUNT * LESSONS_COUNT
NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
WANT = Want(kinds=frozenset({Kind.MARK}), from_on=date(2026, 9, 1), to_on=date(2027, 8, 31))


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The benchmark's answer.

    Attributes:
        rows_a_cell: Rows written by the second read for each cell; one row a scope is 0.001.
        statements_a_scope: Statements that write, a scope, in the second read.
        cells_per_s: Cells of the second read a second; `cpu_s` its processor time in seconds.
        rss_mb: Highest resident memory of the process, both reads.
    """

    cells: int
    rows_written: int
    rows_a_cell: float
    statements_a_scope: float
    cells_per_s: int
    cpu_s: float
    rss_mb: float


class ChangedError(Exception):
    """The second read found something changed: then there is nothing to measure."""


class MadeUpPortal:
    """Marks of any number of groups, the same at every read."""

    name = "portal"

    def __init__(self, cells: int) -> None:
        self._scopes = max(1, cells // SCOPE_CELLS)

    def check(self) -> Iterator[CheckLine]:
        """Nothing to tell."""
        yield from ()

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        """Yield a scope of marks a group."""
        del want, stored
        pupils = frozenset(f"user:{number}" for number in range(PUPILS_COUNT))
        items = frozenset(f"item:{number}" for number in range(LESSONS_COUNT))
        for group in range(self._scopes):
            yield ScopeRead(
                scope=scope_key(Kind.MARK, "course:2", f"group:{group}"),
                kind=Kind.MARK,
                read_at=NOW,
                records=[
                    Mark(
                        ref=f"mark:{group}:{lesson}:{pupil}",
                        origins={"*": f"portal/grade/{lesson}:{pupil}"},
                        pupil=f"user:{pupil}",
                        programme="course:2",
                        group=f"group:{group}",
                        item=f"item:{lesson}",
                        item_name="Урок 10.11.2026: работа на уроке",
                        item_form="manual",
                        scale=Scale("points", 0, 5),
                        raw_points=float(2 + (group + lesson + pupil) % 4),
                        graded_at=NOW,
                    )
                    for lesson in range(LESSONS_COUNT)
                    for pupil in range(PUPILS_COUNT)
                ],
                pupils_present=pupils,
                items_present=items,
            )


class Written:
    """Counts what a database is told to write."""

    def __init__(self) -> None:
        self.rows = 0
        self.statements = 0

    def note(self, _conn: Any, cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
        """One executed statement; the driver says how many rows it touched."""
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            self.statements += 1
            self.rows += max(cursor.rowcount, 0)


@contextmanager
def counting(engine: Engine) -> Iterator[Written]:
    """Count within a block."""
    written = Written()
    event.listen(engine, "after_cursor_execute", written.note)
    try:
        yield written
    finally:
        event.remove(engine, "after_cursor_execute", written.note)


def measure(folder: Path, cells: int) -> Figures:
    """Read twice and count the second time.

    Raises:
        ChangedError: A cell was not unchanged.
    """
    clock = VirtualClock(NOW)
    store = Store.open(f"sqlite:///{folder / 'reread.sqlite'}", clock)
    try:
        gateway = build(store, clock, MadeUpPortal(cells))
        first = pull(gateway, WANT, 1).kinds["mark"]
        clock.advance(86_400)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        with counting(store.engine) as written:
            second = pull(gateway, WANT, 2).kinds["mark"]
        seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    finally:
        store.close()
    if second["unchanged"] != first["new"] or second["changed"] or second["gone"]:
        raise ChangedError(f"{second} after {first}")
    count = second["read"]
    return Figures(
        cells=count,
        rows_written=written.rows,
        rows_a_cell=round(written.rows / count, 6),
        statements_a_scope=round(written.statements / (count / SCOPE_CELLS), 2),
        cells_per_s=round(count / seconds),
        cpu_s=round(cpu_s, 1),
        rss_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    )


def build(store: Store, clock: VirtualClock, portal: MadeUpPortal) -> Gateway:
    """Compose what pull needs; there is no city in this benchmark."""
    settings = GatewaySettings()
    place = Place(city="city.invalid/1", portal="portal", year="2026/27")
    breaker = BreakerTerms(failures_count=5, open_s=30.0, longest_s=300.0, probe_s=60.0)
    return Gateway(
        settings=settings,
        clock=clock,
        store=store,
        audit=AuditLog(store, environment="benchmark", code_version="0"),
        place=place,
        rules=Rules(),
        sources=(portal,),
        city=cast("CityPort", None),
        terms=Terms(lease_s=15, max_claims=3, max_attempts=12, settle_s=150, deadline_s=20, breaker=breaker),
        limits=Limits(minimum_count=5, change_ratio=0.75, delete_ratio=0.1, empty_source_ratio=0.5),
        actor=Actor(kind="service", name="benchmark"),
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments.cells)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    else:
        for name, value in msgspec.to_builtins(figures).items():
            sys.stdout.write(f"{name}: {value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
