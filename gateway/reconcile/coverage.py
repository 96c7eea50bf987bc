"""Which scopes of the city were completely read in this epoch (law 12).

After a restore nothing may be sent into a scope before that: what was delivered after the backup stands in the city and
nowhere else. Written by the planning flow, asked right before a call.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, and_, func, or_, select

from gateway.reconcile.tables import base, epoch_scope, shadow, shadow_version
from gateway.store.epoch import find_write_lock, get_epoch, lift_write_lock
from gateway.store.metadata import UtcDateTime, gateway_instance
from gateway.store.transaction import upsert

WHOLE_PLACE = "*"
"""Pseudo-scope: every scope of the place was read."""
NO_RUN_YET = 2**31 - 1
"""Stands for the run that will first read a scope whole."""


def note_covered(conn: Connection, place_id: int, scope: str, *, read_at: datetime, run_id: int) -> None:
    """Note the first complete read of a whole scope in this epoch; nothing is noted while nothing is locked.

    Args:
        conn: The transaction that stored the read.
        place_id: Where we are.
        scope: Scope of the city's side, or `WHOLE_PLACE`.
        read_at: Moment of the read, aware UTC.
        run_id: The run that read it.
    """
    if find_write_lock(conn) is None:
        return
    row = {"place_id": place_id, "epoch": get_epoch(conn), "scope": scope, "read_at": read_at, "run_id": run_id}
    upsert(conn, epoch_scope, [row], keys=("place_id", "epoch", "scope"), update=())


def load_lost(conn: Connection, place_id: int, scope: str) -> frozenset[int]:
    """Load the ids of objects that appeared in the city in the time that the restored database has lost.

    Seen for the first time after the restore and not after the scope's first complete read: nobody here can tell whether
    a person typed them or the gateway delivered them, so nothing is created beside one of them without a person.
    """
    instance = conn.execute(
        select(gateway_instance.c.epoch, gateway_instance.c.epoch_begun_at, gateway_instance.c.epoch_after_run)
    ).one()
    if instance.epoch_after_run is None:
        return frozenset()
    first_run = func.min(shadow_version.c.run_id)
    covered_by = (
        select(epoch_scope.c.run_id)
        .where(epoch_scope.c.place_id == place_id, epoch_scope.c.epoch == instance.epoch, epoch_scope.c.scope == scope)
        .scalar_subquery()
    )
    seen = (
        select(shadow.c.city_id)
        .select_from(
            shadow.join(
                shadow_version,
                and_(
                    shadow_version.c.place_id == shadow.c.place_id,
                    shadow_version.c.kind == shadow.c.kind,
                    shadow_version.c.city_id == shadow.c.city_id,
                ),
            )
        )
        .where(shadow.c.place_id == place_id, shadow.c.scope == scope)
        .group_by(shadow.c.city_id)
        .having(
            # What an operation of the old epoch is read back with bears its old run: the moment tells then.
            or_(
                first_run > instance.epoch_after_run,
                func.min(shadow_version.c.valid_from, type_=UtcDateTime()) > instance.epoch_begun_at,
            ),
            first_run <= func.coalesce(covered_by, NO_RUN_YET),
        )
    )
    return frozenset(conn.execute(seen).scalars())


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


def finish_place(conn: Connection, place_id: int, *, read_at: datetime, run_id: int) -> int | None:
    """Note that all of a place was read; the lock falls when no place with something delivered is left unread.

    Returns:
        Scopes that were read in this epoch; None where nothing was locked.
    """
    if find_write_lock(conn) is None:
        return None
    note_covered(conn, place_id, WHOLE_PLACE, read_at=read_at, run_id=run_id)
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
