"""Routes of schedules, of the school's calendar and of its sources: what runs by itself, on which days, and what was heard."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import BelieveEmptied, IdempotencyKey, LookForEmptied, RunBegun
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.domain.errors import AlreadyRunningError, GatewayError, NotVisibleError
from gateway.flows.calendar import load_year
from gateway.flows.emptied import Emptied, believe_emptied, find_emptied
from gateway.mapping.calendars import StoredYear
from gateway.report.coverage import ClassCoverage, load_coverage
from gateway.report.source_view import ConflictLine, SourceLine, load_conflicts, load_sources
from gateway.report.whose import load_pupils_of
from gateway.telemetry import get_logger
from gateway.worker.claims import begin_by_hand
from gateway.worker.lines import NextSlot, ScheduleLine, build_lines, build_next
from gateway.worker.schedule import run_claim
from gateway.worker.wants import load_named

LOG = get_logger(__name__)
routes = APIRouter(tags=["расписания и источники"])

Read = Annotated[Asked, Depends(Ask(Action.SCHEDULES_READ))]
Run = Annotated[Asked, Depends(Ask(Action.SCHEDULES_RUN))]
Name = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


@routes.get("/schedules", response_model=page_of(ScheduleLine))
def list_schedules(asked: Read) -> Response:
    """Все расписания: что, когда, как, чем кончился последний запуск."""
    return send_page(build_lines(asked.gateway), None)


@routes.get("/schedules/next", response_model=page_of(NextSlot))
def list_next(
    asked: Read, count: Annotated[int, Query(ge=1, le=200, description="Сколько запусков.")] = 10
) -> Response:
    """Ближайшие запуски по порядку, с учётом тихих дней, учебных дней и часов."""
    return send_page(build_next(asked.gateway, count=count), None)


@routes.post("/schedules/{name}/run", status_code=202, response_model=RunBegun)
def run_now(name: Name, request: Request, key: IdempotencyKey, asked: Run) -> Response:
    """Выполнить одно расписание сейчас: тот же охват и порядок, вне его часов и тихих дней."""

    def work() -> Response:
        gateway = asked.gateway
        if name not in load_named(gateway.settings, with_off=True):
            raise NotVisibleError("Такой записи нет")
        claim = begin_by_hand(gateway, name)
        if isinstance(claim, int):
            raise AlreadyRunningError(claim)

        def go() -> None:
            try:
                run_claim(gateway, claim)
            except GatewayError as error:
                # the run has its sentence already; nobody waits for this thread
                LOG.warning("request.run_failed", run_id=claim.run_id, reason=error.reason_code)

        asked.desk.begin(go)
        href = request.url_for("show_run", number=str(claim.run_id)).path
        return send({"run": claim.run_id, "href": href}, 202)

    return do_once(asked, request, key, None, work)


@routes.get("/calendar", response_model=shape_of(StoredYear))
def show_calendar(asked: Read) -> Response:
    """Внесённый календарь этого учебного года."""
    stored = load_year(asked.gateway)
    if stored is None:
        raise NotVisibleError("Такой записи нет")
    return send(stored)


@routes.get("/coverage", response_model=page_of(ClassCoverage))
def list_coverage(asked: Read) -> Response:
    """Сколько городского журнала каждого класса прочитано целиком и как давно."""
    with asked.gateway.store.read() as conn:
        return send_page(load_coverage(conn, asked.place_id), None)


@routes.get("/sources", response_model=page_of(SourceLine))
def list_sources(asked: Read) -> Response:
    """Источники школы: областей, записей, что не прочитано целиком и когда читалось."""
    with asked.gateway.store.read() as conn:
        return send_page(load_sources(conn, asked.place_id), None)


@routes.get("/sources/conflicts", response_model=page_of(ConflictLine))
def list_conflicts(asked: Annotated[Asked, Depends(Ask(Action.SOURCES_COMPARE))]) -> Response:
    """Где слова источников разные: что ждёт человека и что решено объявленным старшинством."""
    with asked.gateway.store.write() as conn:
        lines = load_conflicts(conn, asked.place_id)
        pupils = load_pupils_of(conn, asked.place_id, [ref for line in lines for ref in (line.ref, line.winner)])
        asked.note_looks(conn, set(pupils.values()), "record")
    return send_page(lines, None)


@routes.post("/emptied", response_model=shape_of(Emptied))
def look_for_emptied(body: LookForEmptied, asked: Run) -> Response:
    """Группы города, где не видно ничего из известного: читает журнал дважды, ничего не записывает.

    Ответ приходит не позже срока одного вызова: до каких групп очередь не дошла и какие не прочитаны, сказано с причиной.
    """
    gateway = asked.gateway
    kinds, classes = frozenset(body.kinds), frozenset(body.classes)
    return send(find_emptied(gateway, kinds, classes, within_s=gateway.terms.deadline_s))


@routes.post("/emptied/confirmation", response_model=shape_of(Emptied))
def confirm_emptied(
    body: BelieveEmptied,
    request: Request,
    key: IdempotencyKey,
    asked: Annotated[Asked, Depends(Ask(Action.EMPTINESS_CONFIRM))],
) -> Response:
    """Подтвердить, что это стёрли люди; следующий план покажет стёртое как расхождения."""

    def work() -> Response:
        gateway = asked.gateway
        kinds, classes = frozenset(body.kinds), frozenset(body.classes)
        within_s = gateway.terms.deadline_s
        return send(believe_emptied(gateway, kinds, classes, reason=body.reason, within_s=within_s))

    return do_once(asked, request, key, body, work)
