"""Routes of the gateway's own journal: what was typed into it, by whom and for whom; typing and taking back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import AfterNumber, IdempotencyKey, Limit, Number, TypedEntry
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.flows.journal import EntryLine, Typed
from gateway.flows.journal_asked import add_asked_entry, get_seen_entry, load_seen_entries, withdraw_asked_entry

routes = APIRouter(tags=["внесённое в шлюз"])

Read = Annotated[Asked, Depends(Ask(Action.JOURNAL_READ))]
Change = Annotated[Asked, Depends(Ask(Action.JOURNAL_CHANGE))]


@routes.get("/journal/entries", response_model=page_of(EntryLine))
def list_entries(asked: Read, after: AfterNumber = 0, limit: Limit = 100) -> Response:
    """Внесённое в сам шлюз, новейшее сверху: что, кем, за кого, кто отвечает, отозвано ли."""
    with asked.gateway.store.write() as conn:
        found = load_seen_entries(conn, asked.scope, asked.place_id, after=after, limit=limit)
        asked.note_looks(conn, {one.pupil for one in found}, "journal")
    return send_page(found, found[-1].id if len(found) == limit else None)


@routes.post("/journal/entries", status_code=201, response_model=shape_of(EntryLine))
def add(body: TypedEntry, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Внести отметку или пропуск своего ученика, за себя или за другого; в город пойдёт со следующим планом."""

    def work() -> Response:
        typed = Typed(
            pupil=body.pupil,
            group=body.group,
            lesson_at=body.lesson_at,
            value=body.value,
            work=body.work,
            form=body.form,
            on_behalf_of=body.on_behalf_of,
            answers=body.answers,
            is_again=body.again,
        )
        number = add_asked_entry(asked.gateway, asked.scope, asked.place_id, typed)
        with asked.gateway.store.read() as conn:
            return send(get_seen_entry(conn, asked.scope, asked.place_id, number), 201)

    return do_once(asked, request, key, body, work)


@routes.post("/journal/entries/{number}/withdrawal", response_model=shape_of(EntryLine))
def withdraw(number: Number, request: Request, key: IdempotencyKey, asked: Change) -> Response:
    """Отозвать запись: то, что по ней стоит в городе, станет удалением, которое ждёт человека."""

    def work() -> Response:
        return send(withdraw_asked_entry(asked.gateway, asked.scope, asked.place_id, number))

    return do_once(asked, request, key, None, work)
