"""What the city tells: one function a resource, from a call to the rows of its answer, before they are paged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.city.city import City, RefusedError, get_known
from gateway.sandbox.city.codecs import (
    parse_dashed,
    parse_dotted,
    parse_flag,
    parse_ids,
    parse_slashed,
    to_moscow_day_of,
)
from gateway.sandbox.city.rules import Refusal
from gateway.sandbox.city.state import Row
from gateway.sandbox.city.wire import (
    wire_absence,
    wire_calendar_plan,
    wire_class,
    wire_form,
    wire_group,
    wire_homework,
    wire_lesson,
    wire_mark,
    wire_period_schedule,
    wire_pupil,
    wire_recommendation,
    wire_replacement,
    wire_teacher,
    wire_year,
)


@dataclass(frozen=True)
class Call:
    """An admitted read."""

    city: City
    query: Mapping[str, str]
    object_id: int | None = None

    def ids(self, *names: str) -> set[int] | None:
        """Read an id list, whatever name of `names` it came under; None when none came."""
        for name in names:
            found = parse_ids(self.query.get(name))
            if found is not None:
                return found
        return None

    def flag(self, name: str) -> bool:
        return parse_flag(self.query.get(name))

    def number(self, name: str) -> int | None:
        text = self.query.get(name)
        return int(text) if text else None


def _keep(rows: list[Row], name: str, wanted: set[int] | int | None) -> list[Row]:
    """Keep rows whose `name` is among the wanted; all when nothing is wanted."""
    if wanted is None:
        return rows
    allowed = wanted if isinstance(wanted, set) else {wanted}
    return [row for row in rows if row[name] in allowed]


def _get_one(call: Call, kind: str) -> Row:
    """Give one object as a reader sees it now.

    Raises:
        RefusedError: There is none (V1).
    """
    row = None if call.object_id is None else call.city.state.find_visible(kind, call.object_id, now=call.city.now())
    if row is not None and call.city.switches.soft_deleted == "listed":
        return row
    return get_known(row, "Объект")


def list_academic_years(call: Call) -> list[Row]:
    rows = [wire_year(row) for row in call.city.visible("academic_years")]
    return [row for row in rows if row["current_year"]] if call.flag("only_current_year") else rows


def list_period_schedules(call: Call) -> list[Row]:
    rows = _keep(
        call.city.visible("attestation_periods_schedules"), "academic_year_id", call.number("academic_year_id")
    )
    return [wire_period_schedule(row) for row in rows]


def get_period_schedule(call: Call) -> Row:
    return wire_period_schedule(_get_one(call, "attestation_periods_schedules"))


def list_classes(call: Call) -> list[Row]:
    rows = _keep(call.city.visible("class_units"), "id", call.ids("ids", "class_unit_ids"))
    pupils = [row for row in call.city.state.iter_rows("student_profiles") if not row["transferred"]]
    counts: dict[int, int] = {}
    for pupil in pupils:
        counts[pupil["class_unit_id"]] = counts.get(pupil["class_unit_id"], 0) + 1
    return [wire_class(row, counts.get(row["id"], 0)) for row in rows]


def list_subjects(call: Call) -> list[Row]:
    return _keep(call.city.visible("subjects"), "id", call.ids("ids"))


def list_groups(call: Call) -> list[Row]:
    city = call.city
    rows = _keep(city.visible("groups"), "id", call.ids("group_ids", "ids"))
    rows = _keep(rows, "academic_year_id", call.number("academic_year_id"))
    rows = _keep(rows, "class_level_id", call.ids("class_level_ids", "class_level_id"))
    rows = _keep(rows, "subject_id", call.ids("subject_ids", "subject_id"))
    class_ids = call.ids("class_unit_ids")
    if class_ids is not None:
        rows = [row for row in rows if class_ids & set(row["class_unit_ids"])]
    return [_wire_group(city, row) for row in rows]


def _wire_group(city: City, row: Row) -> Row:
    return wire_group(row, [pupil["id"] for pupil in city.list_members(row["id"], city.today())], city.state)


def get_group(call: Call) -> Row:
    return _wire_group(call.city, _get_one(call, "groups"))


def list_teachers(call: Call) -> list[Row]:
    return [_wire_teacher(call, row) for row in _keep(call.city.visible("teacher_profiles"), "id", call.ids("ids"))]


def _wire_teacher(call: Call, row: Row) -> Row:
    return wire_teacher(
        row,
        with_assigned_groups=call.flag("with_assigned_groups"),
        with_replacement_groups=call.flag("with_replacement_groups"),
    )


def get_teacher(call: Call) -> Row:
    return _wire_teacher(call, _get_one(call, "teacher_profiles"))


def list_pupils(call: Call) -> list[Row]:
    """Pupils; those who left only with `with_transferred`, deleted ones only with `with_deleted`."""
    city = call.city
    rows = city.state.list_visible("student_profiles", now=city.now())
    rows = [row for row in rows if row["deleted_at"] is None or call.flag("with_deleted")]
    rows = [row for row in rows if not row["transferred"] or call.flag("with_transferred")]
    rows = _keep(rows, "id", call.ids("student_profile_ids", "ids"))
    rows = _keep(rows, "class_unit_id", call.ids("class_unit_ids"))
    group_ids = call.ids("group_ids")
    if group_ids is not None:
        rows = _keep(rows, "id", city.list_pupils_of(group_ids))
    finals = _by_pupil(call, "final_marks") if call.flag("with_final_marks") else None
    remarks = _by_pupil(call, "lesson_comments") if call.flag("with_lesson_comments") else None
    return [
        wire_pupil(
            row,
            city.state,
            with_groups=call.flag("with_groups"),
            with_home_based=call.flag("with_home_based_periods"),
            finals=None if finals is None else finals.get(row["id"], []),
            remarks=None if remarks is None else remarks.get(row["id"], []),
        )
        for row in rows
    ]


def _by_pupil(call: Call, kind: str) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in call.city.visible(kind):
        found.setdefault(row["student_profile_id"], []).append(row)
    return found


def list_forms(call: Call) -> list[Row]:
    city = call.city
    rows = [
        row
        for row in city.state.list_visible("control_forms", now=city.now())
        if row["deleted_at"] is None or call.flag("with_deleted") or city.switches.soft_deleted == "listed"
    ]
    for name in ("academic_year_id", "subject_id", "education_level_id"):
        rows = _keep(rows, name, call.number(name))
    return [wire_form(row, city.state, with_grade_system=call.flag("with_grade_system")) for row in rows]


def list_reasons(call: Call) -> list[Row]:
    return call.city.visible("nonattendance_reasons")


def list_recommendations(call: Call) -> list[Row]:
    rows = call.city.visible("emias_medical_recommendations")
    return [wire_recommendation(row) for row in _keep(rows, "student_profile_id", call.ids("student_profile_ids"))]


def list_lessons(call: Call) -> list[Row]:
    """Lessons of a span of days (`from`, `to`, ISO, both included), by day and number; cancelled ones too (R17)."""
    begin_on, end_on = call.query.get("from"), call.query.get("to")
    if not begin_on or not end_on:
        raise RefusedError(Refusal(400, "Не указан период from, to"))
    begin_on, end_on = parse_dashed(begin_on), parse_dashed(end_on)
    rows = call.city.visible("schedule_items", call.ids("group_ids"))
    rows = [row for row in rows if begin_on <= row["date"] <= end_on]
    teacher_id = call.number("teacher_id")
    if teacher_id is not None:
        rows = [row for row in rows if teacher_id in (row["teacher_id"], row["replaced_teacher_id"])]
    rows.sort(key=lambda row: (row["date"], row["time"], row["id"]))
    return [wire_lesson(row, call.city.state) for row in rows]


def list_replacements(call: Call) -> list[Row]:
    """Replacements; the one query of the platform with slashes in its dates (S1)."""
    rows = _keep(call.city.visible("lesson_replacements"), "replaced_teacher_id", call.number("teacher_id"))
    begin_on, end_on = call.query.get("begin_date"), call.query.get("end_date")
    if begin_on:
        rows = [row for row in rows if parse_slashed(begin_on) <= row["date"]]
    if end_on:
        rows = [row for row in rows if row["date"] <= parse_slashed(end_on)]
    return [wire_replacement(row) for row in rows]


def list_calendar_plans(call: Call) -> list[Row]:
    """Plans without their lessons; only published ones are told of (S3)."""
    rows = [row for row in call.city.visible("calendar_plans") if row["is_published"]]
    rows = _keep(rows, "group_id", call.ids("group_id", "group_ids"))
    return [{name: row[name] for name in ("id", "group_id", "group_name", "academic_year_id")} for row in rows]


def get_calendar_plan(call: Call) -> Row:
    return wire_calendar_plan(_get_one(call, "calendar_plans"))


def list_lesson_plans(call: Call) -> list[Row]:
    rows = call.city.visible("lesson_plans")
    group_ids = call.ids("group_ids")
    return rows if group_ids is None else [row for row in rows if group_ids & set(row["group_ids"])]


def get_lesson_plan(call: Call) -> Row:
    return {"lesson_plan": _get_one(call, "lesson_plans")}


def _keep_level(call: Call, rows: list[Row]) -> list[Row]:
    level = call.number("class_level_id")
    if level is None:
        return rows
    return [
        row for row in rows if (call.city.state.find("groups", row["group_id"]) or {}).get("class_level_id") == level
    ]


def list_marks(call: Call) -> list[Row]:
    """Marks; whether `created_at_from/to` mean the lesson's day or the entry's is a switch (the reference can't tell)."""
    city = call.city
    rows = _keep_level(call, city.visible("marks", call.ids("group_ids")))
    rows = _keep(rows, "subject_id", call.number("subject_id"))
    rows = _keep(rows, "student_profile_id", call.ids("student_profile_ids"))
    if not call.flag("with_non_numeric_entries"):
        rows = [row for row in rows if row["origins"]]

    def day_of(row: Row) -> str:
        return str(row["date"]) if city.switches.marks_filter == "lesson" else to_moscow_day_of(row["created_at"])

    return [wire_mark(row, city.state) for row in _keep_span(call, rows, day_of, "created_at_from", "created_at_to")]


def _keep_span(call: Call, rows: list[Row], day_of: Any, begin_name: str, end_name: str) -> list[Row]:
    begin_text, end_text = call.query.get(begin_name), call.query.get(end_name)
    begin_on = parse_dotted(begin_text) if begin_text else ""
    end_on = parse_dotted(end_text) if end_text else "9999-12-31"
    return [row for row in rows if begin_on <= day_of(row) <= end_on]


def list_absences(call: Call) -> list[Row]:
    """Absences by the day of their lesson."""
    rows = _keep_level(call, call.city.visible("attendances", call.ids("group_ids")))
    rows = _keep(rows, "student_profile_id", call.ids("student_profile_ids"))
    return [wire_absence(row) for row in _keep_span(call, rows, lambda row: row["date"], "start_at", "stop_at")]


def list_homeworks(call: Call) -> list[Row]:
    rows = _keep(call.city.visible("homeworks", call.ids("group_ids", "group_id")), "id", call.ids("ids"))
    rows = _keep(rows, "subject_id", call.number("subject_id"))
    rows = _keep(rows, "teacher_id", call.number("teacher_id"))
    return [wire_homework(row, with_entries=call.flag("with_entries")) for row in rows]


def get_homework(call: Call) -> Row:
    return wire_homework(_get_one(call, "homeworks"))


def list_homework_presence(call: Call) -> list[Row]:
    """For each lesson, whether homework was set on its day (S3)."""
    city = call.city
    answer = []
    for lesson_id in sorted(call.ids("lesson_schedule_item_ids") or ()):
        lesson = city.state.find("schedule_items", lesson_id)
        if lesson is None:
            continue
        given = [
            row for row in city.visible("homeworks", {lesson["group_id"]}) if row["date_assigned_on"] == lesson["date"]
        ]
        answer.append(
            {
                "lesson_schedule_item_id": lesson_id,
                "is_homework_exist": bool(given),
                "is_homework_absences": False,
                "is_end_prev_lesson": False,
            }
        )
    return answer
