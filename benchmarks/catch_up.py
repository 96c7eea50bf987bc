"""How soon everything is caught up after the city was away for three days (F14), in the city's time and not in ours.

    python -m benchmarks.catch_up --json

A virtual clock is shared by the gateway and the city, which is served over HTTP in this process; waiting moves the clock,
so three days and the hours after them take as long as the work itself. While the city's port is closed, marks are let out
a twelfth at a time; then it is back, and a mark on demand is let out every few minutes of the rest. One thread works, at
the default pace. At the end the city's ledger must hold every mark once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import func, select

from benchmarks.delivery_school import NOW, Outbox, build_school, class_count_of
from gateway.bootstrap import open_gateway
from gateway.domain.clock import VirtualClock
from gateway.flows.confirm import confirm, find_wait
from gateway.flows.deliver import build_delivery
from gateway.flows.gateway import Gateway
from gateway.flows.pull import Problem
from gateway.queue.due import next_due_at, sweep
from gateway.queue.lanes import load_due_rows
from gateway.queue.states import OPEN
from gateway.queue.tables import attempt, operation
from gateway.sandbox.city import build_city_app
from gateway.sandbox.city.city import LikeSchool
from gateway.sandbox.serve import serve_in_thread
from gateway.settings import load_settings
from gateway.telemetry import configure_logging

OUTAGE_HOURS = 72.0
PARTS_COUNT = 12
LOOK_S = 1800.0
"""How often a worker with nothing due looks again while the city is away; a real one does every few seconds, in vain."""
PRESS_EVERY_S = 180.0
AT_ONCE_COUNT = 25
"""Operations taken between two looks at the lanes: what is pressed waits behind so many at most."""
OWNER = "catch-up"


class WrongLedgerError(Exception):
    """The city does not hold what was intended."""


class CaughtUp(msgspec.Struct, frozen=True, kw_only=True):
    """What the outage and the time after it came to.

    Attributes:
        catch_up_min: Virtual minutes from the city's return to the last proof.
        calls: Requests that the city got after its return, reads among them; `calls_per_s` of virtual time.
        most_attempts: Of any operation, the futile ones during the outage among them.
        demand_p95_s: Virtual seconds from letting out one mark on demand to its proof, meanwhile.
        cpu_s: Processor time of this process, the city's part in it.
    """

    marks: int
    outage_hours: float
    catch_up_min: float
    calls: int
    calls_per_s: float
    most_attempts: int
    presses: int
    demand_p50_s: float
    demand_p95_s: float
    demand_longest_s: float
    cpu_s: float


class _Desk:
    """One worker on a virtual clock."""

    def __init__(self, gateway: Gateway, clock: VirtualClock) -> None:
        self.gateway = gateway
        self.clock = clock
        self._work = build_delivery(gateway)
        self._problems: dict[str, Problem] = {}
        with gateway.store.write() as conn:
            self.place_id = gateway.place_id(conn)

    def step(self) -> int:
        """Send what is due, read back what is ripe; how much moved."""
        gateway = self.gateway
        moved = sweep(gateway.store)
        if find_wait(gateway) is None:
            with gateway.store.read() as conn:
                rows = load_due_rows(conn, self.place_id, gateway.store.now(conn), limit=AT_ONCE_COUNT)
            ids = [row.id for row in rows]
            for first in range(0, len(ids), gateway.terms.batch_count):
                if find_wait(gateway) is not None:
                    break
                moved += len(self._work.deliver_many(ids[first : first + gateway.terms.batch_count]))
        return moved + confirm(
            gateway, self.place_id, self._problems, owner=OWNER, wait_s=gateway.settings.queue.read_back_after_s
        )

    def next_at(self) -> datetime | None:
        """When anything is due next; None where nothing is open."""
        with self.gateway.store.read() as conn:
            return next_due_at(conn, self.place_id)

    def count_open(self) -> int:
        with self.gateway.store.read() as conn:
            states = [state.value for state in OPEN]
            return int(conn.execute(select(func.count()).where(operation.c.state.in_(states))).scalar_one())

    def wait_for(self, moment: datetime) -> None:
        self.clock.wait(max((moment - self.clock.now()).total_seconds(), 0.05))


def measure(mark_count: int, *, outage_hours: float = OUTAGE_HOURS) -> CaughtUp:
    """Let so many marks out while the city is away, and deliver them when it is back.

    Raises:
        WrongLedgerError: A mark is missing, or stands twice.
    """
    clock, began_s = VirtualClock(NOW), time.process_time()
    presses_room = 2 * int(mark_count / 5 / PRESS_EVERY_S) + 50
    school = build_school(class_count_of(mark_count + presses_room))
    app = build_city_app(now=clock.now, rate_per_s=None, like=LikeSchool(school))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="catch-up-")))
        city = stack.enter_context(ExitStack())
        served = city.enter_context(serve_in_thread(app))
        settings = _build_settings(folder, served.base_url, app.state.city.describe())
        gateway = stack.enter_context(open_gateway(settings, clock=clock))
        outbox, desk = Outbox(gateway), _Desk(gateway, clock)

        city.close()
        for _ in range(PARTS_COUNT):
            outbox.let_out(mark_count // PARTS_COUNT)
            until = clock.now() + timedelta(hours=outage_hours / PARTS_COUNT)
            while clock.now() < until:
                desk.step()
                clock.wait(min(LOOK_S, max((until - clock.now()).total_seconds(), 0.0)) or LOOK_S)
        outbox.let_out(mark_count % PARTS_COUNT)

        city.enter_context(serve_in_thread(app, served.port))
        http = stack.enter_context(httpx.Client(base_url=served.base_url, trust_env=False, timeout=60))
        before = http.get("/__sandbox/requests").raise_for_status().json()["total"]
        back_at = clock.now()
        presses = _catch_up(desk, outbox)
        ended_at = clock.now()
        calls = http.get("/__sandbox/requests").raise_for_status().json()["total"] - before
        _judge(http, outbox, mark_count + presses)
        took_s = sorted(_load_demand(gateway))
        seconds = (ended_at - back_at).total_seconds()
        return CaughtUp(
            marks=mark_count,
            outage_hours=outage_hours,
            catch_up_min=round(seconds / 60, 1),
            calls=calls,
            calls_per_s=round(calls / seconds, 2),
            most_attempts=_load_most_attempts(gateway),
            presses=presses,
            demand_p50_s=round(took_s[len(took_s) // 2], 1),
            demand_p95_s=round(took_s[min(len(took_s) - 1, int(len(took_s) * 0.95))], 1),
            demand_longest_s=round(took_s[-1], 1),
            cpu_s=round(time.process_time() - began_s, 1),
        )


def _catch_up(desk: _Desk, outbox: Outbox) -> int:
    """Work until nothing is open; how often a mark was let out on demand meanwhile."""
    press_at, presses = desk.clock.now(), 0
    while True:
        if desk.clock.now() >= press_at and (presses == 0 or desk.count_open() > 1):
            outbox.let_out(1, lane="demand")
            presses, press_at = presses + 1, press_at + timedelta(seconds=PRESS_EVERY_S)
        if desk.step():
            continue
        next_at = desk.next_at()
        if next_at is None:
            return presses
        ripe_at = desk.clock.now() + timedelta(seconds=1.0)
        desk.wait_for(max(min(next_at, press_at), ripe_at) if next_at > desk.clock.now() else ripe_at)


def _build_settings(folder: Path, base_url: str, city: dict[str, Any]) -> Any:
    admin = city["profiles"][0]
    groups: dict[str, dict[str, Any]] = {
        "database": {"url": f"sqlite:///{folder / 'gateway.sqlite'}"},
        "portal": {"base_url": "http://127.0.0.1:9", "token": "0" * 32},
        "school": {"year": "2026/27"},
        "mesh": {
            "base_url": base_url,
            "school_id": city["school_id"],
            "profile_id": admin["profile_id"],
            "token": admin["token"],
        },
    }
    return load_settings(None, **groups)


def _load_demand(gateway: Gateway) -> Sequence[float]:
    with gateway.store.read() as conn:
        rows = conn.execute(
            select(operation.c.created_at, operation.c.changed_at).where(operation.c.lane == "demand")
        ).all()
    return [(row.changed_at - row.created_at).total_seconds() for row in rows]


def _load_most_attempts(gateway: Gateway) -> int:
    counted = select(func.count().label("count")).select_from(attempt).group_by(attempt.c.operation_id).subquery()
    with gateway.store.read() as conn:
        return int(conn.execute(select(func.max(counted.c.count))).scalar_one())


def _judge(http: httpx.Client, outbox: Outbox, count: int) -> None:
    entries = http.get("/__sandbox/ledger").raise_for_status().json()
    ledger = [tuple(entry["cell"].values()) for entry in entries if entry["op"] == "create"]
    wanted = {(one.pupil_id, one.lesson_id) for one in outbox.intents[:count]}
    lost, doubled = len(wanted - set(ledger)), len(ledger) - len(set(ledger))
    if lost or doubled or set(ledger) != wanted:
        raise WrongLedgerError(f"lost {lost}, doubled {doubled}, others {len(set(ledger) - wanted)}")


def main() -> None:
    """Print one JSON object, or one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--marks", type=int, default=30_000)
    parser.add_argument("--outage-hours", type=float, default=OUTAGE_HOURS)
    arguments = parser.parse_args()
    configure_logging(level="ERROR")
    figures = measure(arguments.marks, outage_hours=arguments.outage_hours)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
        return
    sys.stdout.write(f"{msgspec.to_builtins(figures)}\n")


if __name__ == "__main__":
    main()
