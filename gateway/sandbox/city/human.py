"""A person edits the journal in the city's own pages: same rules but V5–V7, no pace, actor "human" in the ledger."""

from __future__ import annotations

from typing import Any

from gateway.sandbox.city.city import (
    STATE_KINDS,
    Actor,
    City,
    Command,
    Order,
    RefusedError,
    get_known,
    get_stored,
)
from gateway.sandbox.city.codecs import to_dotted
from gateway.sandbox.city.homeworks import change_homework, create_homework, delete_homework
from gateway.sandbox.city.plans import change_lesson_plan
from gateway.sandbox.city.rules import Refusal
from gateway.sandbox.city.state import Row
from gateway.sandbox.city.wire import wire_absence
from gateway.sandbox.city.writes import (
    MARK_FIELDS,
    change_final,
    change_mark,
    change_remark,
    create_absence,
    create_final,
    create_mark,
    create_remark,
    delete_absence,
    delete_final,
    delete_mark,
    delete_remark,
)

LESSONS = "schedule_items"
_CONTROL_KEYS = frozenset({"op", "kind", "id", "cell", "value"})


def change_absence(order: Order) -> Row:
    """Change the reason of an absence: only a person can, the interface has no such call."""
    city, actor, object_id, body = order.city, order.actor, order.object_id, order.body
    absence = get_stored(city, "attendances", object_id)
    row = {**absence, "absence_reason_id": body["absence_reason_id"], "updated_at": city.stamp()}
    city.accept(actor, "change", "attendances", row, value=row["absence_reason_id"])
    return wire_absence(row)


def cancel_lesson(city: City, lesson_id: Any) -> Row:
    """Cancel a lesson in the timetable: no entry of the journal, so the ledger does not tell of it (V6 then refuses)."""
    lesson = get_known(city.state.find(LESSONS, lesson_id), "Урок")
    city.state.put(LESSONS, {**lesson, "cancelled": True}, now=city.now(), lag_s=0.0)
    city.state.commit()
    return {"id": lesson["id"], "cancelled": True}


_COMMANDS: dict[tuple[str, str], Command] = {
    ("create", "mark"): create_mark,
    ("change", "mark"): change_mark,
    ("delete", "mark"): delete_mark,
    ("create", "attendance"): create_absence,
    ("change", "attendance"): change_absence,
    ("delete", "attendance"): delete_absence,
    ("create", "homework"): create_homework,
    ("change", "homework"): change_homework,
    ("delete", "homework"): delete_homework,
    ("create", "final_mark"): create_final,
    ("change", "final_mark"): change_final,
    ("delete", "final_mark"): delete_final,
    ("create", "lesson_comment"): create_remark,
    ("change", "lesson_comment"): change_remark,
    ("delete", "lesson_comment"): delete_remark,
    ("change", "lesson_plan"): change_lesson_plan,
}


def edit_by_hand(city: City, request: Row, request_id: str) -> Row:
    """Carry out `{op, kind, id?, cell?, value, …}`; on a change, what is not named stays.

    Raises:
        RefusedError: 400 for an unknown op or kind, 404 for an unknown object (V1), 400 by V2–V4, V8, V9, V11.
    """
    if (request.get("op"), request.get("kind")) == ("cancel", "lesson"):
        return cancel_lesson(city, request.get("id"))
    command = _COMMANDS.get((str(request.get("op")), str(request.get("kind"))))
    if command is None:
        raise RefusedError(Refusal(400, "unknown op or kind"))
    kind = str(request["kind"])
    stored = None
    if request["op"] != "create":
        stored = _get_stored(city, kind, request.get("id"))
    body = _build_body(city, kind, stored, request)
    return command(Order(city, Actor(None, request_id), request.get("id"), body))


def _get_stored(city: City, kind: str, object_id: Any) -> Row:
    if kind == "lesson_plan":  # never deleted: its row has no moment for that
        return get_known(city.state.find("lesson_plans", object_id), "План")
    return get_stored(city, STATE_KINDS[kind], object_id)


def _build_body(city: City, kind: str, stored: Row | None, request: Row) -> Row:
    named = {name: value for name, value in request.items() if name not in _CONTROL_KEYS}
    body: dict[str, Any] = {**_to_whole_body(kind, stored), **(request.get("cell") or {}), **named}
    value = request.get("value")
    if value is None:
        return body
    if kind == "mark":
        form = city.state.find("control_forms", body.get("control_form_id"))
        system_id = form["grade_system_id"] if form else None
        body["grade_origins"] = [{"grade_origin": str(value), "grade_system_id": system_id}]
        body["name"] = str(value)
    elif kind == "attendance":
        body["absence_reason_id"] = value
    elif kind == "final_mark":
        body["value"] = value
    elif kind == "lesson_comment":
        body["comment"] = value
    elif kind == "homework":
        entries = body.get("homework_entries") or [{"student_ids": request.get("student_ids")}]
        body["homework_entries"] = [{**entries[0], "description": value}, *entries[1:]]
    return body


def _to_whole_body(kind: str, stored: Row | None) -> Row:
    """What stands there now, as a body of a whole-object change."""
    if stored is None:
        return {}
    if kind == "mark":
        whole = {name: stored[name] for name in MARK_FIELDS}
        return {**whole, "point_date": to_dotted(stored["point_date"]), "grade_origins": stored["origins"] or None}
    if kind == "homework":
        days = {name: to_dotted(stored[name]) for name in ("date_assigned_on", "date_prepared_for")}
        return {**stored, **days}
    return dict(stored)
