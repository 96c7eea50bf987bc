"""People with accounts, for what two of them decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.access.accounts import add_account, load_accounts
from gateway.access.roles import Role
from gateway.access.scope import Principal
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
    number = known.get(login) or add_account(build_office(gateway), login, password=PASSWORD).id
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
    """The gateway in the hands of an account that proved its password."""
    actor = Actor(kind="person", name=f"account:{number}", role="deputy_head", is_authenticated=True)
    return replace(gateway, actor=actor)


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
