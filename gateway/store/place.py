"""Which database this is: its instance, and the city and portal it serves by default.

Informational: every key carries its own place (law 15). It lets a start-up say "this database was made for another
city" before anything is read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, insert, select, update

from gateway.domain.errors import ConfigurationError
from gateway.store.metadata import gateway_instance

_INSTANCE = select(gateway_instance)


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One database.

    Attributes:
        instance_id: UUID made at first use; a copy of the file keeps it.
        epoch: Grows when a backup is restored.
        city: City key bound at first use; None before.
        portal: Portal name bound at first use; None before.
    """

    instance_id: str
    epoch: int
    created_at: datetime
    city: str | None
    portal: str | None


def load_instance(conn: Connection) -> Instance:
    """Read which database this is.

    Raises:
        ConfigurationError: The database was not opened through `Store.open`.
    """
    row = conn.execute(_INSTANCE).one_or_none()
    if row is None:
        raise ConfigurationError("База данных не подготовлена: в ней нет записи о себе")
    return Instance(
        instance_id=row.instance_id, epoch=row.epoch, created_at=row.created_at, city=row.city, portal=row.portal
    )


def ensure_instance(conn: Connection, *, now: datetime, new_instance_id: Callable[[], UUID]) -> None:
    """Write the one row at first use; epoch 1."""
    if conn.execute(select(gateway_instance.c.id)).one_or_none() is None:
        conn.execute(insert(gateway_instance).values(id=1, instance_id=str(new_instance_id()), epoch=1, created_at=now))


def bind_place(conn: Connection, city: str, portal: str) -> Instance:
    """Store city and portal at first use; afterwards nothing changes.

    Returns:
        What is bound, for the caller to compare with its settings.
    """
    conn.execute(update(gateway_instance).where(gateway_instance.c.city.is_(None)).values(city=city, portal=portal))
    return load_instance(conn)
