"""The production store on a stage: before, inside and after each transaction an actor may be late or die.

The database is SQLite in memory, migrated once and copied for every seed; a snapshot of it is a backup.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Engine, event

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
        self.path: Path | None = None
        """Of the file; None in memory."""
        self.restore(migrated())

    @classmethod
    def on_disk(cls, path: Path, stage: Stage) -> StageStore:
        """A store in a file as the product has it, made empty where there is none; oracles read beside it."""
        if not path.exists():
            path.write_bytes(migrated())
        _FILE.append(path)
        engine = _file_engine()
        engine.dispose(close=False)  # connections of a process that was killed are not closed by its successor
        store = cls.__new__(cls)
        Store.__init__(store, engine, stage)
        store._stage = stage
        store.path = path
        store.raw = sqlite3.connect(path, isolation_level=None)
        return store

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


def forget_statements() -> None:
    """Let the next store in memory have a connection of its own; what was put together for the engine stays.

    A prepared statement over `json_each` does not outlive the database that a copy has replaced: it would crash the process.
    """
    _shared_engine().dispose()


_FILE: list[Path] = []
"""The file that new connections of `_file_engine` open: the last one."""


@cache
def _file_engine() -> Engine:
    """One for all files of a process, one after another, for the same reason."""
    engine = make_engine(f"sqlite:///{_FILE[-1]}")

    @event.listens_for(engine, "do_connect")
    def _redirect(_dialect: Any, _record: Any, arguments: list[Any], _named: dict[str, Any]) -> None:
        arguments[0] = str(_FILE[-1])

    return engine


@cache
def migrated() -> bytes:
    """An empty database at the newest schema."""
    store = Store.open(MEMORY_URL, VirtualClock(datetime(2026, 9, 1, tzinfo=UTC)), new_instance_id=lambda: _INSTANCE)
    try:
        pooled: Any = store.engine.raw_connection()
        return bytes(pooled.driver_connection.serialize())
    finally:
        store.close()
