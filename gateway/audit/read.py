"""Reading the chains: verify, look through, export. Flat in memory, in one snapshot each.

A chain alone finds an edit, a removal, a swap and an insertion; it can't find a cut-off tail or a chain hashed anew
(M19). For those `verify` takes checkpoints that were kept elsewhere; the stored ones it makes anew and compares.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Connection, Row, Select, or_, select
from sqlalchemy.exc import SQLAlchemyError

from gateway.audit import verifier
from gateway.audit.chain import GENESIS, entry_hash, from_text, salted_digest, to_text
from gateway.audit.checkpoint import EVERY_COUNT, Checkpoint, Seal, build_seal, iter_seals
from gateway.audit.deed import STREAMS, Stream
from gateway.audit.lines import build_line, build_mark
from gateway.audit.merkle import Frontier
from gateway.audit.table import audit_entry, human_note
from gateway.store.place import load_instance
from gateway.store.transaction import Store

T = TypeVar("T")

VERIFIER_NAME = "verify_audit.py"
"""The stand-alone verifier beside an export."""

_ROWS_AT_ONCE_COUNT = 500


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of one stream found.

    Attributes:
        entries: Entries found whole, counted from the first.
        first_broken_seq: Number of the first that is wrong or missing; None when all is well.
        sentence: For the operator, in Russian.
    """

    ok: bool
    entries: int
    first_broken_seq: int | None
    sentence: str
    head_hash: str


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One stored entry; the fields are those of `Deed` and of `AuditLog`."""

    stream: str
    seq: int
    at: datetime
    tick_ns: int
    environment: str
    epoch: int
    code_version: str
    actor_kind: str
    actor: str
    actor_role: str | None
    is_authenticated: bool
    originator: str | None
    action: str
    place: str | None
    object_type: str | None
    object_id: str | None
    subject: str | None
    run_id: int | None
    operation_id: int | None
    fence: int | None
    plan_hash: str | None
    reason: str | None
    rule_version: str | None
    old_digest: str | None
    new_digest: str | None
    city_id: str | None
    outcome: str | None
    counts: dict[str, int]
    note_id: int | None
    source_address: str | None
    request_id: str | None
    hash: str


class EntryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for; None does not narrow. `since` is included, `until` is not; `after_seq` pages one stream.

    Attributes:
        beginnings: Only actions that begin with one of these; empty does not narrow.
        limit: At most so many.
    """

    stream: Stream | None = None
    run_id: int | None = None
    operation_id: int | None = None
    subject: str | None = None
    action: str | None = None
    actor: str | None = None
    outcome: str | None = None
    object_id: str | None = None
    plan_hash: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after_seq: int | None = None
    beginnings: tuple[str, ...] = ()
    limit: int | None = None


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: entries, what each stream came to, SHA-256 of the file in hex."""

    entries: int
    checkpoints: dict[str, Checkpoint]
    file_sha256: str


def verify(store: Store, stream: Stream, *, checkpoints: Iterable[Checkpoint] = ()) -> VerifyReport:
    """Walk a chain from its first entry, make its checkpoints anew, and name the first broken link.

    Args:
        checkpoints: Earlier states kept elsewhere; they find a cut-off tail and a chain hashed anew. Those of another
            stream are passed over.
    """
    kept = sorted(
        # an empty chain is the beginning of every chain
        (given for given in checkpoints if given.stream == stream and given.count > 0),
        key=lambda given: given.count,
    )
    with store.read() as conn:
        tree, head = Frontier(), GENESIS
        seals = _Peekable(iter_seals(conn, stream))
        outside = _Peekable(kept)
        for row in _iter_rows(conn, stream):
            expected = tree.size + 1
            fault = "не читается" if row is None else _find_fault(row, expected, head)
            if row is None or fault is not None:
                # a number below the expected one is an entry pushed in before it
                broken = expected if row is None else min(expected, row.seq)
                return _report(stream, expected - 1, head, broken, fault or "")
            head = row.hash
            tree.push(head)
            fault = _find_checkpoint_fault(row, tree, seals, outside)
            if fault is not None:
                return _report(stream, expected - 1, head, expected, fault)
        if seals.next is not None:
            return _report(stream, tree.size, head, tree.size + 1, "отсутствует, а контрольная точка за ней есть")
    if outside.next is not None:
        return _report(stream, tree.size, head, tree.size + 1, "отсутствует, а в контрольной точке была")
    return _report(stream, tree.size, head, None, "")


def iter_entries(store: Store, where: EntryFilter | None = None) -> Iterator[AuditEntry]:
    """Go through entries by stream and number. The snapshot stays open until the iterator ends or is closed."""
    with store.read() as conn:
        for row in _stream(conn, _narrow(select(audit_entry), where or EntryFilter())):
            yield _to_entry(row)


def load_newest(
    conn: Connection, stream: Stream, *, subjects: Collection[str], before_seq: int, limit: int
) -> list[AuditEntry]:
    """Load entries about these pseudonyms, the newest first; `before_seq` pages them, 0 = from the newest."""
    table = audit_entry.c
    query = select(audit_entry).where(table.stream == stream, table.subject.in_(list(subjects)))
    if before_seq:
        query = query.where(table.seq < before_seq)
    return [_to_entry(row) for row in conn.execute(query.order_by(table.seq.desc()).limit(limit))]


def export(store: Store, path: Path) -> ExportReport:
    """Write both chains as lines and, last, the mark that says how many and what; and the verifier beside them.

    The file appears whole or not at all; typed notes are not in it. Readable by the owner only.

    Raises:
        OSError: The file can't be written.
    """
    part = path.with_name(f"{path.name}.part")
    content = hashlib.sha256()
    heads: dict[str, Checkpoint] = {}
    lines: list[str] = []
    with (
        store.read() as conn,
        os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
    ):
        for stream in STREAMS:
            tree, head = Frontier(), GENESIS
            for row in _stream(conn, _narrow(select(audit_entry), EntryFilter(stream=stream))):
                line = build_line(dict(row._mapping))
                content.update(line)
                file.write(line)
                head = row.hash
                tree.push(head)
            heads[stream] = Checkpoint(stream=stream, count=tree.size, root=tree.root(), head_hash=head)
            lines += [seal.line for seal in iter_seals(conn, stream)]
        mark = build_mark(
            {
                stream: {"count": end.count, "head_hash": end.head_hash, "root": end.root}
                for stream, end in heads.items()
            },
            lines,
            exported_at=to_text(store.now()),
            instance_id=load_instance(conn).instance_id,
            lines_sha256=content.hexdigest(),
        )
        content.update(mark)
        file.write(mark)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    path.with_name(VERIFIER_NAME).write_text(Path(verifier.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    return ExportReport(
        entries=sum(end.count for end in heads.values()), checkpoints=heads, file_sha256=content.hexdigest()
    )


class _Peekable(Generic[T]):
    """An iterator whose next item can be looked at."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self.next = next(self._items, None)

    def take(self) -> T | None:
        taken, self.next = self.next, next(self._items, None)
        return taken


def _find_checkpoint_fault(
    row: Row[Any], tree: Frontier, seals: _Peekable[Seal], outside: _Peekable[Checkpoint]
) -> str | None:
    """What is wrong with the stored or given checkpoints that close this entry."""
    is_closed = False
    while seals.next is not None and seals.next.size <= tree.size:
        if seals.take() != build_seal(row, tree):
            return "не совпадает с контрольной точкой в базе"
        is_closed = True
    while outside.next is not None and outside.next.count <= tree.size:
        kept = outside.take()
        if kept is not None and (kept.count, kept.root) != (tree.size, tree.root()):
            return "не совпадает с сохранённой контрольной точкой"
    if tree.size % EVERY_COUNT == 0 and not is_closed:
        return "должна закрываться контрольной точкой, а её нет"
    return None


def _find_fault(row: Row[Any], expected: int, head: str) -> str | None:
    fields = {column.name: getattr(row, column.name) for column in audit_entry.c}
    if row.seq != expected:
        return "отсутствует" if row.seq > expected else "лишняя"
    if row.prev_hash != head:
        return "не продолжает предыдущую"
    if entry_hash(fields) != row.hash:
        return "изменена"
    if row.note_id is not None and row.note_row is None:
        return "ссылается на примечание, которого нет"
    if row.note_text is not None and salted_digest(row.note_salt or b"", row.note_text.encode()) != row.note_digest:
        return "ссылается на примечание, текст которого изменён"
    return None


def _report(stream: str, entries: int, head: str, broken: int | None, fault: str) -> VerifyReport:
    sentence = (
        f"Журнал аудита «{stream}»: {entries} записей, цепочка цела."
        if broken is None
        else f"Журнал аудита «{stream}»: запись {broken} {fault}; целых записей до неё: {entries}."
    )
    return VerifyReport(ok=broken is None, entries=entries, first_broken_seq=broken, sentence=sentence, head_hash=head)


def _iter_rows(conn: Connection, stream: str) -> Iterator[Row[Any] | None]:
    """Rows of a stream with their notes, in order; None where one can't even be decoded, and nothing after it."""
    query = (
        select(
            audit_entry,
            human_note.c.id.label("note_row"),
            human_note.c.text.label("note_text"),
            human_note.c.salt.label("note_salt"),
        )
        .join(human_note, human_note.c.id == audit_entry.c.note_id, isouter=True)
        .where(audit_entry.c.stream == stream)
        .order_by(audit_entry.c.seq)
    )
    last: int | None = None
    try:
        for row in _stream(conn, query):
            yield row
            last = row.seq
    except (SQLAlchemyError, ValueError):
        # rows come in lots: the ones of this lot before the bad one are still to be checked, one at a time
        try:
            while True:
                after = query if last is None else query.where(audit_entry.c.seq > last)
                row_or_none = conn.execute(after.limit(1)).one_or_none()
                if row_or_none is None:
                    break
                yield row_or_none
                last = row_or_none.seq
        except (SQLAlchemyError, ValueError):
            yield None


def _stream(conn: Connection, query: Select[Any]) -> Iterator[Row[Any]]:
    # closed by name: a server-side cursor of PostgreSQL left to the garbage collector warns
    with conn.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE_COUNT}) as rows:
        yield from rows


def _narrow(query: Select[Any], where: EntryFilter) -> Select[Any]:
    table = audit_entry.c
    for name in ("stream", "run_id", "operation_id", "subject", "action", "actor", "outcome", "object_id", "plan_hash"):
        value = getattr(where, name)
        if value is not None:
            query = query.where(table[name] == value)
    if where.since is not None:
        query = query.where(table.at >= to_text(where.since))
    if where.until is not None:
        query = query.where(table.at < to_text(where.until))
    if where.after_seq is not None:
        query = query.where(table.seq > where.after_seq)
    if where.beginnings:
        query = query.where(or_(*(table.action.startswith(text, autoescape=True) for text in where.beginnings)))
    if where.limit is not None:
        query = query.limit(where.limit)
    return query.order_by(table.stream.desc(), table.seq)


def _to_entry(row: Row[Any]) -> AuditEntry:
    fields = dict(row._mapping)
    for name in ("format", "prev_hash", "note_digest"):
        del fields[name]
    fields["at"] = from_text(row.at)
    fields["is_authenticated"] = bool(row.is_authenticated)
    fields["counts"] = {} if row.counts is None else msgspec.json.decode(row.counts, type=dict[str, int])
    return AuditEntry(**fields)
