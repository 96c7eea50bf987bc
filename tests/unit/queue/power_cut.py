"""Power cuts: a disk that forgets what was not synced, under SQLite itself, and the product's own statements on it.

The statements of a job are taken down as the product makes them and replayed through apsw, whose SQLite speaks to files
in memory. After every single write, truncation and sync the power may be cut: of what was written since the last sync
each write is kept, dropped or torn at a sector's edge, whatever the others are. The image is then opened as after a
restart and judged: it must be undamaged and hold exactly the state after one commit, at least the last acknowledged one.

Source: SQLite's own `test6.c` and `test/crash*.test` work the same way; measured before as M11 of the design.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import apsw
from sqlalchemy import Engine, event

SECTOR_BYTES = 512
DATABASE = "/power.sqlite"
MARK = "power_cut"
"""One row, counted up inside each transaction, so that an image tells which commit it holds."""


class PowerFile:
    """A file as its process sees it, beside what of it would outlive a power cut."""

    def __init__(self, disk: Disk, data: bytes = b"") -> None:
        self._disk = disk
        self.data = bytearray(data)
        self.durable = bytes(data)
        self.pending: list[tuple[int, bytes | None]] = []

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802  # SQLite's own names, as below
        return bytes(self.data[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.pending.append((offset, bytes(data)))
        _put(self.data, offset, data)
        self._disk.reach_point()

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self.pending.append((size, None))
        del self.data[size:]
        self._disk.reach_point()

    def xSync(self, _flags: int) -> None:  # noqa: N802
        self.durable = bytes(self.data)
        self.pending.clear()
        self._disk.reach_point()

    def xFileSize(self) -> int:  # noqa: N802
        return len(self.data)

    def xClose(self) -> None:  # noqa: N802
        pass

    def xLock(self, _level: int) -> None:  # noqa: N802
        pass

    def xUnlock(self, _level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, _op: int, _pointer: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0

    def cut(self, rng: random.Random) -> bytes:
        """What a power cut now might leave of the file."""
        left = bytearray(self.durable)
        for offset, data in self.pending:
            fate = rng.random()
            if fate < 0.4:
                continue
            if data is None:
                del left[offset:]
            elif fate < 0.8:
                _put(left, offset, data)
            else:
                for at in _sectors(offset, len(data)):
                    if rng.random() < 0.5:
                        _put(left, offset + at.start, data[at])
        return bytes(left)


class Disk(apsw.VFS):
    """Files in memory, by name. `on_point` is called after everything that a disk is told to do."""

    _numbers = itertools.count(1)

    def __init__(self, files: dict[str, bytes], on_point: Callable[[], None] = lambda: None) -> None:
        self.vfs_name = f"power{next(self._numbers)}"
        super().__init__(self.vfs_name, base="")
        self._on_point = on_point
        self.files = {name: PowerFile(self, data) for name, data in files.items()}

    def reach_point(self) -> None:
        self._on_point()

    def xOpen(self, name: Any, flags: list[int]) -> PowerFile:  # noqa: N802
        flags[1] = flags[0]
        key = name.filename() if isinstance(name, apsw.URIFilename) else name or f"/temporary{next(self._numbers)}"
        return self.files.setdefault(key, PowerFile(self))

    def xAccess(self, pathname: str, _flags: int) -> bool:  # noqa: N802
        return pathname in self.files

    def xDelete(self, filename: str, _syncdir: bool) -> None:  # noqa: N802
        self.files.pop(filename, None)

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name

    @contextmanager
    def connect(self, *pragmas: str) -> Iterator[apsw.Connection]:
        # exclusive, because shared memory of the log is the one thing that a VFS in Python can't give
        with closing(apsw.Connection(DATABASE, vfs=self.vfs_name)) as conn:
            for pragma in ("locking_mode=EXCLUSIVE", *pragmas):
                conn.execute(f"PRAGMA {pragma}").fetchall()
            yield conn


@dataclass
class Verdict:
    """What the images of one replay showed.

    Attributes:
        torn: Images that hold the state after no commit at all.
        lost: Images without an acknowledged commit.
        held: How many images hold the state after which commit.
        end: The state after the last one (`state_of`).
    """

    images: int = 0
    points: int = 0
    commits: int = 0
    corrupt: int = 0
    torn: int = 0
    lost: int = 0
    held: Counter[int] = field(default_factory=Counter)
    end: str = ""


@contextmanager
def take_down(engine: Engine) -> Iterator[tuple[bytes, list[str]]]:
    """The database as it is now, and every statement of the write transactions made meanwhile, values and all."""
    with engine.connect() as conn, closing(sqlite3.connect(":memory:")) as copy:
        source: Any = conn.connection.dbapi_connection
        source.backup(copy)
        copy.execute(f"CREATE TABLE {MARK} (n INTEGER NOT NULL)")
        copy.execute(f"INSERT INTO {MARK} VALUES (0)")
        copy.commit()
        image = copy.serialize()
    log: list[str] = []
    open_ones: dict[int, list[str]] = {}

    def note(number: int, statement: str) -> None:
        if statement.startswith("BEGIN"):
            open_ones[number] = []
        # each trigger that fires tells its statement once more; with its values, no other comes twice in a row
        if number in open_ones and [statement] != open_ones[number][-1:]:
            open_ones[number].append(statement)
            if statement == "COMMIT":
                log.extend(open_ones.pop(number))
            elif statement == "ROLLBACK":
                del open_ones[number]

    def begin(driver: Any, *_: object) -> None:
        driver.set_trace_callback(lambda statement: note(id(driver), statement))

    def end(driver: Any, *_: object) -> None:
        driver.set_trace_callback(None)

    event.listen(engine, "checkout", begin)
    event.listen(engine, "checkin", end)
    yield image, log
    event.remove(engine, "checkout", begin)
    event.remove(engine, "checkin", end)


def cut_everywhere(
    image: bytes, log: Sequence[str], *, synchronous: str, images_count: int, seed: int, checkpoint_pages: int
) -> Verdict:
    """Replay the log once, cut the power at each point of the disk's work, and judge what is left.

    Args:
        image: The database before the job.
        log: Its statements.
        synchronous: The setting under test.
        images_count: At least so many images, spread over all points evenly.
        seed: Of what becomes of each unsynced write.
        checkpoint_pages: SQLite's default of 1000 would hardly ever be reached by one job.
    """
    pragmas = ("journal_mode=WAL", f"synchronous={synchronous}", f"wal_autocheckpoint={checkpoint_pages}")
    # once in good weather, to know every state and how many points there are
    states, points = _replay(image, log, pragmas, lambda *_: None)
    verdict = Verdict(points=points, commits=len(states) - 1, end=states[-1])
    rng = random.Random(seed)

    def cut(disk: Disk, acknowledged: int) -> None:
        for _ in range(-(-images_count // points)):
            verdict.images += 1
            _judge({name: file.cut(rng) for name, file in disk.files.items()}, acknowledged, states, verdict)

    _replay(image, log, pragmas, cut)
    return verdict


def _replay(
    image: bytes, log: Sequence[str], pragmas: Sequence[str], cut: Callable[[Disk, int], None]
) -> tuple[list[str], int]:
    """Run the log. Returns the state after each commit, and how many points there were."""
    points = acknowledged = 0

    def on_point() -> None:
        nonlocal points
        points += 1
        cut(disk, acknowledged)

    disk = Disk({DATABASE: image}, on_point)
    with disk.connect(*pragmas) as conn:
        states = [state_of(conn)]
        for statement in log:
            if statement == "COMMIT":
                conn.execute(f"UPDATE {MARK} SET n = n + 1")  # a constant
            conn.execute(statement).fetchall()
            if statement == "COMMIT":
                acknowledged += 1
                states.append(state_of(conn))
        reached = points
    return states, reached


def _judge(files: dict[str, bytes], acknowledged: int, states: Sequence[str], verdict: Verdict) -> None:
    try:
        with Disk(files).connect() as conn:
            if conn.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                verdict.corrupt += 1
                return
            (held,) = conn.execute(f"SELECT n FROM {MARK}").fetchone()  # a constant
            state = state_of(conn)
    except apsw.Error:
        verdict.corrupt += 1
        return
    verdict.held[held] += 1
    verdict.torn += held >= len(states) or state != states[held]
    verdict.lost += held < acknowledged


def state_of(conn: apsw.Connection | sqlite3.Connection) -> str:
    """A digest of everything that a job writes to."""
    digest = hashlib.sha256()
    for table in ("operation", "attempt", "receipt", "base", "shadow", "decision", "audit_entry", "audit_checkpoint"):
        for row in conn.execute(f"SELECT * FROM {table} ORDER BY rowid"):  # constants
            digest.update(repr(row).encode())
    return digest.hexdigest()


def _put(data: bytearray, offset: int, part: bytes) -> None:
    if offset > len(data):
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(part)] = part


def _sectors(offset: int, length: int) -> Iterator[slice]:
    """Slices of a write that lie in one sector each."""
    start = 0
    while start < length:
        end = min(length, (offset + start) // SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - offset)
        yield slice(start, end)
        start = end
