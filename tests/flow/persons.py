"""People with accounts, for what two of them decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import insert

from gateway.access.accounts import add_account, find_account, give_role, load_accounts, take_role
from gateway.access.roles import Role
from gateway.access.scope import Principal
from gateway.access.tables import account
from gateway.audit.deed import Actor
from gateway.bootstrap import build_office
from gateway.domain.clock import moscow_day
from gateway.flows.mapping_life import activate_version, draft_version, propose_version
from gateway.flows.mapping_trial import backtest_version
from gateway.flows.period_approval import LockedApproved, LockedAsked, approve_locked, propose_locked

PASSWORD = "correct horse 7"


def person(gateway: Any, login: str, role: Role = Role.DEPUTY_HEAD) -> Principal:
    """An account, made at its first use, that has just proved its password."""
    with gateway.store.read() as conn:
        known = {one.login: one.id for one in load_accounts(conn)}
    number = known.get(login)
    if number is None:
        number = add_account(build_office(gateway), login, password=PASSWORD).id
        give_role(build_office(gateway), login, role)
    return Principal(
        account_id=number,
        login=login,
        role=role,
        place=gateway.place,
        on=moscow_day(gateway.now()),
        via="session",
        proved_at=gateway.now(),
    )


def as_account(gateway: Any, number: int = 7) -> Any:
    """The gateway in the hands of a deputy head's account that proved its password; made at its first use."""
    login = f"deputy-{number}"
    with gateway.store.write() as conn:
        is_known = find_account(conn, login) is not None
        if not is_known:
            conn.execute(insert(account).values(id=number, login=login, created_at=gateway.store.now(conn)))
    if not is_known:
        give_role(build_office(gateway), login, Role.DEPUTY_HEAD)
    actor = Actor(kind="person", name=f"account:{number}", role="deputy_head", is_authenticated=True)
    return replace(gateway, actor=actor)


def lose_post(gateway: Any, number: int = 7) -> None:
    """The account of `as_account` stays and is a deputy head's no longer."""
    take_role(build_office(gateway), f"deputy-{number}", Role.DEPUTY_HEAD)


def get_post_back(gateway: Any, number: int = 7) -> None:
    """It is one again."""
    give_role(build_office(gateway), f"deputy-{number}", Role.DEPUTY_HEAD)


def activate_rules(gateway: Any, source: str) -> Any:
    """Let other rules count as a school does: drafted, proposed by one, tested, activated by another."""
    draft = draft_version(gateway, source, name="mapping.toml", reason="новое положение")
    propose_version(as_account(gateway, 99), draft.number, reason="решение методсовета")
    backtest_version(gateway, draft.number)
    who = person(gateway, "director", Role.DIRECTOR)
    return activate_version(replace(gateway, actor=who.actor), draft.number, reason="с сегодня", principal=who)


def let_named_through(gateway: Any, asked: LockedAsked) -> LockedApproved:
    """One proposes, another approves."""
    made = propose_locked(gateway, person(gateway, "deputy"), asked)
    return approve_locked(gateway, person(gateway, "director", Role.DIRECTOR), made.id, reason=asked.reason)
