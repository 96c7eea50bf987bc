"""A database is opened with the settings that keep a commit, or not at all."""

from __future__ import annotations

import socket
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.domain.clock import SystemClock
from gateway.domain.errors import ConfigurationError
from gateway.store import engine as engines
from gateway.store.engine import make_engine
from gateway.store.transaction import Store


@pytest.mark.row("C3")
def test_every_sqlite_setting_that_keeps_a_commit_is_in_force(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'a.sqlite'}")

    with engine.connect() as conn:
        found = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys", "trusted_schema")
        }
    engine.dispose()

    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "busy_timeout": 5000,
        "foreign_keys": 1,
        "trusted_schema": 0,
    }


@pytest.mark.row("C3")
def test_a_setting_that_the_database_does_not_take_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SQLite answers a wrong value with silence; only reading back finds it."""
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", -1)

    with pytest.raises(ConfigurationError, match="busy_timeout"):
        make_engine(f"sqlite:///{tmp_path / 'a.sqlite'}").connect()


def test_the_switch_to_wal_is_tried_again_while_another_first_opening_holds_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SQLite answers "locked" to one of two openings that switch at once, whatever the busy timeout (2 of 1 200)."""
    path = tmp_path / "a.sqlite"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 0)
    waited: list[float] = []

    def let_go(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            holder.execute("ROLLBACK")

    monkeypatch.setattr("time.sleep", let_go)

    engine = make_engine(f"sqlite:///{path}")
    with engine.connect() as conn:
        assert conn.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    assert len(waited) == 3
    engine.dispose()
    holder.close()


def test_a_missing_folder_is_made_and_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "gateway.sqlite"

    Store.open(f"sqlite:///{path}", SystemClock()).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "url", ["mysql://root:secret@localhost/x", "postgresql+asyncpg://u:secret@localhost/x", "secret", ""]
)
def test_an_unknown_database_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"database\.url") as caught:
        make_engine(url)

    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named_by_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"\[postgres\]"):
        make_engine("postgresql+psycopg://localhost/x")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"not a database at all, only some text" * 100)

    with pytest.raises(ConfigurationError, match=r"database\.url"):
        Store.open(f"sqlite:///{path}", SystemClock())


def test_a_server_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"database\.url"):
        Store.open(f"postgresql+psycopg://nobody:secret@/x?host={tmp_path}", SystemClock())


@pytest.mark.row("C9")
def test_a_server_that_takes_the_connection_and_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the driver's own times this is two minutes and more, for each of a worker's threads."""
    monkeypatch.setattr(engines, "CONNECT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()

        with pytest.raises(ConfigurationError, match=r"database\.url"):
            Store.open(f"postgresql+psycopg://nobody@127.0.0.1:{silent.getsockname()[1]}/x", SystemClock())

    assert time.monotonic() - began < 20


@pytest.mark.row("C9")
@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_a_server_whose_machine_vanished_is_given_up_within_a_minute_unless_the_url_says_otherwise(
    database_url: str,
) -> None:
    told = {}
    for url in (database_url, f"{database_url}{'&' if '?' in database_url else '?'}tcp_user_timeout=5000"):
        engine = make_engine(url)
        with engine.connect() as conn:
            driver: Any = conn.connection.driver_connection
            told[url] = driver.info.get_parameters()
        engine.dispose()

    ours, schools = told.values()
    assert int(ours["keepalives_idle"]) + int(ours["keepalives_interval"]) * int(ours["keepalives_count"]) <= 60
    assert (ours["tcp_user_timeout"], schools["tcp_user_timeout"]) == ("30000", "5000")


@pytest.mark.row("C3")
@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_every_postgresql_setting_that_keeps_a_commit_is_in_force(store: Store) -> None:
    with store.read() as conn:
        found = [
            conn.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("synchronous_commit", "lock_timeout", "idle_in_transaction_session_timeout", "timezone")
        ]

    assert found == ["on", "5s", "2min", "UTC"]
