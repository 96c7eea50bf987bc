"""Fills an empty database with the schema that the migrations have made once in this process.

The migrations cost a third of a second of one core, and a thousand tests ask for an empty store. What they make is taken
from them and never written down: their own run in memory is copied into a SQLite file, and their own statements are said
again to PostgreSQL. Tests of the migrations (`tests/unit/store`) and whatever runs in another process migrate in earnest.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import pytest
from sqlalchemy import Engine, event

from gateway.store import schema
from gateway.store.engine import is_memory, make_engine

_migrate = schema.upgrade
_turn = threading.Lock()
_said: list[str] = []
"""The statements of PostgreSQL's migrations in their order, once they have run in this process."""


@contextmanager
def in_place_of_migrations() -> Iterator[None]:
    """A store that is opened on an empty database finds the schema at its head at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "upgrade", fill)
        yield


@contextmanager
def in_earnest() -> Iterator[None]:
    """Within `in_place_of_migrations`: the migrations themselves again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "upgrade", _migrate)
        yield


def fill(engine: Engine) -> None:
    """Stand for `schema.upgrade`; a database in which anything stands is really migrated."""
    with _turn:
        if not _is_empty(engine):
            _migrate(engine)
        elif engine.dialect.name == "sqlite":
            _copy(engine)
        elif _said:
            with engine.connect() as conn, conn.begin():
                cast("Any", conn.connection.driver_connection).execute(";\n".join(_said))
        else:
            _said.extend(_listen(engine))


def _is_empty(engine: Engine) -> bool:
    query = (
        "SELECT count(*) FROM sqlite_schema"
        if engine.dialect.name == "sqlite"
        else "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    )
    with engine.connect() as conn:
        return conn.exec_driver_sql(query).scalar_one() == 0


@cache
def _template() -> sqlite3.Connection:
    engine = make_engine("sqlite://")
    _migrate(engine)
    return cast("sqlite3.Connection", engine.raw_connection().driver_connection)


def _copy(engine: Engine) -> None:
    if is_memory(engine):
        _migrate(engine)
        return
    pooled = engine.raw_connection()
    try:
        _template().backup(cast("sqlite3.Connection", pooled.driver_connection))
    finally:
        pooled.close()


def _listen(engine: Engine) -> list[str]:
    """Migrate in earnest; what was said to the database to change it."""
    heard: list[str] = []

    def hear(_conn: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            return
        if parameters:
            raise AssertionError("a migration says a statement with parameters, which can not be said again as it is")
        heard.append(statement.replace("%%", "%"))  # the driver halves them only where there are parameters

    event.listen(engine, "before_cursor_execute", hear)
    try:
        _migrate(engine)
    finally:
        event.remove(engine, "before_cursor_execute", hear)
    return heard
