"""From the sandbox's own rows to the objects of the wire, field by field in the city's spelling (reference §1.5)."""

from __future__ import annotations

from typing import Any

from gateway.sandbox.city.codecs import to_clock_pair, to_dotted, to_dotted_minute, to_triple, to_zoneless_stamp
from gateway.sandbox.city.rules import to_education_level
from gateway.sandbox.city.state import Row, State

SCHOOL_ID = 586
ORGANIZATION_ID = "400117035"
# Percent → five on the hundred axis. There is no single norm (R21); this is one of those seen (S25), grade C.
_FIVE_OF_HUNDRED = ((85, 5), (65, 4), (40, 3))
_FIVE_OF_TEN = ((9, 5), (7, 4), (5, 3))


def wire_year(row: Row) -> Row:
    """Academic year: the one core resource whose dates are ISO (B S9)."""
    return dict(row)


def wire_period_schedule(row: Row) -> Row:
    periods = [
        {
            **period,
            "begin_date": to_dotted(period["begin_date"]),
            "end_date": to_dotted(period["end_date"]),
            "x_edit_until": to_dotted(period["x_edit_until"]),
            "attestation_periods_schedule_id": row["id"],
        }
        for period in row["periods"]
    ]
    return {**row, "school_id": SCHOOL_ID, "organization_id": ORGANIZATION_ID, "periods": periods}


def wire_class(row: Row, student_count: int) -> Row:
    return {**row, "student_count": student_count, "school_id": SCHOOL_ID}


def wire_group(row: Row, student_ids: list[int], state: State) -> Row:
    teachers = [teacher for teacher in (state.find("teacher_profiles", one) for one in row["teacher_ids"]) if teacher]
    return {
        **{name: value for name, value in row.items() if name != "teacher_ids"},
        "periods_schedule_id": row["attestation_periods_schedule_id"],
        "student_count": len(student_ids),
        "student_ids": student_ids,
        "is_ndo": False,
        "is_final_by_periods": True,
        "school_id": SCHOOL_ID,
        "teachers": [
            {
                "id": teacher["id"],
                "full_name": teacher["name"],
                "last_name": teacher["last_name"],
                "first_name": teacher["first_name"],
                "middle_name": teacher["middle_name"],
                "max_hours": 36,
            }
            for teacher in teachers
        ],
    }


def wire_teacher(row: Row, *, with_assigned_groups: bool, with_replacement_groups: bool) -> Row:
    wired = {
        **row,
        "school_id": SCHOOL_ID,
        "group_ids": row["assigned_group_ids"],
        "deleted_at": to_dotted_minute(row["deleted_at"]),
    }
    if not with_assigned_groups:
        del wired["assigned_group_ids"], wired["group_ids"]
    if not with_replacement_groups:
        del wired["replacement_groups_ids"]
    return wired


def wire_pupil(
    row: Row,
    state: State,
    *,
    with_groups: bool,
    with_home_based: bool,
    finals: list[Row] | None = None,
    remarks: list[Row] | None = None,
) -> Row:
    """A pupil's profile; final marks and remarks only where they were asked for."""
    class_unit = state.find("class_units", row["class_unit_id"])
    level = class_unit["class_level_id"] if class_unit else None
    wired = {
        **row,
        "school_id": SCHOOL_ID,
        "organization_id": ORGANIZATION_ID,
        "contingent_guid": row["person_id"],
        "birth_date": to_dotted(row["birth_date"]),
        "enlisted_on": to_dotted(row["enlisted_on"]),
        "left_on": to_dotted(row["left_on"]),
        "deleted": row["deleted_at"] is not None,
        "deleted_at": to_dotted_minute(row["deleted_at"]),
        "class_level": None if level is None else {"id": level, "name": str(level)},
        "education_level": None if level is None else {"id": to_education_level(level)},
        "class_unit": None
        if class_unit is None
        else {name: class_unit[name] for name in ("id", "name", "class_level_id", "home_based")},
        "snils": None,
    }
    del wired["groups"], wired["home_based_periods"], wired["class_unit_id"]
    if with_groups:
        wired["groups"] = [_wire_membership(one, row, state) for one in row["groups"]]
    if with_home_based:
        wired["home_based_periods"] = [
            {"begin_date": to_dotted(one["begin_date"]), "end_date": to_dotted(one["end_date"])}
            for one in row["home_based_periods"]
        ]
    if finals is not None:
        wired["final_marks"] = [wire_final(one) for one in finals]
    if remarks is not None:
        wired["lesson_comments"] = [wire_remark(one) for one in remarks]
    return wired


def _wire_membership(one: Row, pupil: Row, state: State) -> Row:
    group = state.find("groups", one["id"]) or {}
    return {
        "id": one["id"],
        "name": group.get("name"),
        "begin_date": to_dotted(one["begin_date"]),
        "end_date": to_dotted(one["end_date"]),
        "class_unit_ids": group.get("class_unit_ids", []),
        "subgroup_ids": group.get("subgroup_ids"),
        "metagroup": bool(group.get("is_metagroup")),
        "archived": False,
        "user_profile_id": pupil["id"],
    }


def wire_form(row: Row, state: State, *, with_grade_system: bool) -> Row:
    wired = {**row, "is_deleted": row["deleted_at"] is not None, "deleted_at": to_dotted_minute(row["deleted_at"])}
    if with_grade_system:
        wired["grade_system"] = state.find("grade_systems", row["grade_system_id"])
    return wired


def wire_lesson(row: Row, state: State) -> Row:
    group = state.find("groups", row["group_id"]) or {}
    return {
        **row,
        "schedule_lesson_id": row["id"],
        "group_name": group.get("name"),
        "subject_name": group.get("subject_name"),
        "class_unit_id": group.get("class_unit_id"),
        "class_unit_name": group.get("class_unit_name"),
        "periods_schedule_id": group.get("attestation_periods_schedule_id"),
        "date": to_triple(row["date"]),
        "time": to_clock_pair(row["time"]),
        "iso_date_time": to_zoneless_stamp(row["date"], row["time"]),
        "transferred_from_date": to_triple(row["transferred_from_date"]),
        "transferred_to_date": to_triple(row["transferred_to_date"]),
        "homeworks_to_give": [],
        "homeworks_to_verify": [],
        "didactic_units": [],
        "academic_year_id": group.get("academic_year_id"),
    }


def to_axes(origin: str, system_type: str) -> Row:
    """Convert a grade onto all axes, as the server does on entry (A S12, B S10): {origin, five, ten, hundred}."""
    number = int(origin)
    axes: dict[str, int | None] = {"five": None, "ten": None, "hundred": None}
    if system_type == "five":
        axes = {"five": number, "ten": number * 2, "hundred": number * 20}
    elif system_type == "ten":
        axes = {"five": _to_five(number, _FIVE_OF_TEN), "ten": number, "hundred": number * 10}
    elif system_type == "hundred":
        axes = {"five": _to_five(number, _FIVE_OF_HUNDRED), "ten": max(1, round(number / 10)), "hundred": number}
    return {"origin": origin, **axes}


def _to_five(number: int, edges: tuple[tuple[int, int], ...]) -> int:
    return next((five for edge, five in edges if number >= edge), 2)


def wire_mark(row: Row, state: State) -> Row:
    values = []
    for one in row["origins"]:
        system = state.find("grade_systems", one["grade_system_id"]) or {}
        values.append(
            {
                "grade_system_id": one["grade_system_id"],
                "grade_system_type": system.get("type"),
                "name": system.get("name"),
                "nmax": system.get("nmax"),
                "grade": to_axes(one["grade_origin"], system.get("type", "")),
            }
        )
    first = values[0] if values else {}
    return {
        **{name: value for name, value in row.items() if name != "origins"},
        "values": values,
        "grade_system_id": first.get("grade_system_id"),
        "grade_system_type": first.get("grade_system_type"),
        "grade_id": None,
        "date": to_dotted(row["date"]),
        "point_date": to_dotted(row["point_date"]),
        **_wire_moments(row),
        "is_control_once": None,
        "project_id": None,
    }


def _wire_moments(row: Row) -> dict[str, Any]:
    return {name: to_dotted_minute(row[name]) for name in ("created_at", "updated_at", "deleted_at")}


def wire_absence(row: Row) -> Row:
    wired = {**row, "date": to_dotted(row["date"]), **_wire_moments(row)}
    del wired["group_id"]
    return wired


def wire_homework(row: Row, *, with_entries: bool = True) -> Row:
    wired = {
        **row,
        "date_assigned_on": to_dotted(row["date_assigned_on"]),
        "date_prepared_for": to_dotted(row["date_prepared_for"]),
        **_wire_moments(row),
    }
    if not with_entries:
        del wired["homework_entries"]
    return wired


def wire_final(row: Row) -> Row:
    return {**row, **_wire_moments(row)}


def wire_remark(row: Row) -> Row:
    return {**row, **_wire_moments(row)}


def wire_calendar_plan(row: Row) -> Row:
    lessons = [{**lesson, "date": to_triple(lesson["date"])} for lesson in row["lessons"]]
    return {**row, "lessons": lessons}


def wire_replacement(row: Row) -> Row:
    return {**row, "date": to_triple(row["date"])}


def wire_recommendation(row: Row) -> Row:
    return {**row, "begin_date": to_dotted(row["begin_date"]), "end_date": to_dotted(row["end_date"])}
