"""Accounts: a login, a password hash, perhaps a person of the portal; no name. Each change of rights is a deed.

An account is disabled and never deleted: the audit speaks of it for years. Disabling ends its sessions and tokens in the
same transaction.
"""

from __future__ import annotations

import re
from datetime import date, datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Table, and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from gateway.access.office import Office
from gateway.access.roles import DATED_ROLES, Role
from gateway.access.scope import account_code, is_on
from gateway.access.tables import access_alert, account, account_role, account_session, account_token
from gateway.audit.deed import Deed
from gateway.audit.notes import Note, write_note
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Place

_TOLD = ("account.role_given", "account.password_changed")
"""Acts by which somebody may come to see more: those who lead are told when an account does them."""
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{1,79}")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account as people see it; never its hash."""

    id: int
    login: str
    person_ref: str | None
    has_password: bool
    created_at: datetime
    disabled_at: datetime | None


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A role given between two days (both included, open where None); `deputises_for` names whose post is held."""

    id: int
    account_id: int
    role: Role
    begins_on: date | None
    ends_on: date | None
    deputises_for: int | None


def add_account(office: Office, login: str, *, password: str | None, person_ref: str | None = None) -> Account:
    """Make an account; without a password nobody can log in to it yet.

    Raises:
        ConfigurationError: The login is no code or is taken, or the password is too weak.
    """
    if not _LOGIN.fullmatch(login):
        raise ConfigurationError("Логин: от 2 до 80 латинских букв, цифр и знаков . _ @ -")
    hashed = None if password is None else office.passwords.make_hash(password, login=login)
    with office.store.write() as conn:
        now = office.store.now(conn)
        if find_account(conn, login) is not None:
            raise ConfigurationError("Такой логин уже есть")
        try:
            number: int = conn.execute(
                insert(account)
                .values(login=login.lower(), password=hashed, person_ref=person_ref, created_at=now)
                .returning(account.c.id)
            ).scalar_one()
        except IntegrityError as exc:  # another process was faster
            raise ConfigurationError("Такой логин уже есть") from exc
        _tell(conn, office, number, action="account.added")
        return get_account(conn, login)


def set_password(office: Office, login: str, password: str) -> None:
    """Give an account a new password and end its sessions.

    Raises:
        ConfigurationError: No such account, or a weak password.
    """
    hashed = office.passwords.make_hash(password, login=login)
    with office.store.write() as conn:
        found = get_account(conn, login)
        conn.execute(update(account).where(account.c.id == found.id).values(password=hashed))
        end_sessions(conn, found.id, now=office.store.now(conn))
        _tell(conn, office, found.id, action="account.password_changed")


def disable_account(office: Office, login: str, *, reason: str) -> int:
    """Disable an account: no log-in, its sessions and tokens end at once.

    Returns:
        How many sessions ended.

    Raises:
        ConfigurationError: No such account, or no reason.
    """
    if not reason.strip():
        raise ConfigurationError("Отключить учётную запись можно только с причиной: --reason")
    with office.store.write() as conn:
        now = office.store.now(conn)
        found = get_account(conn, login)
        conn.execute(
            update(account).where(account.c.id == found.id, account.c.disabled_at.is_(None)).values(disabled_at=now)
        )
        ended = end_sessions(conn, found.id, now=now)
        conn.execute(
            update(account_token)
            .where(account_token.c.account_id == found.id, account_token.c.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        _tell(conn, office, found.id, action="account.disabled", note=write_note(conn, reason, now=now))
        return ended


def enable_account(office: Office, login: str, *, reason: str) -> None:
    """Let a disabled account log in again; its old sessions and tokens stay dead.

    Raises:
        ConfigurationError: No such account, or no reason.
    """
    if not reason.strip():
        raise ConfigurationError("Включить учётную запись можно только с причиной: --reason")
    with office.store.write() as conn:
        found = get_account(conn, login)
        conn.execute(update(account).where(account.c.id == found.id).values(disabled_at=None))
        note = write_note(conn, reason, now=office.store.now(conn))
        _tell(conn, office, found.id, action="account.enabled", note=note)


def give_role(
    office: Office,
    login: str,
    role: Role,
    *,
    begins_on: date | None = None,
    ends_on: date | None = None,
    deputises_for: str | None = None,
) -> Grant:
    """Give a role between two days.

    Args:
        deputises_for: Login of the colleague whose post is held meanwhile; such a grant always ends.

    Raises:
        ConfigurationError: No such account, days in the wrong order, an inspector or a deputy without a last day, or a
            colleague who does not have that role.
    """
    if begins_on is not None and ends_on is not None and ends_on < begins_on:
        raise ConfigurationError("Последний день роли раньше первого")
    if ends_on is None and (role in DATED_ROLES or deputises_for is not None):
        raise ConfigurationError("Этой роли нужен последний день: --to ГГГГ-ММ-ДД")
    with office.store.write() as conn:
        found = get_account(conn, login)
        absent = None if deputises_for is None else get_account(conn, deputises_for)
        if absent is not None and (
            absent.id == found.id
            or all(grant.role is not role for grant in load_grants(conn, office.place, absent.id, on=None))
        ):
            raise ConfigurationError("Замещать можно только другого человека и только в его роли")
        number: int = conn.execute(
            insert(account_role)
            .values(
                account_id=found.id,
                city=office.place.city,
                portal=office.place.portal,
                role=role.value,
                begins_on=begins_on,
                ends_on=ends_on,
                deputises_for=None if absent is None else absent.id,
                given_at=office.store.now(conn),
            )
            .returning(account_role.c.id)
        ).scalar_one()
        _tell(conn, office, found.id, action="account.role_given", role=role)
        return next(one for one in load_grants(conn, office.place, found.id, on=None) if one.id == number)


def take_role(office: Office, login: str, role: Role) -> int:
    """Take a role back, whatever its dates; sessions that are active in it end at the next request.

    Returns:
        How many grants were taken.

    Raises:
        ConfigurationError: No such account, or it does not have the role.
    """
    with office.store.write() as conn:
        found = get_account(conn, login)
        taken = conn.execute(
            update(account_role)
            .where(
                *_grants_of(office.place, found.id),
                account_role.c.role == role.value,
                account_role.c.taken_at.is_(None),
            )
            .values(taken_at=office.store.now(conn))
        ).rowcount
        if not taken:
            raise ConfigurationError("У этой учётной записи такой роли нет")
        _tell(conn, office, found.id, action="account.role_taken", role=role)
        return taken


def find_account(conn: Connection, login: str) -> Account | None:
    """Find an account by its login, in any case of letters."""
    row = conn.execute(select(account).where(account.c.login == login.lower())).one_or_none()
    return None if row is None else to_account(row)


def get_account(conn: Connection, login: str) -> Account:
    """As `find_account`.

    Raises:
        ConfigurationError: There is none.
    """
    found = find_account(conn, login)
    if found is None:
        raise ConfigurationError("Такой учётной записи нет: gateway users list")
    return found


def load_accounts(conn: Connection) -> list[Account]:
    """Load all accounts by login."""
    return [to_account(row) for row in conn.execute(select(account).order_by(account.c.login))]


def load_grants(
    conn: Connection, place: Place, account_id: int, *, on: date | None, as_of: datetime | None = None
) -> list[Grant]:
    """Load an account's roles at a place that are not taken back.

    Args:
        on: Only those that hold on this day; None = past and coming ones too.
        as_of: As the rows stood at this moment, for the question who might do what on a past day; None = now.
    """
    query = select(account_role).where(*_grants_of(place, account_id), stood(account_role, as_of))
    if on is not None:
        query = query.where(is_on(account_role.c.begins_on, account_role.c.ends_on, on))
    return [
        Grant(
            id=row.id,
            account_id=row.account_id,
            role=Role(row.role),
            begins_on=row.begins_on,
            ends_on=row.ends_on,
            deputises_for=row.deputises_for,
        )
        for row in conn.execute(query.order_by(account_role.c.id))
    ]


def end_sessions(conn: Connection, account_id: int, *, now: datetime) -> int:
    """End all sessions of an account; how many there were."""
    return conn.execute(
        update(account_session)
        .where(account_session.c.account_id == account_id, account_session.c.ended_at.is_(None))
        .values(ended_at=now)
    ).rowcount


def stood(table: Table, as_of: datetime | None) -> ColumnElement[bool]:
    """Whether a right stood at a moment: given by then and not taken back yet; None = it stands now."""
    if as_of is None:
        return table.c.taken_at.is_(None)
    return and_(table.c.given_at <= as_of, or_(table.c.taken_at.is_(None), table.c.taken_at > as_of))


def to_account(row: Row[tuple[object, ...]]) -> Account:
    """An account of its row."""
    fields = row._mapping
    return Account(
        id=fields["id"],
        login=fields["login"],
        person_ref=fields["person_ref"],
        has_password=fields["password"] is not None,
        created_at=fields["created_at"],
        disabled_at=fields["disabled_at"],
    )


def _grants_of(place: Place, account_id: int):  # type: ignore[no-untyped-def]  # a tuple of SQL conditions
    return (
        account_role.c.account_id == account_id,
        account_role.c.city == place.city,
        account_role.c.portal == place.portal,
    )


def _tell(
    conn: Connection,
    office: Office,
    account_id: int,
    *,
    action: str,
    role: Role | None = None,
    note: Note | None = None,
) -> None:
    about = account_code(account_id) if role is None else f"{account_code(account_id)}/{role.value}"
    office.audit.append(
        conn,
        Deed(
            action=action,
            actor=office.actor,
            place=office.place,
            object_type="account",
            object_id=about,
            outcome="applied",
            note=note,
        ),
    )
    if action in _TOLD:
        tell_who_leads(conn, office, action, about)


def tell_who_leads(conn: Connection, office: Office, action: str, about: str) -> None:
    """Raise an alert that an account has handed out a right, in the transaction of the deed; nothing by the command line."""
    if office.alerts_about is None:
        return
    now = office.store.now(conn)
    conn.execute(
        insert(access_alert).values(
            kind=action,
            account_id=office.alerts_about,
            note_id=write_note(conn, about, now=now).id,
            raised_at=now,
        )
    )
