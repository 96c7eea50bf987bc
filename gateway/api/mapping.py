"""Routes of the rules' versions: what counts, what is proposed, what it would change; no record and no child is named."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import (
    ActivateMapping,
    Begun,
    DraftMapping,
    IdempotencyKey,
    MappingText,
    MapValue,
    Number,
    Reason,
    RollBackMapping,
)
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.domain.errors import ConfigurationError, GatewayError, NotVisibleError, PlanRefusedError
from gateway.flows.approval import require_fresh
from gateway.flows.city_reads import find_whole_directory
from gateway.flows.mapping_life import (
    Activated,
    activate_version,
    draft_version,
    map_value,
    propose_version,
    roll_back,
    withdraw_version,
)
from gateway.flows.mapping_trial import Preview, UnreadGroup, backtest_version, preview_version
from gateway.mapping.unmapped import UnmappedValue, load_unmapped
from gateway.mapping.versions import Version, get_source, get_version, load_versions
from gateway.report.mapping import Difference, load_correction, load_differences
from gateway.report.whose import load_pupils_of
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
routes = APIRouter(tags=["правила"])

Read = Annotated[Asked, Depends(Ask(Action.MAPPING_READ))]
Propose = Annotated[Asked, Depends(Ask(Action.MAPPING_PROPOSE))]
Look = Annotated[Asked, Depends(Ask(Action.MAPPING_PREVIEW))]
Activate = Annotated[Asked, Depends(Ask(Action.MAPPING_ACTIVATE))]


class CorrectionCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How far a correction is; `number` is the version whose activation corrects, 0 where nothing is corrected.

    Where `is_planned` is false no plan was made by these rules yet, and the counts are those of the former ones.
    """

    number: int
    left: int
    pupils: int
    edited: int
    is_planned: bool


class Previewed(msgspec.Struct, frozen=True, kw_only=True):
    """One record under the rules that count and under those of a version, and whether it comes out otherwise."""

    is_different: bool
    record: Preview


class PreviewPage(msgspec.Struct, frozen=True, kw_only=True):
    """What a version makes of records, and the groups that are left out although they were asked, each with its reason."""

    items: list[Previewed]
    next: int | None
    unread: list[UnreadGroup]


@routes.get("/mapping/versions", response_model=page_of(Version))
def list_versions(asked: Read) -> Response:
    """Версии правил, новые сначала; пусто, пока действует сам файл."""
    with asked.gateway.store.read() as conn:
        return send_page(load_versions(conn, asked.place_id), None)


@routes.get("/mapping/versions/{number}", response_model=shape_of(Version))
def show_version(number: Number, asked: Read) -> Response:
    """Одна версия с итогом её проверки."""
    return send(_get(asked, number))


@routes.get("/mapping/versions/{number}/text", response_model=MappingText)
def show_text(number: Number, asked: Read) -> Response:
    """Текст правил версии."""
    found = _get(asked, number)
    with asked.gateway.store.read() as conn:
        return send({"toml": get_source(conn, found.id)})


@routes.get("/mapping/versions/{number}/differences", response_model=page_of(Difference))
def list_differences(number: Number, asked: Read) -> Response:
    """Что изменит версия по последней проверке: сколько записей и почему, без имён и значений."""
    found = _get(asked, number)
    with asked.gateway.store.read() as conn:
        return send_page(load_differences(conn, found.id), None)


@routes.get("/mapping/versions/{number}/preview", response_model=shape_of(PreviewPage))
def preview(
    number: Number,
    asked: Look,
    ref: Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")] = None,
    sample: Annotated[int, Query(ge=1, le=200, description="Сколько записей взять.")] = 10,
    different: Annotated[bool, Query(description="Только те, где выйдет иначе.")] = False,
) -> Response:
    """Что выйдет из одной записи или из выборки: вход, шаги, выход и приговор, по действующим правилам и по версии.

    Расписание читается у города; группы, которые прочитать не удалось за срок одного вызова, названы с причиной.
    """
    _get(asked, number)
    with asked.gateway.store.read() as conn:
        if find_whole_directory(conn, asked.place_id) is None:
            # a page does not begin the first read of a city
            raise PlanRefusedError("Справочник города не прочитан: сначала постройте план", reason="CITY_UNREAD")
    gateway = asked.gateway
    found = preview_version(
        gateway, number, ref=ref, sample=sample, only_different=different, within_s=gateway.terms.deadline_s
    )
    refs = [one.ref for one in found.records]
    with gateway.store.write() as conn:
        asked.note_looks(conn, set(load_pupils_of(conn, asked.place_id, refs).values()), "record")
    items = [Previewed(is_different=one.is_different, record=one) for one in found.records]
    return send(PreviewPage(items=items, next=None, unread=found.unread))


@routes.get("/mapping/unmapped", response_model=page_of(UnmappedValue))
def list_unmapped(asked: Read) -> Response:
    """Значения школы без пары в городе."""
    with asked.gateway.store.read() as conn:
        return send_page(load_unmapped(conn, asked.place_id), None)


@routes.get("/mapping/correction", response_model=shape_of(CorrectionCounts))
def show_correction(asked: Read) -> Response:
    """Сколько переданного ещё исправляется по действующей версии."""
    with asked.gateway.store.read() as conn:
        found = load_correction(conn, asked.place_id)
    if found is None:
        return send(CorrectionCounts(number=0, left=0, pupils=0, edited=0, is_planned=True))
    return send(
        CorrectionCounts(
            number=found.number,
            left=found.left,
            pupils=len(found.pupils),
            edited=len(found.edited),
            is_planned=found.is_planned,
        )
    )


@routes.post("/mapping/versions", status_code=201, response_model=shape_of(Version))
def draft(body: DraftMapping, request: Request, key: IdempotencyKey, asked: Propose) -> Response:
    """Сохранить черновик правил."""

    def work() -> Response:
        return send(draft_version(asked.gateway, body.toml, name="mapping.toml", reason=body.reason), 201)

    return do_once(asked, request, key, body, work)


@routes.post("/mapping/values", status_code=201, response_model=shape_of(Version))
def draft_value(body: MapValue, request: Request, key: IdempotencyKey, asked: Propose) -> Response:
    """Сопоставить значение: черновик из действующих правил и одной строки."""

    def work() -> Response:
        if body.on is not None:
            _get(asked, body.on)
        drafted = map_value(asked.gateway, body.name, body.local, body.city, reason=body.reason, number=body.on)
        return send(drafted, 201)

    return do_once(asked, request, key, body, work)


@routes.post("/mapping/versions/{number}/proposal", response_model=shape_of(Version))
def propose(number: Number, body: Reason, request: Request, key: IdempotencyKey, asked: Propose) -> Response:
    """Предложить черновик тем, кто включает."""

    def work() -> Response:
        _get(asked, number)
        return send(propose_version(asked.gateway, number, reason=body.reason))

    return do_once(asked, request, key, body, work)


@routes.post("/mapping/versions/{number}/withdrawal", response_model=shape_of(Version))
def withdraw(number: Number, body: Reason, request: Request, key: IdempotencyKey, asked: Propose) -> Response:
    """Снять черновик или предложение, которое включать не будут."""

    def work() -> Response:
        _get(asked, number)
        return send(withdraw_version(asked.gateway, number, reason=body.reason))

    return do_once(asked, request, key, body, work)


@routes.post("/mapping/versions/{number}/backtest", status_code=202, response_model=Begun)
def backtest(number: Number, request: Request, key: IdempotencyKey, asked: Propose) -> Response:
    """Начать проверку на всех записях; итог стоит у версии, когда она кончится."""

    def work() -> Response:
        _get(asked, number)
        gateway = asked.gateway

        def go() -> None:
            try:
                backtest_version(gateway, number)
            except GatewayError as error:
                # the version stays untested, and so can't be activated
                LOG.warning("mapping.backtest_broken", reason=error.reason_code)

        asked.desk.begin(go)
        return send({"href": request.url_for("show_version", number=str(number)).path}, 202)

    return do_once(asked, request, key, None, work)


@routes.post("/mapping/versions/{number}/activation", response_model=shape_of(Activated))
def activate(number: Number, body: ActivateMapping, request: Request, key: IdempotencyKey, asked: Activate) -> Response:
    """Включить предложенную и проверенную версию: другой человек, с причиной, после недавнего ввода пароля."""

    def work() -> Response:
        _get(asked, number)
        done = activate_version(
            asked.gateway,
            number,
            reason=body.reason,
            principal=asked.principal,
            since=body.since,
            with_refused=body.with_refused,
        )
        return send(done)

    return do_once(asked, request, key, body, work)


@routes.post("/mapping/rollback", response_model=shape_of(Activated))
def take_back(body: RollBackMapping, request: Request, key: IdempotencyKey, asked: Activate) -> Response:
    """Сразу вернуть прежнюю действовавшую версию."""

    def work() -> Response:
        with asked.gateway.store.read() as conn:
            require_fresh(asked.gateway, asked.principal, asked.gateway.store.now(conn))
        if body.to is not None:
            _get(asked, body.to)
        return send(roll_back(asked.gateway, reason=body.reason, since=body.since, number=body.to))

    return do_once(asked, request, key, body, work)


def _get(asked: Asked, number: int) -> Version:
    try:
        with asked.gateway.store.read() as conn:
            return get_version(conn, asked.place_id, number)
    except ConfigurationError as exc:
        raise NotVisibleError("Такой записи нет") from exc
