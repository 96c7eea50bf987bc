"""What is sent to the city: from an intent to the body in the city's spelling. Pure.

Source: city-journal.md §1.5 «Marks», «Absences», «Homework» (S1 S2 S3).
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.connectors.mesh import codecs
from gateway.domain.city import AbsenceIntent, HomeworkIntent, MarkIntent

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


__all__ = ["to_new_absence", "to_new_homework", "to_new_mark", "to_whole_homework", "to_whole_mark"]
