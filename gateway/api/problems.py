"""Errors as the door tells them: RFC 9457 problem documents with all faults at once, and nothing of what was sent.

What an account may not see and what does not exist give the same bytes. A fault of ours says that it is one and names
the request's number, never a message or a value.

Source: RFC 9457 (problem details), RFC 6901 (pointers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from gateway.access.looks import note_refusal
from gateway.api.tongue import Tongue, tell_fault, tongue_of
from gateway.domain.errors import (
    AlreadyRunningError,
    AmbiguousMatchError,
    ConfigurationError,
    ConnectorError,
    EntryRefusedError,
    GatewayError,
    LogInRefusedError,
    NotVisibleError,
    PlanRefusedError,
)
from gateway.domain.reasons import REASONS
from gateway.domain.storable import storable_text
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
PROBLEM_TYPE = "application/problem+json"
_TITLES = {
    400: "Запрос не разобран",
    401: "Нужен вход",
    403: "Запрос не с нашей страницы",
    404: "Такой записи нет",
    405: "Такого действия здесь нет",
    409: "Сейчас нельзя",
    413: "Запрос слишком велик",
    415: "Тело запроса не JSON",
    421: "Не тот адрес",
    422: "Запрос не принят",
    429: "Слишком много попыток",
    500: "Ошибка шлюза",
    503: "Сейчас не работает",
}


_TITLES_EN = {
    400: "The request can't be read",
    401: "Log in first",
    403: "Not from a page of ours",
    404: "There is no such thing",
    405: "No such act here",
    409: "Not now",
    413: "The request is too large",
    415: "The body is not JSON",
    421: "Another address",
    422: "The request is not accepted",
    429: "Too many tries",
    500: "A fault of the gateway",
    503: "Out of order now",
}


class Fault(BaseModel):
    """One thing that is wrong in a request: where, and what."""

    model_config = ConfigDict(extra="forbid")

    pointer: str
    detail: str


class Problem(BaseModel):
    """RFC 9457, with our reason code and all faults at once."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    code: str
    detail: str
    todo: str
    errors: list[Fault]


def build_problem(
    status: int,
    code: str,
    detail: str = "",
    *,
    errors: Sequence[Fault] = (),
    headers: dict[str, str] | None = None,
    tongue: Tongue = "ru",
) -> JSONResponse:
    """Build an answer that says what is wrong.

    Args:
        code: Reason code; its texts say what to do.
        detail: One sentence in Russian; empty = the reason's own. Whoever asked for English gets the reason's.
        tongue: Which language was asked for.
    """
    reason = REASONS.get(code)
    is_english = tongue == "en"
    what, todo = ("", "") if reason is None else (reason.what_ru, reason.todo_ru)
    if is_english and reason is not None:
        what, todo, detail = reason.what_en, reason.todo_en, ""
    titles = _TITLES_EN if is_english else _TITLES
    problem = Problem(
        type=f"urn:cito-gateway:problem:{code.lower().replace('_', '-')}",
        title=titles.get(status, "Not done" if is_english else "Запрос не выполнен"),
        status=status,
        code=code,
        detail=detail or what,
        todo=todo,
        errors=[Fault(pointer=storable_text(one.pointer), detail=storable_text(one.detail)) for one in errors],
    )
    told = {"Content-Language": tongue, **(headers or {})}
    return JSONResponse(problem.model_dump(), status, headers=told, media_type=PROBLEM_TYPE)


def tell_gateway_error(request: Request, error: Exception) -> JSONResponse:
    """Turn an error of the gateway into its answer; a refusal of an account is written down first."""
    if isinstance(error, NotVisibleError):
        _note_refusal(request)
        return not_found(tongue_of(request))
    tongue = tongue_of(request)
    if isinstance(error, LogInRefusedError):
        if error.retry_after_s is not None:
            wait = {"Retry-After": str(math.ceil(error.retry_after_s))}
            return build_problem(429, error.reason_code, error.sentence, headers=wait, tongue=tongue)
        return build_problem(
            401, error.reason_code, error.sentence, headers={"WWW-Authenticate": "Bearer"}, tongue=tongue
        )
    if isinstance(error, PlanRefusedError | AlreadyRunningError | AmbiguousMatchError):
        return build_problem(409, error.reason_code, error.sentence, tongue=tongue)
    if isinstance(error, EntryRefusedError):
        faults = [
            Fault(pointer=f"/body/{one.field}", detail=one.en if tongue == "en" else one.ru) for one in error.faults
        ]
        return build_problem(422, error.reason_code, error.sentence, errors=faults, tongue=tongue)
    if isinstance(error, ConfigurationError):
        return build_problem(422, error.reason_code, error.sentence, tongue=tongue)
    if isinstance(error, ConnectorError):
        return build_problem(503, error.reason_code, error.sentence, tongue=tongue)
    code = error.reason_code if isinstance(error, GatewayError) else "INTERNAL"
    # told by name: outside of an `except` block, where handlers are called, there is no current exception to log
    LOG.error("request.failed", request_id=request.state.request_id, exc_info=error)
    # told outside of `caps`, which sets the headers of every other answer
    return build_problem(500, code, headers={"Cache-Control": "no-store"}, tongue=tongue)


def tell_http_error(request: Request, error: Exception) -> JSONResponse:
    """Turn the framework's own refusals into problems; an unknown path is an unknown thing."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return not_found(tongue_of(request))
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else None
    return build_problem(
        status,
        "REQUEST_INVALID" if status < 500 else "INTERNAL",
        _TITLES.get(status, ""),
        headers=headers,
        tongue=tongue_of(request),
    )


def tell_faults(request: Request, error: Exception) -> JSONResponse:
    """All faults of a request at once; what was sent is not repeated, because it may be a password."""
    found: Sequence[dict[str, Any]] = error.errors() if isinstance(error, RequestValidationError) else ()
    tongue = tongue_of(request)
    faults = [Fault(pointer=_pointer(one["loc"]), detail=tell_fault(one, tongue)) for one in found]
    words = "Запрос не принят: исправьте перечисленное"
    return build_problem(422, "REQUEST_INVALID", words, errors=faults, tongue=tongue)


def not_found(tongue: Tongue = "ru") -> JSONResponse:
    """The one answer for what is not there and for what is somebody else's."""
    return build_problem(404, "NOT_VISIBLE", tongue=tongue)


def _note_refusal(request: Request) -> None:
    principal = getattr(request.state, "principal", None)
    if principal is None:
        return
    gateway = request.app.state.desk.gateway
    asked = getattr(request.state, "action", "unknown")
    with gateway.store.write() as conn:
        note_refusal(conn, gateway.audit, principal, asked, request_id=request.state.request_id)


def _pointer(place: Sequence[str | int]) -> str:
    return "/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in place)
