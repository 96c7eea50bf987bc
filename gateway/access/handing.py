"""Who may change which account by the door: freshly logged in, not his own, and leading posts only by the director.

An administrator who hands out rights could hand them to himself under another login. So he can't give a post that reaches
the whole school with names, and of everything else that he gives those who lead are told (`Office.alerts_about`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from gateway.access.accounts import Account, find_account, load_grants
from gateway.access.roles import Role
from gateway.access.scope import Principal
from gateway.domain.errors import NotVisibleError, PlanRefusedError

LEADING_ROLES = frozenset({Role.ADMIN, Role.DEPUTY_HEAD, Role.DIRECTOR, Role.INSPECTOR})
"""Posts that reach the whole school; only the director gives and takes them, and changes the accounts that hold them."""


def require_fresh(principal: Principal, *, lasts: timedelta, now: datetime) -> None:
    """Let pass who has proved his password just now.

    Raises:
        PlanRefusedError: It was too long ago, or a token asks.
    """
    if principal.proved_at is None or now - principal.proved_at > lasts:
        raise PlanRefusedError("Подтвердите пароль заново, затем меняйте права", reason="LOGIN_NOT_FRESH")


def require_changeable(conn: Connection, principal: Principal, login: str, *, role: Role | None = None) -> Account:
    """Find the account that a principal may change.

    Args:
        role: The post that is given or taken, where one is.

    Raises:
        NotVisibleError: There is no such account.
        PlanRefusedError: It is his own, or of a post that only the director hands out.
    """
    found = find_account(conn, login)
    if found is None:
        raise NotVisibleError("Такой записи нет")
    if found.id == principal.account_id or (found.person_ref is not None and found.person_ref == principal.person_ref):
        raise PlanRefusedError("Свои права меняет другой человек", reason="SECOND_PERSON")
    held = {grant.role for grant in load_grants(conn, principal.place, found.id, on=None)}
    if principal.role is not Role.DIRECTOR and LEADING_ROLES & (held | ({role} if role is not None else set())):
        raise PlanRefusedError("Права тех, кто видит всю школу, меняет директор", reason="RIGHTS_ABOVE")
    return found


__all__ = ["LEADING_ROLES", "require_changeable", "require_fresh"]
