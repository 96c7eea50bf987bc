"""What stands between a claimed operation and its call: the emergency stop, a paused city, a scope not read since a restore.

Asked when a row is claimed, again in the transaction that marks it as being sent, and once more by the connector after it
has waited for its turn: a person who stops sending must not wait for a queue of calls that were let go before.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, exists, insert, select, update

from gateway.audit.notes import Note
from gateway.queue.pauses import WHOLE_CITY
from gateway.queue.states import State
from gateway.queue.tables import operation, profile_pause, sending_stop
from gateway.reconcile.coverage import is_locked

PAUSED, STOPPED, UNREAD = "AUTH", "SENDING_STOPPED", "EPOCH_UNREAD"
"""Reason codes of the three obstacles."""
NO_PROFILE = "NO_PROFILE"
"""A paused profile leaves its operations without one that may write."""


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """An emergency stop that holds.

    Attributes:
        actor: Who stopped.
        since: Aware UTC.
        note_id: The typed reason, kept beside the audit; None where none was typed.
    """

    actor: str
    since: datetime
    note_id: int | None


def find_stop(conn: Connection, city: str) -> Stop | None:
    """The emergency stop of a city, if it holds."""
    row = conn.execute(
        select(sending_stop).where(sending_stop.c.city == city, sending_stop.c.is_lifted.is_(False))
    ).one_or_none()
    return None if row is None else Stop(actor=row.actor, since=row.since, note_id=row.note_id)


def set_stop(conn: Connection, city: str, *, actor: str, note: Note | None, now: datetime) -> bool:
    """Stop sending to a city, in the caller's transaction.

    Returns:
        False where it was stopped already: the first reason stands.
    """
    if find_stop(conn, city) is not None:
        return False
    values = {"actor": actor, "note_id": None if note is None else note.id, "since": now, "is_lifted": False}
    if conn.execute(update(sending_stop).where(sending_stop.c.city == city).values(**values)).rowcount == 0:
        conn.execute(insert(sending_stop).values(city=city, **values))
    return True


def lift_stop(conn: Connection, city: str) -> bool:
    """Allow sending again; False where nothing was stopped."""
    changed = conn.execute(
        update(sending_stop)
        .where(sending_stop.c.city == city, sending_stop.c.is_lifted.is_(False))
        .values(is_lifted=True)
    )
    return changed.rowcount == 1


def wake(conn: Connection, place_id: int, *, now: datetime) -> int:
    """Make what waited for a person due at once: he has just said that it may go; how many there were."""
    return conn.execute(
        update(operation)
        .where(
            operation.c.place_id == place_id,
            operation.c.state == State.READY.value,
            operation.c.reason.in_((PAUSED, NO_PROFILE, STOPPED)),
        )
        .values(reason="", not_before=now, changed_at=now)
    ).rowcount


def find_city_obstacle(conn: Connection, city: str) -> str | None:
    """Reason code of what keeps everything from this city; None = nothing.

    One question, because it is asked three times an operation.
    """
    row = conn.execute(
        select(
            exists().where(sending_stop.c.city == city, sending_stop.c.is_lifted.is_(False)).label("is_stopped"),
            exists()
            .where(
                profile_pause.c.city == city,
                profile_pause.c.profile == WHOLE_CITY,
                profile_pause.c.is_lifted.is_(False),
            )
            .label("is_paused"),
        )
    ).one()
    if row.is_stopped:
        return STOPPED
    return PAUSED if row.is_paused else None


def find_obstacle(conn: Connection, city: str, place_id: int, scope: str) -> str | None:
    """Reason code of what keeps an operation of this scope from being sent; None = nothing."""
    return find_city_obstacle(conn, city) or (UNREAD if is_locked(conn, place_id, scope) else None)
