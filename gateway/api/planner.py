"""The route by which the planner pushes its books: a machine of the school, with a token for this one action."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from gateway.access.policy import Action
from gateway.api.bodies import LARGEST_SEQ, Body, Word
from gateway.api.desk import Ask, Asked
from gateway.api.problems import Fault, build_problem
from gateway.api.shapes import send, shape_of
from gateway.api.tongue import tongue_of
from gateway.domain.errors import RecordError
from gateway.domain.reasons import REASONS
from gateway.flows.planner_push import Received, receive_planner_batch

routes = APIRouter(tags=["планировщик"])
MAX_ROWS = 20_000
"""Rows of one book: a class's marks of a year are under 10 000."""


class Batch(Body):
    """A whole book; `docs/reference/planner-door.md` says what a row of each holds."""

    book: Literal["people", "subjects", "groups", "lessons", "marks", "absences", "homework"]
    group: Word | None = None
    revision: Annotated[int, Field(ge=1, le=LARGEST_SEQ)]
    total: Annotated[int, Field(ge=0, le=MAX_ROWS)]
    rows: Annotated[list[dict[str, Any]], Field(max_length=MAX_ROWS)]


@routes.put("/planner/books", response_model=shape_of(Received))
def put_book(body: Batch, request: Request, asked: Annotated[Asked, Depends(Ask(Action.PLANNER_PUSH))]) -> Response:
    """Принять книгу планировщика целиком; та же редакция ещё раз ничего не меняет, более старая не принимается."""
    tongue = tongue_of(request)
    if asked.gateway.inbox is None:
        sentence = "Пакеты планировщика не принимаются: planner.accepts_push = false"
        return build_problem(409, "CONFIGURATION", sentence, tongue=tongue)
    try:
        received = receive_planner_batch(
            asked.gateway, json.dumps(body.model_dump()).encode(), sender=asked.principal.actor
        )
    except RecordError as error:
        # the connectors' sentences are Russian; who asked for English gets the reason's, and the place
        reason = REASONS.get(error.reason_code)
        detail = error.sentence if tongue == "ru" or reason is None else reason.what_en
        fault = Fault(pointer=f"/body/{error.where}", detail=detail)
        return build_problem(422, error.reason_code, error.sentence, errors=[fault], tongue=tongue)
    return send(received)
