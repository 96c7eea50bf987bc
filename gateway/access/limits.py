"""How often a log-in may fail: by account, by address, and altogether. A wait, never a lock-out for good.

Counted in the store, so that several processes count together. A try is counted before the password is looked at, and
taken back when it was right: a hundred tries at once are a hundred tries.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, case, delete, select, update

from gateway.access.tables import login_attempt
from gateway.store.transaction import upsert


class LoginLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Failures allowed within a window.

    Attributes:
        of_account: Of one login; more than a person mistypes, fewer than a guess needs.
        of_address: Of one address; a whole school may stand behind one.
        of_all: Altogether; a guess spread over many addresses ends here.
        window: Length of the window.
    """

    of_account: int
    of_address: int
    of_all: int
    window: timedelta


def count_try(conn: Connection, limits: LoginLimits, *, login: str, address: str, now: datetime) -> float | None:
    """Count one try in the caller's transaction.

    Returns:
        None where it may go on; else seconds to wait, and nothing was counted.
    """
    keys = _keys(limits, login, address)
    rows = {
        bytes(row.key): row
        for row in conn.execute(select(login_attempt).where(login_attempt.c.key.in_(list(keys))).with_for_update())
    }
    waits: list[float] = [
        (row.window_at + limits.window - now).total_seconds()
        for key, row in rows.items()
        if row.window_at + limits.window > now and row.failures >= keys[key]
    ]
    if waits:
        return max(1.0, *waits)
    # rows of windows that are over say nothing any more; a guesser's thousand logins would stay for ever
    conn.execute(delete(login_attempt).where(login_attempt.c.window_at <= now - limits.window))
    upsert(
        conn,
        login_attempt,
        [{"key": key, "window_at": now, "failures": 0} for key in keys],
        keys=("key",),
        update=(),
    )
    conn.execute(
        update(login_attempt).where(login_attempt.c.key.in_(list(keys))).values(failures=login_attempt.c.failures + 1)
    )
    return None


def take_back(conn: Connection, limits: LoginLimits, *, login: str, address: str) -> None:
    """The password was right: the account starts afresh, the others lose this one try."""
    keys = list(_keys(limits, login, address))
    conn.execute(
        update(login_attempt)
        .where(login_attempt.c.key.in_(keys))
        .values(
            failures=case(
                (login_attempt.c.key == keys[0], 0),
                (login_attempt.c.failures > 0, login_attempt.c.failures - 1),
                else_=0,
            )
        )
    )


def _keys(limits: LoginLimits, login: str, address: str) -> dict[bytes, int]:
    """Key of each counter → its limit; digests, because a mistyped login is often the password."""
    return {
        _digest(f"account:{login.casefold()}"): limits.of_account,
        _digest(f"address:{address}"): limits.of_address,
        _digest("all"): limits.of_all,
    }


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
