"""Since when the second sink can't be written. Kept in the store, because a command lives for seconds and an outage for days."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select

from gateway.audit.table import audit_sink
from gateway.store.transaction import Store, upsert


class Outage:
    """The state of one sink.

    Args:
        name: Code of the sink.
        stop_after_s: How long an outage may last before `is_over`; None for ever.
    """

    def __init__(self, store: Store, name: str, *, stop_after_s: float | None) -> None:
        self.name = name
        self._store = store
        self._stop_after = None if stop_after_s is None else timedelta(seconds=stop_after_s)
        self._since: datetime | None = None
        self._is_known = False

    def note_failure(self) -> bool:
        """Take down that the sink failed; whether this is the beginning."""
        self._learn()
        if self._since is not None:
            return False
        with self._store.write() as conn:
            self._since = self._store.now(conn)
            upsert(conn, audit_sink, [{"name": self.name, "failing_since": self._since}], ["name"], [])
        return True

    def note_success(self) -> bool:
        """Take down that the sink has everything; whether it had failed before."""
        self._learn()
        if self._since is None:
            return False
        with self._store.write() as conn:
            ended = conn.execute(delete(audit_sink).where(audit_sink.c.name == self.name)).rowcount
        self._since = None
        return ended == 1  # else another process has noted it

    def is_over(self, now: datetime) -> bool:
        """Whether the sink has been failing for longer than the school allows.

        Args:
            now: Aware UTC.
        """
        return self._stop_after is not None and self._since is not None and now - self._since > self._stop_after

    def find_since(self) -> datetime | None:
        """Aware UTC moment of the first failure; None while all is well."""
        self._learn()
        return self._since

    def _learn(self) -> None:
        if self._is_known:
            return
        with self._store.read() as conn:
            self._since = conn.execute(
                select(audit_sink.c.failing_since).where(audit_sink.c.name == self.name)
            ).scalar_one_or_none()
        self._is_known = True
