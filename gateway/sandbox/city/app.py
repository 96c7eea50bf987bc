"""The city's ASGI application: paths of the reference (§7.2, legacy paths of §7.5a), admission, commands, answers."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.sandbox.city import homeworks, plans, reads, writes
from gateway.sandbox.city.auth import SESSION_ENDED, SUBSYSTEMS, build_session_answer, read_credentials
from gateway.sandbox.city.city import Actor, City, Command, LikeSchool, Order, RefusedError
from gateway.sandbox.city.codecs import parse_ids
from gateway.sandbox.city.control import build_control_routes
from gateway.sandbox.city.pace import PaceMiddleware
from gateway.sandbox.city.paging import build_page
from gateway.sandbox.city.reads import Call
from gateway.sandbox.city.rules import Refusal
from gateway.sandbox.city.state import Row
from gateway.sandbox.faults import FAULT_KEY, FaultMiddleware, to_float_ids

CORE, PLAN, REPORT, ACL = (
    "/api/ej/core/teacher/v1",
    "/api/ej/plan/teacher/v1",
    "/api/ej/report/teacher/v1",
    "/api/ej/acl/v1",
)
LEGACY_CORE, LEGACY_PLAN, LEGACY_LMS = "/core/api", "/jersey/api", "/lms/api"

Lister = Callable[[Call], list[Row]]
Getter = Callable[[Call], Row]
Endpoint = Callable[[Request], Awaitable[Response]]

# resource → (list, one by id); None where the reference has no such call
CORE_READS: dict[str, tuple[Lister | None, Getter | None]] = {
    "academic_years": (reads.list_academic_years, None),
    "attestation_periods_schedules": (reads.list_period_schedules, reads.get_period_schedule),
    "class_units": (reads.list_classes, None),
    "subjects": (reads.list_subjects, None),
    "teacher_profiles": (reads.list_teachers, reads.get_teacher),
    "student_profiles": (reads.list_pupils, None),
    "control_forms": (reads.list_forms, None),
    "nonattendance_reasons": (reads.list_reasons, None),
    "emias_medical_recommendations": (reads.list_recommendations, None),
    "marks": (reads.list_marks, None),
    "attendances": (reads.list_absences, None),
    "homeworks": (reads.list_homeworks, reads.get_homework),
    "homework_presence": (reads.list_homework_presence, None),
}
PLAN_READS: dict[str, tuple[Lister | None, Getter | None]] = {
    "groups": (reads.list_groups, reads.get_group),
    "schedule_items": (reads.list_lessons, None),
    "calendar_plans": (reads.list_calendar_plans, reads.get_calendar_plan),
    "lesson_plans": (reads.list_lesson_plans, reads.get_lesson_plan),
    "lesson_replacements": (reads.list_replacements, None),
}
LEGACY_CORE_READS = (
    "academic_years",
    "teacher_profiles",
    "student_profiles",
    "marks",
    "attendances",
    "control_forms",
    "attestation_periods_schedules",
    "class_units",
    "subjects",
)
# (method, path below CORE) → command; legacy paths take the same below LEGACY_CORE
CORE_WRITES: dict[tuple[str, str], Command] = {
    ("POST", "marks"): writes.create_mark,
    ("PUT", "marks/{object_id:int}"): writes.change_mark,
    ("DELETE", "marks/{object_id:int}"): writes.delete_mark,
    ("POST", "attendances"): writes.create_absence,
    ("DELETE", "attendances/{object_id:int}"): writes.delete_absence,
    ("POST", "lesson_comments"): writes.create_remark,
    ("POST", "homeworks"): homeworks.create_homework,
    ("PUT", "homeworks/{object_id:int}"): homeworks.change_homework,
    ("POST", "final_marks"): writes.create_final,
    ("DELETE", "final_marks/{object_id:int}"): writes.delete_final,
}
PLAN_WRITES: dict[tuple[str, str], Command] = {
    ("POST", "calendar_plans/{object_id:int}/finish"): plans.finish_calendar_plan,
    ("POST", "calendar_plans/{object_id:int}/recalc"): plans.recalc_calendar_plan,
    ("PUT", "lesson_plans/{object_id:int}"): plans.change_lesson_plan,
}
REPORT_WRITES: dict[tuple[str, str], Command] = {("POST", "journals/export"): homeworks.start_export}
LEGACY_WRITES = ("marks", "attendances", "lesson_comments")
ABSENCE_POST = "POST attendances"


def _commands() -> dict[str, Command]:
    tables = (CORE_WRITES, PLAN_WRITES, REPORT_WRITES)
    return {f"{method} {path}": command for table in tables for (method, path), command in table.items()}


COMMANDS = _commands()


OF_GROUPS = frozenset({"marks", "attendances", "homeworks", "schedule_items"})
"""Lists that are asked for by their groups."""


class Edge:
    """Where calls come in: admission, the body, the command or the read, the answer in the form the switches ask for."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._numbers = itertools.count(1)

    def refuse(self, refusal: Refusal, request_id: str) -> Response:
        """Answer `{"code", "message"}`; the HTTP status is the code, or 200 by switch."""
        status = 200 if self._city.switches.error_status == 200 else refusal.code
        body = {"code": refusal.code, "message": refusal.message}
        return JSONResponse(body, status_code=status, headers={"X-Request-Id": request_id})

    def land_due(self) -> None:
        """Let delayed writes land whose time has come; one that is refused by now was never written."""
        for one in self._city.take_due():
            profile = self._city.state.find("teacher_profiles", one["profile_id"])
            # Nobody waits for the answer of a delayed write, so nobody hears its refusal.
            with contextlib.suppress(RefusedError, ValueError):
                actor = Actor(profile, one["request_id"])
                COMMANDS[one["command"]](Order(self._city, actor, one["object_id"], one["body"]))

    def _name_request(self, request: Request) -> str:
        return request.headers.get("x-request-id") or f"sandbox-{next(self._numbers)}"

    def _admit(self, request: Request, *, is_legacy: bool) -> Row | Refusal:
        city = self._city
        self.land_due()
        credentials = read_credentials(request.headers, request.query_params, is_legacy=is_legacy)
        fault = request.scope.get(FAULT_KEY)
        if fault is not None and fault.fault == "kill_token":
            city.sessions.kill(credentials.token)
        return city.sessions.admit(credentials, request.query_params.get("academic_year_id"), city.now())

    def _is_wrong_subsystem(self, request: Request, *, is_legacy: bool) -> bool:
        return not is_legacy and request.headers.get("x-mes-subsystem") not in SUBSYSTEMS

    def _keep_own(self, resource: str, rows: list[Row], request: Request, profile: Row) -> list[Row]:
        """By switch a teacher is shown nothing of other groups: no refusal, an empty list."""
        if self._city.switches.teacher_reads == "all" or profile["type"] == "school_admin" or resource not in OF_GROUPS:
            return rows
        asked = parse_ids(request.query_params.get("group_ids")) or set()
        return rows if asked & set(profile["assigned_group_ids"]) else []

    def build_list(self, resource: str, lister: Lister, *, is_legacy: bool) -> Endpoint:
        """Build the endpoint of a list: a bare array, a page of it, headers by switch."""

        async def endpoint(request: Request) -> Response:
            city, request_id = self._city, self._name_request(request)
            profile = self._admit(request, is_legacy=is_legacy)
            if isinstance(profile, Refusal):
                return self.refuse(profile, request_id)
            rows: list[Row] = []
            if self._is_wrong_subsystem(request, is_legacy=is_legacy):
                if city.switches.wrong_subsystem == 403:
                    return self.refuse(Refusal(403, "Подсистема недоступна"), request_id)
            else:
                try:
                    rows = lister(Call(city, request.query_params))
                    rows = self._keep_own(resource, rows, request, profile)
                except RefusedError as exc:
                    return self.refuse(exc.refusal, request_id)
                except ValueError as exc:
                    return self.refuse(Refusal(400, str(exc)), request_id)
            page = build_page(resource, rows, request.query_params, city.switches)
            if isinstance(page, Refusal):
                return self.refuse(page, request_id)
            answer = list(page.rows)
            if is_legacy and resource == "control_forms":
                answer = to_float_ids(answer)  # seen on the legacy host (S1)
            return JSONResponse(answer, headers={**page.headers, "X-Request-Id": request_id})

        return endpoint

    def build_get(self, getter: Getter, *, is_legacy: bool) -> Endpoint:
        """Build the endpoint of one object by id."""

        async def endpoint(request: Request) -> Response:
            request_id = self._name_request(request)
            profile = self._admit(request, is_legacy=is_legacy)
            if isinstance(profile, Refusal):
                return self.refuse(profile, request_id)
            if self._is_wrong_subsystem(request, is_legacy=is_legacy):
                return self.refuse(Refusal(403, "Подсистема недоступна"), request_id)
            try:
                answer = getter(Call(self._city, request.query_params, request.path_params["object_id"]))
            except RefusedError as exc:
                return self.refuse(exc.refusal, request_id)
            return JSONResponse(answer, headers={"X-Request-Id": request_id})

        return endpoint

    def build_write(self, command: str, *, is_legacy: bool) -> Endpoint:
        """Build the endpoint of a write."""

        async def endpoint(request: Request) -> Response:
            city, request_id = self._city, self._name_request(request)
            profile = self._admit(request, is_legacy=is_legacy)
            if isinstance(profile, Refusal):
                return self.refuse(profile, request_id)
            if self._is_wrong_subsystem(request, is_legacy=is_legacy):
                return self.refuse(Refusal(403, "Подсистема недоступна"), request_id)
            if command == ABSENCE_POST and city.switches.absence_path == "legacy" and not is_legacy:
                return self.refuse(Refusal(404, "method does not exist"), request_id)
            try:
                body = _parse_body(await request.body())
                object_id = request.path_params.get("object_id")
                answer = self._take(request, command, Actor(profile, request_id), object_id, body)
            except RefusedError as exc:
                return self.refuse(exc.refusal, request_id)
            except ValueError as exc:
                return self.refuse(Refusal(400, str(exc)), request_id)
            if answer is None:
                return HTMLResponse("<html><body><h1>504 Gateway Time-out</h1></body></html>", status_code=504)
            is_listed = request.method == "POST" and city.switches.post_answer == "list"
            return JSONResponse([answer] if is_listed else answer, headers={"X-Request-Id": request_id})

        return endpoint

    def _take(self, request: Request, command: str, actor: Actor, object_id: int | None, body: Row) -> Row | None:
        """Carry a write out, repeat the answer of its key, or keep it for later (None)."""
        city = self._city
        fault = request.scope.get(FAULT_KEY)
        if fault is not None and fault.fault == "drop_after_commit" and city.switches.late_s > 0:
            profile_id = None if actor.profile is None else actor.profile["id"]
            delayed = {"command": command, "object_id": object_id, "body": body}
            city.delay({**delayed, "profile_id": profile_id, "request_id": actor.request_id})
            return None
        key = request.headers.get("idempotency-key") if city.switches.idempotency_key == "on" else None
        answers = city.state.notes["answers"]
        if key is not None and key in answers:
            return dict(answers[key])
        answer = COMMANDS[command](Order(city, actor, object_id, body))
        if key is not None:
            city.state.note("answers", {**answers, key: answer})
            city.state.commit()
        return answer


def _parse_body(raw: bytes) -> Row:
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError as exc:
        raise RefusedError(Refusal(400, "Тело запроса не JSON")) from exc
    if not isinstance(body, dict):
        raise RefusedError(Refusal(400, "Тело запроса не объект"))
    return body


def _build_session_routes(city: City, edge: Edge) -> list[Route]:
    async def open_session(request: Request) -> Response:
        """`{auth_token}` names a session there is (S3); `{login, password_plain}` opens one and ends the older (S1)."""
        edge.land_due()
        request_id = request.headers.get("x-request-id", "session")
        try:
            body = _parse_body(await request.body())
        except RefusedError as exc:
            return edge.refuse(exc.refusal, request_id)
        if "login" in body:
            opened = city.sessions.log_in(body["login"], body.get("password_plain"), city.now())
        else:
            token = body.get("auth_token")
            profile = city.sessions.find_profile(token, city.now())
            opened = None if profile is None or token is None else (token, profile)
        if opened is None:
            return edge.refuse(Refusal(401, SESSION_ENDED), request_id)
        return JSONResponse(build_session_answer(*opened), headers={"X-Request-Id": request_id})

    async def close_session(request: Request) -> Response:
        """Log out on all devices (S1)."""
        profile = city.sessions.find_profile(request.query_params.get("authentication_token"), city.now())
        if profile is None:
            return edge.refuse(Refusal(401, SESSION_ENDED), "session")
        city.sessions.kill_all_of(profile["id"])
        return JSONResponse(dict(writes.DONE))

    return [
        Route(f"{ACL}/sessions", open_session, methods=["POST"]),
        Route(f"{LEGACY_LMS}/sessions", open_session, methods=["POST"]),
        Route(f"{LEGACY_LMS}/sessions", close_session, methods=["DELETE"]),
    ]


def _build_routes(city: City, edge: Edge) -> list[Route]:
    routes = _build_session_routes(city, edge)

    def add_reads(base: str, resource: str, pair: tuple[Lister | None, Getter | None], *, is_legacy: bool) -> None:
        lister, getter = pair
        if lister is not None:
            routes.append(Route(f"{base}/{resource}", edge.build_list(resource, lister, is_legacy=is_legacy)))
        if getter is not None:
            path = f"{base}/{resource}/{{object_id:int}}"
            routes.append(Route(path, edge.build_get(getter, is_legacy=is_legacy)))

    for resource, pair in CORE_READS.items():
        add_reads(CORE, resource, pair, is_legacy=False)
        if resource in LEGACY_CORE_READS:
            add_reads(LEGACY_CORE, resource, pair, is_legacy=True)
    for resource, pair in PLAN_READS.items():
        add_reads(PLAN, resource, pair, is_legacy=False)
        add_reads(LEGACY_PLAN, resource, pair, is_legacy=True)
    for base, table in ((CORE, CORE_WRITES), (PLAN, PLAN_WRITES), (REPORT, REPORT_WRITES)):
        for method, path in table:
            command = f"{method} {path}"
            routes.append(Route(f"{base}/{path}", edge.build_write(command, is_legacy=False), methods=[method]))
            if base == CORE and path.split("/")[0] in LEGACY_WRITES:
                legacy = edge.build_write(command, is_legacy=True)
                routes.append(Route(f"{LEGACY_CORE}/{path}", legacy, methods=[method]))

    def get_export(call: Call) -> Row:
        return homeworks.get_export_state(city, call.object_id)

    path = f"{REPORT}/journals/export/status/{{object_id:int}}"
    routes.append(Route(path, edge.build_get(get_export, is_legacy=False)))
    return [*routes, *build_control_routes(city, edge.land_due)]


def _build_refuser(code: int, message: str) -> Endpoint:
    async def refuse(*_: Any) -> Response:
        return JSONResponse({"code": code, "message": message}, status_code=code)

    return refuse


def build_city_app(
    *,
    seed: int = 1,
    state_file: Path | None = None,
    now: Callable[[], datetime] | None = None,
    rate_per_s: float | None = 5,
    like: LikeSchool | None = None,
) -> Starlette:
    """Build the sandbox city.

    Args:
        seed: Chooses names, grades and tokens.
        state_file: Where state and ledger outlive the server; a file with a state in it wins over `seed` and `like`.
        now: The source of time, aware; real time when absent. The control interface can move it.
        rate_per_s: The pace, with twice as much in a burst; None for none.
        like: The city's side of a portal (`build_like`) instead of the seed's own school.

    Returns:
        The application; `app.state.city.describe()` gives profiles and tokens.
    """
    city = City(seed=seed, state_file=state_file, now=now, rate_per_s=rate_per_s, like=like)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        city.state.close()

    handlers: dict[Any, Any] = {
        404: _build_refuser(404, "method does not exist"),  # A S12
        405: _build_refuser(405, "Method Not Allowed"),
    }
    app = Starlette(
        routes=_build_routes(city, Edge(city)),
        middleware=[
            Middleware(
                PaceMiddleware,
                counts=lambda: city.counts,
                bucket=lambda: city.bucket,
                switches=lambda: city.switches,
                now=city.now,
            ),
            Middleware(FaultMiddleware, faults=city.faults),
        ],
        exception_handlers=handlers,
        lifespan=lifespan,
    )
    app.state.city = city
    return app
