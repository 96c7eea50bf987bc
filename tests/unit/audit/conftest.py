"""A log on an empty store, and deeds to put into it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

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
