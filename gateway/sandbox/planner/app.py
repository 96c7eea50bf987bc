"""The sandbox planner as an ASGI application: the JSON door in front of its books, plus a control interface.

Control: `POST /__sandbox/edit` (`{"op": "put", "group", "book", "row"}` or `{"op": "take_out", "group", "book", "id"}`),
`POST|DELETE /__sandbox/faults`, `GET /__sandbox/requests`.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.sandbox.faults import FAULT_KEY, FaultMiddleware, Faults, build_fault_routes
from gateway.sandbox.planner.books import BlankBooks, PlannerBooks, Row
from gateway.sandbox.planner.timetable import build_asc_xml
from gateway.sandbox.school import SUBJECTS, School

DEFAULT_TOKEN = "sandbox-planner-token"  # noqa: S105 - a made-up token of a loopback stand-in, printed to whoever starts it
DEFAULT_NOW = datetime(2026, 11, 23, 15, 50, tzinfo=UTC)
MAX_PAGE_ROWS = 1000
OWN_FAULTS = ("lost_row", "moving_revision", "bad_row", "row_without_id")
"""A row fewer than announced; a revision that is another on each page; a row that does not fit; one without its id."""


class PlannerSandbox:
    """Books behind the door, with faults and counts."""

    def __init__(self, books: PlannerBooks | BlankBooks, *, token: str) -> None:
        self.books = books
        self.token = token
        self.faults = Faults(own=OWN_FAULTS)
        self.calls: Counter[str] = Counter()

    def describe(self) -> Row:
        """What `gateway sandbox planner` prints."""
        return {"sandbox": "planner", "token": self.token}

    def page(self, book: str, group: str | None, number: int, size: int, fault: str | None) -> Row | None:
        """One page of a book; None where there is none."""
        self.calls[book] += 1
        rows = self.books.book(book, group)
        if rows is None:
            return None
        total = len(rows)
        revision = f"r{self.books.edits.revision}" + (f"-{number}" if fault == "moving_revision" else "")
        shown = [dict(row) for row in rows[(number - 1) * size : number * size]]
        if shown and fault == "lost_row":
            shown.pop()
        elif shown and fault == "bad_row":
            shown[0]["surprise"] = True
        elif shown and fault == "row_without_id":
            del shown[0]["id"]
        pages = max(1, -(-total // size))
        return {
            "book": book,
            "group": group,
            "revision": revision,
            "page": number,
            "pages": pages,
            "total": total,
            "rows": shown,
        }


def build_planner_app(
    pupils: int | None,
    *,
    seed: int = 1,
    token: str = DEFAULT_TOKEN,
    now: Callable[[], datetime] | None = None,
    subjects_count: int = len(SUBJECTS),
) -> Starlette:
    """Serve the planner of a made-up school.

    Args:
        pupils: How many; None = blank books, in which only what is typed stands.
        seed: Same seed and moment, same school as the sandbox portal's.
        token: The only token it accepts.
        now: Asked once for the school's content.
        subjects_count: How many subjects it plans.

    Returns:
        The application; `app.state.planner` is its `PlannerSandbox`.
    """
    moment = DEFAULT_NOW if now is None else now()
    books: PlannerBooks | BlankBooks = BlankBooks()
    if pupils is not None:
        books = PlannerBooks(School(pupils=pupils, seed=seed, now=moment), subjects_count=subjects_count)
    planner = PlannerSandbox(books, token=token)

    async def book(request: Request) -> Response:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        rule = request.scope.get(FAULT_KEY)
        fault = None if rule is None else rule.fault
        if fault == "kill_token" or not secrets.compare_digest(bearer.encode(), planner.token.encode()):
            return JSONResponse({"title": "Unauthorized"}, status_code=401)
        number, size = request.query_params.get("page", "1"), request.query_params.get("size", "100")
        if not (number.isdecimal() and size.isdecimal() and int(number) and 0 < int(size) <= MAX_PAGE_ROWS):
            return JSONResponse({"title": "page and size are whole numbers"}, status_code=422)
        path = request.path_params
        page = await run_in_threadpool(planner.page, path["book"], path.get("group"), int(number), int(size), fault)
        return JSONResponse(page) if page is not None else JSONResponse({"title": "Not Found"}, status_code=404)

    async def edit(request: Request) -> Response:
        order: dict[str, Any] = await request.json()
        match order.get("op"):
            case "put":
                planner.books.edits.put(order.get("group", ""), order["book"], order["row"])
            case "take_out":
                planner.books.edits.take_out(order.get("group", ""), order["book"], order["id"])
            case _:
                return JSONResponse({"error": "op is put or take_out"}, status_code=400)
        return JSONResponse({"revision": planner.books.edits.revision})

    async def requests(_request: Request) -> Response:
        return JSONResponse({"total": planner.calls.total(), "by_book": dict(planner.calls)})

    async def timetable(_request: Request) -> Response:
        if isinstance(books, BlankBooks):
            return JSONResponse({"title": "Not Found"}, status_code=404)
        xml = build_asc_xml(books.school, subjects_count=subjects_count)
        return Response(xml, media_type="application/xml")

    app = Starlette(
        routes=[
            Route("/timetable.xml", timetable),
            Route("/v1/groups/{group}/{book}", book),
            Route("/v1/{book}", book),
            Route("/__sandbox/edit", edit, methods=["POST"]),
            Route("/__sandbox/requests", requests),
            *build_fault_routes(planner.faults),
        ],
        middleware=[Middleware(FaultMiddleware, faults=planner.faults)],
    )
    app.state.planner = planner
    return app
