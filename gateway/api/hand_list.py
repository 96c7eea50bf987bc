"""Routes of the list «enter by hand»: what teachers type, what goes onto it and off it, and what an outage means."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import ChooseOutage, IdempotencyKey, PutOnList, TakeOffList
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.flows.hand_list import load_hand_list, load_handed_pupils
from gateway.flows.hand_over import OutageChosen, choose_outage, load_outage, put_on_list, take_off_list
from gateway.queue.hand_over import HandedOver, OutageChoice
from gateway.report.hand_list import HandLine

routes = APIRouter(tags=["внести руками"])

Read = Annotated[Asked, Depends(Ask(Action.HAND_LIST_READ))]
Change = Annotated[Asked, Depends(Ask(Action.HAND_LIST_CHANGE))]


@routes.get("/hand-list", response_model=page_of(HandLine))
def show_list(asked: Read) -> Response:
    """Что вносят учителя, по учителям и страницам журнала."""
    lines = load_hand_list(asked.gateway)
    with asked.gateway.store.write() as conn:
        asked.note_looks(conn, load_handed_pupils(conn, asked.place_id, lines), "operation")
    return send_page(lines, None)


@routes.post("/hand-list", response_model=shape_of(HandedOver))
def put(body: PutOnList, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Снять с очереди и передать учителям; что уже отправляется, остаётся в очереди."""

    def work() -> Response:
        return send(put_on_list(asked.gateway, body.operations, closed=body.closed, reason=body.reason))

    return do_once(asked, request, key, body, work)


@routes.post("/hand-list/back", response_model=shape_of(HandedOver))
def take_back(body: TakeOffList, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Вернуть шлюзу: журнал читается, внесённое остаётся, об остальном решит следующий план."""

    def work() -> Response:
        return send(take_off_list(asked.gateway, body.operations, reason=body.reason))

    return do_once(asked, request, key, body, work)


@routes.get("/hand-list/outage", response_model=page_of(OutageChoice))
def show_outage(asked: Read) -> Response:
    """Что делать с каждым видом, пока журнал не отвечает часами."""
    return send_page(load_outage(asked.gateway), None)


@routes.post("/hand-list/outage", response_model=shape_of(OutageChosen))
def choose(body: ChooseOutage, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Выбрать для вида: ждать журнала или вносить руками."""

    def work() -> Response:
        return send(choose_outage(asked.gateway, body.kind, body.choice, reason=body.reason))

    return do_once(asked, request, key, body, work)
