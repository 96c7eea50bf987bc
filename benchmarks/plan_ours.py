"""The gateway's side of the planning benchmark: last night's database, then tonight's compare and stored plan.

Everything between the two files and the sealed plan is what `gateway plan` runs, on the product's own SQLite settings: the
batch of scopes (`gateway/flows/scope_batch.py`) with its transactions, kept reads, memos, comparison and stored plan. Only
the reading of the lines is written here, where connectors and mapping stand in life.
"""

from __future__ import annotations

import resource
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, insert

from benchmarks.plan_files import (
    OURS_FILE,
    READ_AT,
    THEIRS_FILE,
    Mark,
    OurLine,
    Planted,
    iter_marks,
)
from gateway.connectors.port import CityRead, CityScope
from gateway.domain.city import CityMark, MarkIntent
from gateway.domain.clock import SystemClock
from gateway.domain.identifiers import Kind, Place
from gateway.domain.records import digest_of
from gateway.flows.scope_batch import ScopeBatch
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.links import get_place_id
from gateway.mapping.mesh import Mapped
from gateway.mapping.rules import Mode, Modes
from gateway.queue.outbox import load_busy
from gateway.reconcile.gone import PROOF_READS, Gone
from gateway.reconcile.guard import Limits
from gateway.reconcile.intend import store_intended
from gateway.reconcile.plan import PlanDraft, SealedPlan
from gateway.reconcile.shadow import scope_of, store_city_scope
from gateway.reconcile.tables import base, record
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store

DATABASE_FILE = "gateway.sqlite"
_PLACE = Place("benchmark/1", "portal", "2026/27")
_MODES = Modes(create="automatic", change="automatic", delete="approve")
_LIMITS = Limits(minimum_count=5, change_ratio=0.75, delete_ratio=0.10, empty_source_ratio=0.5)
_READ_BYTES = 1 << 18  # about one group's lines: more of them would only be held longer
_BY_GROUP = attrgetter("group_id")

L = TypeVar("L", OurLine, CityMark)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one side's process reports.

    Attributes:
        rss_mb: Peak resident size of the process.
        by_reason: What came out, by reason code, to be compared with what was planted.
    """

    seconds: float
    rss_mb: float
    by_reason: dict[str, int]


def prepare(folder: Path, count: int, seed: int) -> None:
    """Store last night's state: intended, base and shadow of every mark that stood then. Not measured."""
    store = _open(folder)
    with store.write() as conn:
        place_id = get_place_id(conn, _PLACE)
    for group_id, found in groupby(iter_marks(count, seed), key=_group_of):
        marks = list(found)
        scope = _scope(group_id)
        lines = [mark.ours_before for mark in marks if mark.ours_before is not None]
        stood = [mark.theirs_before for mark in marks if mark.theirs_before is not None]
        with store.write() as conn:
            store_intended(conn, place_id, scope_of(scope), map(_to_mapped, lines))
            store_city_scope(conn, place_id, CityRead(scope=scope, read_at=READ_AT, objects=stood), run_id=1)
            conn.execute(
                insert(base),
                [
                    _base_row(place_id, scope_of(scope), line.ref, line.to_intent(), mark.id)
                    for line, mark in zip(lines, stood, strict=True)
                ],
            )
            cleared = [mark for mark in marks if mark.planted is Planted.CLEARED]
            if cleared:
                conn.execute(insert(record), [_cleared_row(place_id, mark) for mark in cleared])
    store.close()


def measure(folder: Path) -> Measured:
    """Read both files, store what changed, compare three legs, store and seal the plan.

    The clock starts with the store open and stops with the plan sealed.
    """
    store = _open(folder)
    started = time.perf_counter()
    sealed = make_plan(store, folder)
    seconds = time.perf_counter() - started
    store.close()
    return Measured(seconds=seconds, rss_mb=peak_mb(), by_reason=sealed.by_reason)


def make_plan(store: Store, folder: Path) -> SealedPlan:
    """Plan the school in the folder against what the store knows of it."""
    with store.write() as conn:
        place_id = get_place_id(conn, _PLACE)
        epoch = get_epoch(conn)
    draft = PlanDraft(
        store, place_id=place_id, run_id=2, rule_version="benchmark", epoch=epoch, is_dry_run=False, ttl_hours=18.0
    )
    batch = ScopeBatch(store, place_id=place_id, run_id=2, draft=draft, limits=_LIMITS, busy_of=load_busy)
    for group_id, lines, stands in iter_groups(folder):
        batch.add(FileScope(_scope(group_id), lines, stands))
    batch.finish()
    return draft.seal()


class FileScope:
    """One group of the two files (`gateway.flows.scope_batch.ScopeToPlan`)."""

    delete_mode: Mode = "approve"
    is_whole = True

    def __init__(self, scope: CityScope, lines: list[OurLine], stands: list[CityMark]) -> None:
        self._lines = lines
        self.scope = scope_of(scope)
        self.read: CityRead | None = CityRead(scope=scope, read_at=READ_AT, objects=stands)
        self.count = len(lines)

    def find_position(self, lesson_id: int) -> int | None:
        """Nothing is new on both sides, so nothing is compared by its neighbour."""
        del lesson_id
        return None

    def digest_inputs(self, conn: Connection, shown: bytes) -> bytes:
        """Of the city's side alone: the portal's, which pull has stored in life, can't stand where nothing is skipped."""
        del conn
        return digest_of(shown)

    def map_records(self, conn: Connection) -> list[Mapped]:
        """What should stand in the city, a line a record."""
        del conn
        return list(map(_to_mapped, self._lines))

    def keep_linked(self, conn: Connection, mapped: Sequence[Mapped]) -> Sequence[Mapped]:
        """Nobody changes a link here."""
        del conn
        return mapped

    def store_choices(self, conn: Connection, mapped: Sequence[Mapped]) -> None:
        """The lessons of this school were chosen long ago."""


def iter_groups(folder: Path) -> Iterator[tuple[int, list[OurLine], list[CityMark]]]:
    """Yield the groups of both files side by side; a group that one side has not got is empty there."""
    ours = _iter_cut(folder / OURS_FILE, OurLine)
    theirs = _iter_cut(folder / THEIRS_FILE, CityMark)
    mine, other = next(ours, None), next(theirs, None)
    while mine is not None or other is not None:
        group_id = min(found[0] for found in (mine, other) if found is not None)
        lines: list[OurLine] = []
        stands: list[CityMark] = []
        if mine is not None and mine[0] == group_id:
            lines, mine = mine[1], next(ours, None)
        if other is not None and other[0] == group_id:
            stands, other = other[1], next(theirs, None)
        yield group_id, lines, stands


def _iter_cut(path: Path, form: type[L]) -> Iterator[tuple[int, list[L]]]:
    """Yield (group, its validated lines); the file is in the order of its groups, of which two at most are in memory."""
    pending: list[L] = []
    for block in _iter_blocks(path, form):
        pending += block
        while pending[0].group_id != pending[-1].group_id:
            end = bisect_right(pending, pending[0].group_id, key=_BY_GROUP)
            yield pending[0].group_id, pending[:end]
            del pending[:end]
    if pending:
        yield pending[0].group_id, pending


def _iter_blocks(path: Path, form: type[L]) -> Iterator[list[L]]:
    """Yield the validated lines of a file, a block of it at a time."""
    decoder = msgspec.json.Decoder(form)
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            whole, newline, tail = block.rpartition(b"\n")
            if newline:
                yield decoder.decode_lines(rest + whole)
                rest = tail
            else:
                rest += tail
    if rest:
        yield decoder.decode_lines(rest)


def peak_mb() -> float:
    """Peak resident size of this process in megabytes; Linux counts in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _open(folder: Path) -> Store:
    return Store.open(f"sqlite:///{folder / DATABASE_FILE}", SystemClock())


def _scope(group_id: int) -> CityScope:
    return CityScope(
        kind=Kind.MARK,
        group_id=group_id,
        subject_id=1,
        level=7,
        from_on=READ_AT.date().replace(month=9, day=1),
        to_on=READ_AT.date(),
    )


def _group_of(mark: Mark) -> int:
    line = mark.ours_before or mark.ours
    if line is None:
        raise ValueError("a mark that stands nowhere")
    return line.group_id


def _to_mapped(line: OurLine) -> Mapped:
    return Mapped(
        ref=line.ref, kind=Kind.MARK, state="sendable", reason="", intent=line.to_intent(), on=line.on, mode=_MODES
    )


def _base_row(place_id: int, scope: str, ref: str, intent: MarkIntent, city_id: int) -> dict[str, object]:
    return {
        "place_id": place_id,
        "kind": Kind.MARK.value,
        "ref": ref,
        "scope": scope,
        "city_id": city_id,
        "object_key": intent.object_key,
        "digest": atom_digest(atom_of_intent(intent)),
        "intent": msgspec.json.encode(intent),
        "verified_at": READ_AT,
        "how": "delivered",
    }


def _cleared_row(place_id: int, mark: Mark) -> dict[str, object]:
    if mark.ours_before is None:
        raise ValueError("only what stood can be cleared")
    return {
        "place_id": place_id,
        "kind": Kind.MARK.value,
        "ref": mark.ours_before.ref,
        "scope": f"mark|course:1|group:{mark.ours_before.group_id}",
        "digest": bytes(16),
        "body": b"{}",
        "first_seen_at": READ_AT,
        "changed_at": READ_AT,
        "gone": Gone.CLEARED.value,
        "gone_at": READ_AT,
        "absent_reads": PROOF_READS,
        "run_id": 1,
    }


def main(arguments: list[str]) -> None:
    """`prepare FOLDER COUNT SEED` or `measure FOLDER`."""
    folder = Path(arguments[1])
    if arguments[0] == "prepare":
        prepare(folder, int(arguments[2]), int(arguments[3]))
        return
    sys.stdout.buffer.write(msgspec.json.encode(measure(folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
