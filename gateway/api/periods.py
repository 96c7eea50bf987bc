"""Routes of signed periods: signing, opening until an hour, and letting named pupils through once, by two persons."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import IdempotencyKey, LetLocked, Number, OpenPeriod, Reason, SignPeriod
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.domain.errors import NotVisibleError
from gateway.flows.period_approval import (
    LockedApproved,
    LockedAsked,
    LockedProposal,
    approve_locked,
    propose_locked,
)
from gateway.flows.periods import Opened, SignedPeriod, load_signed, reopen_period, sign_period
from gateway.queue.signed import Signature
from gateway.queue.signing import find_signature
from gateway.report.overview import get_seen_plan

routes = APIRouter(tags=["периоды"])

Sign = Annotated[Asked, Depends(Ask(Action.PERIODS_SIGN))]


@routes.get("/periods", response_model=page_of(Signature))
def list_periods(asked: Annotated[Asked, Depends(Ask(Action.PERIODS_READ))]) -> Response:
    """Какие периоды подписаны и не открыты ли сейчас."""
    return send_page(load_signed(asked.gateway), None)


@routes.post("/periods", status_code=201, response_model=shape_of(SignedPeriod))
def sign(body: SignPeriod, request: Request, key: IdempotencyKey, asked: Sign) -> Response:
    """Подписать период класса: датированное им уйдёт только по разовому разрешению с именами учеников."""

    def work() -> Response:
        return send(sign_period(asked.gateway, body.class_name, body.period, reason=body.reason), 201)

    return do_once(asked, request, key, body, work)


@routes.post("/periods/{number}/opening", status_code=201, response_model=shape_of(Opened))
def reopen(number: Number, body: OpenPeriod, request: Request, key: IdempotencyKey, asked: Sign) -> Response:
    """Открыть период до часа: удержанное подписью идёт в очередь, потом период закроется сам."""

    def work() -> Response:
        gateway = asked.gateway
        with gateway.store.read() as conn:
            if find_signature(conn, asked.place_id, number, now=gateway.store.now(conn)) is None:
                raise NotVisibleError("Такой записи нет")
        return send(reopen_period(gateway, number, until=body.until, reason=body.reason), 201)

    return do_once(asked, request, key, body, work)


@routes.post("/plans/{number}/period-approvals", status_code=202, response_model=shape_of(LockedProposal))
def propose(
    number: Number,
    body: LetLocked,
    request: Request,
    key: IdempotencyKey,
    asked: Annotated[Asked, Depends(Ask(Action.PLANS_PROPOSE))],
) -> Response:
    """Предложить впустить записи названных учеников в подписанный период; утверждает другой человек."""

    def work() -> Response:
        with asked.gateway.store.read() as conn:
            get_seen_plan(conn, asked.scope, asked.place_id, number)
        wanted = LockedAsked(
            plan_id=number,
            plan_hash=body.plan_hash,
            pupils=frozenset(body.pupils),
            reason=body.reason,
            with_deletes=body.with_deletes,
        )
        return send(propose_locked(asked.gateway, asked.principal, wanted), 202)

    return do_once(asked, request, key, body, work)


@routes.post("/period-approvals/{number}/approval", response_model=shape_of(LockedApproved))
def approve(
    number: Number,
    body: Reason,
    request: Request,
    key: IdempotencyKey,
    asked: Annotated[Asked, Depends(Ask(Action.PLANS_APPROVE))],
) -> Response:
    """Утвердить предложенное: один раз, с причиной, после недавнего ввода пароля."""

    def work() -> Response:
        return send(approve_locked(asked.gateway, asked.principal, number, reason=body.reason))

    return do_once(asked, request, key, body, work)
