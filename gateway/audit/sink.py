"""The second sink: a file to which every committed entry is added, beside or away from the database.

Fed from the table after the commit, so that a deed rolled back never reaches it. The file is its own cursor: its last
lines say how far it has come, and what is missing (a crash between commit and line, an outage) is added when it is next
opened or appended to. A file that can't be written costs nothing but room in the table, which has it all. Every process
of the machine adds to the same file, one at a time by a lock on it. Nobody waits long for that lock: a process that stands
still with it must not keep the others, and the emergency stop, waiting with it.

Flushed to disk at every checkpoint and run's end, not at every line: what a power cut takes of the last hundred lines
is added again from the table. A torn last line is cut off first. A restored database shows as a fork: the file goes on
from the last entry that both have, and keeps what the database has lost (M16); `sink_read` says so with numbers.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from gateway.audit.chain import GENESIS
from gateway.audit.checkpoint import Seal, iter_seals
from gateway.audit.deed import STREAMS, Stream
from gateway.audit.lines import MARK_START, Head, Mark, build_line, build_mark, read_line
from gateway.audit.sink_read import find_fork
from gateway.audit.table import audit_entry
from gateway.domain.errors import AuditError
from gateway.store.transaction import Store
from gateway.telemetry import get_logger

LOG = get_logger(__name__)

_LOT_COUNT = 500  # entries read and written at once: 0.4 MB
_BLOCK_BYTES = 1 << 20  # more than an unflushed stretch is long, so that one block holds a torn end
_FIRST_BYTES = b'{"action":'
_START = Head(0, GENESIS)
_TURN_S = 1.0
"""How long another process may be waited for. A lot is written in milliseconds and flushed in a tenth of a second."""
_LOOK_S = 0.005


class SinkFile:
    """The file, and where this process has last seen its end.

    Args:
        path: The file; made, readable by its owner only, when the first entry comes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.Lock()
        self._is_taken = False
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._heads: dict[str, Head] = {}

    @property
    def name(self) -> str:
        """A code for this file on this machine, without its path."""
        return "sink:" + hashlib.sha256(f"{platform.node()}\0{self.path.absolute()}".encode()).hexdigest()[:16]

    def feed(self, store: Store, fresh: Sequence[Mapping[str, Any]] = (), seals: Sequence[Seal] = ()) -> None:
        """Add what has been committed since the file's last line.

        Args:
            store: Whose table has it all.
            fresh: Entries committed a moment ago, all columns. Where the file is just before them they are written as
                they are, which spares a reading of the table; else the table is read.
            seals: Checkpoints committed with them.

        Raises:
            OSError: The file can't be read or written, or another process does not let go of it; the next call goes on.
            AuditError: The file holds something that is no line of the log, or the table's chain has a hole.
        """
        with self._turn, self._opened() as fd:
            try:
                self._take_up(fd)
                if not fresh or not self._add(fd, fresh, seals):
                    with store.read() as conn:
                        for stream in STREAMS:
                            self._copy(conn, fd, stream)
            except BaseException:
                self._file = None  # half a line may be there: look at the file anew
                raise

    @contextmanager
    def _opened(self) -> Iterator[int]:
        # opened each time: a file that was moved away is noticed, and nothing is held open between deeds
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._lock(fd)
            yield fd
        finally:
            os.close(fd)

    def _lock(self, fd: int) -> None:
        """Lock the file; once it was waited for in vain, it is only tried until it is free again."""
        give_up_at = time.monotonic() + (0.0 if self._is_taken else _TURN_S)
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= give_up_at:
                    self._is_taken = True
                    raise
                time.sleep(_LOOK_S)
            else:
                self._is_taken = False
                return

    def _take_up(self, fd: int) -> None:
        """Learn what the file's last lines are; reads only what others have added since the last time."""
        stat = os.fstat(fd)
        file = (stat.st_dev, stat.st_ino)
        if file != self._file or stat.st_size < self._offset:
            self._offset = _find_last_mark(fd, _cut_torn_end(fd, stat.st_size))
            self._heads = dict.fromkeys(STREAMS, _START)
        elif stat.st_size == self._offset:
            return
        else:
            _cut_torn_end(fd, stat.st_size)
        self._file = file
        for line in _iter_lines(fd, self._offset):
            self._offset += len(line)
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            found = read_line(line)
        except ValueError as exc:
            raise AuditError("Файл второго приёмника аудита повреждён: в нём строка не из журнала") from exc
        if isinstance(found, Mark):
            self._heads |= found.streams
        else:
            self._heads[found.stream] = Head(found.seq, found.hash)

    def _copy(self, conn: Connection, fd: int, stream: Stream) -> None:
        table = audit_entry.c
        query = select(audit_entry).where(table.stream == stream).order_by(table.seq).limit(_LOT_COUNT)
        while True:
            head = self._heads[stream]
            # the last one known is asked for again: where it is missing or another, this is not the same chain
            rows = [dict(row._mapping) for row in conn.execute(query.where(table.seq >= head.count))]
            if head.count and (not rows or rows[0]["hash"] != head.head_hash):
                self._take_fork(conn, stream, head)
                continue
            new = rows[1:] if head.count else rows
            if new and not self._add(fd, new, list(iter_seals(conn, stream, after=head.count, upto=new[-1]["seq"]))):
                # a hole in the table must not become one in the file, which would then look like the one at fault
                raise AuditError("Журнал аудита в базе нарушен: проверьте его командой gateway audit verify")
            if len(rows) < _LOT_COUNT:
                return

    def _add(self, fd: int, rows: Sequence[Mapping[str, Any]], seals: Sequence[Seal]) -> bool:
        """Write entries that follow the file's last ones; nothing where they don't."""
        closed = {(row.stream, row.size): row.line for row in seals}
        heads = dict(self._heads)
        lines = []
        for row in rows:
            stream = row["stream"]
            if (row["seq"] - 1, row["prev_hash"]) != (heads[stream].count, heads[stream].head_hash):
                return False
            heads[stream] = Head(row["seq"], row["hash"])
            lines.append(build_line(row))
            if (stream, row["seq"]) in closed:
                lines.append(build_mark(heads, [closed[stream, row["seq"]]]))
        self._write(fd, b"".join(lines))
        if closed:
            os.fsync(fd)
        self._heads = heads
        return True

    def _take_fork(self, conn: Connection, stream: Stream, head: Head) -> None:
        fork, fork_hash = find_fork(conn, self.path, stream)
        LOG.warning("audit.sink_forked", stream=stream, seq=fork, lost_count=head.count - fork)
        self._heads[stream] = Head(fork, fork_hash)

    def _write(self, fd: int, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            written = os.write(fd, rest)
            self._offset += written
            rest = rest[written:]


def _cut_torn_end(fd: int, size: int) -> int:
    """Cut off a last line that has no end, or that a power cut has left as zeros; the file's size then.

    Raises:
        AuditError: More than a stretch is gone, or the file is not ours: a wrong path must not cost anybody's file.
    """
    if not _FIRST_BYTES.startswith(os.pread(fd, len(_FIRST_BYTES), 0)):
        raise AuditError("audit.sink_file: это не файл журнала аудита, в него ничего не записано")
    start = max(0, size - _BLOCK_BYTES)
    block = os.pread(fd, size - start, start)
    whole = block.rfind(b"\n", 0, block.find(b"\0") if b"\0" in block else len(block)) + 1
    if whole == len(block):
        return size
    if whole == 0 and start > 0:
        raise AuditError("Файл второго приёмника аудита повреждён: в его конце нет ни одной целой строки")
    os.ftruncate(fd, start + whole)
    os.fsync(fd)
    LOG.warning("audit.sink_repaired", cut_bytes=len(block) - whole)
    return start + whole


def _find_last_mark(fd: int, size: int) -> int:
    """Where the last mark begins; it tells the heads of all streams. 0 where there is none."""
    end = size
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        # a little of the next block too: the sought bytes may lie on the seam
        found = os.pread(fd, end - start + len(MARK_START), start).rfind(b"\n" + MARK_START)
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _iter_lines(fd: int, offset: int) -> Iterator[bytes]:
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(offset)
        yield from file
