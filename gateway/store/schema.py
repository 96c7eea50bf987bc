"""Bringing the database to the schema that this code knows; driven from here, described in `gateway.migrations`.

The scripts are found by the name of their package, so an installed wheel migrates without an `alembic.ini`, and the
store does not import the floors whose tables the scripts make.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import cast

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from gateway.domain.errors import ConfigurationError
from gateway.store.engine import READ_ONLY
from gateway.store.turns import take_turn

_LONGEST_WAIT = "120s"  # for another process that is migrating the same database


def make_config(**attributes: object) -> Config:
    """Make Alembic's configuration; `attributes` reach `migrations/env.py`."""
    config = Config()
    config.set_main_option("script_location", "gateway:migrations")
    config.attributes.update(attributes)
    return config


@cache
def head_revision() -> str:
    """The newest schema that this code knows; looked up once, because every opening of a store asks.

    Raises:
        ConfigurationError: The package was installed without its migrations.
    """
    head = ScriptDirectory.from_config(make_config()).get_current_head()
    if head is None:
        raise ConfigurationError("Пакет установлен без миграций базы")
    return head


def current_revision(engine: Engine) -> str | None:
    """The schema that the database has; None for an empty one."""
    with engine.connect() as conn:
        conn.info[READ_ONLY] = True
        return MigrationContext.configure(conn).get_current_revision()


def is_newer(engine: Engine) -> bool:
    """Whether the database was migrated by newer code than this."""
    current = current_revision(engine)
    return current is not None and not _is_known(current)


def upgrade(engine: Engine) -> None:
    """Bring the database to the head, in one transaction and by one process at a time.

    Raises:
        ConfigurationError: The database is newer than the code, or a foreign key would point nowhere afterwards.
    """
    with engine.connect() as conn, _without_foreign_keys(conn), conn.begin():
        if conn.dialect.name == "postgresql":
            conn.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": _LONGEST_WAIT})
            take_turn(conn, "migration")
        current = MigrationContext.configure(conn).get_current_revision()
        if current is not None and not _is_known(current):
            raise ConfigurationError(
                "База данных новее программы: установите версию не старше той, что работала с ней последней"
            )
        command.upgrade(make_config(connection=conn), "head")
        if conn.dialect.name == "sqlite" and conn.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
            raise ConfigurationError("Обновление базы оставило ссылку в никуда и отменено")


def _is_known(revision: str) -> bool:
    return any(script.revision == revision for script in ScriptDirectory.from_config(make_config()).walk_revisions())


@contextmanager
def _without_foreign_keys(conn: Connection) -> Iterator[None]:
    """SQLite changes a table by copying and dropping it, which enforced keys refuse; the pragma works only outside a
    transaction, hence on the driver's connection."""
    if conn.dialect.name != "sqlite":
        yield
        return
    raw = cast("sqlite3.Connection", conn.connection.dbapi_connection)
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")
