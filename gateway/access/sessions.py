"""Log-in and sessions. A session lives in the store: ended there, it is dead in every process with the next request.

The secret goes to the browser once and is kept here as a digest; a new log-in always makes a new one. Whether the login,
the password or the account was wrong is told to nobody, neither by words nor by the work done (`passwords`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from gateway.access.accounts import load_grants
from gateway.access.limits import LoginLimits, count_try, take_back
from gateway.access.passwords import Passwords
from gateway.access.roles import Role
from gateway.access.scope import Principal, account_code
from gateway.access.secret import digest_secret, new_secret
from gateway.access.sightings import is_sighting_due
from gateway.access.tables import account, account_session
from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.redact import is_code
from gateway.domain.clock import moscow_day
from gateway.domain.errors import LogInRefusedError
from gateway.domain.identifiers import Place
from gateway.store.transaction import Store

_REFUSED = "Вход не выполнен: проверьте логин и пароль"
_ENDED = "Сеанс окончен: войдите заново"
_GUARD = Actor(kind="service", name="access")


class SessionTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How long a session lives: without a request, and in any case."""

    idle: timedelta
    longest: timedelta


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A session just opened; `secret` is shown to its owner once."""

    secret: str
    principal: Principal
    roles: list[Role]
    ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What log-in needs. `random` gives the sessions' secrets."""

    store: Store
    audit: AuditLog
    place: Place
    passwords: Passwords
    limits: LoginLimits
    terms: SessionTerms
    random: Callable[[int], bytes] = secrets.token_bytes


def log_in(
    gate: Gate, login: str, password: str, *, role: Role | None, address: str, old_secret: str | None = None
) -> Opened:
    """Open a session.

    Args:
        role: The role to begin in; None = the first that the account has.
        address: Where the request came from.
        old_secret: Session that the browser held; it ends, so that nobody can plant one.

    Raises:
        LogInRefusedError: Wrong login or password, disabled, no such role today, or too many tries (`retry_after_s`).
    """
    with gate.store.write() as conn:
        now = gate.store.now(conn)
        wait_s = count_try(conn, gate.limits, login=login, address=address, now=now)
        row = conn.execute(select(account).where(account.c.login == login.lower())).one_or_none()
    if wait_s is not None:
        raise LogInRefusedError("Слишком много попыток входа: подождите", retry_after_s=wait_s)
    stored = row.password if row is not None and row.disabled_at is None else None
    # outside of any transaction: this is meant to take long
    is_right = gate.passwords.verify(stored, password)
    with gate.store.write() as conn:
        now = gate.store.now(conn)
        fresh = None if row is None else _still_same(conn, row)
        grants = [] if fresh is None or not is_right else load_grants(conn, gate.place, fresh.id, on=moscow_day(now))
        chosen = next((grant for grant in grants if role is None or grant.role is role), None)
        if fresh is None or chosen is None:
            _tell(
                conn,
                gate,
                action="session.refused",
                account_id=None if row is None else row.id,
                role=None,
                address=address,
            )
        else:
            take_back(conn, gate.limits, login=login, address=address)
            if gate.passwords.is_outdated(fresh.password):
                conn.execute(
                    update(account).where(account.c.id == fresh.id).values(password=gate.passwords.rehash(password))
                )
            if old_secret is not None:
                _end(conn, old_secret, now=now)
            secret = new_secret(gate.random)
            conn.execute(
                insert(account_session).values(
                    digest=digest_secret(secret),
                    account_id=fresh.id,
                    role=chosen.role.value,
                    opened_at=now,
                    proved_at=now,
                    seen_at=now,
                )
            )
            _tell(conn, gate, action="session.opened", account_id=fresh.id, role=chosen.role, address=address)
    if fresh is None or chosen is None:
        raise LogInRefusedError(_REFUSED)
    principal = Principal(
        account_id=fresh.id,
        login=fresh.login,
        role=chosen.role,
        place=gate.place,
        on=moscow_day(now),
        via="session",
        proved_at=now,
        deputises_for=chosen.deputises_for,
        person_ref=fresh.person_ref,
        address=address,
    )
    roles = list(dict.fromkeys(grant.role for grant in grants))
    return Opened(secret=secret, principal=principal, roles=roles, ends_at=now + gate.terms.longest)


def get_session_principal(conn: Connection, gate: Gate, secret: str, *, address: str) -> tuple[Principal, bool]:
    """Who holds this session now; rights are looked at afresh in every request.

    Returns:
        The principal, and whether its last sighting is old enough to be written anew (`note_session_seen`).

    Raises:
        LogInRefusedError: Unknown, ended, idle for too long, too old, its account disabled, or the role no longer its.
    """
    now = gate.store.now(conn)
    row = conn.execute(
        select(account_session, account.c.login, account.c.person_ref)
        .join(account, account.c.id == account_session.c.account_id)
        .where(
            account_session.c.digest == digest_secret(secret),
            account_session.c.ended_at.is_(None),
            account_session.c.seen_at > now - gate.terms.idle,
            account_session.c.opened_at > now - gate.terms.longest,
            account.c.disabled_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        raise LogInRefusedError(_ENDED)
    on = moscow_day(now)
    held = next(
        (grant for grant in load_grants(conn, gate.place, row.account_id, on=on) if grant.role.value == row.role), None
    )
    if held is None:
        raise LogInRefusedError(_ENDED)
    principal = Principal(
        account_id=row.account_id,
        login=row.login,
        role=held.role,
        place=gate.place,
        on=on,
        via="session",
        proved_at=row.proved_at,
        deputises_for=held.deputises_for,
        person_ref=row.person_ref,
        address=address,
    )
    return principal, is_sighting_due(row.seen_at, now)


def note_session_seen(conn: Connection, secret: str, *, now: datetime) -> None:
    """Write when a session was last used."""
    conn.execute(update(account_session).where(account_session.c.digest == digest_secret(secret)).values(seen_at=now))


def prove_password(gate: Gate, secret: str, principal: Principal, password: str) -> datetime:
    """Prove the password again inside a session; what asks for a fresh log-in looks at this moment.

    Raises:
        LogInRefusedError: It is wrong, the session has ended meanwhile, or there were too many tries.
    """
    address = principal.address or "-"
    with gate.store.write() as conn:
        now = gate.store.now(conn)
        wait_s = count_try(conn, gate.limits, login=principal.login, address=address, now=now)
        row = conn.execute(select(account).where(account.c.id == principal.account_id)).one()
    if wait_s is not None:
        raise LogInRefusedError("Слишком много попыток входа: подождите", retry_after_s=wait_s)
    is_right = gate.passwords.verify(row.password, password)
    with gate.store.write() as conn:
        now = gate.store.now(conn)
        changed = 0
        if is_right:
            take_back(conn, gate.limits, login=principal.login, address=address)
            changed = conn.execute(
                update(account_session)
                .where(account_session.c.digest == digest_secret(secret), account_session.c.ended_at.is_(None))
                .values(proved_at=now)
            ).rowcount
        _tell(
            conn,
            gate,
            action="session.proved" if changed else "session.refused",
            account_id=principal.account_id,
            role=principal.role,
            address=address,
        )
    if not changed:
        raise LogInRefusedError(_REFUSED)
    return now


def choose_role(gate: Gate, secret: str, principal: Principal, role: Role) -> None:
    """Act in another of one's own roles from the next request on.

    Raises:
        LogInRefusedError: The account does not have it today.
    """
    with gate.store.write() as conn:
        held = [grant.role for grant in load_grants(conn, gate.place, principal.account_id, on=principal.on)]
        if role in held:
            conn.execute(
                update(account_session)
                .where(account_session.c.digest == digest_secret(secret), account_session.c.ended_at.is_(None))
                .values(role=role.value)
            )
            _tell(
                conn,
                gate,
                action="session.role_chosen",
                account_id=principal.account_id,
                role=role,
                address=principal.address,
            )
    if role not in held:
        raise LogInRefusedError("Такой роли у вас сегодня нет")


def log_out(gate: Gate, secret: str, principal: Principal) -> None:
    """End this session."""
    with gate.store.write() as conn:
        _end(conn, secret, now=gate.store.now(conn))
        _tell(
            conn,
            gate,
            action="session.closed",
            account_id=principal.account_id,
            role=principal.role,
            address=principal.address,
        )


def _end(conn: Connection, secret: str, *, now: datetime) -> None:
    conn.execute(
        update(account_session)
        .where(account_session.c.digest == digest_secret(secret), account_session.c.ended_at.is_(None))
        .values(ended_at=now)
    )


def _still_same(conn: Connection, row: Row[Any]) -> Row[Any] | None:
    """The account, unless it was disabled or its password changed while the old one was being checked."""
    now = conn.execute(select(account).where(account.c.id == row.id)).one()
    return now if now.disabled_at is None and now.password == row.password and now.password is not None else None


def _tell(
    conn: Connection, gate: Gate, *, action: str, account_id: int | None, role: Role | None, address: str | None
) -> None:
    code = None if account_id is None else account_code(account_id)
    is_known = code is not None and action != "session.refused"
    gate.audit.append(
        conn,
        Deed(
            stream="access",
            action=action,
            actor=Actor(
                kind="person", name=code or "", role=None if role is None else role.value, is_authenticated=True
            )
            if is_known
            else _GUARD,
            place=gate.place,
            object_type="account",
            object_id=code,
            outcome="refused" if action == "session.refused" else "applied",
            source_address=address if address is not None and is_code(address) else None,
        ),
    )
