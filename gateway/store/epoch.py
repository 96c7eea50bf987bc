"""The epoch: which life of this database we are in. A restored backup begins a new one (law 12).

A new epoch begins locked: what the database remembers of the city is older than what the city holds, so nothing is sent
before the city has been read again. The lock is one column, so that it comes and goes in the transaction that says why.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, select, update

from gateway.store.metadata import gateway_instance
from gateway.store.place import load_instance

_WRITE_LOCK = select(gateway_instance.c.write_locked_reason, gateway_instance.c.epoch_begun_at)


class WriteLock(msgspec.Struct, frozen=True):
    """Why nothing may be sent, and since when (aware UTC)."""

    reason: str
    since: datetime


def get_epoch(conn: Connection) -> int:
    """The current epoch, from 1.

    Raises:
        ConfigurationError: The database was not opened through `Store.open`.
    """
    return load_instance(conn).epoch


def bump_epoch(conn: Connection) -> int:
    """Begin the next epoch and return it."""
    conn.execute(update(gateway_instance).values(epoch=gateway_instance.c.epoch + 1))
    return get_epoch(conn)


def begin_locked_epoch(conn: Connection, epoch: int, *, after_run: int, reason: str, now: datetime) -> None:
    """Begin the given epoch with the write lock on.

    Args:
        epoch: Greater than every earlier one, that of the replaced database included.
        after_run: The last run that the restored database knows: what later ones see is new to it.
        reason: Code.
        now: Aware UTC.
    """
    conn.execute(
        update(gateway_instance).values(
            epoch=epoch, epoch_begun_at=now, epoch_after_run=after_run, write_locked_reason=reason
        )
    )


def find_write_lock(conn: Connection) -> WriteLock | None:
    """The lock of this epoch; None when sending is allowed."""
    row = conn.execute(_WRITE_LOCK).one_or_none()
    if row is None or row.write_locked_reason is None:
        return None
    return WriteLock(row.write_locked_reason, row.epoch_begun_at)


def lift_write_lock(conn: Connection) -> None:
    """Allow sending again."""
    conn.execute(update(gateway_instance).values(write_locked_reason=None))
