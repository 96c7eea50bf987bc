"""Before any route: the number of the request, a cap on its body, and the headers of every answer.

Plain ASGI, because a body is counted while it comes in and not after it has been held in memory.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.problems import build_problem
from gateway.api.tongue import tongue_of

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""Nothing of a child stays in a cache, and nothing from here is run, framed or guessed at (ASVS 3.4, 14.3.2)."""
REQUEST_ID = b"x-request-id"


class Caps:
    """Numbers requests, caps bodies, and sets the headers.

    Args:
        app: What answers.
        body_bytes: Largest body.
        new_request_id: Makes the number; the caller's own is not taken, so that nobody writes into the audit.
    """

    def __init__(self, app: ASGIApp, *, body_bytes: int, new_request_id: Callable[[], str]) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._new_request_id = new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in HEADERS} | {REQUEST_ID}
                kept = [pair for pair in message["headers"] if pair[0].lower() not in own]
                message = {**message, "headers": [*kept, *HEADERS, (REQUEST_ID, request_id.encode())]}
            await send(message)

        body = await self._read_body(scope, receive)
        if body is None:
            tongue = tongue_of(HTTPConnection(scope))
            problem = build_problem(413, "REQUEST_INVALID", f"Больше {self._body_bytes} байт", tongue=tongue)
            await problem(scope, receive, sent)
            return
        is_given = False

        async def given() -> Message:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, given, sent)

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body, or None where it is larger than is taken; what is too large is not read to its end."""
        told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not told.isdigit() or int(told) > self._body_bytes:
            return None
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return body
            body += bytes(message.get("body", b""))
            if len(body) > self._body_bytes:
                return None
            if not message.get("more_body", False):
                return body
