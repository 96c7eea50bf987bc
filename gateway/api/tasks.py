"""Routes of a teacher's tasks: what was chosen on his behalf and is to be corrected at the portal, and his word that it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import AfterNumber, IdempotencyKey, Limit, Number
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send_page
from gateway.domain.errors import NotVisibleError
from gateway.flows.tasks import say_done
from gateway.report.tasks import Task, find_task, load_tasks

routes = APIRouter(tags=["задания"])


@routes.get("/tasks", response_model=page_of(Task))
def list_tasks(
    asked: Annotated[Asked, Depends(Ask(Action.TASKS_READ))], after: AfterNumber = 0, limit: Limit = 50
) -> Response:
    """Что исправить на портале: что решено за учителя, кем и почему; возразить можно против самого расхождения."""
    with asked.gateway.store.write() as conn:
        now = asked.gateway.store.now(conn)
        found, pupils = load_tasks(conn, asked.scope, asked.place_id, now=now, after=after, limit=limit)
        asked.note_looks(conn, pupils, "task")
    return send_page(found, found[-1].number if len(found) == limit else None)


@routes.post("/tasks/{number}/done", status_code=204)
def tell_done(
    number: Number,
    request: Request,
    key: IdempotencyKey,
    asked: Annotated[Asked, Depends(Ask(Action.TASKS_DONE))],
) -> Response:
    """Сказать, что на портале исправлено; задание закроет следующее чтение портала."""

    def work() -> Response:
        with asked.gateway.store.read() as conn:
            is_mine = find_task(conn, asked.scope, asked.place_id, number)
        if not is_mine or not say_done(asked.gateway, number):
            raise NotVisibleError("Такой записи нет")
        return Response(status_code=204)

    return do_once(asked, request, key, None, work)
