"""Who asks, and what of the school's data he may be shown: a set-based predicate, never a list fetched beforehand.

Every query of a door takes a `Scope`, and only this module makes one (`permit`), from a principal and an action of the
policy. Relations are looked at in the query itself, so that one that ended a moment ago is gone in the next request.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from gateway.access.policy import Action, find_reach
from gateway.access.roles import TIE_OF, Reach, Role, Tie
from gateway.access.tables import account_relation, broken_glass
from gateway.audit.deed import Actor
from gateway.domain.errors import NotVisibleError
from gateway.domain.identifiers import Place


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An account in one of its roles, as one request knows it.

    Attributes:
        place: Where the gateway is; roles and relations of another city or portal say nothing here.
        on: Moscow day of the request, by which dates are judged.
        via: A session, which a person opened with a password, or a token, which a machine holds.
        proved_at: When the password was last proved (aware UTC); None for a token.
        actions: What a token is limited to; None = all that the role has.
        deputises_for: Account whose post is held today, where the role is a deputy's.
        address: Where the request came from.
    """

    account_id: int
    login: str
    role: Role
    place: Place
    on: date
    via: Literal["session", "token"]
    proved_at: datetime | None = None
    actions: frozenset[str] | None = None
    deputises_for: int | None = None
    person_ref: str | None = None
    address: str | None = None

    @property
    def actor(self) -> Actor:
        """The principal as the audit names him: a number and a role, known by password or token."""
        return Actor(kind="person", name=account_code(self.account_id), role=self.role.value, is_authenticated=True)

    @property
    def originator(self) -> str | None:
        """For whom a deputy acts, as the audit names him."""
        return None if self.deputises_for is None else account_code(self.deputises_for)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """One principal's reach in one action; required by every query that a door asks."""

    principal: Principal
    action: Action
    reach: Reach

    @property
    def is_named(self) -> bool:
        """Whether names may be shown; else pseudonyms stand in their place."""
        return self.reach is not Reach.PSEUDONYMS

    @property
    def is_whole(self) -> bool:
        """Whether it reaches the whole school."""
        return self.reach in (Reach.SCHOOL, Reach.PSEUDONYMS, Reach.GLASS)

    @property
    def tie(self) -> Tie | None:
        """The relation that it ends with; None where it needs none."""
        return TIE_OF.get(self.reach)

    def tied_refs(self) -> Select[Any]:
        """Refs of the objects (pupils, classes, groups, programmes by `tie`) that stand in this relation today."""
        tie = self.tie
        if tie is None:
            raise ValueError(f"{self.reach} needs no relation")
        return build_tied_refs(self.principal, tie)


def account_code(account_id: int) -> str:
    """How an account is named in the audit: a number, because a login may be a person's name."""
    return f"account:{account_id}"


def build_tied_refs(principal: Principal, tie: Tie) -> Select[Any]:
    """Refs that an account is tied to on the principal's day, as a subquery; restricted relations tie to nothing."""
    table = account_relation.c
    return select(table.object_ref).where(
        table.account_id == principal.account_id,
        table.tie == tie.value,
        table.city == principal.place.city,
        table.portal == principal.place.portal,
        table.is_restricted.is_(False),
        table.taken_at.is_(None),
        is_on(table.begins_on, table.ends_on, principal.on),
    )


def is_on(begins_on: ColumnElement[date | None], ends_on: ColumnElement[date | None], day: date) -> ColumnElement[bool]:
    """Whether a day lies between two dates of a row, both included, open where there is none."""
    return and_(or_(begins_on.is_(None), begins_on <= day), or_(ends_on.is_(None), ends_on >= day))


def permit(conn: Connection, principal: Principal, action: Action, *, now: datetime) -> Scope:
    """Say how far an action reaches for a principal at this moment.

    Args:
        now: Aware UTC.

    Raises:
        NotVisibleError: The role does not have it, the token was not given it, or the glass is not broken; a token neither
            breaks it nor sees through it.
    """
    reach = find_reach(principal.role, action)
    if reach is None or (principal.actions is not None and action.value not in principal.actions):
        raise NotVisibleError("Такой записи нет")
    is_machine = principal.via == "token"
    if action is Action.GLASS_BREAK and is_machine:
        raise NotVisibleError("Такой записи нет")
    # a person has given his reason for himself: it opens nothing to a machine that holds a token of his
    has_names = not is_machine and find_glass(conn, principal.account_id, now=now) is not None
    if reach is Reach.GLASS and not has_names:
        raise NotVisibleError("Такой записи нет")
    if reach is Reach.VEILED:
        reach = Reach.GLASS if has_names else Reach.PSEUDONYMS
    return Scope(principal=principal, action=action, reach=reach)


def find_glass(conn: Connection, account_id: int, *, now: datetime) -> datetime | None:
    """Until when an account sees names because it broke the glass; None while it did not."""
    return conn.execute(
        select(broken_glass.c.ends_at)
        .where(broken_glass.c.account_id == account_id, broken_glass.c.begins_at <= now, broken_glass.c.ends_at > now)
        .order_by(broken_glass.c.ends_at.desc())
        .limit(1)
    ).scalar_one_or_none()
