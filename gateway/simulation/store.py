"""The production store on a stage: before, inside and after each transaction an actor may be late or die.

The database is SQLite in memory, migrated once and copied for every seed; a snapshot of it is a backup.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Engine

from gateway.domain.clock import VirtualClock
from gateway.simulation.stage import Stage
from gateway.store.engine import make_engine
from gateway.store.transaction import Store

MEMORY_URL = "sqlite://"
_INSTANCE = UUID(int=1)


class StageStore(Store):
    """A store whose transactions are the stage's points. Nobody moves inside one: SQLite has one writer."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(_shared_engine(), stage)
        self._stage = stage
        pooled = self.engine.raw_connection()
        self.raw = cast("sqlite3.Connection", pooled.driver_connection)
        """The one connection, for oracles: no transaction of theirs, no point."""
        pooled.close()
        self.restore(migrated())

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self._stage.point("begin")
        with super().write() as conn:
            yield conn
            self._stage.may_die("commit")
        self._stage.point("committed")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self._stage.point("read")
        with super().read() as conn:
            yield conn

    def snapshot(self) -> bytes:
        """Copy the database as a backup does; call it outside a transaction."""
        return bytes(self.raw.serialize())

    def restore(self, image: bytes) -> None:
        """Put a copy in the database's place."""
        self.raw.deserialize(image)


@cache
def _shared_engine() -> Engine:
    """One for all seeds of a process, one after another: its compiled statements cost more than a seed's rows."""
    return make_engine(MEMORY_URL)


@cache
def migrated() -> bytes:
    """An empty database at the newest schema."""
    store = Store.open(MEMORY_URL, VirtualClock(datetime(2026, 9, 1, tzinfo=UTC)), new_instance_id=lambda: _INSTANCE)
    try:
        pooled: Any = store.engine.raw_connection()
        return bytes(pooled.driver_connection.serialize())
    finally:
        store.close()
