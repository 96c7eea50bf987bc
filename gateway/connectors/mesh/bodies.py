"""What is sent to the city: from an intent to the body in the city's spelling. Pure.

Source: city-journal.md §1.5 «Marks», «Absences», «Homework» (S1 S2 S3).
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.connectors.mesh import codecs
from gateway.domain.city import (
    AbsenceIntent,
    CommentIntent,
    FinalIntent,
    HomeworkIntent,
    MarkIntent,
    TopicsIntent,
)
from gateway.domain.records import PlannedLesson

HOMEWORK_MIN = 15  # the entry's `duration` as attested; nobody at school states one

# What a person may have added to a mark that we are changing; a PUT without them would wipe them (V12).
_KEPT_OF_MARK = (
    "comment",
    "is_exam",
    "is_criterion",
    "theme_frame_integration_id",
    "course_lesson_topic_id",
    "updated_at",
)


def to_new_mark(intent: MarkIntent) -> dict[str, object]:
    """The body of POST marks, current form (S2)."""
    return {
        "comment": "",
        "is_exam": False,
        "is_criterion": False,
        "is_point": False,
        "point_date": "",
        "schedule_lesson_id": intent.lesson_id,
        "student_profile_id": intent.pupil_id,
        "teacher_id": intent.teacher_id,
        "control_form_id": intent.form_id,
        "weight": intent.weight,
        "theme_frame_integration_id": None,
        "course_lesson_topic_id": None,
        "grade_origins": [{"grade_origin": intent.value, "grade_system_id": intent.grade_system_id}],
        "grade_system_type": False,
        "mark_type_id": 1,
    }


def to_whole_mark(city_id: int, intent: MarkIntent, stored: Mapping[str, object] | None) -> dict[str, object]:
    """The body of PUT marks/{id}: the whole object with its id and shown value (S1).

    Args:
        stored: The mark as it stands in the city, where it could be read: what we do not own is kept from it.
    """
    kept = {name: stored[name] for name in _KEPT_OF_MARK if name in stored} if stored else {}
    return {**to_new_mark(intent), **kept, "id": city_id, "name": intent.value}


def to_new_absence(intent: AbsenceIntent) -> dict[str, object]:
    """The body of POST attendances (S1). The reason stays at school: only the plain «н» of the settings is sent."""
    return {
        "absence_reason": None,
        "absence_reason_id": intent.reason_id,
        "schedule_lesson_id": intent.lesson_id,
        "student_profile_id": intent.pupil_id,
    }


def to_new_homework(intent: HomeworkIntent) -> dict[str, object]:
    """The body of POST homeworks with its one entry for an explicit list of pupils (S3)."""
    return {
        "group_id": intent.group_id,
        "teacher_id": intent.teacher_id,
        "subject_id": intent.subject_id,
        "date_assigned_on": codecs.to_dotted(intent.assigned_on),
        "date_prepared_for": codecs.to_dotted(intent.prepared_for),
        "homework_entries": [
            {
                "description": intent.text,
                "duration": HOMEWORK_MIN,
                "student_ids": list(intent.pupil_ids),
                "attachment_ids": [],
                "attachments": [],
                "scripts": None,
            }
        ],
    }


def to_whole_homework(
    intent: HomeworkIntent, stored: Mapping[str, object], entry: Mapping[str, object]
) -> dict[str, object]:
    """The body of PUT homeworks/{id}: the stored object whole, with the intent's attributes put in.

    Args:
        entry: Its only entry.
    """
    return {
        **stored,
        "teacher_id": intent.teacher_id,
        "date_assigned_on": codecs.to_dotted(intent.assigned_on),
        "date_prepared_for": codecs.to_dotted(intent.prepared_for),
        "homework_entries": [{**entry, "description": intent.text, "student_ids": list(intent.pupil_ids)}],
    }


def to_new_comment(intent: CommentIntent) -> dict[str, object]:
    """The body of POST lesson_comments; here the pupil is `student_id` (S1)."""
    return {
        "schedule_lesson_id": intent.lesson_id,
        "student_id": intent.pupil_id,
        "comment": intent.text,
        "teacher_id": intent.teacher_id,
        "subject_id": intent.subject_id,
    }


def to_new_final(intent: FinalIntent, year_id: int) -> dict[str, object]:
    """The body of POST final_marks (S4): the period's id is a text, an intermediate's value a number."""
    is_period = intent.form == "period"
    mark_type = {"intermediate": "intermediate_attestation", "final": "attestation"}.get(intent.form)
    return {
        "comment": "",
        "subject_id": intent.subject_id,
        "student_profile_id": intent.pupil_id,
        "academic_year_id": year_id,
        "is_year_mark": intent.form == "year",
        "year_mark": intent.form == "year",
        "attested": True,
        "eliminated": False,
        "is_good_reason": False,
        "module_id": None,
        "attestation_period_id": str(intent.period_id) if is_period else None,
        "academic_debt": False,
        "no_mark": False,
        "period_id": None,
        "value": int(intent.value) if intent.form == "intermediate" else intent.value,
        "mark_type": mark_type,
        "grade_system_type": intent.grade_system,
    }


def to_whole_plan(intent: TopicsIntent, stored: Mapping[str, object], year_id: int) -> dict[str, object]:
    """The body of PUT lesson_plans/{id} (S8): the stored plan whole, with the intent's sections and topics.

    A lesson whose section and topic stand there already keeps everything a person gave it; new ones have no id.
    """
    kept = _kept_lessons(stored)
    modules: list[dict[str, object]] = []
    topics: list[dict[str, object]] = []
    for lesson in intent.lessons:
        same = kept.get((lesson.module, lesson.topic))
        module, topic, row = same.pop(0) if same else ({}, {}, {})
        if not modules or modules[-1]["name"] != lesson.module:
            topics = []
            own = {name: value for name, value in module.items() if name != "topics"}
            modules.append({"id": None, **own, "name": lesson.module, "ordinal": len(modules) + 1, "topics": topics})
        topics.append(
            {
                **_NEW_TOPIC,
                **topic,
                "name": lesson.topic,
                "ordinal": len(topics) + 1,
                "lessons": [{**_NEW_LESSON, **_flags(lesson), **row, "name": lesson.topic, "ordinal": 1}],
            }
        )
    return {**stored, "academic_year_id": year_id, "id": intent.plan_id, "status": "published", "modules": modules}


def has_lessons(plan: Mapping[str, object]) -> bool:
    """Whether anything stands in a plan as the city shows it."""
    return bool(_kept_lessons(plan))


_NEW_TOPIC: dict[str, object] = {"id": None, "repeatable": False, "theme_frame_id": None, "color": None}
_NEW_LESSON: dict[str, object] = {
    "theme_frame_ids": [],
    "controllable_items": [],
    "eom_urls": [],
    "is_intermediate_attestation": False,
    "scripts": None,
}
_Part = Mapping[str, object]


def _flags(lesson: PlannedLesson) -> dict[str, object]:
    return {"is_hw_planned": lesson.has_homework, "is_test_planned": lesson.has_test}


def _kept_lessons(stored: Mapping[str, object]) -> dict[tuple[str, str], list[tuple[_Part, _Part, _Part]]]:
    """(section, topic) → what stands there of both and of the lesson, in order; a topic of several lessons gives its id to none."""
    kept: dict[tuple[str, str], list[tuple[_Part, _Part, _Part]]] = {}
    for module in _parts(stored, "modules"):
        for topic in _parts(module, "topics"):
            lessons = _parts(topic, "lessons")
            for lesson in lessons:
                name = str(lesson.get("name") or topic.get("name") or "")
                own = topic if len(lessons) == 1 else {}
                kept.setdefault((str(module.get("name") or ""), name), []).append((module, own, lesson))
    return kept


def _parts(whole: _Part, name: str) -> list[_Part]:
    found = whole.get(name)
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


__all__ = [
    "has_lessons",
    "to_new_absence",
    "to_new_comment",
    "to_new_final",
    "to_new_homework",
    "to_new_mark",
    "to_whole_homework",
    "to_whole_mark",
    "to_whole_plan",
]
