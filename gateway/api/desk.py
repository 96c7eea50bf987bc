"""What every route works with, and how a request becomes a scope: who asks, in which role, for which action.

A route asks by an `Ask`, which names its action; there is no other way to a scope, and a route without one does not start.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from fastapi import Request
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from gateway.access.looks import note_looks
from gateway.access.policy import OPEN_TO_ALL, Action
from gateway.access.scope import Principal, Scope, permit
from gateway.access.sessions import Gate, get_session_principal, note_session_seen
from gateway.access.tokens import TOKEN_PREFIX, get_token_principal, note_token_seen
from gateway.domain.clock import moscow_day
from gateway.domain.errors import LogInRefusedError, NotVisibleError
from gateway.flows.gateway import Gateway
from gateway.report.pupils import load_city_ids

COOKIE = "__Host-gateway"
"""The browser takes it over TLS and on loopback only, and sends it to this host and no other (ASVS 3.3.1)."""
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
Work = Callable[[Callable[[], object]], None]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The composed gateway behind the door.

    Attributes:
        place_id: Number of the gateway's place.
        begin: Begins long work beside the requests; it ends by itself, or with the process.
    """

    gateway: Gateway
    gate: Gate
    place_id: int
    begin: Work


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One permitted request."""

    desk: Desk
    scope: Scope
    request_id: str

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return self.scope.principal

    @property
    def gateway(self) -> Gateway:
        """The gateway with the account as its actor, and for whom it stands in."""
        return replace(self.desk.gateway, actor=self.principal.actor, originator=self.principal.originator)

    @property
    def place_id(self) -> int:
        """Where the gateway is."""
        return self.desk.place_id

    def note_looks(self, conn: Connection, pupils: Collection[str], object_type: str) -> None:
        """Write whose data this answer shows, before it is given.

        Raises:
            AuditError: It can't be written; then nothing is shown.
        """
        note_looks(
            conn,
            self.desk.gateway.audit,
            self.scope,
            pupils,
            load_city_ids(conn, self.place_id),
            object_type=object_type,
            request_id=self.request_id,
        )


class Ask:
    """A route's question to the policy; FastAPI calls it for each request."""

    def __init__(self, action: Action) -> None:
        self.action = action

    def __call__(self, request: Request) -> Asked:
        """Say who asks and how far he reaches.

        Raises:
            LogInRefusedError: Nobody who is known.
            NotVisibleError: Not in this role.
        """
        desk = get_desk(request)
        request.state.action = self.action.value
        principal = _find_principal(request, desk)
        request.state.principal = principal
        with desk.gateway.store.read() as conn:
            scope = permit(conn, principal, self.action, now=desk.gateway.store.now(conn))
        return Asked(desk=desk, scope=scope, request_id=request.state.request_id)


class AskNobody:
    """A route that is answered before anybody has said who he is; only for `OPEN_TO_ALL`."""

    def __init__(self, action: Action) -> None:
        if action not in OPEN_TO_ALL:
            raise NotVisibleError(f"{action} is not open to all")
        self.action = action

    def __call__(self, request: Request) -> Desk:
        """Give the desk, and nothing of anybody's."""
        refuse_foreign_page(request)
        return get_desk(request)


def get_desk(request: Request) -> Desk:
    """The desk that the application was built with."""
    desk: Desk = request.app.state.desk
    return desk


def find_session_secret(request: Request) -> str | None:
    """The session that the browser sent."""
    return request.cookies.get(COOKIE)


def csrf_token(secret: str) -> str:
    """What a page of ours sends beside the cookie; a foreign page can't read the cookie and so can't make it."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def refuse_foreign_page(request: Request) -> None:
    """Refuse what the browser says comes from another site.

    Raises:
        HTTPException: 403.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise HTTPException(403)


def source_address(request: Request) -> str:
    """Where a request came from; a proxy's word counts only where the server was told to believe it."""
    return request.client.host if request.client is not None else "-"


def _find_principal(request: Request, desk: Desk) -> Principal:
    store, address = desk.gateway.store, source_address(request)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not token.startswith(TOKEN_PREFIX):
            raise LogInRefusedError("Токен не действует")
        with store.read() as conn:
            now = store.now(conn)
            principal, is_due = get_token_principal(
                conn, token, place=desk.gateway.place, on=moscow_day(now), now=now, address=address
            )
        if is_due:
            with store.write() as conn:
                note_token_seen(conn, token, now=now)
        return principal
    secret = find_session_secret(request)
    if secret is None:
        raise LogInRefusedError("Нужен вход")
    with store.read() as conn:
        now = store.now(conn)
        principal, is_due = get_session_principal(conn, desk.gate, secret, address=address)
    if request.method not in SAFE_METHODS:
        refuse_foreign_page(request)
        if not secrets.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), csrf_token(secret).encode()):
            raise HTTPException(403)
    if is_due:
        with store.write() as conn:
            note_session_seen(conn, secret, now=now)
    return principal
