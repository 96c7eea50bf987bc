"""What an operation costs, in figures that a busy machine does not change: processor time by role, SQL statements.

Used by `benchmarks.delivery`. Linux only: processor time is read from `/proc`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Engine, event, select

from gateway.flows.confirm import confirm
from gateway.flows.deliver import build_delivery
from gateway.flows.gateway import Gateway
from gateway.queue.states import State
from gateway.queue.tables import operation

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """One operation from its claim to its proof, by one thread.

    Attributes:
        statements: SQL statements sent an operation; a list of rows sent together is one.
        rows: The same with each row of such a list counted.
        transactions: Transactions begun an operation.
        cpu_ms: Processor time of the gateway's thread an operation, the HTTP call included.
    """

    operations: int
    statements: float
    rows: float
    transactions: float
    cpu_ms: float


class _Counts:
    def __init__(self) -> None:
        self.statements = self.rows = self.transactions = 0


@contextmanager
def _counted(engine: Engine) -> Iterator[_Counts]:
    counts = _Counts()

    def note(*args: object) -> None:
        parameters, is_many = args[3], args[5]
        counts.statements += 1
        counts.rows += len(parameters) if is_many and isinstance(parameters, list) else 1

    def begin(_conn: object) -> None:
        counts.transactions += 1

    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "begin", begin)
    try:
        yield counts
    finally:
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "begin", begin)


def measure_cost(gateway: Gateway, count: int) -> Cost:
    """Deliver everything that is due in this thread and prove it."""
    delivery = build_delivery(gateway)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    started_s = time.process_time()
    with _counted(gateway.store.engine) as counts:
        while (due := _find_due(gateway)) is not None:
            delivery.deliver_beside(due)
        while confirm(gateway, place_id, {}, owner="benchmark"):
            continue
    return Cost(
        operations=count,
        statements=round(counts.statements / count, 2),
        rows=round(counts.rows / count, 2),
        transactions=round(counts.transactions / count, 2),
        cpu_ms=round((time.process_time() - started_s) * 1000 / count, 2),
    )


def _find_due(gateway: Gateway) -> int | None:
    with gateway.store.read() as conn:
        found: int | None = conn.execute(
            select(operation.c.id).where(operation.c.state == State.READY.value).limit(1)
        ).scalar_one_or_none()
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time that these processes, and children that they have waited for, have used so far, in seconds."""
    return sum(_read_ticks(pid) for pid in pids) / _TICKS_PER_S


def find_server(folder: Path) -> list[int]:
    """The processes of the PostgreSQL that `servers.serve_postgres` serves in that folder; none where another is used."""
    told = folder / "postgres" / "db" / "postmaster.pid"
    if not told.exists():
        return []
    main = int(told.read_text().splitlines()[0])
    children = [
        int(one.name)
        for one in Path("/proc").iterdir()
        if one.name.isdigit() and (fields := _read_stat(int(one.name))) and int(fields[1]) == main
    ]
    return [main, *children]


def _read_ticks(pid: int) -> int:
    fields = _read_stat(pid)
    return sum(map(int, fields[11:15])) if fields else 0


def _read_stat(pid: int) -> list[str]:
    """Fields of a process from its state on; empty where it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


__all__ = ["Cost", "cpu_s", "find_server", "measure_cost"]
