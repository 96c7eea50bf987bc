"""The sandbox portal as an ASGI application: Moodle's REST protocol in front of a book, plus a control interface.

Control: `GET /__sandbox/requests` (calls by function, and the newest calls), `GET /__sandbox/misses`,
`POST /__sandbox/edit`, `POST|DELETE /__sandbox/faults`, `GET|POST /__sandbox/clock`.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.sandbox.faults import FAULT_KEY, FaultMiddleware, Faults, build_fault_routes
from gateway.sandbox.portal.answers import answer
from gateway.sandbox.portal.arguments import PortalRefusalError, invalid_parameter
from gateway.sandbox.portal.book import Book, Row
from gateway.sandbox.portal.edits import EditError, apply_edit
from gateway.sandbox.portal.lapses import OWN_FAULTS, spoil, target_of
from gateway.sandbox.portal.phpform import parse_form

DEFAULT_TOKEN = "sandbox-portal-token"  # noqa: S105 - a made-up token of a loopback stand-in, printed to whoever starts it
ENDPOINT = "/webservice/rest/server.php"
NEWEST_CALLS = 500
"""How many calls `GET /__sandbox/requests` lists; counts cover all."""

_MAINTENANCE = "<!DOCTYPE html><html lang='ru'><head><title>Портал на обслуживании</title></head><body></body></html>"
_TYPE_ERROR = {"exception": "TypeError", "message": "call_user_func_array(): Argument #1 must be a valid callback"}


class PortalSandbox:
    """A book behind Moodle's protocol, with its faults, misses and clock."""

    def __init__(self, book: Book, *, token: str, now: Callable[[], datetime] | None) -> None:
        self.book = book
        self.token = token
        self.faults = Faults(own=OWN_FAULTS)
        self.misses: list[Row] = []
        self.calls: Counter[str] = Counter()
        self.newest: deque[Row] = deque(maxlen=NEWEST_CALLS)
        self._start_at = datetime.fromtimestamp(book.latest_moment(), UTC)
        self._now = now
        self._shift = timedelta()
        # Answers run in threads and edits change the rows they read.
        self._lock = threading.RLock()

    def now(self) -> datetime:
        """The portal's own moment: given by the caller, else that of its content; control may move it."""
        return (self._now() if self._now is not None else self._start_at) + self._shift

    def set_clock(self, order: Row) -> None:
        """Set `now` (ISO, aware) or move by `advance_s`."""
        if "now" in order:
            wanted = datetime.fromisoformat(str(order["now"]))
            if wanted.tzinfo is None:
                raise EditError("now must carry an offset")
            self._shift += wanted - self.now()
        self._shift += timedelta(seconds=float(order.get("advance_s", 0)))

    def edit(self, edit: Row) -> Row:
        """Apply a person's edit."""
        with self._lock:
            return apply_edit(self.book, edit, now=int(self.now().timestamp()))

    def call(self, arguments: dict[str, Any], fault: str | None = None) -> Response:
        """Answer one web-service call, spoilt by `fault` if it is one of the portal's own."""
        token, function = arguments.pop("wstoken", ""), arguments.pop("wsfunction", "")
        wants_json = arguments.pop("moodlewsrestformat", "xml") == "json"
        with self._lock:
            self.calls[str(function)] += 1
            self.newest.append({"function": function, "arguments": dict(arguments)})
            if fault == "maintenance":
                return HTMLResponse(_MAINTENANCE, status_code=503)
            if fault == "typeerror":
                return _json(_TYPE_ERROR)
            try:
                body = self._answer(str(token), str(function), arguments, fault)
            except PortalRefusalError as refusal:
                return _json(refusal.body) if wants_json and fault != "xml" else _xml_error(refusal.body)
            return _json(body) if wants_json else _xml_error(invalid_parameter().body)

    def _answer(self, token: str, function: str, arguments: dict[str, Any], fault: str | None) -> Any:
        if token != self.token:
            raise PortalRefusalError(
                "invalidtoken", "core\\exception\\moodle_exception", "Invalid token - token not found"
            )
        if fault == "xml":
            raise invalid_parameter()
        if fault is not None and fault.startswith("errorcode:"):
            raise PortalRefusalError(fault.partition(":")[2], "core\\exception\\moodle_exception", "error/sandbox")

        def note(missing: str) -> None:
            self.misses.append({"function": function, "missing": missing})

        body = answer(function, arguments, book=self.book, note=note, now=int(self.now().timestamp()))
        return body if fault is None else spoil(fault, body)


def _json(body: Any) -> Response:
    # Moodle escapes non-ASCII letters and slashes on the wire.
    text = json.dumps(body, ensure_ascii=True, separators=(",", ":")).replace("/", "\\/")
    return Response(text, media_type="application/json")


def _xml_error(body: Row) -> Response:
    text = (
        '<?xml version="1.0" encoding="UTF-8" ?>\n'
        f'<EXCEPTION class="{escape(body["exception"])}">\n<ERRORCODE>{escape(body["errorcode"])}</ERRORCODE>\n'
        f"<MESSAGE>{escape(body['message'])}</MESSAGE>\n</EXCEPTION>\n"
    )
    return Response(text, media_type="application/xml")


def build_portal_app(book: Book, *, token: str = DEFAULT_TOKEN, now: Callable[[], datetime] | None = None) -> Starlette:
    """Build the ASGI application.

    Args:
        book: What the portal knows.
        token: The only token it accepts.
        now: The portal's clock; None = stands at the moment of the book's content.

    Returns:
        The application; `app.state.portal` is its `PortalSandbox`.
    """
    portal = PortalSandbox(book, token=token, now=now)

    async def web_service(request: Request) -> Response:
        try:
            arguments = parse_form(await request.body())
        except ValueError:
            return _json(invalid_parameter().body)
        # A made-up school computes its rows; the event loop stays free for the control interface.
        rule = request.scope.get(FAULT_KEY)
        return await run_in_threadpool(portal.call, arguments, None if rule is None else rule.fault)

    async def requests(_request: Request) -> Response:
        calls = {"total": portal.calls.total(), "by_function": dict(portal.calls), "newest": list(portal.newest)}
        return JSONResponse(calls)

    async def misses(_request: Request) -> Response:
        return JSONResponse(portal.misses)

    async def edit(request: Request) -> Response:
        order = await request.json()
        try:
            return JSONResponse(await run_in_threadpool(portal.edit, order))
        except EditError as refused:
            return JSONResponse({"error": str(refused)}, status_code=400)

    async def clock(request: Request) -> Response:
        if request.method == "POST":
            try:
                portal.set_clock(await request.json())
            except (EditError, ValueError) as refused:
                return JSONResponse({"error": str(refused)}, status_code=400)
        return JSONResponse({"now": portal.now().isoformat()})

    app = Starlette(
        routes=[
            Route(ENDPOINT, web_service, methods=["POST"]),
            Route("/__sandbox/requests", requests),
            Route("/__sandbox/misses", misses),
            Route("/__sandbox/edit", edit, methods=["POST"]),
            *build_fault_routes(portal.faults),
            Route("/__sandbox/clock", clock, methods=["GET", "POST"]),
        ],
        middleware=[Middleware(FaultMiddleware, faults=portal.faults, target=target_of)],
    )
    app.state.portal = portal
    return app
