"""Route of the passport of a record: what became of it and why, and what stood in either journal at a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime

from gateway.access.policy import Action
from gateway.api.bodies import Ref
from gateway.api.desk import Ask, Asked
from gateway.api.shapes import send, shape_of
from gateway.report.pupils import load_city_ids
from gateway.report.seen_passport import PassportAnswer, load_seen_passport

routes = APIRouter(tags=["паспорт"])

At = Annotated[
    AwareDatetime | None,
    Query(description="Что стояло в этот момент; без него вся история."),
]
_EARLIEST, _LATEST = datetime(1900, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Beyond these a moment of another zone can't be told in UTC, and nothing was or will be read."""


@routes.get("/passport/{ref}", response_model=shape_of(PassportAnswer))
def show_passport(ref: Ref, asked: Annotated[Asked, Depends(Ask(Action.PASSPORT_READ))], at: At = None) -> Response:
    """Паспорт записи: приговор, пять шагов последнего решения, вся история; или что стояло в заданный момент."""
    moment = None if at is None else min(max(at, _EARLIEST), _LATEST).astimezone(UTC)
    with asked.gateway.store.write() as conn:
        links = load_city_ids(conn, asked.place_id)
        answer, pupils = load_seen_passport(conn, asked.scope, asked.place_id, ref, moment, links)
        asked.note_looks(conn, pupils, "passport")
    return send(answer)
