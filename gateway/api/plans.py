"""Routes of plans: what would be sent and why not, and letting it out by one person or two."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import LARGEST, AfterNumber, IdempotencyKey, LetOut, LetOutChosen, Limit, Number
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.bootstrap.limits import build_lane_limits
from gateway.flows import approval
from gateway.reconcile.plan import SealedPlan
from gateway.report.decisions import SEQ_BITS, load_decisions, load_open_decisions
from gateway.report.guards import PlanImpact, ShownGuard, load_plan_impact, show_guards
from gateway.report.overview import get_seen_plan, load_seen_plans
from gateway.report.plan_view import PlanLine

routes = APIRouter(tags=["планы"])

Category = Annotated[
    Literal["create", "update", "delete", "held", "waiting", "rejected", "adopted", "out_of_scope"] | None,
    Query(description="Только эти решения."),
]
AfterLine = Annotated[
    int, Query(ge=0, lt=(LARGEST + 1) << SEQ_BITS, description="Поле next прошлой страницы; 0 = с начала.")
]


@routes.get("/plans", response_model=page_of(SealedPlan))
def list_plans(
    asked: Annotated[Asked, Depends(Ask(Action.PLANS_READ))], after: AfterNumber = 0, limit: Limit = 20
) -> Response:
    """Планы, новые сначала: счётчики, защита, состояние."""
    with asked.gateway.store.read() as conn:
        found = load_seen_plans(conn, asked.scope, asked.place_id, before=after, limit=limit)
    return send_page(found, found[-1].id if len(found) == limit else None)


@routes.get("/plans/{number}", response_model=shape_of(SealedPlan))
def show_plan(number: Number, asked: Annotated[Asked, Depends(Ask(Action.PLANS_READ))]) -> Response:
    """Один план."""
    with asked.gateway.store.read() as conn:
        return send(get_seen_plan(conn, asked.scope, asked.place_id, number))


@routes.get("/plans/{number}/guards", response_model=page_of(ShownGuard))
def list_guards(number: Number, asked: Annotated[Asked, Depends(Ask(Action.PLANS_READ))]) -> Response:
    """Строки защиты: предел, что есть, решение, кто может разрешить."""
    limits = build_lane_limits(asked.gateway.settings)
    with asked.gateway.store.read() as conn:
        found = get_seen_plan(conn, asked.scope, asked.place_id, number)
        rows = show_guards(conn, asked.place_id, found, limits, with_impact=asked.scope.is_whole)
    return send_page(rows, None)


@routes.get("/plans/{number}/impact", response_model=shape_of(PlanImpact))
def show_impact(number: Number, asked: Annotated[Asked, Depends(Ask(Action.PLANS_IMPACT))]) -> Response:
    """Что план значит: средние классов и итоги периодов до и после, одной фразой и строками."""
    limits = build_lane_limits(asked.gateway.settings)
    with asked.gateway.store.read() as conn:
        get_seen_plan(conn, asked.scope, asked.place_id, number)
        return send(load_plan_impact(conn, asked.place_id, number, limits))


@routes.get("/plans/{number}/items", response_model=page_of(PlanLine))
def list_items(
    number: Number,
    asked: Annotated[Asked, Depends(Ask(Action.ITEMS_READ))],
    after: AfterNumber = 0,
    limit: Limit = 100,
    category: Category = None,
) -> Response:
    """Строки плана словами; администратору вместо имён псевдонимы и без значений."""
    with asked.gateway.store.write() as conn:
        get_seen_plan(conn, asked.scope, asked.place_id, number)
        page = load_decisions(conn, asked.scope, asked.place_id, number, after=after, limit=limit, category=category)
        asked.note_looks(conn, page.pupils, "decision")
    return send_page(page.lines, page.next_seq)


@routes.get("/decisions", response_model=page_of(PlanLine))
def list_open_decisions(
    asked: Annotated[Asked, Depends(Ask(Action.DECISIONS_READ))], after: AfterLine = 0, limit: Limit = 100
) -> Response:
    """Что не отправляется, почему и чей ход: по каждой группе из последнего плана, который её решал."""
    with asked.gateway.store.write() as conn:
        page = load_open_decisions(conn, asked.scope, asked.place_id, after=after, limit=limit)
        asked.note_looks(conn, page.pupils, "decision")
    return send_page(page.lines, page.next_seq)


@routes.post("/plans/{number}/proposals", status_code=202, response_model=shape_of(approval.Proposal))
def propose(
    number: Number,
    body: LetOut,
    request: Request,
    key: IdempotencyKey,
    asked: Annotated[Asked, Depends(Ask(Action.PLANS_PROPOSE))],
) -> Response:
    """Предложить выпустить план: удаления и удержанное защитой утверждает другой человек."""

    def work() -> Response:
        _require_plan(asked, number)
        return send(approval.propose_plan(asked.gateway, asked.principal, _to_asked(number, body)), 202)

    return do_once(asked, request, key, body, work)


@routes.post("/plans/{number}/approval", response_model=shape_of(approval.Approved))
def approve(
    number: Number,
    body: LetOutChosen,
    request: Request,
    key: IdempotencyKey,
    asked: Annotated[Asked, Depends(Ask(Action.PLANS_APPROVE))],
) -> Response:
    """Утвердить показанный план или выбранные строки: один раз, с причиной, после недавнего ввода пароля."""

    def work() -> Response:
        _require_plan(asked, number)
        wish = msgspec.structs.replace(
            _to_asked(number, body),
            items=tuple(body.items),
            classes=tuple(body.classes),
            pupils=tuple(body.pupils),
            kinds=tuple(body.kinds),
        )
        return send(approval.approve_plan(asked.gateway, asked.principal, wish))

    return do_once(asked, request, key, body, work)


def _require_plan(asked: Asked, number: int) -> None:
    with asked.gateway.store.read() as conn:
        get_seen_plan(conn, asked.scope, asked.place_id, number)


def _to_asked(number: int, body: LetOut) -> approval.Asked:
    return approval.Asked(
        plan_id=number,
        plan_hash=body.plan_hash,
        reason=body.reason,
        with_deletes=body.with_deletes,
        with_held=body.with_held,
    )
