"""The epoch: which life of this database we are in. A restored backup begins a new one (law 12)."""

from __future__ import annotations

from sqlalchemy import Connection, update

from gateway.store.metadata import gateway_instance
from gateway.store.place import load_instance


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
