"""Routes of log-in and the session, of the contract, and of health."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import text

from gateway.access.accounts import load_grants
from gateway.access.policy import Action
from gateway.access.scope import Principal, account_code
from gateway.access.sessions import choose_role, log_in, log_out, prove_password
from gateway.api.bodies import Health, LogIn, Proof, RoleChoice, SessionAnswer
from gateway.api.desk import COOKIE, Ask, Asked, AskNobody, Desk, csrf_token, find_session_secret, source_address
from gateway.domain.errors import LogInRefusedError

routes = APIRouter()

Keep = Annotated[Asked, Depends(Ask(Action.SESSION_KEEP))]


@routes.get("/health", tags=["состояние"])
def health(desk: Annotated[Desk, Depends(AskNobody(Action.HEALTH_READ))]) -> Health:
    """Отвечает ли шлюз и его база."""
    with desk.gateway.store.read() as conn:
        conn.execute(text("SELECT 1"))
    return Health(state="ok")


@routes.get("/openapi.json", tags=["состояние"])
def contract(request: Request, asked: Annotated[Asked, Depends(Ask(Action.CONTRACT_READ))]) -> dict[str, Any]:
    """Этот договор: OpenAPI 3.1."""
    del asked  # that he may is all
    return dict(request.app.openapi())


@routes.post("/session", status_code=201, tags=["вход"])
def open_session(
    body: LogIn,
    request: Request,
    response: Response,
    desk: Annotated[Desk, Depends(AskNobody(Action.SESSION_OPEN))],
) -> SessionAnswer:
    """Войти. Прежний сеанс этого браузера кончается."""
    opened = log_in(
        desk.gate,
        body.login,
        body.password.get_secret_value(),
        role=body.role,
        address=source_address(request),
        old_secret=find_session_secret(request),
    )
    response.set_cookie(
        COOKIE,
        opened.secret,
        max_age=int(desk.gate.terms.longest.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )
    principal = opened.principal
    return SessionAnswer(
        account=account_code(principal.account_id),
        role=principal.role,
        roles=opened.roles,
        csrf_token=csrf_token(opened.secret),
        proved_at=principal.proved_at,
    )


@routes.get("/session", tags=["вход"])
def show_session(request: Request, asked: Keep) -> SessionAnswer:
    """Кто я и в какой роли."""
    return _answer(asked, asked.principal, find_session_secret(request))


@routes.put("/session/role", status_code=204, tags=["вход"])
def choose_session_role(body: RoleChoice, request: Request, asked: Keep) -> Response:
    """Сменить роль: в одном запросе действует одна."""
    choose_role(asked.desk.gate, _require_secret(request), asked.principal, body.role)
    return Response(status_code=204)


@routes.post("/session/proof", status_code=204, tags=["вход"])
def prove_session(body: Proof, request: Request, asked: Keep) -> Response:
    """Подтвердить пароль заново: нужно перед утверждением плана."""
    prove_password(asked.desk.gate, _require_secret(request), asked.principal, body.password.get_secret_value())
    return Response(status_code=204)


@routes.delete("/session", status_code=204, tags=["вход"])
def close_session(request: Request, asked: Keep) -> Response:
    """Выйти."""
    log_out(asked.desk.gate, _require_secret(request), asked.principal)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


def _answer(asked: Asked, principal: Principal, secret: str | None) -> SessionAnswer:
    with asked.gateway.store.read() as conn:
        grants = load_grants(conn, principal.place, principal.account_id, on=principal.on)
    return SessionAnswer(
        account=account_code(principal.account_id),
        role=principal.role,
        roles=list(dict.fromkeys(grant.role for grant in grants)),
        csrf_token="" if secret is None else csrf_token(secret),
        proved_at=principal.proved_at,
    )


def _require_secret(request: Request) -> str:
    """The session of this request; a token has none to change or end.

    Raises:
        LogInRefusedError: It came with a token.
    """
    secret = find_session_secret(request)
    if secret is None or "Authorization" in request.headers:
        raise LogInRefusedError("Это действие только для сеанса, открытого паролем")
    return secret
