"""Routes of rules from precedents: what people settle alike, and letting a rule do it until a day; no record is named."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import IdempotencyKey, MakePrecedent, Number, Reason, SwitchPrecedentOn
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.domain.errors import ConfigurationError, NotVisibleError
from gateway.flows.precedents import backtest_rule, make_rule, switch_off, switch_on
from gateway.reconcile.precedents import Offer, Precedent, get_rule, load_offers, load_rules

routes = APIRouter(tags=["прецеденты"])

Read = Annotated[Asked, Depends(Ask(Action.PRECEDENTS_READ))]
Change = Annotated[Asked, Depends(Ask(Action.PRECEDENTS_CHANGE))]


@routes.get("/precedents", response_model=page_of(Precedent))
def list_rules(asked: Read) -> Response:
    """Правила по прецедентам, новые сначала."""
    with asked.gateway.store.read() as conn:
        return send_page(load_rules(conn, asked.place_id), None)


@routes.get("/precedents/offers", response_model=page_of(Offer))
def list_offers(asked: Read) -> Response:
    """Что решают одинаково: сколько раз, как, и сколько таких ждёт."""
    at_least = asked.gateway.settings.school.precedent_count
    with asked.gateway.store.read() as conn:
        return send_page(load_offers(conn, asked.place_id, at_least=at_least), None)


@routes.post("/precedents", status_code=201, response_model=shape_of(Precedent))
def make(body: MakePrecedent, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Сделать правило из предложенного; действует оно после проверки и включения."""

    def work() -> Response:
        made = make_rule(asked.gateway, body.pattern, body.choice, until=body.until, reason=body.reason)
        return send(made, 201)

    return do_once(asked, request, key, body, work)


@routes.post("/precedents/{number}/backtest", response_model=shape_of(Precedent))
def backtest(number: Number, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Проверить правило на прежних решениях и на том, что ждёт."""

    def work() -> Response:
        _require(asked, number)
        return send(backtest_rule(asked.gateway, number))

    return do_once(asked, request, key, None, work)


@routes.post("/precedents/{number}/on", response_model=shape_of(Precedent))
def put_in_force(
    number: Number, body: SwitchPrecedentOn, request: Request, key: IdempotencyKey, asked: Change
) -> Response:
    """Включить проверенное правило до его дня."""

    def work() -> Response:
        _require(asked, number)
        return send(switch_on(asked.gateway, number, reason=body.reason, with_others=body.with_others))

    return do_once(asked, request, key, body, work)


@routes.post("/precedents/{number}/off", response_model=shape_of(Precedent))
def end(number: Number, body: Reason, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Закончить правило раньше его дня."""

    def work() -> Response:
        _require(asked, number)
        return send(switch_off(asked.gateway, number, reason=body.reason))

    return do_once(asked, request, key, body, work)


def _require(asked: Asked, number: int) -> None:
    try:
        with asked.gateway.store.read() as conn:
            get_rule(conn, asked.place_id, number)
    except ConfigurationError as exc:
        raise NotVisibleError("Такой записи нет") from exc
