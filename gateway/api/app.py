"""The application: all routes, the errors they end in, and a refusal to start with a route that the policy does not know."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import BaseRoute

from gateway import __version__
from gateway.access.policy import POLICY, Action
from gateway.api import (
    accounts,
    activity,
    audit,
    discrepancies,
    guards,
    hand_list,
    holds,
    journal,
    links,
    mapping,
    passport,
    periods,
    planner,
    plans,
    precedents,
    pupils,
    queue,
    relinks,
    runs,
    schedules,
    sessions,
    tasks,
)
from gateway.api.caps import Caps
from gateway.api.desk import Ask, AskNobody, Desk
from gateway.api.problems import Problem, tell_faults, tell_gateway_error, tell_http_error
from gateway.domain.errors import ConfigurationError, GatewayError

PREFIX = "/api/v1"
ROUTE_MODULES = (
    sessions,
    pupils,
    activity,
    passport,
    links,
    relinks,
    runs,
    schedules,
    plans,
    guards,
    discrepancies,
    tasks,
    precedents,
    holds,
    mapping,
    periods,
    hand_list,
    queue,
    audit,
    journal,
    planner,
    accounts,
)
"""What the door serves, in the order of its contract; the table of rights in the docs is made from it too."""
_PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}, "description": words}
    for status, words in {
        400: "Запрос не разобран",
        401: "Нужен вход",
        403: "Запрос не с нашей страницы",
        404: "Такой записи нет или она не ваша",
        409: "Сейчас нельзя",
        413: "Запрос слишком велик",
        422: "Запрос не принят: все ошибки сразу",
        429: "Слишком много попыток",
        503: "Сейчас не работает",
    }.items()
}


def build_api(desk: Desk, *, new_request_id: Callable[[], str] = lambda: uuid.uuid4().hex) -> FastAPI:
    """Build the application over a composed gateway.

    Raises:
        ConfigurationError: A route asks for no action of the policy.
    """
    settings = desk.gateway.settings.web
    app = FastAPI(
        title="CITO Gateway",
        version=__version__,
        summary="Шлюз между порталом школы и городским электронным журналом.",
        openapi_url=None,  # served by a route with its row in the policy
        docs_url=None,  # its page would load scripts from another host
        redoc_url=None,
    )
    app.state.desk = desk
    app.router.routes.extend(_gather_routes())
    app.add_exception_handler(GatewayError, tell_gateway_error)
    app.add_exception_handler(RequestValidationError, tell_faults)
    app.add_exception_handler(HTTPException, tell_http_error)
    app.add_exception_handler(Exception, tell_gateway_error)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.hosts))
    app.add_middleware(Caps, body_bytes=settings.body_bytes, new_request_id=new_request_id)
    require_policy(app.routes)
    return app


@cache
def _gather_routes() -> tuple[BaseRoute, ...]:
    """All routes with what every one may answer; once a process, because working their models out takes half a second."""
    gathered = APIRouter()
    for module in ROUTE_MODULES:
        gathered.include_router(module.routes, prefix=PREFIX, responses=_PROBLEMS)
    return tuple(gathered.routes)


def require_policy(routes: list[BaseRoute]) -> dict[str, Action]:
    """Say which action each route asks for.

    Returns:
        `METHOD /path` → action.

    Raises:
        ConfigurationError: A route asks for none, for several, or for one without a row.
    """
    found: dict[str, Action] = {}
    for route in iter_route_contexts(routes):
        name = route.path or "?"
        asks = list(_iter_asks(route.dependant)) if isinstance(route.original_route, APIRoute) else []
        if len(asks) != 1 or asks[0] not in POLICY:
            raise ConfigurationError(f"Маршрут {name} не спрашивает ни одного действия из таблицы прав")
        found |= {f"{method} {name}": asks[0] for method in sorted(route.methods or ())}
    return found


def _iter_asks(dependant: Dependant) -> Iterator[Action]:
    if isinstance(dependant.call, Ask | AskNobody):
        yield dependant.call.action
    for inner in dependant.dependencies:
        yield from _iter_asks(inner)
