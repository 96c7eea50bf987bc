"""The third harness: a process is killed at every point of a job, and its successor finds what a kill -9 leaves.

The job runs in one process with its database in a file and the city in memory. At each point (before, inside and after
every transaction, before and after every call) the process forks. The child is the world after the kill: it copies the
file as it stands, throws away every object of the dead process without closing it, and lets fresh processes finish the
work; the judge of the simulation has the last word. The parent goes on to the next point, so that nothing is run twice to
get there. A point in the child may fork again: a kill during the recovery.

Points at which a kill leaves the very same world (each byte of the database's files, the city, the judge, the time and the
dice) have one child between them: from the same world everything goes the same way, and a test plays each to see that it
does. Between two statements of one transaction a kill is the same as at its end, before the commit: nothing was written that
anybody else could see. That a half-written file is no different is another harness's question (power cuts, F6).
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import io
import os
import pickle
import shutil
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from types import FunctionType, MethodType
from typing import Any

import msgspec

from gateway.domain.identifiers import Kind
from gateway.simulation.climate import LEASE_S, Climate, calm
from gateway.simulation.closing import check_end
from gateway.simulation.machines import Life, Runner
from gateway.simulation.people import MARKS, Operator
from gateway.simulation.portal import ABSENCE_VALUE
from gateway.simulation.quiet import count_operations, is_unproven, what_moves
from gateway.simulation.school import PUPILS_A_CLASS, START_AT, Place
from gateway.simulation.stage import Stage, Violation
from gateway.simulation.store import StageStore
from gateway.simulation.world import Sending, World
from gateway.store.transaction import Store

MAX_PASSES = 6
MAX_TURNS = 30
RESTART_S = 60.0
"""How long a killed process stays away: longer than a lease, so that what it held is free again."""
FIFTY_AND_HELD = 54
"""Changes of a night of which fifty are written: what is cleared waits for an approval."""
DATABASE_FILES = ("", "-wal")
"""Endings of the files that a kill leaves; a third one is memory of processes that are gone."""
NOT_YET = frozenset({"LESSON_NOT_YET"})
"""Why places may differ after all: one lesson of the made-up school is tomorrow's."""


class KillStage(Stage):
    """Virtual time for one process; whoever waits at a point is told so."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, start_at=START_AT, lease_s=LEASE_S)
        self.is_stormy = False
        self.step: Callable[[], None] = lambda: None

    def point(self, what: str) -> None:
        """A place where a process may be killed."""
        del what
        self.step()

    def may_die(self, what: str) -> None:
        """Likewise, inside a transaction."""
        del what
        self.step()


@dataclass(frozen=True)
class Job:
    """A job of the product, as a school meets it.

    Attributes:
        prepared: What stands on both sides before: a share of all places.
        change: What happens at the portal.
    """

    name: str
    classes: int
    pupils_a_class: int
    prepared: float
    change: Callable[[World, Random], None]


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job killed at many points.

    Attributes:
        points: Points of the job.
        operations: Objects that the job writes.
        kills: Points at which it was killed.
        worlds: How many different worlds the kills have left.
        ends: How many different ones those became; 0 where not each kill was played.
        pairs: Second kills during a recovery.
        failures: What did not hold, with the point or the two points.
    """

    job: str
    points: int
    operations: int
    kills: int
    worlds: int
    ends: int
    pairs: int
    failures: list[str]


def set_one_mark(world: World, rng: Random) -> None:
    """A teacher sets one mark."""
    empty = [place for place in _marks(world) if world.portal.causes[place.key].now is None]
    world.portal.set(rng.choice(empty), "4")


def fill_class(world: World, rng: Random) -> None:
    """A class that was never sent before, with all its marks, absences and the homework."""
    for place in world.school.places:
        world.portal.set(place, _value(place, rng))


def fifty_changes(world: World, rng: Random) -> None:
    """A night's work: so many places set, changed or cleared that fifty are written; the others wait for a person."""
    tomorrow = max(world.school.days)
    held = {place.key for place in world.school.places if world.portal.causes[place.key].now is not None}
    absences = [place for place in world.school.places if place.kind is Kind.ABSENCE and place.key in held]
    # few are cleared: a list that shrinks to half is refused, and where many are to be deleted the guard asks
    cleared = {place.key for place in rng.sample(absences, 3)}
    candidates = [
        place
        for place in world.school.places
        if place.lesson_on < tomorrow
        and (place.kind is not Kind.ABSENCE or place.key in cleared or place.key not in held)
    ]
    for place in rng.sample(candidates, FIFTY_AND_HELD):
        before = world.portal.causes[place.key].now
        new = None if place.key in cleared else next(value for value in _values(place) if value != before)
        world.portal.set(place, new)


JOBS = (
    Job(name="mark", classes=1, pupils_a_class=PUPILS_A_CLASS, prepared=0.4, change=set_one_mark),
    Job(name="class", classes=1, pupils_a_class=PUPILS_A_CLASS, prepared=0.0, change=fill_class),
    Job(name="night", classes=2, pupils_a_class=7, prepared=0.6, change=fifty_changes),
)
"""The reference jobs: a mark set, a class on demand, a night of fifty operations."""


WARMING = Job(name="warming", classes=1, pupils_a_class=PUPILS_A_CLASS, prepared=0.6, change=set_one_mark)


def kill_everywhere(
    job: Job,
    folder: Path,
    *,
    seed: int = 1,
    chosen: Callable[[int], Collection[int]] = lambda points: range(1, points + 1),
    pairs: Callable[[int], Mapping[int, Collection[int]]] = lambda _points: {},
    is_each_played: bool = False,
) -> Killed:
    """Run a job and kill it.

    Args:
        job: Which.
        folder: For the database and its copies.
        seed: Decides values and restarts.
        chosen: Of so many points of the job, those at which it is killed; all by default.
        pairs: Of so many points, the first kill → the points of its recovery at which it is killed again.
        is_each_played: Also where a kill leaves the same world as another: shows that they end the same.
    """
    _pass(
        prepare(WARMING, folder, seed)
    )  # every statement is put together here, and not in each of a thousand children
    world = prepare(job, folder, seed)
    gc.collect()
    gc.freeze()
    try:
        points, operations = msgspec.json.decode(_fork(partial(_count, world, folder)), type=tuple[int, int])
        return _run_killed(
            job, world, folder, points, operations, frozenset(chosen(points)), pairs(points), is_each_played
        )
    finally:
        gc.unfreeze()


def _run_killed(
    job: Job,
    world: World,
    folder: Path,
    points: int,
    operations: int,
    chosen: frozenset[int],
    pairs: Mapping[int, Collection[int]],
    is_each_played: bool,
) -> Killed:
    failures: list[str] = []
    told_of: dict[str, _Told] = {}
    ends: set[tuple[str, str]] = set()
    at = paired = 0

    def step() -> None:
        nonlocal at, paired
        at += 1
        if at in chosen:
            left = digest_world(world)
            if is_each_played or left not in told_of:
                told_of[left] = _decode(_fork(partial(_survive, world, folder)))
            ends.add((left, told_of[left].end))
            failures.extend(f"{job.name}, killed at {at}: {line}" for line in told_of[left].failures)
        if at in pairs:
            told = _decode(_fork(partial(_survive, world, folder, frozenset(pairs[at]))))
            paired += told.again
            lines = told.failures
            failures.extend(f"{job.name}, killed at {at} and again: {line}" for line in lines)

    world.stage.step = step  # type: ignore[attr-defined]  # the stage of `prepare`
    _pass(world)
    world.stage.step = lambda: None  # type: ignore[attr-defined]  # likewise
    if at != points:
        failures.append(f"{job.name}: {points} points the first time, {at} the second")
    _finish(world)
    return Killed(
        job=job.name,
        points=points,
        operations=operations,
        kills=len(chosen),
        worlds=len(told_of),
        ends=len(ends) if is_each_played else 0,
        pairs=paired,
        failures=failures,
    )


def prepare(job: Job, folder: Path, seed: int) -> World:
    """A world in which everything is agreed that stands there, and something has just changed at the portal."""
    rng = Random(seed)  # noqa: S311  # repeatable on purpose
    for old in folder.glob(f"{job.name}.sqlite*"):
        old.unlink()
    world = World(
        seed,
        shaped=partial(_shape, classes=job.classes),
        stage=KillStage(seed),
        make_store=partial(StageStore.on_disk, folder / f"{job.name}.sqlite"),
        pupils_a_class=job.pupils_a_class,
    )
    for place in world.school.places:
        if rng.random() < job.prepared:
            world.portal.set(place, _value(place, rng))
    if job.prepared:
        _finish(world)
    world.stage.sleep(1.0)
    job.change(world, rng)
    return world


def _shape(drawn: Climate, *, classes: int) -> Climate:
    return dataclasses.replace(calm(drawn), classes=classes)


def _count(world: World, folder: Path) -> bytes:
    """Run the job once without a kill, in a child: how many points it has and how many operations."""
    at = 0

    def step() -> None:
        nonlocal at
        at += 1

    before = count_operations(world.store)
    world.stage.step = step  # type: ignore[attr-defined]  # the stage of `prepare`
    _move_in(world, folder)
    _pass(world)
    return msgspec.json.encode((at, count_operations(world.store) - before))


def _survive(world: World, folder: Path, again: frozenset[int] = frozenset()) -> bytes:
    """The world after a kill, in a child: fresh processes finish the work; with `again`, killed there once more."""
    _move_in(world, folder)
    at, failures = 0, list[str]()
    told_of: dict[str, _Told] = {}

    def step() -> None:
        nonlocal at
        at += 1
        if at in again:
            left = digest_world(world)
            if left not in told_of:
                told_of[left] = _decode(_fork(partial(_survive, world, folder)))
            failures.extend(f"at {at}: {line}" for line in told_of[left].failures)

    world.stage.step = step  # type: ignore[attr-defined]  # the stage of `prepare`
    world.stage.sleep(RESTART_S)
    try:
        _finish(world)
    except Violation as violation:
        failures.append(str(violation))
    for copy in folder.glob(f"{os.getpid()}.sqlite*"):
        copy.unlink()
    told = _Told(
        again=sum(1 for one in again if one <= at), failures=failures, end=digest_world(world, with_files=False)
    )
    return msgspec.json.encode(told)


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a child says of its world.

    Attributes:
        again: How many of the second kills its recovery came to.
        end: What it looked like at the end, without its database: of that pseudonyms are drawn by chance.
    """

    again: int
    failures: list[str]
    end: str


_UNSEEN = (Store, type(threading.Lock()), type(threading.RLock()))
"""The database is looked at by its files; a lock says nothing where one process moves at a time."""


class _Seen(pickle.Pickler):
    """Puts down everything that can differ between two worlds of one job; what only acts says what it is."""

    def reducer_override(self, seen: Any) -> Any:
        if isinstance(seen, Stage):
            return str, (repr((seen.elapsed_s, seen.trace_hash, seen.rng.getstate(), seen.crashes, seen.pauses)),)
        if isinstance(seen, (FunctionType, MethodType)):
            return str, (seen.__qualname__,)
        return (str, (type(seen).__name__,)) if isinstance(seen, _UNSEEN) else NotImplemented


def digest_world(world: World, *, with_files: bool = True) -> str:
    """A digest of what whoever comes next, and the judge, would find here."""
    file = io.BytesIO()
    _Seen(file, protocol=5).dump((world.stage, world.portal, world.city, world.mail, world.sky, world.oracle))
    digest = hashlib.sha256(file.getbuffer())
    for left in (Path(f"{world.store.path}{ending}") for ending in DATABASE_FILES if with_files):
        digest.update(_read(left))
    return digest.hexdigest()


_DESCRIPTORS: dict[tuple[int, int], int] = {}
"""Of the files that were read, by device and number, and never closed: to close one lets go of every lock that this process
has on the file. A child that then closed what it has inherited took itself for the last one there and removed the log of a
database that its parent was reading.

Source: SQLite, "How to corrupt an SQLite database file", 2.2 (POSIX locks cancelled by a separate close).
"""


def _read(path: Path) -> bytes:
    """All bytes of a database's file; a dash where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return b"-"
    key = (found.st_dev, found.st_ino)
    if key not in _DESCRIPTORS:
        _DESCRIPTORS[key] = os.open(path, os.O_RDONLY)
    return os.pread(_DESCRIPTORS[key], found.st_size, 0)


def _move_in(world: World, folder: Path) -> None:
    """Take the database as the dead process left it: a copy of its file and of its log, and nothing of its memory."""
    dead = world.store
    path = folder / f"{os.getpid()}.sqlite"
    for ending in DATABASE_FILES:
        left = Path(f"{dead.path}{ending}")
        if left.exists():
            shutil.copyfile(left, f"{path}{ending}")
    _DEAD.append(dead)
    world.store = world.oracle.store = StageStore.on_disk(path, world.stage)
    world.counts.doors.clear()


_DEAD: list[StageStore] = []
"""Kept, because a connection that is collected would be closed, and a killed process closes nothing."""


def _finish(world: World) -> None:
    """Run until nothing moves, then hear the judge.

    Raises:
        Violation: Something does not hold.
    """
    for _ in range(MAX_PASSES):
        before = count_operations(world.store)
        if _pass(world) and count_operations(world.store) == before and not is_unproven(world.store):
            break
    else:
        raise Violation("I7", f"not quiet after {MAX_PASSES} passes")
    differing = check_end(world.oracle, has_restored=False)
    if not differing.keys() <= NOT_YET:
        raise Violation("I1", f"differs for {sorted(differing)}")


def _pass(world: World) -> bool:
    """Run once, let out what a person has to approve, deliver and read back; False where it came to no end."""
    gateway = world.open_gateway("operator")
    operator = Operator(world)
    operator.replay(gateway)
    for _ in range(MAX_TURNS):
        if Runner(world, "run").run():
            break
        world.stage.sleep(RESTART_S)  # the turn of a run that was killed is free again after a while
    else:
        return False
    operator.approve(gateway, is_whole=True)
    life = Life(world, "worker", Sending(world.climate, world.stage))
    for _ in range(100):
        moved = life.step()
        if not what_moves(world.store):
            return True
        if not moved:
            world.stage.sleep(30.0)
    return False


def _fork(then: Callable[[], bytes]) -> bytes:
    """Do something in a child, and what it returned.

    Raises:
        RuntimeError: The child failed; with its traceback.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        told = b"!"
        try:
            told = then()
        except BaseException:  # noqa: BLE001  # a child must say why it failed and must not come back into its parent's frames
            told = b"!" + traceback.format_exc()[-3000:].encode()
        finally:
            os.close(reading)
            with open(writing, "wb") as pipe:  # noqa: PTH123  # a descriptor
                pipe.write(told)
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123  # a descriptor
        told = pipe.read()
    os.waitpid(pid, 0)
    if told.startswith(b"!"):
        raise RuntimeError(told[1:].decode())
    return told


def _decode(told: bytes) -> _Told:
    return msgspec.json.decode(told, type=_Told)


def _marks(world: World) -> list[Place]:
    tomorrow = max(place.lesson_on for place in world.school.places)
    return [place for place in world.school.places if place.kind is Kind.MARK and place.lesson_on < tomorrow]


def _values(place: Place) -> tuple[str, ...]:
    if place.kind is Kind.MARK:
        return MARKS
    return (ABSENCE_VALUE,) if place.kind is Kind.ABSENCE else ("§ 1", "§ 2")


def _value(place: Place, rng: Random) -> str:
    return rng.choice(_values(place))


def draw_pairs(points: int, *, count: int, seed: int) -> Mapping[int, Collection[int]]:
    """Draw pairs of points: some first kills, each with several second ones, which share the way to it."""
    rng = Random(seed)  # noqa: S311  # repeatable on purpose
    drawn: dict[int, set[int]] = {}
    while sum(map(len, drawn.values())) < count:
        first = rng.randint(1, points)
        room = max(20, points - first)
        drawn.setdefault(first, set()).update(rng.sample(range(1, room + 1), min(room, 10)))
    return drawn


__all__ = ["JOBS", "Job", "KillStage", "Killed", "digest_world", "draw_pairs", "kill_everywhere", "prepare"]
