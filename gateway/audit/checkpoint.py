"""Checkpoints: what a chain was at a size, short enough to be printed, mailed and kept where nobody here can reach it.

`AuditLog` writes one at every hundredth entry and at each run's end, in the transaction that reaches it. A row follows
from the chain alone (its moment, epoch and run are those of the entry that it closes), so that `read.verify` can make
every row anew. What is kept outside is a line, `deeds 1200 <root>`: the root stands for all entries up to that one.

Source: reliability.md M19 (a chain alone finds 0 of 60 truncations, with an outside checkpoint 60 of 60).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, insert, select

from gateway.audit.chain import GENESIS
from gateway.audit.deed import Stream
from gateway.audit.merkle import Frontier
from gateway.audit.table import audit_checkpoint, audit_entry
from gateway.domain.errors import AuditError
from gateway.telemetry import get_logger

LOG = get_logger(__name__)

EVERY_COUNT = 100
"""Entries between two checkpoints, at most: what a key holder may cut unseen is less than this (S25, E1)."""

_LINE = re.compile(r"\b(deeds|access) +([1-9][0-9]{0,17}) +([0-9a-f]{64})\b")
_ROWS_AT_ONCE_COUNT = 500
_NEWEST = (
    select(audit_checkpoint)
    .where(audit_checkpoint.c.stream == bindparam("stream"))
    .order_by(audit_checkpoint.c.size.desc())
    .limit(1)
)
_TAIL = (
    select(
        audit_entry.c.stream,
        audit_entry.c.seq,
        audit_entry.c.hash,
        audit_entry.c.at,
        audit_entry.c.epoch,
        audit_entry.c.run_id,
    )
    .where(audit_entry.c.stream == bindparam("stream"), audit_entry.c.seq > bindparam("size"))
    .order_by(audit_entry.c.seq)
)


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain was at a moment.

    Attributes:
        count: Entries.
        root: Merkle root over them, 64 hex digits.
        head_hash: Hash of the last one; None where only a line was kept.
    """

    stream: Stream
    count: int
    root: str
    head_hash: str | None = None

    @property
    def line(self) -> str:
        """The form that is kept outside; `find_checkpoints` reads it back."""
        return f"{self.stream} {self.count} {self.root}"


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """A stored checkpoint: a row of `audit_checkpoint`.

    Attributes:
        at: Moment of the entry that it closes, as entries spell it.
        frontier: The tree at that size, so that the next checkpoint goes on from here.
    """

    stream: Stream
    size: int
    root: str
    head_hash: str
    at: str
    epoch: int
    run_id: int | None
    frontier: str

    @property
    def line(self) -> str:
        """As `Checkpoint.line`."""
        return f"{self.stream} {self.size} {self.root}"


def find_checkpoints(text: str) -> list[Checkpoint]:
    """All checkpoint lines in a text: a report, a mail, an earlier export."""
    return [Checkpoint(stream=stream, count=int(count), root=root) for stream, count, root in _LINE.findall(text)]


def is_due(before: int, after: int) -> bool:
    """Whether a chain that grew from `before` to `after` entries passed a hundredth one."""
    return after // EVERY_COUNT > before // EVERY_COUNT


def seal(conn: Connection, stream: Stream, *, is_end: bool) -> list[Seal]:
    """Store the checkpoints that the chain has reached since the last one, in the caller's transaction.

    Over a chain with a hole nothing is stored: it would be a lie. That is logged, and `read.verify` names the hole.

    Args:
        is_end: Close the last entry too, whatever its number.

    Returns:
        What was stored.
    """
    rows: list[Seal] = []
    try:
        for row in _iter_reached(conn, stream, is_end=is_end):
            rows.append(row)  # noqa: PERF402  # what was reached before a fault is kept
    except ValueError:
        # a stored frontier or hash was tampered with: the deed can still be written down, its checkpoint can't
        LOG.error("audit.checkpoint_refused", stream=stream)
    if rows:
        conn.execute(insert(audit_checkpoint), [msgspec.structs.asdict(row) for row in rows])
    return rows


def find_newest_seal(conn: Connection, stream: Stream) -> Seal | None:
    """The newest stored checkpoint of a chain; None before the first."""
    row = conn.execute(_NEWEST, {"stream": stream}).one_or_none()
    return None if row is None else to_seal(row)


def iter_seals(
    conn: Connection, stream: Stream, *, after: int | None = None, upto: int | None = None
) -> Iterator[Seal]:
    """Go through the stored checkpoints of a chain by size, a lot at a time, so that another cursor may be open too.

    Args:
        after: Only larger ones.
        upto: Only those not larger.
    """
    table = audit_checkpoint.c
    query = select(audit_checkpoint).where(table.stream == stream).order_by(table.size).limit(_ROWS_AT_ONCE_COUNT)
    if upto is not None:
        query = query.where(table.size <= upto)
    while True:
        lot = conn.execute(query if after is None else query.where(table.size > after)).all()
        for row in lot:
            yield to_seal(row)
        if len(lot) < _ROWS_AT_ONCE_COUNT:
            return
        after = lot[-1].size


def load_checkpoint(conn: Connection, stream: Stream) -> Checkpoint:
    """What a chain is now, without verifying it: the last stored checkpoint and the entries after it.

    Raises:
        AuditError: Checkpoint or hash is no hex any more; `read.verify` names the place.
    """
    newest = find_newest_seal(conn, stream)
    head = GENESIS if newest is None else newest.head_hash
    try:
        tree = _grow_from(newest)
        for row in _load_tail(conn, stream, tree.size):
            tree.push(row.hash)
            head = row.hash
    except ValueError as exc:
        raise AuditError(f"Журнал аудита «{stream}» повреждён: проверьте его командой gateway audit verify") from exc
    return Checkpoint(stream=stream, count=tree.size, root=tree.root(), head_hash=head)


def build_seal(row: Row[Any], tree: Frontier) -> Seal:
    """The checkpoint that closes an entry.

    Args:
        row: The entry.
        tree: The tree over the chain up to it.
    """
    return Seal(
        stream=row.stream,
        size=tree.size,
        root=tree.root(),
        head_hash=row.hash,
        at=row.at,
        epoch=row.epoch,
        run_id=row.run_id,
        frontier=tree.to_text(),
    )


def to_seal(row: Row[Any]) -> Seal:
    """A row of `audit_checkpoint` as it is stored."""
    return Seal(**row._mapping)


def _iter_reached(conn: Connection, stream: Stream, *, is_end: bool) -> Iterator[Seal]:
    tree = _grow_from(find_newest_seal(conn, stream))
    last: Row[Any] | None = None
    sealed = tree.size
    for row in _load_tail(conn, stream, tree.size):
        if row.seq != tree.size + 1:
            raise ValueError("the chain has a hole")
        tree.push(row.hash)
        last = row
        if tree.size % EVERY_COUNT == 0:
            sealed = tree.size
            yield build_seal(row, tree)
    if is_end and last is not None and tree.size > sealed:
        yield build_seal(last, tree)


def _load_tail(conn: Connection, stream: Stream, size: int) -> list[Row[Any]]:
    return list(conn.execute(_TAIL, {"stream": stream, "size": size}))


def _grow_from(newest: Seal | None) -> Frontier:
    return Frontier() if newest is None else Frontier.from_text(newest.size, newest.frontier)
