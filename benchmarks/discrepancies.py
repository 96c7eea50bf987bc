"""How fast a curator's screens answer with a hundred thousand open discrepancies on the embedded database.

    python -m benchmarks.discrepancies --open 100000 --json

Each figure is the 95th percentile in milliseconds over many calls, once by the clock and once in time of this process's
own (`cpu`), which another's load on the machine touches less: a page of 50 anywhere in the list, a page filtered by
owner and type, groups of one pattern, a card, the preview of an act and the act that settles 5 000 of one pattern (each
time another 5 000). The aim is 300 ms a call with memory flat.

The school around them has a thousand pupils, who are named in each row, and a page and a card are what the door answers a
deputy head with: his reach is asked and an entry about every child is written to the audit before he is answered.

The act is answered when all of it is judged and stored; it is carried out behind the answer, in parts, and that is a figure
of its own (`carried`): the whole of it, and the longest of its transactions, for which another's write may have to wait.

Every group's discrepancies lie all over the list, as if each night had opened a few of all: the dearest for the database,
because every row of an act lies on a page of its own. `--grouped` lays a group's together, as one plan takes them up.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
from sqlalchemy import Connection, insert, text

from benchmarks.discrepancies_school import Looker, fill_school, pupil_of
from gateway.access.scope import Scope
from gateway.bootstrap import open_gateway
from gateway.domain.city import CityMark, MarkIntent
from gateway.domain.clock import moscow_day
from gateway.domain.discrepancies import Choice, DiscrepancyState
from gateway.domain.records import Mark, Scale, digest_of, to_body
from gateway.flows.acts import carry_out
from gateway.flows.discrepancies import choose
from gateway.flows.gateway import Gateway
from gateway.mapping.atoms import atom_digest, atom_of_city, atom_of_intent
from gateway.reconcile.tables import base, discrepancy, intended, record, shadow
from gateway.report.discrepancies import Sieve, load_ids
from gateway.report.seen_discrepancies import get_seen_card, load_seen_groups, load_seen_lines
from gateway.settings import load_settings
from gateway.store.transaction import Store

BULK_COUNT = 5_000
CHOICES = (Choice.THEIRS, Choice.OURS, Choice.OWN)
OWN_VALUE = "4"  # neither side's
CALLS = 40
CHUNK_ROWS = 5_000
GROUPS = 200
"""Groups of the city among which the discrepancies lie: a school of a thousand pupils with ten subjects."""
PATTERNS = 20
"""Patterns of the list: 5 000 of each among 100 000, so that one act takes one pattern whole."""


class Span(msgspec.Struct, frozen=True):
    """95th percentiles of one kind of call."""

    ms: float
    cpu_ms: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Calls by their kind; memory in megabytes, before the first call and at its highest."""

    open: int
    page: Span
    filtered: Span
    groups: Span
    card: Span
    preview: Span
    bulk: Span
    bulk_count: int
    carried: Span
    part: Span
    rss_before_mb: float
    rss_mb: float


def fill(store: Store, place_id: int, count: int, *, is_grouped: bool = False) -> None:
    """Store marks whose value a person changed in the city, each with its open discrepancy.

    Args:
        is_grouped: A group's stand together, as one plan takes them up; else one of each group in turn, as if every night
            had opened a few of all.
    """
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("record", "intended", "base", "shadow", "discrepancy")
    }
    tables = {"record": record, "intended": intended, "base": base, "shadow": shadow, "discrepancy": discrepancy}
    now = store.now()
    for number in range(1, count + 1):
        at = (number - 1) * GROUPS // count if is_grouped else number % GROUPS
        for name, row in _rows_of(number, place_id, now, at).items():
            rows[name].append(row)
        if number % CHUNK_ROWS == 0 or number == count:
            with store.write() as conn:
                for name, table in tables.items():
                    conn.execute(insert(table), rows[name])
                    rows[name].clear()
    if store.dialect == "postgresql":
        # a server counts its rows by itself within a minute; until then it thinks that there are none and joins each with all
        with store.write() as conn:
            conn.execute(text(f"ANALYZE {', '.join(tables)}"))


def _rows_of(number: int, place_id: int, now: Any, group: int) -> dict[str, dict[str, Any]]:
    ref = f"mark:{number}:{number}"
    scope, on = f"mark|city-group:{group}", moscow_day(now)
    intent = MarkIntent(
        pupil_id=pupil_of(number),
        lesson_id=number,
        group_id=group,
        subject_id=1,
        teacher_id=1,
        on=on,
        value="5",
        weight=1,
        form_id=1,
        grade_system_id=1,
    )
    ours = Mark(
        ref=ref,
        pupil=f"user:{pupil_of(number)}",
        programme=f"course:{group}",
        group=None,
        item=f"item:{number}",
        item_name="Работа",
        item_form="manual",
        scale=Scale("points", 0, 5),
        raw_points=5.0,
    )
    theirs = CityMark(
        id=number,
        pupil_id=pupil_of(number),
        lesson_id=number,
        group_id=group,
        subject_id=1,
        value="3",
        weight=1,
        form_id=1,
        on=on,
        teacher_id=1,
        created_at=None,
        updated_at=None,
    )
    body, city_body, digest = to_body(intent), to_body(theirs), atom_digest(atom_of_intent(intent))
    their_digest = atom_digest(atom_of_city(theirs))
    key = {"place_id": place_id, "kind": "mark", "ref": ref}
    return {
        "record": {
            **key,
            "scope": f"mark|course:{group}",
            "digest": digest_of(to_body(ours)),
            "body": to_body(ours),
            "first_seen_at": now,
            "changed_at": now,
            "gone": None,
            "absent_reads": 0,
            "run_id": 1,
        },
        "intended": {
            **key,
            "scope": scope,
            "state": "sendable",
            "reason": "",
            "digest": digest,
            "object_key": intent.object_key,
            "intent": body,
            "on_date": on,
            "create_mode": "automatic",
            "change_mode": "automatic",
            "row_digest": digest_of(body),
        },
        "base": {
            **key,
            "scope": scope,
            "city_id": number,
            "object_key": intent.object_key,
            "digest": digest,
            "intent": body,
            "verified_at": now,
            "how": "delivered",
        },
        "shadow": {
            "place_id": place_id,
            "kind": "mark",
            "city_id": number,
            "scope": scope,
            "object_key": intent.object_key,
            "digest": their_digest,
            "body": city_body,
            "on_date": on,
            "seen_at": now,
            "row_digest": digest_of(city_body),
        },
        "discrepancy": {
            **key,
            "scope": scope,
            "city_id": number,
            "object_key": intent.object_key,
            "type": "fields_differ",
            "reason": "DRIFT",
            "state": "open",
            "owner": ("teacher", "curator", "deputy_head")[number % 3],
            "pattern": f"fields_differ/DRIFT/mark/value/city-group:{group % PATTERNS}",
            "ours": digest,
            "base": digest,
            "theirs": their_digest,
            "intent": body,
            "base_intent": body,
            "city_body": city_body,
            "their_key": intent.object_key,
            "theirs_read_at": now,
            "on_date": on,
            "flips": 0,
            "opened_at": now,
            "changed_at": now,
            "due_at": now + timedelta(days=2),
            "plan_id": 1,
        },
    }


def measure(gateway: Gateway, place_id: int, count: int) -> Figures:
    """Call what the screens call, and take the 95th percentile of each."""
    store, chance = gateway.store, random.Random(1)
    gc.collect()
    before = _forget_peak()

    def read(ask: Callable[[Any], object]) -> Span:
        watch = Watch()
        for _ in range(CALLS):
            with watch.timed(), store.read() as conn:
                ask(conn)
        return watch.p95()

    now, deputy = store.now(), Looker(gateway, place_id)

    def look(ask: Callable[[Any, Scope], tuple[object, set[str]]]) -> Span:
        watch = Watch()
        for _ in range(CALLS):
            with watch.timed(), store.write() as conn:
                scope = deputy.permit(conn)
                shown, pupils = ask(conn, scope)
                deputy.note(conn, scope, pupils)
                msgspec.json.encode(shown)
            if not pupils:
                raise SystemExit("nobody was shown")
        return watch.p95()

    def turn(conn: Any, scope: Scope, sieve: Sieve) -> tuple[object, set[str]]:
        after = chance.randrange(count - 200)
        return load_seen_lines(conn, scope, place_id, sieve, now=now, after=after, limit=50)

    page = look(lambda conn, scope: turn(conn, scope, Sieve()))
    narrow = Sieve(owner="curator", type="fields_differ")
    filtered = look(lambda conn, scope: turn(conn, scope, narrow))
    groups = read(lambda conn: load_seen_groups(conn, deputy.permit(conn), place_id, Sieve(), now=now, limit=50))
    card = look(lambda conn, scope: get_seen_card(conn, scope, place_id, chance.randrange(1, count), now=now))
    shown, watch, carrying, part = Watch(), Watch(), Watch(), Watch()
    taken = 0
    for number in range(min(PATTERNS, count // BULK_COUNT)):
        pattern = f"fields_differ/DRIFT/mark/value/city-group:{number}"
        choice = CHOICES[number % len(CHOICES)]
        own_value = OWN_VALUE if choice is Choice.OWN else None
        with shown.timed():
            with store.read() as conn:
                ids = load_ids(conn, place_id, Sieve(pattern=pattern), now=now, limit=BULK_COUNT)
            choose(gateway, ids, choice, reason="benchmark", is_preview=True, own_value=own_value)
        with watch.timed():
            with store.read() as conn:
                ids = load_ids(conn, place_id, Sieve(pattern=pattern), now=now, limit=BULK_COUNT)
            settled = choose(gateway, ids, choice, reason="benchmark", own_value=own_value)
        with carrying.timed(), timed_writes(store, part):
            carry_out(gateway)
        with store.read() as conn:
            waiting = Sieve(states=(DiscrepancyState.WAITING_PROOF.value,), pattern=pattern)
            done = load_ids(conn, place_id, waiting, now=now, limit=BULK_COUNT)
        if done != settled.taken or len(done) != len(ids):
            raise SystemExit(f"{len(done)} of {len(ids)} were settled")
        taken = max(taken, len(done))
    return Figures(
        open=count,
        page=page,
        filtered=filtered,
        groups=groups,
        card=card,
        preview=shown.p95(),
        bulk=watch.p95(),
        bulk_count=taken,
        carried=carrying.p95(),
        part=part.p95(),
        rss_before_mb=before,
        rss_mb=_peak_mb(),
    )


@contextmanager
def timed_writes(store: Store, watch: Watch) -> Iterator[None]:
    """Time each write transaction within, its wait for its turn included."""
    write = store.write

    @contextmanager
    def timed() -> Iterator[Connection]:
        with watch.timed(), write() as conn:
            yield conn

    with mock.patch.object(store, "write", timed):
        yield


class Watch:
    """Times calls by two clocks."""

    def __init__(self) -> None:
        self._walls: list[float] = []
        self._cpus: list[float] = []

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time one call."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._walls.append(time.perf_counter() - wall)
        self._cpus.append(time.process_time() - cpu)

    def p95(self) -> Span:
        """The 95th percentile by both clocks."""
        return Span(_p95_ms(self._walls), _p95_ms(self._cpus))


def _p95_ms(times: Sequence[float]) -> float:
    ordered = sorted(times)
    return round(1000 * ordered[max(0, -(-95 * len(ordered) // 100) - 1)], 1)


def _forget_peak() -> float:
    """Begin the highest mark of memory anew, which filling had set; what is in use now, in megabytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak_mb()  # not Linux: then a growth below what filling took is not seen
    return _peak_mb()


def _peak_mb() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, fill a database, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.discrepancies", description=__doc__.splitlines()[0])
    parser.add_argument("--open", type=int, default=100_000, help="open discrepancies, at least 5000")
    parser.add_argument("--grouped", action="store_true", help="a group's discrepancies one after another")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="discrepancies-benchmark-") as folder:
        # nothing is called: the addresses only have to be there
        settings = load_settings(
            None,
            database={"url": f"sqlite:///{Path(folder) / 'gateway.sqlite'}"},
            portal={"base_url": "http://127.0.0.1:9", "token": "none"},
            mesh={"base_url": "http://127.0.0.1:9", "school_id": 1, "profile_id": 1, "token": "none"},
            audit={"sink_file": str(Path(folder) / "audit.jsonl")},
        )
        with open_gateway(settings) as gateway:
            with gateway.store.write() as conn:
                place_id = gateway.place_id(conn)
            sys.stderr.write(f"filling {wanted.open} …\n")
            fill_school(gateway, place_id, GROUPS)
            fill(gateway.store, place_id, wanted.open, is_grouped=wanted.grouped)
            figures = measure(gateway, place_id, wanted.open)
    if wanted.json:
        sys.stdout.buffer.write(msgspec.json.encode(figures) + b"\n")
        return
    for name, value in msgspec.structs.asdict(figures).items():
        shown = f"{value.ms} ms, {value.cpu_ms} ms of its own" if isinstance(value, Span) else value
        sys.stdout.write(f"{name:15} {shown}\n")


if __name__ == "__main__":
    main()
