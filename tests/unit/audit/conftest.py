"""A log on an empty store, deeds to put into it, and the power of somebody who owns the database."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from sqlalchemy import text

from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.store.transaction import Store


@pytest.fixture
def log(store: Store) -> AuditLog:
    return AuditLog(store, environment="test", code_version="0.1.0", tick=itertools.count(1).__next__)


@pytest.fixture
def build_deed() -> Callable[[int], Deed]:
    """Builds a verified operation with the given id."""
    return lambda number: Deed(
        action="operation.verified",
        actor=Actor("service", "worker", role="delivery"),
        object_type="mark",
        operation_id=number,
        run_id=7 if number <= 5 else 8,
        reason="CHANGED",
        outcome="confirmed",
        city_id=1000 + number,
    )


@pytest.fixture
def filled(store: Store, log: AuditLog, build_deed: Callable[[int], Deed]) -> Store:
    """A store with ten deeds and three accesses."""
    with store.write() as conn:
        log.append_many(conn, [build_deed(number) for number in range(1, 11)])
        actor = Actor("os_user", "root")
        log.append_many(conn, [Deed(stream="access", action="passport.seen", actor=actor) for _ in range(3)])
    return store


@pytest.fixture
def drop_triggers() -> Callable[[Store], None]:
    """Does what only the database's owner can: away with what keeps the audit's tables append-only."""

    def drop(store: Store) -> None:
        is_sqlite = store.dialect == "sqlite"
        names = ("no_update", "no_delete", "no_replace") if is_sqlite else ("no_change", "no_truncate")
        with store.write() as conn:
            for table in ("audit_entry", "audit_checkpoint"):
                for name in names:
                    conn.execute(text(f"DROP TRIGGER {table}_{name}" + ("" if is_sqlite else f" ON {table}")))

    return drop


@pytest.fixture
def grow(log: AuditLog, build_deed: Callable[[int], Deed]) -> Callable[..., None]:
    """Appends so many deeds, the first of them with the number given."""

    def append(store: Store, count: int, *, first: int = 1, by: AuditLog = log) -> None:
        with store.write() as conn:
            by.append_many(conn, [build_deed(number) for number in range(first, first + count)])

    return append
