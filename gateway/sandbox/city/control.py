"""The control interface of §7.5b: how tests, the demo and a curious person look into the city and change its weather."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.sandbox.city.city import City, LikeSchool, RefusedError
from gateway.sandbox.city.export import build_export
from gateway.sandbox.city.human import edit_by_hand
from gateway.sandbox.city.like_portal import LikeError, build_like
from gateway.sandbox.city.state import Row
from gateway.sandbox.city.switches import SwitchError
from gateway.sandbox.city.wire import (
    wire_absence,
    wire_calendar_plan,
    wire_class,
    wire_final,
    wire_form,
    wire_group,
    wire_homework,
    wire_lesson,
    wire_mark,
    wire_period_schedule,
    wire_pupil,
    wire_recommendation,
    wire_remark,
    wire_replacement,
    wire_teacher,
)
from gateway.sandbox.faults import CONTROL_PREFIX, build_fault_routes


@dataclass(frozen=True)
class Ask:
    """A control call."""

    city: City
    request: Request
    body: Row


Act = Callable[[Ask], Awaitable[Any]]


class ControlError(ValueError):
    """A control call that can't be understood."""


async def tell_ledger(ask: Ask) -> Any:
    city, request = ask.city, ask.request
    since = request.query_params.get("since", "0")
    if not since.isdigit():
        msg = "since is a number"
        raise ControlError(msg)
    return city.state.ledger[int(since) :]


async def tell_state(ask: Ask) -> Any:
    city = ask.city
    state = city.state
    kinds: dict[str, Callable[[Row], Row]] = {
        "attestation_periods_schedules": wire_period_schedule,
        "class_units": lambda row: wire_class(
            row, sum(one["class_unit_id"] == row["id"] for one in state.iter_rows("student_profiles"))
        ),
        "groups": lambda row: wire_group(
            row, [pupil["id"] for pupil in city.list_members(row["id"], city.today())], state
        ),
        "teacher_profiles": lambda row: wire_teacher(row, with_assigned_groups=True, with_replacement_groups=True),
        "student_profiles": lambda row: wire_pupil(row, state, with_groups=True, with_home_based=True, finals=None),
        "control_forms": lambda row: wire_form(row, state, with_grade_system=True),
        "schedule_items": lambda row: wire_lesson(row, state),
        "marks": lambda row: wire_mark(row, state),
        "attendances": wire_absence,
        "homeworks": wire_homework,
        "final_marks": wire_final,
        "lesson_comments": wire_remark,
        "calendar_plans": wire_calendar_plan,
        "lesson_replacements": wire_replacement,
        "emias_medical_recommendations": wire_recommendation,
    }
    plain = (
        "academic_years",
        "subjects",
        "grade_systems",
        "nonattendance_reasons",
        "lesson_plans",
    )
    told: dict[str, Any] = {kind: list(state.iter_rows(kind)) for kind in plain}
    told |= {kind: [wire(row) for row in state.iter_rows(kind)] for kind, wire in kinds.items()}
    return {**told, "now": city.stamp(), "seed": city.seed, "like": state.notes.get("like")}


async def reset(ask: Ask) -> Any:
    """`{seed, like?}`: `like` absent keeps the likeness there is, null drops it, `{base_url, token}` reads a portal."""
    city, body = ask.city, ask.body
    seed = body.get("seed", city.seed)
    if not isinstance(seed, int):
        msg = "seed is a number"
        raise ControlError(msg)
    like: LikeSchool | None = city.like
    if "like" in body:
        wanted = body["like"]
        like = None
        if wanted is not None:
            if not isinstance(wanted, dict) or not {"base_url", "token"} <= set(wanted):
                msg = "like is null or {base_url, token, traps?}"
                raise ControlError(msg)
            traps = bool(wanted.get("traps", False))
            like = await anyio.to_thread.run_sync(lambda: build_like(wanted["base_url"], wanted["token"], traps=traps))
    city.reset(seed=seed, like=like)
    return city.describe()


async def set_clock(ask: Ask) -> Any:
    city, request, body = ask.city, ask.request, ask.body
    if isinstance(body.get("now"), str):
        city.clock.set_to(datetime.fromisoformat(body["now"]))
    elif isinstance(body.get("advance_s"), int | float):
        city.clock.advance(float(body["advance_s"]))
    elif request.method == "POST":
        msg = "one of now, advance_s"
        raise ControlError(msg)
    city.keep_settings()
    return {"now": city.stamp()}


async def set_switches(ask: Ask) -> Any:
    city, request, body = ask.city, ask.request, ask.body
    if request.method == "POST":
        city.switch(body)
    return city.switches.model_dump()


async def set_period(ask: Ask) -> Any:
    """`{id, closed}`: close or open a period by hand; opening also lifts a passed edit window."""
    city, body = ask.city, ask.body
    if not isinstance(body.get("closed"), bool):
        msg = "closed is true or false"
        raise ControlError(msg)
    for schedule in city.state.iter_rows("attestation_periods_schedules"):
        if any(one["id"] == body.get("id") for one in schedule["periods"]):
            periods = [_to_set(one, body) if one["id"] == body["id"] else one for one in schedule["periods"]]
            changed = {**schedule, "periods": periods}
            city.state.put("attestation_periods_schedules", changed, now=city.now())
            city.state.commit()
            return wire_period_schedule(changed)
    msg = "unknown period"
    raise ControlError(msg)


def _to_set(period: Row, body: Row) -> Row:
    edit_until = period["x_edit_until"] if body["closed"] else "9999-12-31"
    return {**period, "x_closed": body["closed"], "x_edit_until": edit_until}


async def edit(ask: Ask) -> Any:
    city, request, body = ask.city, ask.request, ask.body
    return edit_by_hand(city, body, request.headers.get("x-request-id", "human"))


async def tell_requests(ask: Ask) -> Any:
    city = ask.city
    return city.counts.described()


async def tell_export(ask: Ask) -> Any:
    """The workbooks of a journal export: file name → its bytes in base64."""
    return {name: base64.b64encode(body).decode() for name, body in build_export(ask.city).items()}


def build_control_routes(city: City, land_due: Callable[[], None]) -> list[Route]:
    """Build the routes; `land_due` lets delayed writes land before anybody looks."""

    def route(path: str, act: Act, methods: list[str]) -> Route:
        async def endpoint(request: Request) -> Response:
            land_due()
            try:
                body = await request.json() if request.method == "POST" else {}
                if not isinstance(body, dict):
                    msg = "the body is an object"
                    raise ControlError(msg)
                answer = await act(Ask(city, request, body))
            except RefusedError as exc:
                refusal = {"code": exc.refusal.code, "message": exc.refusal.message}
                return JSONResponse(refusal, status_code=exc.refusal.code)
            except (ControlError, SwitchError, LikeError, json.JSONDecodeError, ValueError) as exc:
                return JSONResponse({"code": 400, "message": str(exc)}, status_code=400)
            return JSONResponse(answer)

        return Route(f"{CONTROL_PREFIX}/{path}", endpoint, methods=methods)

    return [
        route("ledger", tell_ledger, ["GET"]),
        route("state", tell_state, ["GET"]),
        route("export", tell_export, ["GET"]),
        route("reset", reset, ["POST"]),
        route("clock", set_clock, ["GET", "POST"]),
        route("switches", set_switches, ["GET", "POST"]),
        route("period", set_period, ["POST"]),
        route("human", edit, ["POST"]),
        route("requests", tell_requests, ["GET"]),
        *build_fault_routes(city.faults),
    ]
