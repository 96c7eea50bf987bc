"""Routes of holds: what people keep from being sent, holding back, and letting go; what an undo keeps is there too."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import HoldBack, IdempotencyKey, Lifted, Number, Reason
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.domain.errors import NotVisibleError
from gateway.flows.holds import Held, lift_hold, place_hold
from gateway.flows.undone import lift_undone
from gateway.reconcile.holds import load_holds
from gateway.reconcile.undone import load_undone_runs
from gateway.report.holds import HoldLine, UndoneLine, load_seen_holds, load_seen_undone

routes = APIRouter(tags=["задержки"])

Read = Annotated[Asked, Depends(Ask(Action.HOLDS_READ))]
Change = Annotated[Asked, Depends(Ask(Action.HOLDS_CHANGE))]


@routes.get("/holds", response_model=page_of(HoldLine))
def list_holds(asked: Read) -> Response:
    """Что удержано сейчас, кем, почему и до какого дня; администратору вместо имён псевдонимы."""
    with asked.gateway.store.write() as conn:
        now = asked.gateway.store.now(conn)
        lines, pupils = load_seen_holds(conn, asked.scope, asked.place_id, now=now)
        asked.note_looks(conn, pupils, "hold")
    return send_page(lines, None)


@routes.post("/holds", status_code=201, response_model=shape_of(Held))
def put(body: HoldBack, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Удержать запись, ученика, класс, вид или направление; признаки складываются. Стоящее в очереди снимается сразу."""

    def work() -> Response:
        placed = place_hold(
            asked.gateway,
            reason=body.reason,
            until=body.until,
            kind=body.kind,
            op=body.op,
            ref=body.ref,
            pupil=body.pupil,
            class_name=body.class_name,
        )
        return send(placed, 201)

    return do_once(asked, request, key, body, work)


@routes.post("/holds/{number}/lifting", status_code=204)
def lift(number: Number, body: Reason, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Снять задержку: следующий план решит о записях как обычно."""

    def work() -> Response:
        with asked.gateway.store.read() as conn:
            known = load_holds(conn, asked.place_id, now=asked.gateway.store.now(conn))
        if all(one.id != number for one in known):
            raise NotVisibleError("Такой записи нет")
        lift_hold(asked.gateway, number, reason=body.reason)
        return Response(status_code=204)

    return do_once(asked, request, key, body, work)


@routes.get("/holds/undone", response_model=page_of(UndoneLine))
def list_undone(asked: Read) -> Response:
    """Что удержано отменами запусков: каких и сколько записей."""
    with asked.gateway.store.read() as conn:
        return send_page(load_seen_undone(conn, asked.scope, asked.place_id), None)


@routes.post("/holds/undone/{number}/lifting", response_model=Lifted)
def lift_undo(number: Number, body: Reason, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Отпустить всё, что удержано отменой этого запуска."""

    def work() -> Response:
        with asked.gateway.store.read() as conn:
            known = load_undone_runs(conn, asked.place_id)
        if all(one.run_id != number for one in known):
            raise NotVisibleError("Такой записи нет")
        return send({"lifted": lift_undone(asked.gateway, number, reason=body.reason)})

    return do_once(asked, request, key, body, work)
