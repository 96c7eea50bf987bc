"""Which scopes of the city were completely read in this epoch (law 12).

After a restore nothing may be sent into a scope before that: what was delivered after the backup stands in the city and
nowhere else. Written by the planning flow, asked right before a call.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, func, select

from gateway.reconcile.tables import base, epoch_scope
from gateway.store.epoch import find_write_lock, get_epoch, lift_write_lock
from gateway.store.transaction import upsert

WHOLE_PLACE = "*"
"""Pseudo-scope: every scope of the place was read."""


def note_covered(conn: Connection, place_id: int, scope: str, *, read_at: datetime) -> None:
    """Note a complete read of a whole scope; nothing is noted while nothing is locked.

    Args:
        conn: The transaction that stored the read.
        place_id: Where we are.
        scope: Scope of the city's side, or `WHOLE_PLACE`.
        read_at: Moment of the read, aware UTC.
    """
    if find_write_lock(conn) is None:
        return
    row = {"place_id": place_id, "epoch": get_epoch(conn), "scope": scope, "read_at": read_at}
    upsert(conn, epoch_scope, [row], keys=("place_id", "epoch", "scope"), update=("read_at",))


def is_locked(conn: Connection, place_id: int, scope: str) -> bool:
    """Whether the write lock of this epoch still holds for a scope."""
    if find_write_lock(conn) is None:
        return False
    found = conn.execute(
        select(epoch_scope.c.scope)
        .where(
            epoch_scope.c.place_id == place_id,
            epoch_scope.c.epoch == get_epoch(conn),
            epoch_scope.c.scope.in_((scope, WHOLE_PLACE)),
        )
        .limit(1)
    ).one_or_none()
    return found is None


def finish_place(conn: Connection, place_id: int, *, read_at: datetime) -> int | None:
    """Note that all of a place was read; the lock falls when no place with something delivered is left unread.

    Returns:
        Scopes that were read in this epoch; None where nothing was locked.
    """
    if find_write_lock(conn) is None:
        return None
    note_covered(conn, place_id, WHOLE_PLACE, read_at=read_at)
    epoch = get_epoch(conn)
    here = (epoch_scope.c.place_id == place_id, epoch_scope.c.epoch == epoch, epoch_scope.c.scope != WHOLE_PLACE)
    count: int = conn.execute(select(func.count()).select_from(epoch_scope).where(*here)).scalar_one()
    if not set(_delivered_places(conn)) - _read_places(conn, epoch):
        lift_write_lock(conn)
    return count


def _delivered_places(conn: Connection) -> Collection[int]:
    return conn.execute(select(base.c.place_id).distinct()).scalars().all()


def _read_places(conn: Connection, epoch: int) -> set[int]:
    return set(
        conn.execute(
            select(epoch_scope.c.place_id).where(epoch_scope.c.epoch == epoch, epoch_scope.c.scope == WHOLE_PLACE)
        ).scalars()
    )
