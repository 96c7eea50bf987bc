"""The simulated city's rows as objects, and intents as its calls' bodies: what the connector's codecs do in production."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from gateway.domain.city import (
    AbsenceIntent,
    CityAbsence,
    CityComment,
    CityFinal,
    CityHomework,
    CityLesson,
    CityMark,
    CityObject,
    CityTopics,
    CommentIntent,
    FinalIntent,
    HomeworkIntent,
    MarkIntent,
    TopicsIntent,
)
from gateway.domain.clock import MOSCOW
from gateway.domain.identifiers import Kind
from gateway.domain.records import PlannedLesson
from gateway.sandbox.city.plans import list_topics
from gateway.sandbox.city.school import AID
from gateway.sandbox.city.state import Row
from gateway.simulation.school import LATE


def to_object(kind: Kind, row: Row, group_id: int) -> CityObject:
    """A row of the city as its reader hands it up."""
    if kind is Kind.TOPICS:
        lessons = tuple(
            PlannedLesson(topic=str(one["name"]), module=str(one["module_name"] or "")) for one in list_topics(row)
        )
        return CityTopics(id=row["id"], group_id=group_id, name=row["name"], lessons=lessons)
    if kind is Kind.COMMENT:
        return CityComment(
            id=row["id"],
            pupil_id=row["student_profile_id"],
            lesson_id=row["schedule_lesson_id"],
            form="late" if row["comment"] == LATE else "remark",
            text=row["comment"],
        )
    if kind is Kind.FINAL:
        return CityFinal(
            id=row["id"],
            pupil_id=row["student_profile_id"],
            group_id=group_id,
            subject_id=row["subject_id"],
            form="year" if row["is_year_mark"] else "period",
            period_id=row["attestation_period_id"] or 0,
            value=row["value"],
        )
    if kind is Kind.MARK:
        return CityMark(
            id=row["id"],
            pupil_id=row["student_profile_id"],
            lesson_id=row["schedule_lesson_id"],
            group_id=row["group_id"],
            subject_id=row["subject_id"],
            value=row["name"],
            weight=row["weight"],
            form_id=row["control_form_id"],
            on=date.fromisoformat(row["date"]),
            teacher_id=row["teacher_id"],
            created_at=datetime.fromisoformat(row["created_at"]),
            updated_at=datetime.fromisoformat(row["updated_at"]),
        )
    if kind is Kind.ABSENCE:
        return CityAbsence(
            id=row["id"],
            pupil_id=row["student_profile_id"],
            lesson_id=row["schedule_lesson_id"],
            on=date.fromisoformat(row["date"]),
            reason_id=row["absence_reason_id"],
        )
    entries = row["homework_entries"]
    return CityHomework(
        id=row["id"],
        group_id=row["group_id"],
        subject_id=row["subject_id"],
        teacher_id=row["teacher_id"],
        assigned_on=date.fromisoformat(row["date_assigned_on"]),
        prepared_for=date.fromisoformat(row["date_prepared_for"]),
        text="\n".join(entry["description"] or "" for entry in entries),
        pupil_ids=tuple(sorted({pupil for entry in entries for pupil in entry["student_ids"]})),
    )


def to_lesson(row: Row) -> CityLesson:
    """A row of the timetable likewise."""
    begins = datetime.fromisoformat(f"{row['date']}T{row['time']}").replace(tzinfo=MOSCOW)
    return CityLesson(
        id=row["id"],
        group_id=row["group_id"],
        subject_id=row["subject_id"],
        starts_at=begins.astimezone(UTC),
        duration_min=row["duration"],
        number=row["lesson_number"],
        teacher_id=row["teacher_id"],
        is_cancelled=row["cancelled"],
    )


def mark_body(intent: MarkIntent) -> Row:
    """What a call says of a mark."""
    return {
        "schedule_lesson_id": intent.lesson_id,
        "student_profile_id": intent.pupil_id,
        "teacher_id": intent.teacher_id,
        "control_form_id": intent.form_id,
        "weight": intent.weight,
        "comment": "",
        "is_exam": False,
        "is_criterion": False,
        "is_point": False,
        "mark_type_id": 1,
        "grade_origins": [{"grade_origin": intent.value, "grade_system_id": intent.grade_system_id}],
    }


def absence_body(intent: AbsenceIntent) -> Row:
    """What a call says of an absence."""
    return {
        "absence_reason_id": intent.reason_id,
        "schedule_lesson_id": intent.lesson_id,
        "student_profile_id": intent.pupil_id,
    }


def comment_body(intent: CommentIntent) -> Row:
    """What a call says of a remark."""
    return {
        "schedule_lesson_id": intent.lesson_id,
        "student_id": intent.pupil_id,
        "comment": intent.text,
        "teacher_id": intent.teacher_id,
    }


def final_body(intent: FinalIntent) -> Row:
    """What a call says of a final mark."""
    return {
        "student_profile_id": intent.pupil_id,
        "subject_id": intent.subject_id,
        "academic_year_id": AID,
        "attestation_period_id": str(intent.period_id) if intent.form == "period" else None,
        "is_year_mark": intent.form == "year",
        "value": intent.value,
        "grade_system_type": intent.grade_system,
    }


def plan_modules(module: str, topics: Sequence[str]) -> list[Row]:
    """The content of a lesson plan of one section; none = an empty one."""
    rows = [
        {"id": number, "name": topic, "ordinal": number, "lessons": [{"name": topic, "ordinal": 1}]}
        for number, topic in enumerate(topics, start=1)
    ]
    return [{"id": 1, "name": module, "ordinal": 1, "topics": rows}] if rows else []


def plan_body(intent: TopicsIntent, stored: Row) -> Row:
    """The whole lesson plan with other content."""
    module = next((one.module for one in intent.lessons), "")
    return {**stored, "modules": plan_modules(module, [one.topic for one in intent.lessons])}


def homework_body(intent: HomeworkIntent, stored: Row | None) -> Row:
    """What a call says of a homework; of one that stands there its entry goes on."""
    entry = {**stored["homework_entries"][0]} if stored is not None else {}
    return {
        "group_id": intent.group_id,
        "teacher_id": intent.teacher_id,
        "subject_id": intent.subject_id,
        "date_assigned_on": f"{intent.assigned_on:%d.%m.%Y}",
        "date_prepared_for": f"{intent.prepared_for:%d.%m.%Y}",
        "homework_entries": [{**entry, "description": intent.text, "student_ids": list(intent.pupil_ids)}],
    }
