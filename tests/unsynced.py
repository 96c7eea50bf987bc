"""SQLite files of this process are not forced onto the disk: none of them outlives the run.

As `.ci/run` asks of its PostgreSQL. A killed process loses nothing by it, because what it has written is the system's; what
a power cut takes is shown by `tests/unit/queue/test_power_cut.py` with a disk of its own. A setting is still set and read
back as the product does it, and only then changed; tests of the store (`tests/unit/store`) keep it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.store import engine as engines

_set_in_earnest = engines._set_sqlite


@contextmanager
def between_commits() -> Iterator[None]:
    """A commit returns when it is written, not when it is on the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "_set_sqlite", _set)
        yield


@contextmanager
def in_earnest() -> Iterator[None]:
    """Within `between_commits`: as the product does it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "_set_sqlite", _set_in_earnest)
        yield


def _set(connection: sqlite3.Connection, journal: str) -> None:
    _set_in_earnest(connection, journal)
    connection.execute("PRAGMA synchronous=OFF")
