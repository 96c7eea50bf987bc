"""Routes of links: who is who in the city's journal, decided by people whose pupils they are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import AfterRef, Confirmed, IdempotencyKey, Limit, Pair, Reason, Ref, RefusedPair
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.domain.identifiers import Kind
from gateway.flows.links import confirm_link, reject_link
from gateway.flows.unlink import Unlinked, drop_link
from gateway.mapping.links import load_links
from gateway.report.links import Asking, LinkCard, get_card, load_asking, shown_pupils
from gateway.report.pupils import require_pupil

routes = APIRouter(tags=["связи"])

Read = Annotated[Asked, Depends(Ask(Action.LINKS_READ))]
Decide = Annotated[Asked, Depends(Ask(Action.LINKS_DECIDE))]


@routes.get("/links", response_model=page_of(Asking))
def list_asking(asked: Read, after: AfterRef = "", limit: Limit = 50) -> Response:
    """Кто ждёт связи или под вопросом, кто это может быть в городе, за и против словами."""
    with asked.gateway.store.write() as conn:
        found = load_asking(conn, asked.place_id, asked.scope, after=after, limit=limit)
        asked.note_looks(conn, shown_pupils(found, load_links(conn, asked.place_id, Kind.PERSON)), "link")
    return send_page(found, found[-1].ref if len(found) == limit else None)


@routes.get("/links/{pupil}", response_model=shape_of(LinkCard))
def show_link(pupil: Ref, asked: Read) -> Response:
    """Одна связь: кто и на чём её решил, что говорит против, кого отвергли."""
    with asked.gateway.store.write() as conn:
        card = get_card(conn, asked.place_id, asked.scope, pupil)
        links = load_links(conn, asked.place_id, Kind.PERSON)
        named = shown_pupils([] if card.asking is None else [card.asking], links)
        asked.note_looks(conn, {pupil, *named}, "link")
    return send(card)


@routes.post("/links/{pupil}/confirmation", response_model=Confirmed)
def confirm(pupil: Ref, body: Pair, request: Request, key: IdempotencyKey, asked: Decide) -> Response:
    """Подтвердить связь, или что стоящая верна, хотя против неё есть данные."""

    def work() -> Response:
        _require(asked, pupil)
        made = confirm_link(
            asked.gateway,
            pupil,
            body.city_id,
            despite_evidence=body.despite_evidence,
            reason=body.reason,
            principal=asked.principal,
        )
        return send(Confirmed(confirmed=made).model_dump())

    return do_once(asked, request, key, body, work)


@routes.post("/links/{pupil}/rejection", status_code=204)
def reject(pupil: Ref, body: RefusedPair, request: Request, key: IdempotencyKey, asked: Decide) -> Response:
    """Отвергнуть кандидата: пару не предложат снова, пока не изменятся данные."""

    def work() -> Response:
        _require(asked, pupil)
        reject_link(asked.gateway, pupil, body.city_id, reason=body.reason)
        return Response(status_code=204)

    return do_once(asked, request, key, body, work)


@routes.post("/links/{pupil}/removal", response_model=shape_of(Unlinked))
def drop(pupil: Ref, body: Reason, request: Request, key: IdempotencyKey, asked: Decide) -> Response:
    """Убрать неверную связь, по которой ещё ничего не ушло; ушло — её разбирают вдвоём."""

    def work() -> Response:
        _require(asked, pupil)
        return send(drop_link(asked.gateway, pupil, reason=body.reason))

    return do_once(asked, request, key, body, work)


def _require(asked: Asked, pupil: str) -> None:
    with asked.gateway.store.read() as conn:
        require_pupil(conn, asked.scope, asked.place_id, pupil)
