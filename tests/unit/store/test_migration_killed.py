"""A migration whose process is killed at any statement leaves the schema before or after it, and runs again (G1, F19)."""

from __future__ import annotations

import os
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event

from gateway.migrations.models import load_metadata
from gateway.store.engine import make_engine
from gateway.store.schema import current_revision, head_revision, upgrade

KILLED, DONE, FAILED = 9, 0, 71


def upgrade_in_a_child(url: str, kill_at: int | None) -> tuple[int, int]:
    """Migrate in a forked child that ends without a word before its n-th statement, commits counted as such.

    Returns:
        Its exit code, and how many statements it came to (known only when it was not killed).
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = FAILED
        try:
            os.close(reading)
            engine = make_engine(url)
            count = 0

            def step(*_: Any) -> None:
                nonlocal count
                count += 1
                if count == kill_at:
                    os._exit(KILLED)

            event.listen(engine, "before_cursor_execute", step)
            event.listen(engine, "commit", step)
            upgrade(engine)
            os.write(writing, str(count).encode())
            code = DONE
        finally:
            os._exit(code)
    os.close(writing)
    told = os.read(reading, 32)
    os.close(reading)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(told or 0)


def revision(url: str) -> str | None:
    engine = make_engine(url)
    try:
        return current_revision(engine)
    finally:
        engine.dispose()


def differences(url: str) -> list[Any]:
    engine = make_engine(url)
    try:
        with engine.connect() as conn:
            return list(compare_metadata(MigrationContext.configure(conn), load_metadata()))
    finally:
        engine.dispose()


@pytest.mark.row("G1")
@pytest.mark.slow
def test_a_migration_killed_at_each_statement_is_done_or_not_done_and_runs_again(database_url: str) -> None:
    """Every kill point in turn on the same database: none moves it, and the last run completes it."""
    kill_at, killed = 1, 0
    while True:
        code, count = upgrade_in_a_child(database_url, kill_at)
        if code == DONE:
            break
        assert code == KILLED
        killed += 1
        assert revision(database_url) is None, f"half a migration after a kill at statement {kill_at}"
        kill_at += 1

    assert killed == count > 50
    assert revision(database_url) == head_revision()
    assert differences(database_url) == []


@pytest.mark.row("G1")
def test_killed_after_the_commit_it_is_done(database_url: str) -> None:
    assert upgrade_in_a_child(database_url, None)[0] == DONE
    again, count = upgrade_in_a_child(database_url, None)

    assert again == DONE
    assert count < 20
    assert revision(database_url) == head_revision()
