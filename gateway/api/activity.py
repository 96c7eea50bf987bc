"""Routes of what was done at the portal: by a pupil, by a teacher, and how much of which kind is kept. It stays at the school."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Response

from gateway.access.policy import Action
from gateway.api.bodies import AfterRef, Limit, Ref
from gateway.api.desk import Ask, Asked
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.domain.activity import ActivityKind
from gateway.flows.activity import Kinds, load_kinds
from gateway.report.activity import ActivityFilter, ActivityView, load_activity, load_staff_activity

routes = APIRouter(tags=["активность на портале"])

OfKind = Annotated[ActivityKind | None, Query(description="Только этот вид.")]
FromOn = Annotated[date | None, Query(alias="from", description="С этого дня по часам школы.")]
ToOn = Annotated[date | None, Query(alias="to", description="По этот день по часам школы.")]
_LAST = date(9998, 12, 31)


@routes.get("/pupils/{pupil}/activity", response_model=page_of(ActivityView))
def list_pupil_activity(
    pupil: Ref,
    asked: Annotated[Asked, Depends(Ask(Action.ACTIVITY_READ))],
    kind: OfKind = None,
    from_on: FromOn = None,
    to_on: ToOn = None,
    after: AfterRef = "",
    limit: Limit = 100,
) -> Response:
    """Что ученик делал на портале, новейшее сверху: когда, какого вида и в каком курсе."""
    wanted = _filter(asked, kind, from_on, to_on)
    with asked.gateway.store.write() as conn:
        found = load_activity(
            conn, asked.scope, asked.place_id, pupil_ref=pupil, wanted=wanted, after=after, limit=limit
        )
        asked.note_looks(conn, {pupil}, "activity")
    return send_page(found, found[-1].mark if len(found) == limit else None)


@routes.get("/teachers/{teacher}/activity", response_model=page_of(ActivityView))
def list_teacher_activity(
    teacher: Ref,
    asked: Annotated[Asked, Depends(Ask(Action.STAFF_ACTIVITY_READ))],
    kind: OfKind = None,
    from_on: FromOn = None,
    to_on: ToOn = None,
    after: AfterRef = "",
    limit: Limit = 100,
) -> Response:
    """Что учитель делал на портале: сам учитель видит только своё."""
    wanted = _filter(asked, kind, from_on, to_on)
    with asked.gateway.store.write() as conn:
        found = load_staff_activity(
            conn, asked.scope, asked.place_id, person=teacher, wanted=wanted, after=after, limit=limit
        )
        shown = {one.about for one in found if one.about is not None}  # pupils whose work he marked
        asked.note_looks(conn, {teacher} | shown, "activity")
    return send_page(found, found[-1].mark if len(found) == limit else None)


@routes.get("/activity/kinds", response_model=shape_of(Kinds))
def show_kinds(asked: Annotated[Asked, Depends(Ask(Action.ACTIVITY_KINDS_READ))]) -> Response:
    """Сколько чего сохранено и какие события портала ни к какому виду не отнесены; никто не назван."""
    return send(load_kinds(asked.gateway))


def _filter(asked: Asked, kind: ActivityKind | None, from_on: date | None, to_on: date | None) -> ActivityFilter:
    zone = ZoneInfo(asked.gateway.settings.school.timezone)

    def begin_of(day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)

    return ActivityFilter(
        kind=kind,
        from_at=None if from_on is None else begin_of(min(max(from_on, date(2, 1, 1)), _LAST)),
        to_at=None if to_on is None else begin_of(min(max(to_on, date(2, 1, 1)), _LAST) + timedelta(days=1)),
    )
