"""What stands between a claimed operation and its call: the emergency stop, a paused city, a scope not read since a restore.

Asked when a row is claimed, again in the transaction that marks it as being sent, and once more by the connector after it
has waited for its turn: a person who stops sending must not wait for a queue of calls that were let go before. The
connector's question is asked before every call, so a good answer is remembered for a moment (`Watch`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import BindParameter, Connection, Select, bindparam, exists, func, insert, null, select, update

from gateway.audit.notes import Note
from gateway.queue.breaker import BreakerState, is_open_until
from gateway.queue.pace import is_held
from gateway.queue.pauses import WHOLE_CITY, load_paused
from gateway.queue.states import State
from gateway.queue.tables import city_breaker, operation, pace_bucket, profile_pause, sending_stop
from gateway.reconcile.tables import hold
from gateway.store.metadata import UtcDateTime, gateway_instance
from gateway.store.transaction import Store

PAUSED, STOPPED, UNREAD = "AUTH", "SENDING_STOPPED", "EPOCH_UNREAD"
"""Reason codes of the three obstacles."""
NO_PROFILE = "NO_PROFILE"
"""A paused profile leaves its operations without one that may write."""


FRESH_S = 0.25
"""How old a good answer may be; an emergency stop has two seconds to reach every process."""


_CITY: BindParameter[str] = bindparam("city")
# built once: putting these together costs more than running them, and they stand before every batch
_OBSTACLES = (
    exists().where(sending_stop.c.city == _CITY, sending_stop.c.is_lifted.is_(False)).label("is_stopped"),
    exists()
    .where(profile_pause.c.city == _CITY, profile_pause.c.profile == WHOLE_CITY, profile_pause.c.is_lifted.is_(False))
    .label("is_paused"),
)
_OBSTACLE = select(*_OBSTACLES)
_STANDING = (
    select(sending_stop.c.city)
    .where(sending_stop.c.city == _CITY, sending_stop.c.is_lifted.is_(False))
    .with_for_update(read=True),
    select(profile_pause.c.city)
    .where(profile_pause.c.city == _CITY, profile_pause.c.profile == WHOLE_CITY, profile_pause.c.is_lifted.is_(False))
    .with_for_update(read=True),
)
_STOP = select(sending_stop).where(sending_stop.c.city == _CITY, sending_stop.c.is_lifted.is_(False))


@cache
def _build_gate(is_timed_here: bool) -> Select[Any]:
    breaker = select(city_breaker).where(
        city_breaker.c.city == _CITY, city_breaker.c.state != BreakerState.CLOSED.value
    )
    held_until = select(pace_bucket.c.held_until).where(pace_bucket.c.city == _CITY)
    clock: Any = null() if is_timed_here else func.clock_timestamp(type_=UtcDateTime())
    return select(
        clock.label("now"),
        *_OBSTACLES,
        held_until.scalar_subquery().label("held_until"),
        breaker.with_only_columns(city_breaker.c.state).scalar_subquery().label("breaker"),
        breaker.with_only_columns(city_breaker.c.retry_at).scalar_subquery().label("retry_at"),
        gateway_instance.c.epoch,
        gateway_instance.c.write_locked_reason,
        exists().where(hold.c.plan_id.is_(None), hold.c.lifted_at.is_(None)).label("has_holds"),
    )


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
    row = conn.execute(_STOP, {"city": city}).one_or_none()
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


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is asked of a city before operations are claimed, and again before they are sent.

    Attributes:
        now: Aware UTC by the store.
        obstacle: Reason code of what keeps everything from this city; None = nothing.
        wait_until: Until when nobody calls, because the city asked for it or does not answer; None = calls may go.
        is_breaker_closed: Nobody has to try first.
        epoch: The current one.
        is_locked: Some scopes may not have been read since a restore.
        has_holds: People may hold something back (`reconcile.holds`), here or at another place.
    """

    now: datetime
    obstacle: str | None
    wait_until: datetime | None
    is_breaker_closed: bool
    epoch: int
    is_locked: bool
    has_holds: bool


def load_gate(conn: Connection, store: Store, city: str) -> Gate:
    """Ask it all in one question: it stands before every batch."""
    is_timed_here = not store.asks_time
    row = conn.execute(_build_gate(is_timed_here), {"city": city}).one()
    now = store.clock.now() if is_timed_here else row.now
    held_until = row.held_until if row.held_until is not None and is_held(row.held_until, now) else None
    retry_at = row.retry_at if row.retry_at is not None and is_open_until(row.retry_at, now) else None
    waits = [moment for moment in (held_until, retry_at) if moment is not None]
    return Gate(
        now=now,
        obstacle=_name_obstacle(row),
        wait_until=max(waits, default=None),
        is_breaker_closed=row.breaker is None,
        epoch=row.epoch,
        is_locked=row.write_locked_reason is not None,
        has_holds=row.has_holds,
    )


def find_city_obstacle(conn: Connection, city: str) -> str | None:
    """Reason code of what keeps everything from this city; None = nothing."""
    return _name_obstacle(conn.execute(_OBSTACLE, {"city": city}).one())


def holds_obstacle(conn: Connection, city: str) -> str | None:
    """What keeps everything from this city, kept as it is until the caller's transaction ends.

    Whoever lifts it waits for that transaction, and wakes the rows that it gave back; lifted a moment before, it would have woken
    others and these would wait for an hour.
    """
    for query in _STANDING:
        conn.execute(query, {"city": city}).all()
    return find_city_obstacle(conn, city)


def _name_obstacle(row: Any) -> str | None:
    if row.is_stopped:
        return STOPPED
    return PAUSED if row.is_paused else None


class Watch:
    """Whether a person has stopped sending, or a profile is paused, for the threads of one process.

    That all is clear is remembered for `FRESH_S`; that something is in the way is never, so that what was allowed goes at once.

    Args:
        store: The store.
        city: Key of the city.
        monotonic: Clock of the memory, in seconds.
    """

    def __init__(self, store: Store, city: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._city = city
        self._monotonic = monotonic
        self._clear_until: float | None = None

    def is_stopped(self) -> bool:
        """Whether an emergency stop holds."""
        if self._is_clear():
            return False
        with self._store.read() as conn:
            return find_stop(conn, self._city) is not None

    def is_paused(self, profile: str) -> bool:
        """Whether the city refused this profile and nobody has allowed it since."""
        if self._is_clear():
            return False
        with self._store.read() as conn:
            return profile in load_paused(conn, self._city)

    def forget(self) -> None:
        """Ask anew: this process has just paused somebody."""
        self._clear_until = None

    def _is_clear(self) -> bool:
        asked_at = self._monotonic()
        if self._clear_until is not None and asked_at < self._clear_until:
            return True
        with self._store.read() as conn:
            is_clear = find_stop(conn, self._city) is None and not load_paused(conn, self._city)
        self._clear_until = asked_at + FRESH_S if is_clear else None
        return is_clear
