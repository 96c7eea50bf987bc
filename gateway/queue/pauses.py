"""Profiles that the city refuses: each is paused for itself, its owner is told, nobody fights for a session."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, update

from gateway.audit.deed import Actor, Deed
from gateway.domain.errors import AccessDeniedError
from gateway.queue.deeds import Ledger
from gateway.queue.tables import profile_pause
from gateway.store.transaction import upsert

WHOLE_CITY = "*"
"""Pseudo-profile: nothing is sent to this city at all."""
_PAUSED = select(profile_pause.c.profile).where(
    profile_pause.c.city == bindparam("city"), profile_pause.c.is_lifted.is_(False)
)


def pause(conn: Connection, ledger: Ledger, city: str, error: AccessDeniedError, *, now: datetime) -> None:
    """Pause the profile that was refused, in the caller's transaction."""
    profile = getattr(error, "profile", "") or WHOLE_CITY
    upsert(
        conn,
        profile_pause,
        [{"city": city, "profile": profile, "reason": error.reason_code, "since": now, "is_lifted": False}],
        keys=("city", "profile"),
        update=("reason", "since", "is_lifted"),
    )
    ledger.note(
        conn,
        Deed(
            action="profile.paused",
            actor=Actor(kind="service", name="delivery"),
            object_type="profile",
            reason=error.reason_code,
            outcome="held",
        ),
    )


def load_paused(conn: Connection, city: str) -> Collection[str]:
    """Load names of the profiles that are paused."""
    return frozenset(conn.execute(_PAUSED, {"city": city}).scalars())


def is_everyone_paused(conn: Connection, city: str) -> bool:
    """Whether nothing may be sent to the city."""
    return WHOLE_CITY in load_paused(conn, city)


def lift(conn: Connection, city: str) -> int:
    """Lift all pauses of a city; how many there were."""
    return conn.execute(
        update(profile_pause)
        .where(profile_pause.c.city == city, profile_pause.c.is_lifted.is_(False))
        .values(is_lifted=True)
    ).rowcount


def count_paused(conn: Connection, city: str) -> int:
    """How many profiles are paused."""
    return conn.execute(
        select(func.count())
        .select_from(profile_pause)
        .where(profile_pause.c.city == city, profile_pause.c.is_lifted.is_(False))
    ).scalar_one()
