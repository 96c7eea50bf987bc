"""Routes of links that are set right as one approved unit, and of the incidents that they open."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import (
    AfterNumber,
    ApprovedUnit,
    IdempotencyKey,
    Limit,
    Merged,
    Noted,
    Number,
    Reason,
    Ref,
    RefusedPair,
    Said,
    Split,
)
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.flows.incidents import note_incident
from gateway.flows.merge import merge_profile
from gateway.flows.relink import Proposed, Relinked, approve_relink, propose_relink, withdraw_relink
from gateway.report.incidents import IncidentLine, Sheet, get_sheet, load_incidents
from gateway.report.pupils import require_pupil
from gateway.report.relinks import UnitCard, UnitLine, get_unit, load_units

routes = APIRouter(tags=["исправления связей"])

Decide = Annotated[Asked, Depends(Ask(Action.LINKS_DECIDE))]
Move = Annotated[Asked, Depends(Ask(Action.LINKS_MOVE))]
ReadIncidents = Annotated[Asked, Depends(Ask(Action.INCIDENTS_READ))]
ChangeIncidents = Annotated[Asked, Depends(Ask(Action.INCIDENTS_CHANGE))]


@routes.post("/links/{pupil}/split", response_model=shape_of(Proposed), status_code=201)
def split(pupil: Ref, body: Split, request: Request, key: IdempotencyKey, asked: Decide) -> Response:
    """Предложить исправить связь: убрать у неверного ребёнка, создать у верного. Утверждает другой человек."""

    def work() -> Response:
        _require_pupil(asked, pupil)
        made = propose_relink(
            asked.gateway,
            pupil,
            body.to_city_id,
            reason=body.reason,
            is_swap=body.swap,
            scope=asked.scope,
        )
        return send(made, 201)

    return do_once(asked, request, key, body, work)


@routes.post("/links/{pupil}/merge", response_model=Merged)
def merge(pupil: Ref, body: RefusedPair, request: Request, key: IdempotencyKey, asked: Decide) -> Response:
    """Второй профиль города — тот же ребёнок: связь переходит к нему, ничего не удаляется."""

    def work() -> Response:
        _require_pupil(asked, pupil)
        forgotten = merge_profile(asked.gateway, pupil, body.city_id, reason=body.reason)
        return send(Merged(forgotten=forgotten).model_dump())

    return do_once(asked, request, key, body, work)


@routes.get("/relinks", response_model=page_of(UnitLine))
def list_relinks(asked: Move, after: AfterNumber = 0, limit: Limit = 50) -> Response:
    """Исправления связей, новые сверху; `after` — последний номер прошлой страницы."""
    with asked.gateway.store.write() as conn:
        now = asked.gateway.store.now(conn)
        found = load_units(conn, asked.place_id, now=now, before=after, limit=limit)
        asked.note_looks(conn, {move.local_ref for one in found for move in one.moves}, "relink")
    return send_page(found, found[-1].number if len(found) == limit else None)


@routes.get("/relinks/{number}", response_model=shape_of(UnitCard))
def show_relink(number: Number, asked: Move) -> Response:
    """Всё, что исправление уберёт и создаст."""
    with asked.gateway.store.write() as conn:
        card = get_unit(conn, asked.place_id, number, now=asked.gateway.store.now(conn))
        asked.note_looks(conn, {move.local_ref for move in card.line.moves}, "relink")
    return send(card)


@routes.post("/relinks/{number}/approval", response_model=shape_of(Relinked))
def approve(number: Number, body: ApprovedUnit, request: Request, key: IdempotencyKey, asked: Move) -> Response:
    """Утвердить показанное исправление: связь переходит, удаления уходят, создания следуют за ними."""

    def work() -> Response:
        _require_unit(asked, number)
        return send(approve_relink(asked.gateway, number, body.hash, reason=body.reason, principal=asked.principal))

    return do_once(asked, request, key, body, work)


@routes.post("/relinks/{number}/withdrawal", status_code=204)
def withdraw(number: Number, body: Reason, request: Request, key: IdempotencyKey, asked: Move) -> Response:
    """Отозвать неутверждённое исправление; открытый инцидент остаётся."""

    def work() -> Response:
        _require_unit(asked, number)
        withdraw_relink(asked.gateway, number, reason=body.reason)
        return Response(status_code=204)

    return do_once(asked, request, key, body, work)


@routes.get("/incidents", response_model=page_of(IncidentLine))
def list_incidents(asked: ReadIncidents, after: AfterNumber = 0, limit: Limit = 50) -> Response:
    """Инциденты, новые сверху, с часами 24 и 72; `after` — последний номер прошлой страницы."""
    with asked.gateway.store.read() as conn:
        now = asked.gateway.store.now(conn)
        found = load_incidents(conn, asked.place_id, now=now, before=after, limit=limit)
    return send_page(found, found[-1].number if len(found) == limit else None)


@routes.get("/incidents/{number}", response_model=shape_of(Sheet))
def show_incident(number: Number, asked: ReadIncidents) -> Response:
    """Лист инцидента: что, у кого и сколько времени стояло, кто смотрел, часы."""
    with asked.gateway.store.write() as conn:
        now = asked.gateway.store.now(conn)
        sheet = get_sheet(conn, asked.gateway.place, asked.place_id, number, now=now)
        card = get_unit(conn, asked.place_id, sheet.relink, now=now)
        asked.note_looks(conn, {move.local_ref for move in card.line.moves}, "incident")
    return send(sheet)


@routes.post("/incidents/{number}/notice", response_model=Noted)
def note_notice(number: Number, body: Said, request: Request, key: IdempotencyKey, asked: ChangeIncidents) -> Response:
    """Отметить, что первичное уведомление подано."""

    def work() -> Response:
        _require_incident(asked, number)
        return send(Noted(noted=note_incident(asked.gateway, number, "notice", text=body.text)).model_dump())

    return do_once(asked, request, key, body, work)


@routes.post("/incidents/{number}/findings", response_model=Noted)
def note_findings(
    number: Number, body: Said, request: Request, key: IdempotencyKey, asked: ChangeIncidents
) -> Response:
    """Отметить, что результаты расследования поданы; инцидент закрыт."""

    def work() -> Response:
        _require_incident(asked, number)
        return send(Noted(noted=note_incident(asked.gateway, number, "findings", text=body.text)).model_dump())

    return do_once(asked, request, key, body, work)


def _require_pupil(asked: Asked, pupil: str) -> None:
    with asked.gateway.store.read() as conn:
        require_pupil(conn, asked.scope, asked.place_id, pupil)


def _require_unit(asked: Asked, number: int) -> None:
    with asked.gateway.store.read() as conn:
        get_unit(conn, asked.place_id, number, now=asked.gateway.store.now(conn))


def _require_incident(asked: Asked, number: int) -> None:
    with asked.gateway.store.read() as conn:
        get_sheet(conn, asked.gateway.place, asked.place_id, number, now=asked.gateway.store.now(conn))
