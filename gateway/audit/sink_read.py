"""The second sink read back: what it has that the chain has not, and the reverse. Nothing is written here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from sqlalchemy import Connection, select

from gateway.audit.chain import GENESIS
from gateway.audit.deed import STREAMS, Stream
from gateway.audit.lines import Entry, Mark, is_whole, read_line
from gateway.audit.table import audit_entry
from gateway.domain.errors import AuditError
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store

_HASH_BYTES = 32


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that the sink has and the chain went on without: `first` to `last` of a stream, written in `epoch`."""

    first: int
    last: int
    epoch: int


class SinkStream:
    """What a sink holds of a stream.

    Attributes:
        epoch: Of its last entry.
        branches: What was overtaken when a restored database went on from an earlier entry.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.branches: list[Branch] = []
        self._hashes = bytearray()

    @property
    def size(self) -> int:
        """Entries of the newest branch."""
        return len(self._hashes) // _HASH_BYTES

    def hash_at(self, seq: int) -> str:
        """Hash of an entry of the newest branch; that before the first is the chain's beginning."""
        return self._hashes[(seq - 1) * _HASH_BYTES : seq * _HASH_BYTES].hex() if seq else GENESIS

    def add(self, entry: Entry) -> None:
        """Take the next line.

        Raises:
            ValueError: It continues neither the newest branch nor an earlier entry of it.
        """
        if not 1 <= entry.seq <= self.size + 1 or entry.prev_hash != self.hash_at(entry.seq - 1):
            raise ValueError("the line continues nothing")
        if entry.seq <= self.size:
            self.branches.append(Branch(first=entry.seq, last=self.size, epoch=self.epoch))
            del self._hashes[(entry.seq - 1) * _HASH_BYTES :]
        self._hashes += bytes.fromhex(entry.hash)
        self.epoch = entry.epoch


class SinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison of a stream found.

    Attributes:
        ok: Nothing is in the sink that the chain lacks, but for what a restore explains.
        entries: Entries that both have, counted from the first.
        pending: Entries of the chain that the sink has still to get.
        lost: Entries that the sink has and the chain has not, earlier branches included.
        is_restored: All of `lost` is from before a restore: the chain went on in a later epoch.
        sentence: For the operator, in Russian.
    """

    ok: bool
    entries: int
    pending: int
    lost: int
    is_restored: bool
    sentence: str


def read_sink(path: Path) -> dict[Stream, SinkStream]:
    """Read a sink from its first line to its last whole one, checking each line and that it continues one before.

    Raises:
        AuditError: A line is changed, removed or added; says which. Or the file can't be read.
    """
    found: dict[Stream, SinkStream] = {stream: SinkStream() for stream in STREAMS}
    number = 0
    try:
        for line in _iter_whole_lines(path):
            number += 1
            if not is_whole(line):
                raise ValueError("hash and line differ")
            content = read_line(line)
            if isinstance(content, Mark):
                _check_mark(content, found)
            else:
                found[content.stream].add(content)  # type: ignore[index]  # an unknown stream is a KeyError, caught below
    except OSError as exc:
        raise AuditError("Второй приёмник аудита не читается") from exc
    except (ValueError, KeyError) as exc:
        raise AuditError(
            f"Второй приёмник аудита нарушен: строка {number} изменена, вставлена или не на месте"
        ) from exc
    return found


def compare_sink(store: Store, path: Path) -> dict[Stream, SinkReport]:
    """Compare the sink with both chains, in one snapshot taken after the file was read.

    Raises:
        AuditError: As `read_sink`.
    """
    found = read_sink(path)
    with store.read() as conn:
        return {stream: _compare(conn, stream, found[stream]) for stream in STREAMS}


def find_fork(conn: Connection, path: Path, stream: Stream) -> tuple[int, str]:
    """Number and hash of the last entry that chain and sink have in common.

    Raises:
        AuditError: As `read_sink`.
    """
    held = read_sink(path)[stream]
    fork = _count_agreed(conn, stream, held)
    return fork, held.hash_at(fork)


def _iter_whole_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return  # being written, or torn: cut off at the next feeding
            yield line[:-1]


def _check_mark(mark: Mark, found: dict[Stream, SinkStream]) -> None:
    for stream, held in found.items():
        head = mark.streams[stream]
        # a mark may stand before the first line of the new branch, of which only the other stream knows nothing
        if head.count > held.size or head.head_hash != held.hash_at(head.count):
            raise ValueError("the mark says something else")


def _compare(conn: Connection, stream: Stream, held: SinkStream) -> SinkReport:
    common = _count_agreed(conn, stream, held)
    size = _count_entries(conn, stream)
    branches = list(held.branches)
    if held.size > common:
        branches.append(Branch(first=common + 1, last=held.size, epoch=held.epoch))
    is_restored = bool(branches) and all(_is_restored(conn, stream, branch) for branch in branches)
    lost = sum(branch.last - branch.first + 1 for branch in branches)
    return SinkReport(
        ok=not branches or is_restored,
        entries=common,
        pending=size - common,
        lost=lost,
        is_restored=is_restored,
        sentence=_build_sentence(stream, common, size - common, branches, is_restored=is_restored),
    )


def _build_sentence(stream: str, common: int, pending: int, branches: list[Branch], *, is_restored: bool) -> str:
    parts = [f"Второй приёмник «{stream}»: общих с базой записей {common}"]
    if pending:
        parts.append(f"ещё не переписано {pending}")
    if branches:
        ranges = ", ".join(f"{branch.first}–{branch.last} (эпоха {branch.epoch})" for branch in branches)
        count = sum(branch.last - branch.first + 1 for branch in branches)
        why = "база восстановлена из копии" if is_restored else "конец журнала отрезан или журнал переписан"
        parts.append(f"в приёмнике есть {count} записей, которых в базе нет: {ranges}; {why}")
    return "; ".join(parts) + "."


def _count_agreed(conn: Connection, stream: Stream, held: SinkStream) -> int:
    table = audit_entry.c
    query = select(table.seq, table.hash).where(table.stream == stream).order_by(table.seq)
    common = 0
    with conn.execute(query, execution_options={"yield_per": 5_000}) as rows:
        for row in rows:
            if row.seq != common + 1 or row.seq > held.size or row.hash != held.hash_at(row.seq):
                break
            common += 1
    return common


def _count_entries(conn: Connection, stream: Stream) -> int:
    table = audit_entry.c
    last = select(table.seq).where(table.stream == stream).order_by(table.seq.desc()).limit(1)
    return conn.execute(last).scalar_one_or_none() or 0


def _is_restored(conn: Connection, stream: Stream, branch: Branch) -> bool:
    """Whether the chain took another way in a later epoch, or can only do so: the database itself is in a later one."""
    table = audit_entry.c
    epoch = conn.execute(
        select(table.epoch).where(table.stream == stream, table.seq == branch.first)
    ).scalar_one_or_none()
    return (get_epoch(conn) if epoch is None else epoch) > branch.epoch
