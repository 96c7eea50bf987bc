"""Discrepancies that are somebody's by name: given to an account of the school, or waiting for somebody outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from gateway.access.accounts import Account
from gateway.access.policy import Action
from gateway.access.scope import account_code
from gateway.domain.discrepancies import LIVE, OUTSIDE_ASSIGNEE, DiscrepancyState, DiscrepancyType, Outside
from gateway.domain.errors import ConfigurationError, PlanRefusedError
from gateway.flows.discrepancies import CHUNK_ROWS, LONGEST_AWAY, MOST_AT_ONCE, assign, move
from gateway.flows.gateway import Gateway
from gateway.flows.reach import find_account, find_beyond, scopes_of
from gateway.reconcile.acts import take_turn
from gateway.reconcile.follow import store_steps
from gateway.reconcile.tables import discrepancy
from gateway.store.among import among

_NAMED_COUNT = 10


def assign_to(gateway: Gateway, ids: Sequence[int], whom: str, *, reason: str) -> list[int]:
    """Give open discrepancies to one account of the school, which may settle each of them today.

    Args:
        whom: Its login, or its code as lists show it (`account:3`).

    Returns:
        Numbers of those that were given; a settled one is not.

    Raises:
        PlanRefusedError: No reason; or the account has no role that settles such a thing, or does not reach the pupils.
        ConfigurationError: There is no such account, or it is closed.
    """
    with gateway.store.write() as conn:  # the place is written down at its first use
        found = find_account(conn, whom)
        _refuse_unable(gateway, conn, found, list(ids)[:MOST_AT_ONCE])
    return assign(gateway, ids, account_code(found.id), reason=reason)


def _refuse_unable(gateway: Gateway, conn: Connection, whom: Account, ids: Sequence[int]) -> None:
    """Refuse to give somebody what he could not settle: it would be nobody's from then on.

    Raises:
        PlanRefusedError: He has no role for it, or not all of it is his pupils'.
    """
    place_id = gateway.place_id(conn)
    rows = conn.execute(
        select(discrepancy.c.id, discrepancy.c.type).where(
            discrepancy.c.place_id == place_id,
            among(conn, discrepancy.c.id, ids),
            discrepancy.c.state.in_([state.value for state in LIVE]),
        )
    ).all()
    for action, asked in _by_action(rows):
        scopes = scopes_of(gateway, conn, whom, action)
        if not scopes:
            raise PlanRefusedError(
                f"У {account_code(whom.id)} сегодня нет роли, которая такое решает ({action.value}): "
                "поручите другому или gateway users role",
                reason="ASSIGNEE_UNABLE",
            )
        beyond = find_beyond(conn, scopes, place_id, asked)
        if beyond:
            named = ", ".join(map(str, beyond[:_NAMED_COUNT])) + (" …" if len(beyond) > _NAMED_COUNT else "")
            raise PlanRefusedError(
                f"Расхождения {named} не об учениках {account_code(whom.id)}: решить их эта учётная запись не сможет",
                reason="ASSIGNEE_UNABLE",
            )


def free_unable(gateway: Gateway, place_id: int) -> int:
    """Open again what was given to an account that can't settle it any more: closed, in another post, with other pupils.

    Returns:
        How many.
    """
    with gateway.store.read() as conn:
        rows = conn.execute(
            select(discrepancy.c.id, discrepancy.c.type, discrepancy.c.assignee)
            .where(
                discrepancy.c.place_id == place_id,
                discrepancy.c.state == DiscrepancyState.ASSIGNED.value,
                discrepancy.c.assignee.is_not(None),
            )
            .order_by(discrepancy.c.id)
        ).all()
        unable: list[int] = []
        for code in sorted({row.assignee for row in rows}):
            mine = [row for row in rows if row.assignee == code]
            try:
                whom = find_account(conn, code)
            except ConfigurationError:
                unable += [row.id for row in mine]
                continue
            for action, asked in _by_action(mine):
                unable += find_beyond(conn, scopes_of(gateway, conn, whom, action), place_id, asked)
    for start in range(0, len(unable), CHUNK_ROWS):
        with gateway.store.write() as conn:
            take_turn(conn, place_id)
            now = gateway.store.now(conn)
            freed = conn.execute(
                update(discrepancy)
                .where(
                    among(conn, discrepancy.c.id, unable[start : start + CHUNK_ROWS]),
                    discrepancy.c.state == DiscrepancyState.ASSIGNED.value,
                )
                .values(state=DiscrepancyState.OPEN.value, assignee=None, changed_at=now)
                .returning(discrepancy.c.kind, discrepancy.c.ref)
            ).all()
            store_steps(conn, place_id, [(row.kind, row.ref, "reopened", None) for row in sorted(freed)], now)
    return len(unable)


def _by_action(rows: Sequence[Any]) -> list[tuple[Action, list[int]]]:
    """Numbers of rows (id, type) by the right that settles them: a doubt about a link is no choice of a value."""
    doubts = [row.id for row in rows if row.type == DiscrepancyType.LINK_DOUBT.value]
    others = [row.id for row in rows if row.type != DiscrepancyType.LINK_DOUBT.value]
    both = ((Action.LINKS_DECIDE, doubts), (Action.DISCREPANCIES_CHOOSE, others))
    return [(action, asked) for action, asked in both if asked]


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
        values={
            "state": DiscrepancyState.WAITING_OUTSIDE.value,
            "until": until,
            "assignee": f"{OUTSIDE_ASSIGNEE}{whom.value}",
        },
        reason=reason,
    )
