"""What the city takes of homework and journal exports; same form of command as in `writes`."""

from __future__ import annotations

from typing import Any

from gateway.sandbox.city.city import Actor, City, Order, check, get_known, get_stored
from gateway.sandbox.city.codecs import parse_dotted
from gateway.sandbox.city.rules import (
    refuse_homework,
    refuse_partial,
    refuse_stale,
    refuse_teacher,
)
from gateway.sandbox.city.state import Row
from gateway.sandbox.city.wire import wire_homework
from gateway.sandbox.city.writes import DONE, check_open, find_author

HOMEWORK_FIELDS = (
    "group_id",
    "teacher_id",
    "subject_id",
    "date_assigned_on",
    "date_prepared_for",
    "is_required",
    "mark_required",
    "homework_entries",
)
_ENTRY_DEFAULTS: dict[str, Any] = {
    "description": None,
    "duration": None,
    "no_duration": False,
    "attachment_ids": [],
    "attachments": [],
    "scripts": None,
    "is_digital_homework": False,
    "is_long_term": False,
    "books": [],
    "tests": [],
    "data": None,
}


def _check_homework(city: City, actor: Actor, body: Row) -> tuple[Row, Row | None, str, str]:
    """V1, V11, V5 and V7 by the day of issue; gives group, author, both days."""
    group = get_known(city.state.find("groups", body.get("group_id")), "Группа")
    get_known(city.state.find("subjects", body.get("subject_id")), "Предмет")
    author = find_author(city, body)
    assigned_on = parse_dotted(body.get("date_assigned_on"))
    prepared_for = parse_dotted(body.get("date_prepared_for"))
    members = {pupil["id"] for day in (assigned_on, prepared_for) for pupil in city.list_members(group["id"], day)}
    entries = body.get("homework_entries")
    check(refuse_homework(entries, assigned_on, prepared_for, group, body["subject_id"], members))
    if actor.profile is not None:
        check(refuse_teacher(actor.profile, author, group["id"], None))
        check_open(city, actor, group, assigned_on)
    return group, author, assigned_on, prepared_for


def _build_entries(city: City, homework_id: int, entries: list[Row]) -> list[Row]:
    """Keep an entry's own id when it has one of this homework, else give a new one."""
    stored = city.state.find("homeworks", homework_id)
    own_ids = {entry["id"] for entry in stored["homework_entries"]} if stored else set()
    return [
        {
            **{name: entry.get(name, default) for name, default in _ENTRY_DEFAULTS.items()},
            "student_ids": entry["student_ids"],
            "id": entry["id"] if entry.get("id") in own_ids else city.state.next_id("homework_entries"),
            "homework_id": homework_id,
        }
        for entry in entries
    ]


def _to_text(row: Row) -> str:
    return "\n".join(str(entry["description"] or "") for entry in row["homework_entries"])


def create_homework(order: Order) -> Row:
    """Take homework; the same again is another one."""
    city, actor, body = order.city, order.actor, order.body
    group, author, assigned_on, prepared_for = _check_homework(city, actor, body)
    at = city.stamp()
    homework_id = city.state.next_id("homeworks")
    row = {
        "id": homework_id,
        "group_id": group["id"],
        "subject_id": group["subject_id"],
        "teacher_id": author["id"] if author else group["teacher_ids"][0],
        "date_assigned_on": assigned_on,
        "date_prepared_for": prepared_for,
        "is_required": body.get("is_required", True),
        "mark_required": body.get("mark_required", False),
        "homework_entries": _build_entries(city, homework_id, body["homework_entries"]),
        "created_at": at,
        "updated_at": at,
        "deleted_at": None,
    }
    city.accept(actor, "create", "homeworks", row, value=_to_text(row))
    return wire_homework(row)


def change_homework(order: Order) -> Row:
    """Take a whole homework anew under its id; what is not sent becomes null (V12)."""
    city, actor, object_id, body = order.city, order.actor, order.object_id, order.body
    homework = get_stored(city, "homeworks", object_id)
    if city.switches.conflict_409 == "on" and not actor.is_human:
        check(refuse_stale(body.get("updated_at"), homework["updated_at"]))
    if city.switches.strict_put == 400:
        check(refuse_partial(body, HOMEWORK_FIELDS))
    group, author, assigned_on, prepared_for = _check_homework(city, actor, body)
    row = {
        **homework,
        "group_id": group["id"],
        "subject_id": group["subject_id"],
        "teacher_id": author["id"] if author else None,
        "date_assigned_on": assigned_on,
        "date_prepared_for": prepared_for,
        "is_required": body.get("is_required"),
        "mark_required": body.get("mark_required"),
        "homework_entries": _build_entries(city, homework["id"], body["homework_entries"]),
        "updated_at": city.stamp(),
    }
    city.accept(actor, "change", "homeworks", row, value=_to_text(row))
    return wire_homework(row)


def delete_homework(order: Order) -> Row:
    """A person deletes homework; the interface has no such call (not attested)."""
    city, actor, object_id = order.city, order.actor, order.object_id
    homework = get_stored(city, "homeworks", object_id)
    row = {**homework, "deleted_at": city.stamp(), "updated_at": city.stamp()}
    city.accept(actor, "delete", "homeworks", row, value=_to_text(row))
    return dict(DONE)


def start_export(order: Order) -> Row:
    """Queue a journal export; its state is asked for later. Not a write to the journal: the ledger does not know it."""
    city, body = order.city, order.body
    group_ids = body.get("group_ids")
    is_known = isinstance(group_ids, list) and all(city.state.find("groups", one) for one in group_ids)
    row: Row = {
        "id": city.state.next_id("exports"),
        "status": "queued",
        "asked": 0,
        "is_known": is_known,
        "group_ids": group_ids if is_known else [],
    }
    city.state.put("exports", row, now=city.now())
    city.state.commit()
    return {"id": row["id"], "status": row["status"]}


def get_export_state(city: City, export_id: int | None) -> Row:
    """Tell the state of an export: queued at the first asking, then done or error (S2 polls)."""
    row = get_known(city.state.find("exports", export_id), "Выгрузка")
    if row["asked"] == 0:
        city.state.put("exports", {**row, "asked": 1}, now=city.now())
        city.state.commit()
        return {"id": row["id"], "status": "queued"}
    if not row["is_known"]:
        return {"id": row["id"], "status": "error", "message": "Группа не найдена"}
    counts = {
        kind: sum(1 for group_id in row["group_ids"] for one in city.visible(kind, {group_id}))
        for kind in ("marks", "attendances", "homeworks")
    }
    return {"id": row["id"], "status": "done", "uuid": f"00000000-0000-4000-8000-{row['id']:012d}", "counts": counts}
