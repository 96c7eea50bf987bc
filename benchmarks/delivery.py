"""How fast and how surely the outbox is delivered: worker processes on PostgreSQL and Redis, killed every few seconds.

    python -m benchmarks.delivery --json
    python -m benchmarks.delivery --part demand --json

Five parts, each with a city, a database and a Redis of its own:

* `faults`: paced, a worker killed with -9 every few seconds and started anew; the city's ledger must be exactly as intended.
* `clean`: paced, nobody killed; how much of the allowed rate is used, how much the city refuses for pace.
* `unpaced`: as fast as it goes, beside the POSTs a second of a bare httpx loop with as many processes and threads; with the
  processor time an operation of each role, which says what bounds it.
* `cost`: one thread of one process; SQL statements and processor time an operation, whatever else the machine does.
* `demand`: marks on demand at 5 a second during a night's work, the city answering in 50 ms; pressed = the plan is let
  out, verified = read back. Reading the portal and planning are not part of it.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec
from sqlalchemy import func, select

from benchmarks.delivery_cost import Cost, measure_cost
from benchmarks.delivery_site import Site
from gateway.flows.deliver import deliver
from gateway.flows.gateway import Gateway
from gateway.queue.tables import operation

POLL_S = 0.1
GIVE_UP_S = 1800.0
UNPACED_PER_S = 100_000.0


class WrongLedgerError(Exception):
    """The city does not hold what was intended; a fast wrong delivery is worth nothing."""


class Run(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What one part measured.

    Attributes:
        verified_per_s: Operations proven a second, from the start of the workers to the last read-back.
        used_ratio: Requests of all kinds a second while marks were sent, over the rate allowed.
        largest_in_one_second: Most requests that came to the city within any second.
        refused_ratio: Part of the requests refused for pace.
        lost, doubled: Marks missing from the city's ledger, and marks there twice.
    """

    operations: int
    seconds: float
    verified_per_s: float
    rate_per_s: float | None = None
    used_ratio: float | None = None
    largest_in_one_second: int | None = None
    refused_ratio: float | None = None
    kills: int | None = None
    lost: int = 0
    doubled: int = 0


class _Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """When it was over, counted from the start of the first call.

    Attributes:
        sent_s: Seconds until nothing was left to send; `sent_requests` is what the city had been asked by then, set-up
            included.
        seconds: Seconds until the last was proven.
    """

    kills: int
    sent_s: float
    sent_requests: int
    seconds: float


def run_paced(arguments: argparse.Namespace, *, count: int, has_kills: bool) -> Run:
    """Deliver at the rate; with kills, or without.

    Raises:
        WrongLedgerError: The ledger is not as intended.
    """
    with ExitStack() as stack:
        site = Site(stack, arguments, marks=count, rate=arguments.rate, is_paced=True)
        before = site.get("requests")["total"]
        site.outbox.let_out(count)
        delivered = _deliver_all(site, arguments, count, has_kills=has_kills)
        told = site.get("requests")
        run = _judge(site, count, delivered.seconds)
        run.rate_per_s = arguments.rate
        run.kills = delivered.kills
        run.largest_in_one_second = told["largest_in_one_second"]
        total = told["total"] - before
        refused = sum(statuses.get("429", 0) for statuses in told["counts"].values())
        run.refused_ratio = round(refused / total, 5)
        if not has_kills:
            run.used_ratio = round((delivered.sent_requests - before) / delivered.sent_s / arguments.rate, 3)
        return run


def _deliver_all(
    site: Site,
    arguments: argparse.Namespace,
    count: int,
    *,
    has_kills: bool,
    begun: Callable[[], object] = lambda: None,
) -> _Delivered:
    """Start the workers and wait till all is verified."""
    draw = random.Random(arguments.seed)
    for _ in range(arguments.workers):
        site.start_worker()
    _wait(lambda: site.states().get("ready", 0) < count)
    begun()
    started = kill_at = time.monotonic()
    kills, sent_s, sent_requests = 0, 0.0, 0
    while True:
        states = site.states()
        now = time.monotonic()
        if not sent_s and not states.get("ready", 0):
            sent_s, sent_requests = now - started, site.get("requests")["total"]
        if states.get("verified", 0) + states.get("parked", 0) >= count:
            return _Delivered(kills=kills, sent_s=sent_s, sent_requests=sent_requests, seconds=now - started)
        if now - started > GIVE_UP_S:
            raise WrongLedgerError(f"not done within {GIVE_UP_S:g} s: {states}")
        if has_kills and now - kill_at > arguments.kill_every_s:
            site.kill_one(draw)
            kills, kill_at = kills + 1, time.monotonic()
        time.sleep(POLL_S)


def _wait(is_so: Any) -> None:
    give_up_at = time.monotonic() + 60.0
    while not is_so():
        if time.monotonic() > give_up_at:
            raise WrongLedgerError("no worker began")
        time.sleep(0.02)


def _judge(site: Site, count: int, seconds: float) -> Run:
    ledger = [tuple(entry["cell"].values()) for entry in site.get("ledger") if entry["op"] == "create"]
    wanted = {(one.pupil_id, one.lesson_id) for one in site.outbox.intents[:count]}
    lost, doubled = len(wanted - set(ledger)), len(ledger) - len(set(ledger))
    states = site.states()
    if lost or doubled or set(ledger) != wanted or states != {"verified": count}:
        raise WrongLedgerError(f"lost {lost}, doubled {doubled}, states {states}")
    return Run(operations=count, seconds=round(seconds, 1), verified_per_s=round(count / seconds, 1))


class Unpaced(msgspec.Struct, frozen=True, kw_only=True):
    """Verified operations a second beside a bare loop's POSTs.

    Attributes:
        cpu_ms: Processor time an operation from the first claim to the last proof, by role; PostgreSQL only where it is the
            benchmark's own.
        bare_cpu_ms: Processor time a POST of the bare loop.
    """

    operations: int
    cpu_ms: dict[str, float]
    bare_cpu_ms: float
    verified_per_s: float
    bare_posts_per_s: float
    ratio: float


def run_unpaced(arguments: argparse.Namespace) -> Unpaced:
    """As fast as it goes; then the same marks to a city like it by a bare loop of as many processes and threads."""
    count = arguments.unpaced_operations
    with ExitStack() as stack:
        site = Site(stack, arguments, marks=2 * count, rate=UNPACED_PER_S, is_paced=False)
        site.outbox.let_out(count)
        before: dict[str, float] = {}
        delivered = _deliver_all(site, arguments, count, has_kills=False, begun=lambda: before.update(site.cpu_s()))
        after = site.cpu_s()
        run = _judge(site, count, delivered.seconds)
        site.end_workers()
        bare, bare_cpu_s = _post_bare(site, arguments, site.outbox.intents[count : 2 * count])
    return Unpaced(
        operations=count,
        cpu_ms={role: round((after[role] - used) * 1000 / count, 2) for role, used in before.items()},
        bare_cpu_ms=round(bare_cpu_s * 1000 / count, 2),
        verified_per_s=run.verified_per_s,
        bare_posts_per_s=round(bare, 1),
        ratio=round(run.verified_per_s / bare, 3),
    )


def run_cost(arguments: argparse.Namespace) -> Cost:
    """Deliver in this process and thread, and count."""
    count = arguments.cost_operations
    with ExitStack() as stack:
        site = Site(stack, arguments, marks=count, rate=UNPACED_PER_S, is_paced=False)
        site.outbox.let_out(count)
        cost = measure_cost(site.gateway, count)
        _judge(site, count, 1.0)
    return cost


def _post_bare(site: Site, arguments: argparse.Namespace, intents: Sequence[Any]) -> tuple[float, float]:
    """POSTs a second, and processor seconds that the loops have used for them."""
    share = -(-len(intents) // arguments.workers)
    task = {"mesh": site.groups["mesh"], "threads": arguments.threads}
    loops = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.delivery_bare"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(arguments.workers)
    ]
    for number, loop in enumerate(loops):
        assert loop.stdin is not None
        own = intents[number * share : (number + 1) * share]
        loop.stdin.write(msgspec.json.encode({**task, "intents": own}) + b"\n")
        loop.stdin.flush()
    for loop in loops:
        assert loop.stdout is not None
        loop.stdout.readline()  # ready
    started = time.monotonic()
    for loop in loops:
        assert loop.stdin is not None
        loop.stdin.write(b"go\n")
        loop.stdin.flush()
    used_s = 0.0
    for loop in loops:
        assert loop.stdout is not None
        used_s += float(loop.stdout.readline())
    seconds = time.monotonic() - started
    if any(loop.wait() for loop in loops):
        raise WrongLedgerError("a bare loop was refused")
    return len(intents) / seconds, used_s


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from letting out one mark on demand to its proof, during a night's work."""

    presses: int
    p50_s: float
    p95_s: float
    longest_s: float


def run_demand(arguments: argparse.Namespace) -> Demand:
    """Press a button again and again while the night's work goes on."""
    night = 2_000
    took: list[float] = []
    with ExitStack() as stack:
        site = Site(stack, arguments, marks=night + arguments.presses, rate=5.0, is_paced=True)
        site.post("faults", {"match": {}, "fault": "slow", "delay_s": 0.05})
        site.outbox.let_out(night)
        for _ in range(arguments.workers):
            site.start_worker()
        _wait(lambda: site.states().get("accepted", 0) > 0)
        for _ in range(arguments.presses):
            pressed = time.monotonic()
            site.outbox.let_out(1, lane="demand")
            deliver(site.gateway, 1, max_wait_s=0.0)  # rings, as a command beside workers does
            _wait(lambda: _is_demand_done(site.gateway))
            took.append(time.monotonic() - pressed)
    took.sort()
    return Demand(
        presses=len(took),
        p50_s=round(took[len(took) // 2], 2),
        p95_s=round(took[min(len(took) - 1, int(len(took) * 0.95))], 2),
        longest_s=round(took[-1], 2),
    )


def _is_demand_done(gateway: Gateway) -> bool:
    with gateway.store.read() as conn:
        left = conn.execute(
            select(func.count())
            .select_from(operation)
            .where(operation.c.lane == "demand", operation.c.state != "verified")
        ).scalar_one()
    return left == 0


PARTS = ("faults", "clean", "unpaced", "cost", "demand")


def run_parts(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the parts that are asked for; name → figures."""
    told: dict[str, Any] = {}
    for part in arguments.part or PARTS:
        sys.stderr.write(f"{part}…\n")
        if part == "faults":
            told[part] = run_paced(arguments, count=arguments.operations, has_kills=True)
        elif part == "clean":
            told[part] = run_paced(arguments, count=arguments.clean_operations, has_kills=False)
        elif part == "unpaced":
            told[part] = run_unpaced(arguments)
        elif part == "cost":
            told[part] = run_cost(arguments)
        else:
            told[part] = run_demand(arguments)
    return told


def main() -> None:
    """Print one JSON object, or a line a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be given again")
    parser.add_argument("--operations", type=int, default=20_000, help="of the part with kills")
    parser.add_argument("--clean-operations", type=int, default=5_000)
    parser.add_argument("--unpaced-operations", type=int, default=2_000)
    parser.add_argument("--cost-operations", type=int, default=1_000)
    parser.add_argument("--presses", type=int, default=40)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second that the city allows")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=4, help="calls at once of one worker")
    parser.add_argument("--kill-every-s", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", help="SQLAlchemy URL; without it one is started")
    parser.add_argument("--redis", help="URL of an empty Redis; without it one is started")
    arguments = parser.parse_args()
    told = run_parts(arguments)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        return
    for part, figures in told.items():
        sys.stdout.write(f"{part}: {msgspec.to_builtins(figures)}\n")


if __name__ == "__main__":
    main()
