"""Discrepancies that are somebody's by name: given to an account of the school, or waiting for somebody outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from gateway.access.scope import account_code
from gateway.access.tables import account
from gateway.domain.discrepancies import LIVE, DiscrepancyState, Outside
from gateway.domain.errors import ConfigurationError, PlanRefusedError
from gateway.flows.discrepancies import LONGEST_AWAY, assign, move
from gateway.flows.gateway import Gateway


def assign_to(gateway: Gateway, ids: Sequence[int], whom: str, *, reason: str) -> list[int]:
    """Give open discrepancies to one account of the school.

    Args:
        whom: Its login, or its code as lists show it (`account:3`).

    Returns:
        Numbers of those that were given; a settled one is not.

    Raises:
        PlanRefusedError: No reason.
        ConfigurationError: There is no such account, or it is closed.
    """
    return assign(gateway, ids, find_account(gateway, whom), reason=reason)


def find_account(gateway: Gateway, whom: str) -> str:
    """The code of an open account, by its login or by the code itself.

    Raises:
        ConfigurationError: There is none.
    """
    with gateway.store.read() as conn:
        rows = conn.execute(select(account.c.id, account.c.login).where(account.c.disabled_at.is_(None))).all()
    found = next((row.id for row in rows if whom.lower() in (row.login, account_code(row.id))), None)
    if found is None:
        raise ConfigurationError("Такой действующей учётной записи нет: gateway users list")
    return account_code(found)


def wait_outside(gateway: Gateway, ids: Sequence[int], whom: Outside, *, until: datetime, reason: str) -> list[int]:
    """Let open discrepancies wait for somebody outside of the school; at the day they are open again by themselves.

    Args:
        until: Aware UTC, at most 120 days away.

    Returns:
        Numbers of those that wait now; a settled one does not.

    Raises:
        PlanRefusedError: No reason, or no day within reach.
    """
    if not reason.strip():
        raise PlanRefusedError("Ожидание без причины не принимается: --reason", reason="REASON_MISSING")
    now = gateway.now()
    if not now < until <= now + LONGEST_AWAY:
        raise PlanRefusedError(
            "Назовите день, когда к этому вернуться, не дальше 120 дней: --until", reason="DAY_OUT_OF_REACH"
        )
    return move(
        gateway,
        ids,
        step="waiting",
        action="discrepancy.waiting",
        states=LIVE,
        values={"state": DiscrepancyState.WAITING_OUTSIDE.value, "until": until, "assignee": f"outside:{whom.value}"},
        reason=reason,
    )
