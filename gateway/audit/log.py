"""The one writer of `audit_entry`. A deed and its entry are committed together or not at all (law 9).

Checkpoints are written with the entry that reaches them; the second sink is fed after the commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, insert, select

from gateway.audit.chain import FORMAT, GENESIS, entry_hash, to_text
from gateway.audit.checkpoint import Seal, is_due, seal
from gateway.audit.deed import STREAMS, Actor, Deed, Stream
from gateway.audit.outage import Outage
from gateway.audit.redact import check_deed, is_code
from gateway.audit.sink import SinkFile
from gateway.audit.subjects import place_digest
from gateway.audit.table import audit_entry
from gateway.domain.errors import AuditError, ConfigurationError
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store
from gateway.store.turns import take_turn
from gateway.telemetry import get_logger

LOG = get_logger(__name__)

# built once: putting a statement together costs more than running it
_APPEND = insert(audit_entry)
_HEAD = (
    select(audit_entry.c.seq, audit_entry.c.hash)
    .where(audit_entry.c.stream == bindparam("stream"))
    .order_by(audit_entry.c.seq.desc())
    .limit(1)
)

_SELF = Actor(kind="service", name="audit")


class AuditLog:
    """Appends deeds to the two chains.

    Args:
        store: Where deed and entry are.
        environment: Written into every entry, so that a sandbox's log is never taken for the real one.
        code_version: Version of the gateway.
        tick: Monotonic nanoseconds, which show a clock that was set back.
        sink: Where committed entries are copied to; None for tests and for who wants none. Call `feed` at the start:
            it adds what an earlier process has left.
        stop_without_sink_s: How long the sink may be unwritable before nothing more is done; None for ever.

    Raises:
        ConfigurationError: `environment` or `code_version` is not a code.
    """

    def __init__(
        self,
        store: Store,
        *,
        environment: str,
        code_version: str,
        tick: Callable[[], int] = time.monotonic_ns,
        sink: SinkFile | None = None,
        stop_without_sink_s: float | None = None,
    ) -> None:
        if not is_code(environment):
            raise ConfigurationError("audit.environment: только латинские буквы, цифры и знаки _.:/@+-")
        if not is_code(code_version):
            raise ConfigurationError("Версия программы записана не кодом")
        self._store = store
        self._environment = environment
        self._code_version = code_version
        self._tick = tick
        self._sink = sink
        self._outage = None if sink is None else Outage(store, sink.name, stop_after_s=stop_without_sink_s)

    def append(self, conn: Connection, deed: Deed, *, is_run_end: bool = False) -> int:
        """Append one deed in the caller's transaction.

        Args:
            is_run_end: Close both chains with a checkpoint after it.

        Returns:
            Its number in its stream, from 1 without gaps.

        Raises:
            AuditError: It can't be written. The caller's whole transaction is rolled back already, so that the deed is
                not done even if the error is swallowed.
        """
        return self.append_many(conn, [deed], is_run_end=is_run_end)[0]

    def append_many(self, conn: Connection, deeds: Sequence[Deed], *, is_run_end: bool = False) -> list[int]:
        """Append several deeds in their order; numbers as given by `append`, one for each.

        Raises:
            AuditError: As `append`; none of them is written.
        """
        if not deeds:
            return []
        try:
            for deed in deeds:
                check_deed(deed)
            self._require_sink(conn)
            streams: set[Stream] = set(STREAMS) if is_run_end else {deed.stream for deed in deeds}
            epoch = get_epoch(conn)
            # from here to the commit everybody else waits: what can be asked before is.
            # in one order everywhere: two transactions that take the heads crosswise would wait for each other
            heads = {stream: self._load_head(conn, stream) for stream in sorted(streams)}
            sizes = {stream: seq for stream, (seq, _) in heads.items()}
            rows = self._build_rows(conn, deeds, heads, epoch)
            conn.execute(_APPEND, rows)
            seals: list[Seal] = []
            for stream, (seq, _) in heads.items():
                if is_run_end or is_due(sizes[stream], seq):
                    seals += seal(conn, stream, is_end=is_run_end)
            if self._sink is not None:
                self._store.after_commit(partial(self.feed, rows, seals))
        except AuditError:
            _undo(conn)
            raise
        except Exception as exc:
            # whatever it was, even a fault of ours: what can't be written down must not be done (law 9)
            _undo(conn)
            raise AuditError("Запись аудита не сделана, поэтому и действие отменено") from exc
        return [row["seq"] for row in rows]

    @property
    def sink_path(self) -> Path | None:
        """The second sink's file; None where there is none."""
        return None if self._sink is None else self._sink.path

    def find_sink_outage(self) -> datetime | None:
        """Since when (aware UTC) the second sink can't be written; None while all is well or there is none."""
        return None if self._outage is None else self._outage.find_since()

    def feed(self, fresh: Sequence[Mapping[str, Any]] = (), seals: Sequence[Seal] = ()) -> bool:
        """Copy to the sink what has been committed; whether it has everything now.

        Args:
            fresh: Entries committed a moment ago, as `SinkFile.feed` takes them.
            seals: Checkpoints committed with them.

        Never raises: what was committed is done, whether its copy is or not. A sink that can't be written is noted in
        the store and in the chain, and logged, once.
        """
        if self._sink is None or self._outage is None:
            return True
        try:
            try:
                self._sink.feed(self._store, fresh, seals)
            except (OSError, AuditError) as exc:
                if self._outage.note_failure():
                    LOG.error("audit.sink_failed", code=type(exc).__name__)
                    self._tell(self._outage, action="sink.failed", outcome="refused")
                return False
            if self._outage.note_success():
                LOG.info("audit.sink_recovered")
                self._tell(self._outage, action="sink.recovered", outcome="applied")
        except Exception:
            # after a commit nothing may raise: the caller would take his deed for undone and do it again
            LOG.exception("audit.feeding_failed")
            return False
        return True

    def _tell(self, outage: Outage, *, action: str, outcome: str) -> None:
        with self._store.write() as conn:
            self.append(
                conn, Deed(action=action, actor=_SELF, object_type="sink", object_id=outage.name, outcome=outcome)
            )

    def _require_sink(self, conn: Connection) -> None:
        """Refuse where a school wants no deed without its copy; tried once more before."""
        if self._outage is None or self._sink is None or not self._outage.is_over(self._store.now(conn)):
            return
        try:
            self._sink.feed(self._store)
        except (OSError, AuditError) as exc:
            raise AuditError(
                "Второй приёмник аудита не пишется дольше, чем разрешает audit.stop_without_sink_hours: действия остановлены"
            ) from exc

    def _build_rows(
        self, conn: Connection, deeds: Sequence[Deed], heads: dict[Stream, tuple[int, str]], epoch: int
    ) -> list[dict[str, Any]]:
        at = to_text(self._store.now(conn))
        rows = []
        for deed in deeds:
            seq, prev_hash = heads[deed.stream]
            row = {
                **_to_columns(deed),
                "seq": seq + 1,
                "format": FORMAT,
                "at": at,
                "tick_ns": self._tick(),
                "environment": self._environment,
                "epoch": epoch,
                "code_version": self._code_version,
                "prev_hash": prev_hash,
            }
            row["hash"] = entry_hash(row)
            heads[deed.stream] = (seq + 1, row["hash"])
            rows.append(row)
        return rows

    def _load_head(self, conn: Connection, stream: Stream) -> tuple[int, str]:
        """Number and hash of the last entry; on PostgreSQL the next one waits here for our commit."""
        take_turn(conn, f"end of the chain of {stream}")
        row = conn.execute(_HEAD, {"stream": stream}).one_or_none()
        return (0, GENESIS) if row is None else (row.seq, row.hash)


def _to_columns(deed: Deed) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "stream": deed.stream,
        "actor_kind": deed.actor.kind,
        "actor": deed.actor.name,
        "actor_role": deed.actor.role,
        "is_authenticated": int(deed.actor.is_authenticated),
        "originator": deed.originator,
        "action": deed.action,
        "place": None if deed.place is None else place_digest(deed.place),
        "object_type": deed.object_type,
        "object_id": deed.object_id,
        "subject": deed.subject,
        "run_id": deed.run_id,
        "operation_id": deed.operation_id,
        "fence": deed.fence,
        "plan_hash": deed.plan_hash,
        "reason": deed.reason,
        "rule_version": deed.rule_version,
        "old_digest": deed.old_digest,
        "new_digest": deed.new_digest,
        "city_id": None if deed.city_id is None else str(deed.city_id),
        "outcome": deed.outcome,
        "counts": None if deed.counts is None else _to_json(deed.counts),
        "note_id": None if deed.note is None else deed.note.id,
        "note_digest": None if deed.note is None else deed.note.digest,
        "source_address": deed.source_address,
        "request_id": deed.request_id,
    }
    # a StrEnum would be bound differently by the two drivers
    return {name: str.__str__(value) if isinstance(value, str) else value for name, value in columns.items()}


def _to_json(counts: Mapping[str, int]) -> str:
    return msgspec.json.encode(counts, order="sorted").decode()


def _undo(conn: Connection) -> None:
    transaction = conn.get_transaction()
    if transaction is not None and transaction.is_active:
        transaction.rollback()
