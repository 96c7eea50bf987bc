"""API tokens: for a machine of the school, in one role, for named actions, until a day. Shown once, kept as a digest.

A token can't approve: it has no password to prove. It carries no right that its account does not have today.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta

import msgspec
from sqlalchemy import Connection, insert, select, update

from gateway.access.accounts import get_account, load_grants
from gateway.access.office import Office
from gateway.access.policy import Action, find_reach
from gateway.access.roles import Role
from gateway.access.scope import Principal, account_code
from gateway.access.secret import digest_secret, new_secret
from gateway.access.sightings import is_sighting_due
from gateway.access.tables import account, account_token
from gateway.audit.deed import Deed
from gateway.domain.errors import ConfigurationError, LogInRefusedError
from gateway.domain.identifiers import Place

TOKEN_PREFIX = "cgw_"  # noqa: S105  # the prefix by which scanners know a leaked token, not a secret


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token as people see it; never its secret."""

    id: int
    account_id: int
    name: str
    role: Role
    actions: list[str]
    issued_at: datetime
    expires_at: datetime
    seen_at: datetime | None
    revoked_at: datetime | None


def issue_token(
    office: Office,
    login: str,
    *,
    name: str,
    role: Role,
    actions: Collection[Action],
    days: int,
    longest_days: int,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[Token, str]:
    """Issue a token.

    Returns:
        The token, and its secret: shown now and never again.

    Raises:
        ConfigurationError: No such account, it does not have the role, an action is not the role's, or it would live
            too long.
    """
    if not 1 <= days <= longest_days:
        raise ConfigurationError(f"Срок токена: от 1 до {longest_days} дней (access.token_days)")
    if not actions or any(find_reach(role, action) is None for action in actions):
        raise ConfigurationError("Токену нужны действия из тех, что есть у роли: docs/reference/access.md")
    secret = TOKEN_PREFIX + new_secret(random)
    with office.store.write() as conn:
        found = get_account(conn, login)
        now = office.store.now(conn)
        if all(grant.role is not role for grant in load_grants(conn, office.place, found.id, on=None)):
            raise ConfigurationError("У этой учётной записи такой роли нет")
        number: int = conn.execute(
            insert(account_token)
            .values(
                digest=digest_secret(secret),
                account_id=found.id,
                name=name,
                role=role.value,
                actions=sorted(action.value for action in actions),
                issued_at=now,
                expires_at=now + timedelta(days=days),
            )
            .returning(account_token.c.id)
        ).scalar_one()
        _tell(conn, office, found.id, number, action="token.issued")
        token = next(one for one in load_tokens(conn, found.id) if one.id == number)
    return token, secret


def revoke_token(office: Office, login: str, token_id: int) -> None:
    """Revoke a token at once.

    Raises:
        ConfigurationError: The account has no such token, or it is revoked already.
    """
    with office.store.write() as conn:
        found = get_account(conn, login)
        changed = conn.execute(
            update(account_token)
            .where(
                account_token.c.id == token_id,
                account_token.c.account_id == found.id,
                account_token.c.revoked_at.is_(None),
            )
            .values(revoked_at=office.store.now(conn))
        ).rowcount
        if not changed:
            raise ConfigurationError("Такого действующего токена у этой учётной записи нет")
        _tell(conn, office, found.id, token_id, action="token.revoked")


def load_tokens(conn: Connection, account_id: int) -> list[Token]:
    """Load an account's tokens, the newest first."""
    rows = conn.execute(
        select(account_token).where(account_token.c.account_id == account_id).order_by(account_token.c.id.desc())
    )
    return [
        Token(
            id=row.id,
            account_id=row.account_id,
            name=row.name,
            role=Role(row.role),
            actions=row.actions,
            issued_at=row.issued_at,
            expires_at=row.expires_at,
            seen_at=row.seen_at,
            revoked_at=row.revoked_at,
        )
        for row in rows
    ]


def get_token_principal(
    conn: Connection, secret: str, *, place: Place, on: date, now: datetime, address: str | None
) -> tuple[Principal, bool]:
    """Who holds this token now.

    Returns:
        The principal, and whether its last sighting is old enough to be written anew (`note_token_seen`).

    Raises:
        LogInRefusedError: Unknown, revoked or expired, its account is disabled, or the role is no longer its.
    """
    row = conn.execute(
        select(account_token, account.c.login, account.c.person_ref)
        .join(account, account.c.id == account_token.c.account_id)
        .where(
            account_token.c.digest == digest_secret(secret),
            account_token.c.revoked_at.is_(None),
            account_token.c.expires_at > now,
            account.c.disabled_at.is_(None),
        )
    ).one_or_none()
    grants = [] if row is None else load_grants(conn, place, row.account_id, on=on)
    held = next((grant for grant in grants if row is not None and grant.role.value == row.role), None)
    if row is None or held is None:
        raise LogInRefusedError("Токен не действует")
    principal = Principal(
        account_id=row.account_id,
        login=row.login,
        role=held.role,
        place=place,
        on=on,
        via="token",
        actions=frozenset(row.actions),
        deputises_for=held.deputises_for,
        person_ref=row.person_ref,
        address=address,
    )
    return principal, is_sighting_due(row.seen_at, now)


def note_token_seen(conn: Connection, secret: str, *, now: datetime) -> None:
    """Write when a token was last used."""
    conn.execute(update(account_token).where(account_token.c.digest == digest_secret(secret)).values(seen_at=now))


def _tell(conn: Connection, office: Office, account_id: int, token_id: int, *, action: str) -> None:
    office.audit.append(
        conn,
        Deed(
            action=action,
            actor=office.actor,
            place=office.place,
            object_type="token",
            object_id=f"{account_code(account_id)}/token:{token_id}",
            outcome="applied",
        ),
    )
