"""How far an account of the school reaches today, whoever asks: for what it is given, what it chose, and what it proposed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from gateway.access.accounts import Account, load_grants, to_account
from gateway.access.policy import Action
from gateway.access.scope import Principal, Scope, account_code, permit
from gateway.access.tables import account
from gateway.domain.clock import moscow_day
from gateway.domain.errors import ConfigurationError, NotVisibleError
from gateway.flows.gateway import Gateway
from gateway.report.pupils import is_pupil_seen
from gateway.report.seen_discrepancies import load_seen_ids


def find_account(conn: Connection, whom: str) -> Account:
    """An open account, by its login or by its code.

    Raises:
        ConfigurationError: There is none.
    """
    rows = conn.execute(select(account).where(account.c.disabled_at.is_(None))).all()
    found = next((row for row in rows if whom.lower() in (row.login, account_code(row.id))), None)
    if found is None:
        raise ConfigurationError("Такой действующей учётной записи нет: gateway users list")
    return to_account(found)


def find_beyond(conn: Connection, scopes: Sequence[Scope], place_id: int, asked: Sequence[int]) -> list[int]:
    """Which of these numbers none of the scopes reaches."""
    reached = {number for scope in scopes for number in load_seen_ids(conn, scope, place_id, asked)}
    return sorted(set(asked) - reached)


def scopes_of(gateway: Gateway, conn: Connection, whom: Account, action: Action) -> list[Scope]:
    """How far an account reaches today in an action, by each of its roles that has it."""
    now = gateway.store.now(conn)
    on = moscow_day(now)
    found = []
    for grant in load_grants(conn, gateway.place, whom.id, on=on):
        principal = Principal(
            account_id=whom.id, login=whom.login, role=grant.role, place=gateway.place, on=on, via="session"
        )
        try:
            found.append(permit(conn, principal, action, now=now))
        except NotVisibleError:
            continue
    return found


def is_word_still(gateway: Gateway, conn: Connection, name: str, action: Action, *, pupils: Iterable[str] = ()) -> bool:
    """Whether the account that said the first of two words could say it today, of these pupils too.

    A word outlives neither its account nor the post that let it be said: who was closed, dismissed or put elsewhere since
    is no first of two persons.

    Args:
        name: As the audit names the account.
        pupils: Codes of the portal whom the word is about, where it is about pupils.
    """
    try:
        whom = find_account(conn, name)
    except ConfigurationError:
        return False
    asked, place_id = list(pupils), gateway.place_id(conn)
    return any(
        scope.is_whole or all(is_pupil_seen(conn, scope, place_id, pupil) for pupil in asked)
        for scope in scopes_of(gateway, conn, whom, action)
    )


def find_withdrawn(gateway: Gateway, conn: Connection, place_id: int, ids: Sequence[int]) -> frozenset[int]:
    """Which of these numbers the gateway's actor may settle no more: closed, in another post, with other pupils.

    What the user of the machine chose, or the gateway itself, no account can lose.
    """
    if not gateway.actor.is_authenticated:
        return frozenset()
    try:
        whom = find_account(conn, gateway.actor.name)
    except ConfigurationError:
        return frozenset(ids)
    return frozenset(find_beyond(conn, scopes_of(gateway, conn, whom, Action.DISCREPANCIES_CHOOSE), place_id, ids))


__all__ = ["find_account", "find_beyond", "find_withdrawn", "is_word_still", "scopes_of"]
