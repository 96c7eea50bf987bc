"""Routes of the queue: what is on its way, what waits for a person, and the red button."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import AfterNumber, IdempotencyKey, Limit, Number, Reason
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.flows.stop import Stopped, allow_sending, stop_sending
from gateway.queue.barrier import Stop, find_stop
from gateway.queue.parking import count_states, replay
from gateway.queue.states import State
from gateway.report.decisions import OperationView, load_seen_operations, require_operation

routes = APIRouter(tags=["очередь"])


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """How many operations stand in each state, and whether sending is stopped."""

    states: dict[str, int]
    is_stopped: bool


@routes.get("/queue", response_model=shape_of(QueueView))
def show_queue(asked: Annotated[Asked, Depends(Ask(Action.QUEUE_READ))]) -> Response:
    """Сколько операций в каком состоянии и не остановлена ли отправка."""
    with asked.gateway.store.read() as conn:
        stop: Stop | None = find_stop(conn, asked.gateway.place.city)
        return send(QueueView(states=count_states(conn, asked.place_id), is_stopped=stop is not None))


@routes.get("/operations", response_model=page_of(OperationView))
def list_operations(
    asked: Annotated[Asked, Depends(Ask(Action.OPERATIONS_READ))],
    state: Annotated[State | None, Query(description="Только это состояние, например parked.")] = None,
    after: AfterNumber = 0,
    limit: Limit = 100,
) -> Response:
    """Операции без значений: состояние, причина, что делать и чей ход."""
    with asked.gateway.store.write() as conn:
        found = load_seen_operations(
            conn, asked.scope, asked.place_id, state=None if state is None else state.value, after=after, limit=limit
        )
        asked.note_looks(conn, {one.pupil for one in found if one.pupil is not None}, "operation")
    return send_page(found, found[-1].id if len(found) == limit else None)


@routes.post("/operations/{number}/replay", status_code=204)
def replay_operation(
    number: Number,
    request: Request,
    key: IdempotencyKey,
    asked: Annotated[Asked, Depends(Ask(Action.OPERATIONS_REPLAY))],
) -> Response:
    """Вернуть отложенное: следующий план решит заново по сегодняшним данным."""

    def work() -> Response:
        gateway = asked.gateway
        with gateway.store.read() as conn:
            require_operation(conn, asked.scope, asked.place_id, number)
        replay(gateway.store, gateway.ledger, number, actor=asked.principal.actor)
        return Response(status_code=204)

    return do_once(asked, request, key, None, work)


@routes.put("/sending/stop", response_model=shape_of(Stopped))
def stop(body: Reason, asked: Annotated[Asked, Depends(Ask(Action.SENDING_STOP))]) -> Response:
    """Остановить отправку в город во всех процессах сразу."""
    return send(stop_sending(asked.gateway, reason=body.reason))


@routes.post("/sending/allow", response_model=shape_of(Stopped))
def allow(body: Reason, asked: Annotated[Asked, Depends(Ask(Action.SENDING_ALLOW))]) -> Response:
    """Разрешить отправку снова."""
    return send(allow_sending(asked.gateway, reason=body.reason))
