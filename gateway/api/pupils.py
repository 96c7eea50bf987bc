"""Routes of pupils: who, marks, attendance, homework, protocols of tests, and who looked at them. Each look is written before the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from gateway.access.looks import Look, load_looks
from gateway.access.policy import Action
from gateway.api.bodies import After, AfterRef, Limit, Ref
from gateway.api.desk import Ask, Asked
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.report.protocols import ProtocolView, WholeProtocol, get_protocol, load_protocols
from gateway.report.pupils import (
    AbsenceView,
    HomeworkView,
    MarkView,
    PupilView,
    load_absences,
    load_city_ids,
    load_homework,
    load_marks,
    load_pupils,
    require_pupil,
)

routes = APIRouter(tags=["ученики"])


@routes.get("/pupils", response_model=page_of(PupilView))
def list_pupils(
    asked: Annotated[Asked, Depends(Ask(Action.PUPILS_READ))], after: AfterRef = "", limit: Limit = 50
) -> Response:
    """Ученики, которых видно в вашей роли."""
    with asked.gateway.store.write() as conn:
        found = load_pupils(conn, asked.scope, asked.place_id, after=after, limit=limit)
        asked.note_looks(conn, {pupil.ref for pupil in found}, "pupil")
    return send_page(found, found[-1].ref if len(found) == limit else None)


@routes.get("/pupils/{pupil}/marks", response_model=page_of(MarkView))
def list_pupil_marks(
    pupil: Ref, asked: Annotated[Asked, Depends(Ask(Action.MARKS_READ))], after: AfterRef = "", limit: Limit = 100
) -> Response:
    """Отметки ученика и стоят ли они в городском журнале."""
    with asked.gateway.store.write() as conn:
        found = load_marks(conn, asked.scope, asked.place_id, pupil_ref=pupil, after=after, limit=limit)
        asked.note_looks(conn, {pupil}, "mark")
    return send_page(found, found[-1].ref if len(found) == limit else None)


@routes.get("/groups/{group}/marks", response_model=page_of(MarkView))
def list_group_marks(
    group: Ref, asked: Annotated[Asked, Depends(Ask(Action.MARKS_READ))], after: AfterRef = "", limit: Limit = 100
) -> Response:
    """Отметки страницы журнала группы."""
    with asked.gateway.store.write() as conn:
        found = load_marks(conn, asked.scope, asked.place_id, group_ref=group, after=after, limit=limit)
        asked.note_looks(conn, {mark.pupil for mark in found}, "mark")
    return send_page(found, found[-1].ref if len(found) == limit else None)


@routes.get("/pupils/{pupil}/attendance", response_model=page_of(AbsenceView))
def list_pupil_attendance(
    pupil: Ref, asked: Annotated[Asked, Depends(Ask(Action.ATTENDANCE_READ))], after: AfterRef = "", limit: Limit = 100
) -> Response:
    """Пропуски ученика; причины здесь не хранятся."""
    with asked.gateway.store.write() as conn:
        found = load_absences(conn, asked.scope, asked.place_id, pupil_ref=pupil, after=after, limit=limit)
        asked.note_looks(conn, {pupil}, "absence")
    return send_page(found, found[-1].ref if len(found) == limit else None)


@routes.get("/pupils/{pupil}/homework", response_model=page_of(HomeworkView))
def list_pupil_homework(
    pupil: Ref, asked: Annotated[Asked, Depends(Ask(Action.HOMEWORK_READ))], after: AfterRef = "", limit: Limit = 50
) -> Response:
    """Домашние задания ученика."""
    with asked.gateway.store.write() as conn:
        found = load_homework(conn, asked.scope, asked.place_id, pupil_ref=pupil, after=after, limit=limit)
        asked.note_looks(conn, {pupil}, "homework")
    return send_page(found, found[-1].ref if len(found) == limit else None)


@routes.get("/pupils/{pupil}/protocols", response_model=page_of(ProtocolView))
def list_pupil_protocols(
    pupil: Ref, asked: Annotated[Asked, Depends(Ask(Action.PROTOCOLS_READ))], after: AfterRef = "", limit: Limit = 50
) -> Response:
    """Попытки ученика на тестах: баллы и время, насколько их показывает тест, и почему чего-то нет."""
    with asked.gateway.store.write() as conn:
        found = load_protocols(conn, asked.scope, asked.place_id, pupil_ref=pupil, after=after, limit=limit)
        asked.note_looks(conn, {pupil}, "protocol")
    return send_page(found, found[-1].ref if len(found) == limit else None)


@routes.get("/protocols/{attempt}", response_model=shape_of(WholeProtocol))
def show_protocol(attempt: Ref, asked: Annotated[Asked, Depends(Ask(Action.PROTOCOLS_READ))]) -> Response:
    """Одна попытка: вопросы, ответы, результат и баллы, насколько их показывает тест."""
    with asked.gateway.store.write() as conn:
        found = get_protocol(conn, asked.scope, asked.place_id, attempt)
        asked.note_looks(conn, {found.protocol.pupil}, "protocol")
    return send(found)


@routes.get("/pupils/{pupil}/looks", response_model=page_of(Look))
def list_pupil_looks(
    pupil: Ref, asked: Annotated[Asked, Depends(Ask(Action.LOOKS_READ))], after: After = 0, limit: Limit = 50
) -> Response:
    """Кто смотрел данные ученика: роль и номер учётной записи, когда и что."""
    with asked.gateway.store.read() as conn:
        require_pupil(conn, asked.scope, asked.place_id, pupil)
        city_ids = load_city_ids(conn, asked.place_id)
        found = load_looks(conn, asked.scope, pupil, city_ids, after=after, limit=limit)
    return send_page(found, found[-1].seq if len(found) == limit else None)
