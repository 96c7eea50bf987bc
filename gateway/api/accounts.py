"""Routes of accounts: who is admitted, with which posts and ties; given and taken by the administrator or the director."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select

from gateway.access.accounts import (
    Account,
    Grant,
    add_account,
    disable_account,
    enable_account,
    find_account,
    give_role,
    load_accounts,
    load_grants,
    set_password,
    take_role,
)
from gateway.access.handing import require_changeable, require_fresh
from gateway.access.looks import subject_ref
from gateway.access.office import Office
from gateway.access.policy import Action
from gateway.access.relations import Relation, give_relation, load_relations, take_relation
from gateway.access.roles import Role, Tie
from gateway.access.tables import account, account_relation
from gateway.api.bodies import (
    AfterRef,
    GivenPassword,
    GivenRelation,
    GivenRole,
    IdempotencyKey,
    Limit,
    Login,
    NewAccount,
    Number,
    Reason,
    RoleChoice,
)
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.audit.subjects import pseudonyms_of
from gateway.domain.errors import NotVisibleError
from gateway.mapping.normalise import class_key
from gateway.report.pupils import load_city_ids

routes = APIRouter(tags=["учётные записи"])

Read = Annotated[Asked, Depends(Ask(Action.ACCOUNTS_READ))]
Change = Annotated[Asked, Depends(Ask(Action.ACCOUNTS_CHANGE))]
_WITHOUT_CHILDREN = (Role.ADMIN, Role.AUDITOR)
"""Who is shown a pseudonym where a tie names a pupil."""


class AccountLine(msgspec.Struct, frozen=True, kw_only=True):
    """An account in a list; who it is at the portal is not said, only whether it is known."""

    number: int
    login: str
    has_person: bool
    has_password: bool
    created_at: datetime
    disabled_at: datetime | None
    roles: list[Role]


class AccountCard(msgspec.Struct, frozen=True, kw_only=True):
    """An account with all that it was given and that was not taken back."""

    account: AccountLine
    roles: list[Grant]
    relations: list[Relation]


@routes.get("/accounts", response_model=page_of(AccountLine))
def list_accounts(asked: Read, after: AfterRef = "", limit: Limit = 50) -> Response:
    """Учётные записи по логину."""
    with asked.gateway.store.read() as conn:
        found = [one for one in load_accounts(conn) if one.login > after][:limit]
        lines = [_line(one, load_grants(conn, asked.principal.place, one.id, on=None)) for one in found]
    return send_page(lines, lines[-1].login if len(lines) == limit else None)


@routes.get("/accounts/{login}", response_model=shape_of(AccountCard))
def show_account(login: Login, asked: Read) -> Response:
    """Одна учётная запись: роли и связи с днями."""
    with asked.gateway.store.write() as conn:
        found = find_account(conn, login)
        if found is None:
            raise NotVisibleError("Такой записи нет")
        grants = load_grants(conn, asked.principal.place, found.id, on=None)
        relations = load_relations(conn, asked.principal.place, found.id)
        if asked.principal.role in _WITHOUT_CHILDREN:
            children = [one.object_ref for one in relations if one.tie in (Tie.SELF, Tie.GUARDIAN)]
            links = load_city_ids(conn, asked.place_id)
            known = pseudonyms_of(conn, asked.principal.place, [subject_ref(ref, links) for ref in children])
            hidden = {ref: known[subject_ref(ref, links)] for ref in children}
            relations = [
                msgspec.structs.replace(one, object_ref=hidden.get(one.object_ref, one.object_ref), substitutes=None)
                for one in relations
            ]
    return send(AccountCard(account=_line(found, grants), roles=grants, relations=relations))


@routes.post("/accounts", status_code=201, response_model=shape_of(AccountLine))
def create(body: NewAccount, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Завести учётную запись; без пароля в неё пока никто не войдёт."""
    _require_fresh(asked)

    def work() -> Response:
        password = None if body.password is None else body.password.get_secret_value()
        made = add_account(_office(asked), body.login, password=password, person_ref=body.person_ref)
        return send(_line(made, []), 201)

    return do_once(asked, request, key, body, work)


@routes.post("/accounts/{login}/password", status_code=204)
def give_password(login: Login, body: GivenPassword, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Дать новый пароль: сеансы этой записи кончаются, завуч и директор узнают об этом."""
    _require_fresh(asked)

    def work() -> Response:
        _require(asked, login)
        set_password(_office(asked), login, body.password.get_secret_value())
        return Response(status_code=204)

    return do_once(asked, request, key, body, work)


@routes.post("/accounts/{login}/disabling", status_code=204)
def disable(login: Login, body: Reason, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Отключить: вход, сеансы и токены кончаются сразу; запись не удаляется."""
    _require_fresh(asked)

    def work() -> Response:
        _require(asked, login)
        disable_account(_office(asked), login, reason=body.reason)
        return Response(status_code=204)

    return do_once(asked, request, key, body, work)


@routes.post("/accounts/{login}/enabling", status_code=204)
def enable(login: Login, body: Reason, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Включить снова; прежние сеансы и токены не оживают."""
    _require_fresh(asked)

    def work() -> Response:
        _require(asked, login)
        enable_account(_office(asked), login, reason=body.reason)
        return Response(status_code=204)

    return do_once(asked, request, key, body, work)


@routes.post("/accounts/{login}/roles", status_code=201, response_model=shape_of(Grant))
def give(login: Login, body: GivenRole, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Дать роль, с днями; роли, которые видят всю школу, даёт директор."""
    _require_fresh(asked)

    def work() -> Response:
        _require(asked, login, body.role)
        grant = give_role(
            _office(asked),
            login,
            body.role,
            begins_on=body.begins_on,
            ends_on=body.ends_on,
            deputises_for=body.deputises_for,
        )
        return send(grant, 201)

    return do_once(asked, request, key, body, work)


@routes.post("/accounts/{login}/roles/withdrawal", status_code=204)
def take(login: Login, body: RoleChoice, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Забрать роль, какие бы дни у неё ни были."""
    _require_fresh(asked)

    def work() -> Response:
        _require(asked, login, body.role)
        take_role(_office(asked), login, body.role)
        return Response(status_code=204)

    return do_once(asked, request, key, body, work)


@routes.post("/accounts/{login}/relations", status_code=201, response_model=shape_of(Relation))
def relate(login: Login, body: GivenRelation, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Связать с учеником, классом, группой или программой, с днями."""
    _require_fresh(asked)

    def work() -> Response:
        _require(asked, login)
        made = give_relation(
            _office(asked),
            login,
            body.tie,
            (class_key(body.object_ref) if body.tie is Tie.LEADS else None) or body.object_ref,
            begins_on=body.begins_on,
            ends_on=body.ends_on,
            is_restricted=body.restricted,
            substitutes=body.substitutes,
        )
        return send(made, 201)

    return do_once(asked, request, key, body, work)


@routes.delete("/relations/{number}", status_code=204)
def unrelate(number: Number, asked: Change) -> Response:
    """Забрать связь: следующий запрос по ней уже ничего не видит."""
    _require_fresh(asked)
    with asked.gateway.store.read() as conn:
        login = conn.execute(
            select(account.c.login)
            .join(account_relation, account_relation.c.account_id == account.c.id)
            .where(
                account_relation.c.id == number,
                account_relation.c.taken_at.is_(None),
                account_relation.c.city == asked.principal.place.city,
                account_relation.c.portal == asked.principal.place.portal,
            )
        ).scalar_one_or_none()
    if login is None:
        raise NotVisibleError("Такой записи нет")
    _require(asked, login)
    take_relation(_office(asked), login, number)
    return Response(status_code=204)


def _office(asked: Asked) -> Office:
    gateway = asked.gateway
    return Office(
        store=gateway.store,
        audit=gateway.audit,
        place=gateway.place,
        actor=gateway.actor,
        passwords=asked.desk.gate.passwords,
        alerts_about=asked.principal.account_id,
    )


def _require_fresh(asked: Asked) -> None:
    lasts = timedelta(minutes=asked.gateway.settings.access.fresh_login_minutes)
    require_fresh(asked.principal, lasts=lasts, now=asked.gateway.now())


def _require(asked: Asked, login: str, role: Role | None = None) -> None:
    with asked.gateway.store.read() as conn:
        require_changeable(conn, asked.principal, login, role=role)


def _line(found: Account, grants: list[Grant]) -> AccountLine:
    return AccountLine(
        number=found.id,
        login=found.login,
        has_person=found.person_ref is not None,
        has_password=found.has_password,
        created_at=found.created_at,
        disabled_at=found.disabled_at,
        roles=list(dict.fromkeys(grant.role for grant in grants)),
    )
