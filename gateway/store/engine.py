"""How a database is opened: the settings that keep a committed mark committed, set and then read back.

SQLite's defaults lose an acknowledged commit at a power cut (M11: WAL with synchronous=NORMAL) and keep 100 of 400
read-modify-writes (M17: pysqlite begins too late), both without an error; so nothing here is left to a default.
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, PoolProxiedConnection, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool

from gateway.domain.errors import ConfigurationError

READ_ONLY = "gateway_read_only"
"""Said in the `info` of a connection whose next transaction only reads."""

BUSY_TIMEOUT_MS = 5_000  # twenty times the longest write transaction that law 2 allows
IDLE_IN_TRANSACTION_TIMEOUT_MS = 120_000  # a plan is streamed out while its chunks are decided; a dead client is let go
POOL_COUNT = 8
POOL_OVERFLOW_COUNT = 40  # the most delivery threads that the settings allow, and the web's
CONNECT_S = 10  # a server that does not answer is asked again by whoever waits, as one that refuses is
_GONE = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A server whose machine vanished (power, a cut cable, a failover) says nothing: by the system's own times a thread would wait for
it for a quarter of an hour, with its claims in its hands. Half a minute to a minute here."""
_WAL_TIMEOUT_S = 10.0  # SQLite does not reliably apply its busy timeout to the switch to WAL
_WAL_WAIT_S = 0.05


def make_engine(url: str) -> Engine:
    """Make an engine whose every connection is set up and asserted as reliability.md §7.7 asks.

    Nothing is connected yet. The folder and an empty file of a SQLite database are made, readable by the owner only.

    Args:
        url: `sqlite:///path`, `sqlite://` (memory, for tests) or `postgresql+psycopg://…`.

    Raises:
        ConfigurationError: Unknown dialect or driver, driver not installed, file that can't be made. The URL is never
            named: it may hold a password.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _make_sqlite(parsed)
    return _make_postgresql(parsed)


def is_memory(engine: Engine) -> bool:
    """Whether all transactions share the one connection of a database in memory."""
    return isinstance(engine.pool, StaticPool)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:
        raise ConfigurationError("database.url не разобран: ожидается sqlite:///… или postgresql+psycopg://…") from exc
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return parsed.set(drivername="sqlite+pysqlite")
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        if importlib.util.find_spec("psycopg") is None:
            raise ConfigurationError(
                "database.url указывает на PostgreSQL, но драйвер не установлен: нужен пакет с дополнением [postgres]"
            )
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigurationError(
        f"database.url: база «{parsed.drivername}» не поддерживается; ожидается sqlite:///… или postgresql+psycopg://…"
    )


def _make_sqlite(url: URL) -> Engine:
    in_memory = url.database in (None, "", ":memory:")
    if in_memory:
        engine = create_engine(
            url, poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
        )
    else:
        _make_file(Path(str(url.database)))
        # hide_parameters: a failed statement's text would carry marks and names into a log
        engine = create_engine(
            url, pool_size=POOL_COUNT, max_overflow=POOL_OVERFLOW_COUNT, pool_timeout=30, hide_parameters=True
        )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin on its own (M17)
        _set_sqlite(connection, "memory" if in_memory else "wal")

    # in the dialect's place and not as an event: an engine that has one asks for listeners several times a statement
    engine.dialect.do_begin = _begin  # type: ignore[method-assign]  # of this engine's own dialect, and of no other's
    return engine


def _begin(dbapi_connection: PoolProxiedConnection) -> None:
    read_only = bool(dbapi_connection.info.pop(READ_ONLY, False))
    # through the driver: SQLAlchemy's own way to these two would cost half of a short transaction's time
    driver: Any = dbapi_connection.driver_connection
    driver.execute(f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
    # a deferred BEGIN that turns into a write fails at once with SQLITE_BUSY_SNAPSHOT whatever the timeout (M17)
    driver.execute("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # made here, because SQLite would make it readable by everybody; -wal and -shm take over these rights
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as exc:
        raise ConfigurationError(f"database.url: файл {path} не создаётся или не открывается") from exc


def _set_sqlite(connection: sqlite3.Connection, journal: str) -> None:
    wanted: dict[str, int | str] = {
        "busy_timeout": BUSY_TIMEOUT_MS,
        "journal_mode": journal,
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "recursive_triggers": 1,  # without it INSERT OR REPLACE deletes a row past the trigger that refuses DELETE
    }
    for name, value in wanted.items():
        if name == "journal_mode":
            _set_journal(connection, journal)
        else:
            connection.execute(f"PRAGMA {name}={value}")
    for name, value in wanted.items():
        found = connection.execute(f"PRAGMA {name}").fetchone()[0]
        if found != value:
            raise ConfigurationError(
                f"SQLite не принял настройку {name}: нужно {value}, действует {found} (локальный ли это диск?)"
            )


def _set_journal(connection: sqlite3.Connection, journal: str) -> None:
    """Switch to WAL, which is kept in the file; of two first openings at once one is "locked" without any waiting."""
    give_up_at = time.monotonic() + _WAL_TIMEOUT_S
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != journal:
                connection.execute(f"PRAGMA journal_mode={journal}")
            return
        except sqlite3.OperationalError:
            if time.monotonic() >= give_up_at:
                raise
        time.sleep(_WAL_WAIT_S)


def _make_postgresql(url: URL) -> Engine:
    # what the school says in its URL wins
    patience = {name: value for name, value in {"connect_timeout": CONNECT_S, **_GONE}.items() if name not in url.query}
    engine = create_engine(
        url,
        connect_args=patience,
        pool_size=POOL_COUNT,
        max_overflow=POOL_OVERFLOW_COUNT,
        pool_timeout=30,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    wanted = {
        "synchronous_commit": "on",
        "lock_timeout": f"{BUSY_TIMEOUT_MS}ms",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT_MS}ms",
        "timezone": "UTC",
        "client_encoding": "UTF8",
    }

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            for name, value in wanted.items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
            for name, value in wanted.items():
                # pg_settings and not SHOW: it answers in the base unit, where SHOW turns 5000ms into 5s
                cursor.execute("SELECT setting FROM pg_settings WHERE lower(name) = %s", (name,))
                found = cursor.fetchone()[0]
                if found.lower() != value.removesuffix("ms").lower():
                    raise ConfigurationError(f"PostgreSQL не принял настройку {name}: нужно {value}, действует {found}")
            cursor.execute("SHOW server_encoding")
            encoding = cursor.fetchone()[0]
            if encoding != "UTF8":
                raise ConfigurationError(f"PostgreSQL: кодировка базы {encoding}, а нужна UTF8")
        connection.commit()

    return engine
