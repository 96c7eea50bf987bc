"""What the city takes of marks, absences, finals and remarks: checks by the rules, then one accepted write.

Each command takes an order and gives the answer, so that a delayed write is the very same call at a later moment. A
person's edit (`actor.is_human`) bypasses V5–V7, never V1.
"""

from __future__ import annotations

from typing import Any

from gateway.sandbox.city.city import Actor, City, Order, RefusedError, check, get_known, get_stored
from gateway.sandbox.city.codecs import parse_dotted
from gateway.sandbox.city.rules import (
    Refusal,
    refuse_closed,
    refuse_form,
    refuse_grade,
    refuse_lesson_state,
    refuse_partial,
    refuse_second_absence,
    refuse_second_final,
    refuse_stale,
    refuse_stranger,
    refuse_teacher,
    to_final_key,
)
from gateway.sandbox.city.state import Row
from gateway.sandbox.city.wire import wire_absence, wire_final, wire_mark, wire_remark

# V12: what a whole mark consists of, as the POST body of S2 has it, plus `name` for the changed value.
MARK_FIELDS = (
    "comment",
    "is_exam",
    "is_criterion",
    "is_point",
    "point_date",
    "schedule_lesson_id",
    "student_profile_id",
    "teacher_id",
    "control_form_id",
    "weight",
    "theme_frame_integration_id",
    "course_lesson_topic_id",
    "mark_type_id",
)
DONE = {"status": "ok", "http_status_code": 200}  # the one attested answer of a DELETE (S1, sessions)
ABSENCE_REASONS = (1, 2)  # «н», «б» (C S7)


def get_cell(city: City, body: Row, pupil_key: str = "student_profile_id") -> tuple[Row, Row, Row]:
    """Give pupil, lesson and group that a body names (V1)."""
    pupil = get_known(city.state.find("student_profiles", body.get(pupil_key)), "Ученик")
    lesson = get_known(city.state.find("schedule_items", body.get("schedule_lesson_id")), "Урок")
    return pupil, lesson, get_known(city.state.find("groups", lesson["group_id"]), "Группа")


def _get_form(city: City, form_id: Any) -> Row:
    """Give the control form that a body names (V1); a deleted one is known and falls under V2."""
    return city.state.find("control_forms", form_id) or get_known(None, "Форма контроля")


def find_author(city: City, body: Row) -> Row | None:
    """Find the teacher that a body names (V1); None when it names none."""
    if body.get("teacher_id") is None:
        return None
    return get_known(city.state.find("teacher_profiles", body["teacher_id"]), "Учитель")


def check_lesson(city: City, actor: Actor, author: Row | None, lesson: Row, group: Row) -> None:
    """V5–V7: who may write here, and whether now is the time."""
    if actor.profile is None:
        return
    check(refuse_teacher(actor.profile, author, group["id"], lesson))
    check(refuse_lesson_state(lesson, city.today()))
    check_open(city, actor, group, lesson["date"])


def check_open(city: City, actor: Actor, group: Row, day: str) -> None:
    """V7, unless the city does not care (switch) or a person writes."""
    if not actor.is_human and city.switches.closed_period == 403:
        check(refuse_closed(city.list_periods(group), day, city.today()))


def _read_origins(city: City, body: Row, form: Row | None) -> list[Row] | None:
    """Read the grades of a body: `grade_origins`, else the shown `name` (PUT, S1); None when there is no value."""
    given = body.get("grade_origins")
    if given is None and body.get("name") is not None and form is not None:
        given = [{"grade_origin": body["name"], "grade_system_id": form["grade_system_id"]}]
    if given is None:
        return None
    if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
        raise RefusedError(Refusal(400, "Не указана отметка", "V3"))
    origins = [
        {"grade_origin": one.get("grade_origin"), "grade_system_id": one.get("grade_system_id")} for one in given
    ]
    for one in origins:
        system = get_known(city.state.find("grade_systems", one["grade_system_id"]), "Система оценивания")
        check(refuse_grade(one["grade_origin"], system["type"]))
        one["grade_origin"] = str(one["grade_origin"])
    return origins


def _read_weight(body: Row, form: Row | None) -> int | None:
    weight = body.get("weight", form["weight"] if form else None)
    if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int) or weight < 1):
        raise RefusedError(Refusal(400, "Недопустимый вес отметки", "V3"))
    return weight


def create_mark(order: Order) -> Row:
    """Take a mark. The same again is another mark (V10)."""
    city, actor, body = order.city, order.actor, order.body
    pupil, lesson, group = get_cell(city, body)
    form = _get_form(city, body.get("control_form_id"))
    author = find_author(city, body)
    systems = [one.get("grade_system_id") for one in body.get("grade_origins") or [] if isinstance(one, dict)]
    check(refuse_form(form, group, systems))
    origins = _read_origins(city, {**body, "name": None}, form)
    if origins is None:
        raise RefusedError(Refusal(400, "Не указана отметка", "V3"))
    check(refuse_stranger(pupil, group["id"], lesson["date"]))
    check_lesson(city, actor, author, lesson, group)
    at = city.stamp()
    point_date = body.get("point_date") or None
    row = {
        "id": city.state.next_id("marks"),
        "student_profile_id": pupil["id"],
        "schedule_lesson_id": lesson["id"],
        "group_id": group["id"],
        "subject_id": group["subject_id"],
        "teacher_id": author["id"] if author else lesson["teacher_id"],
        "control_form_id": form["id"],
        "name": origins[0]["grade_origin"],
        "origins": origins,
        "weight": _read_weight(body, form),
        "date": lesson["date"],
        "comment": body.get("comment"),
        "is_exam": body.get("is_exam", False),
        "is_criterion": body.get("is_criterion", False),
        "is_point": body.get("is_point", False),
        "point_date": parse_dotted(point_date) if point_date else None,
        "mark_type_id": body.get("mark_type_id", 1),
        "theme_frame_integration_id": body.get("theme_frame_integration_id"),
        "course_lesson_topic_id": body.get("course_lesson_topic_id"),
        "created_at": at,
        "updated_at": at,
        "deleted_at": None,
        "deleted_by": None,
    }
    city.accept(actor, "create", "marks", row, value=row["name"])
    return wire_mark(row, city.state)


def change_mark(order: Order) -> Row:
    """Take a whole mark anew under its id; what is not sent becomes null (V12)."""
    city, actor, object_id, body = order.city, order.actor, order.object_id, order.body
    if city.switches.put_mark == 405 and not actor.is_human:
        raise RefusedError(Refusal(405, "Method Not Allowed"))
    mark = get_stored(city, "marks", object_id)
    if city.switches.conflict_409 == "on" and not actor.is_human:
        check(refuse_stale(body.get("updated_at"), mark["updated_at"]))
    if city.switches.strict_put == 400:
        check(refuse_partial(body, MARK_FIELDS))
        check(None if "grade_origins" in body or "name" in body else Refusal(400, "Не переданы поля: name", "V12"))
    cell = (body.get("student_profile_id"), body.get("schedule_lesson_id"))
    if cell != (mark["student_profile_id"], mark["schedule_lesson_id"]):
        raise RefusedError(Refusal(400, "Ученик и урок отметки не меняются", "V12"))
    pupil, lesson, group = get_cell(city, body)
    form = None
    if body.get("control_form_id") is not None:
        form = _get_form(city, body["control_form_id"])
        systems = [one.get("grade_system_id") for one in body.get("grade_origins") or [] if isinstance(one, dict)]
        check(refuse_form(form, group, systems))
    author = find_author(city, body)
    origins = _read_origins(city, body, form) or []
    if body.get("grade_origins") is not None and body.get("name") not in (None, origins[0]["grade_origin"]):
        raise RefusedError(Refusal(400, "name не соответствует grade_origins", "V3"))
    check(refuse_stranger(pupil, group["id"], lesson["date"]))
    check_lesson(city, actor, author, lesson, group)
    point_date = body.get("point_date") or None
    row = {
        **mark,
        **{name: body.get(name) for name in MARK_FIELDS},
        "weight": _read_weight({"weight": body.get("weight")}, form),
        "point_date": parse_dotted(point_date) if point_date else None,
        "name": origins[0]["grade_origin"] if origins else None,
        "origins": origins,
        "updated_at": city.stamp(),
    }
    city.accept(actor, "change", "marks", row, value=row["name"])
    return wire_mark(row, city.state)


def delete_mark(order: Order) -> Row:
    city, actor, object_id = order.city, order.actor, order.object_id
    mark = get_stored(city, "marks", object_id)
    _, lesson, group = get_cell(city, mark)
    check_lesson(city, actor, None, lesson, group)
    deleted_by = None if actor.profile is None else actor.profile["id"]
    row = {**mark, "deleted_at": city.stamp(), "updated_at": city.stamp(), "deleted_by": deleted_by}
    city.accept(actor, "delete", "marks", row, value=row["name"])
    return dict(DONE)


def create_absence(order: Order) -> Row:
    """Take an absence; one a pupil and lesson (V8)."""
    city, actor, body = order.city, order.actor, order.body
    pupil, lesson, group = get_cell(city, body)
    if body.get("absence_reason_id") not in ABSENCE_REASONS:
        raise RefusedError(Refusal(400, "Недопустимая причина отсутствия"))
    check(refuse_stranger(pupil, group["id"], lesson["date"]))
    check_lesson(city, actor, None, lesson, group)
    existing = city.state.iter_of_group("attendances", group["id"])
    check(refuse_second_absence(existing, pupil["id"], lesson["id"]))
    at = city.stamp()
    row = {
        "id": city.state.next_id("attendances"),
        "student_profile_id": pupil["id"],
        "schedule_lesson_id": lesson["id"],
        "group_id": group["id"],
        "date": lesson["date"],
        "absence_reason_id": body["absence_reason_id"],
        "nonattendance_reason_id": body.get("nonattendance_reason_id"),
        "created_at": at,
        "updated_at": at,
        "deleted_at": None,
    }
    city.accept(actor, "create", "attendances", row, value=row["absence_reason_id"])
    return wire_absence(row)


def delete_absence(order: Order) -> Row:
    city, actor, object_id = order.city, order.actor, order.object_id
    if not actor.is_human and city.switches.delete_absence != "on":
        code = city.switches.delete_absence
        raise RefusedError(Refusal(code, "Method Not Allowed" if code == 405 else "method does not exist"))
    absence = get_stored(city, "attendances", object_id)
    _, lesson, group = get_cell(city, absence)
    check_lesson(city, actor, None, lesson, group)
    row = {**absence, "deleted_at": city.stamp(), "updated_at": city.stamp()}
    city.accept(actor, "delete", "attendances", row, value=row["absence_reason_id"])
    return dict(DONE)


def create_remark(order: Order) -> Row:
    """Take a remark on a pupil at a lesson, such as «О» for being late (S1)."""
    city, actor, body = order.city, order.actor, order.body
    pupil, lesson, group = get_cell(city, body, "student_id")
    author = find_author(city, body)
    check(refuse_stranger(pupil, group["id"], lesson["date"]))
    check_lesson(city, actor, author, lesson, group)
    at = city.stamp()
    row = {
        "id": city.state.next_id("lesson_comments"),
        "student_profile_id": pupil["id"],
        "student_id": pupil["id"],
        "schedule_lesson_id": lesson["id"],
        "group_id": group["id"],
        "subject_id": group["subject_id"],
        "teacher_id": author["id"] if author else lesson["teacher_id"],
        "comment": body.get("comment"),
        "created_at": at,
        "updated_at": at,
        "deleted_at": None,
    }
    city.accept(actor, "create", "lesson_comments", row, value=row["comment"])
    return wire_remark(row)


def change_remark(order: Order) -> Row:
    """A person corrects a remark; the interface has no such call (not attested)."""
    city, actor, object_id, body = order.city, order.actor, order.object_id, order.body
    remark = get_stored(city, "lesson_comments", object_id)
    row = {**remark, "comment": body["comment"], "updated_at": city.stamp()}
    city.accept(actor, "change", "lesson_comments", row, value=row["comment"])
    return wire_remark(row)


def delete_remark(order: Order) -> Row:
    """A person takes a remark away; the interface has no such call (not attested)."""
    city, actor, object_id = order.city, order.actor, order.object_id
    remark = get_stored(city, "lesson_comments", object_id)
    row = {**remark, "deleted_at": city.stamp(), "updated_at": city.stamp()}
    city.accept(actor, "delete", "lesson_comments", row, value=row["comment"])
    return dict(DONE)


def _get_final_system(body: Row) -> str:
    system = body.get("grade_system_type")
    return system if system in ("five", "ten", "hundred", "approve") else "five"


def create_final(order: Order) -> Row:
    """Take a final mark; one a pupil, subject, year and kind (V9). A foreign period is taken: that was a real incident."""
    city, actor, body = order.city, order.actor, order.body
    pupil = get_known(city.state.find("student_profiles", body.get("student_profile_id")), "Ученик")
    subject = get_known(city.state.find("subjects", body.get("subject_id")), "Предмет")
    period_id = body.get("attestation_period_id")
    period: Row | None = None
    if period_id is not None:
        schedules = city.state.iter_rows("attestation_periods_schedules")
        periods = {period["id"]: period for schedule in schedules for period in schedule["periods"]}
        period_id = int(period_id) if str(period_id).isdigit() else None
        period = get_known(periods.get(period_id or 0), "Период")
    check(refuse_grade(body.get("value"), _get_final_system(body)))
    _check_final_author(city, actor, pupil, subject)
    at = city.stamp()
    row = {
        **_to_final_fields(body),
        "id": city.state.next_id("final_marks"),
        "student_profile_id": pupil["id"],
        "subject_id": subject["id"],
        "academic_year_id": body.get("academic_year_id"),
        "attestation_period_id": period_id,
        "value": str(body["value"]),
        "created_at": at,
        "updated_at": at,
        "deleted_at": None,
    }
    check(refuse_second_final(city.state.iter_rows("final_marks"), to_final_key(row)))
    if period is not None and not actor.is_human and city.switches.closed_period == 403:
        check(refuse_closed([period], period["end_date"], city.today()))
    city.accept(actor, "create", "final_marks", row, value=row["value"])
    return wire_final(row)


def _to_final_fields(body: Row) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "comment": "",
        "is_year_mark": False,
        "year_mark": False,
        "attested": True,
        "eliminated": False,
        "is_good_reason": False,
        "module_id": None,
        "academic_debt": False,
        "no_mark": False,
        "period_id": None,
        "mark_type": None,
        "grade_system_type": "five",
    }
    return {name: body.get(name, default) for name, default in defaults.items()}


def _check_final_author(city: City, actor: Actor, pupil: Row, subject: Row) -> None:
    """V5 for a final: the teacher leads some group of that subject with that pupil."""
    if actor.profile is None or actor.profile["type"] == "school_admin":
        return
    for one in pupil["groups"]:
        group = city.state.find("groups", one["id"])
        if group and group["subject_id"] == subject["id"] and group["id"] in actor.profile["assigned_group_ids"]:
            return
    raise RefusedError(Refusal(403, "Учитель не назначен в эту группу", "V5"))


def change_final(order: Order) -> Row:
    """A person corrects a final mark; the interface knows deleting and setting anew only (S4)."""
    city, actor, object_id, body = order.city, order.actor, order.object_id, order.body
    final = get_stored(city, "final_marks", object_id)
    check(refuse_grade(body["value"], _get_final_system(final)))
    row = {**final, "value": str(body["value"]), "updated_at": city.stamp()}
    city.accept(actor, "change", "final_marks", row, value=row["value"])
    return wire_final(row)


def delete_final(order: Order) -> Row:
    city, actor, object_id = order.city, order.actor, order.object_id
    final = get_stored(city, "final_marks", object_id)
    pupil = get_known(city.state.find("student_profiles", final["student_profile_id"]), "Ученик")
    _check_final_author(city, actor, pupil, get_known(city.state.find("subjects", final["subject_id"]), "Предмет"))
    row = {**final, "deleted_at": city.stamp(), "updated_at": city.stamp()}
    city.accept(actor, "delete", "final_marks", row, value=row["value"])
    return dict(DONE)
