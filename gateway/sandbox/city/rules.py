"""Server rules V1–V14 of the reference (§7.3) as pure functions: a refusal, or None when nothing is wrong.

What the rules look at is handed in; nothing here reads the state, the clock or the switches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.sandbox.city.codecs import parse_dotted_minute
from gateway.sandbox.city.state import Row

ABSENCE_EXISTS = "Пропуск для выбранного ученика и урока уже существует"  # S1, word for word
PERIOD_CLOSED = "Период закрыт для редактирования"
# V3: what each grade system takes. 5-point marks are 2..5 in practice (R1), ten is 1..10 (S2).
RANGES = {"five": (2, 5), "ten": (1, 10), "hundred": (0, 100), "approve": (0, 1)}
_LOWEST_LEVELS = ((4, 1), (9, 2), (11, 3))


@dataclass(frozen=True)
class Refusal:
    """Why the city says no: HTTP status, the text it answers, and the rule's name for tests."""

    code: int
    message: str
    rule: str = ""


def to_education_level(class_level_id: int) -> int:
    """1–4 → 1, 5–9 → 2, 10–11 → 3 (B S1 S2)."""
    for highest, level in _LOWEST_LEVELS:
        if class_level_id <= highest:
            return level
    return 3


def refuse_unknown(row: Row | None, what: str) -> Refusal | None:
    """V1: the named object does not exist or is deleted."""
    if row is None or row.get("deleted_at") is not None:
        return Refusal(404, f"{what}: не найдено", "V1")
    return None


def refuse_form(form: Row, group: Row, grade_system_ids: Iterable[Any]) -> Refusal | None:
    """V2: the control form is not of that subject, level and year, is deleted, or the grade system is not its own."""
    if form["deleted_at"] is not None:
        return Refusal(400, "Форма контроля удалена", "V2")
    belongs = (form["subject_id"], form["education_level_id"], form["academic_year_id"])
    if belongs != (group["subject_id"], to_education_level(group["class_level_id"]), group["academic_year_id"]):
        return Refusal(400, "Форма контроля не подходит к предмету и параллели", "V2")
    if any(grade_system_id != form["grade_system_id"] for grade_system_id in grade_system_ids):
        return Refusal(400, "Система оценивания не соответствует форме контроля", "V2")
    return None


def refuse_grade(origin: Any, system_type: str) -> Refusal | None:
    """V3: the grade lies outside its system. It comes as a text now, as a number before (S1 S2)."""
    refusal = Refusal(400, "Недопустимое значение отметки", "V3")
    text = str(origin)
    if isinstance(origin, bool) or not text.isascii() or not text.isdigit():
        return refusal
    lowest, highest = RANGES[system_type]
    return None if lowest <= int(text) <= highest else refusal


def refuse_stranger(pupil: Row, group_id: int, day: str) -> Refusal | None:
    """V4: the pupil is not in the group on that day."""
    is_member = any(one["id"] == group_id and one["begin_date"] <= day <= one["end_date"] for one in pupil["groups"])
    return None if is_member else Refusal(400, "Ученик не состоит в группе на дату урока", "V4")


def may_teach(teacher: Row, group_id: int, lesson: Row | None) -> bool:
    """Tell whether a teacher leads the group or stands in at this lesson."""
    if group_id in teacher["assigned_group_ids"]:
        return True
    return lesson is not None and teacher["id"] in (lesson["teacher_id"], lesson["replaced_teacher_id"])


def refuse_teacher(actor: Row, author: Row | None, group_id: int, lesson: Row | None) -> Refusal | None:
    """V5: neither assigned nor standing in; holds for the profile that writes and for the `teacher_id` it names."""
    if actor["type"] != "school_admin" and not may_teach(actor, group_id, lesson):
        return Refusal(403, "Учитель не назначен в эту группу", "V5")
    if author is not None and author["type"] != "school_admin" and not may_teach(author, group_id, lesson):
        return Refusal(403, "Указанный учитель не назначен в эту группу", "V5")
    return None


def refuse_lesson_state(lesson: Row, today: str) -> Refusal | None:
    """V6: the lesson is cancelled or on a later day than today (Moscow)."""
    if lesson["cancelled"]:
        return Refusal(400, "Урок отменён", "V6")
    if lesson["date"] > today:
        return Refusal(400, "Урок ещё не состоялся", "V6")
    return None


def refuse_closed(periods: Iterable[Row], day: str, today: str) -> Refusal | None:
    """V7: the period of that day is closed by hand, or its edit window has passed."""
    for period in periods:
        if period["begin_date"] <= day <= period["end_date"] and (period["x_closed"] or today > period["x_edit_until"]):
            return Refusal(403, PERIOD_CLOSED, "V7")
    return None


def refuse_second_absence(existing: Iterable[Row], pupil_id: int, lesson_id: int) -> Refusal | None:
    """V8: the pupil already has an absence at that lesson."""
    for one in existing:
        is_same = (one["student_profile_id"], one["schedule_lesson_id"]) == (pupil_id, lesson_id)
        if is_same and one["deleted_at"] is None:
            return Refusal(403, ABSENCE_EXISTS, "V8")
    return None


def refuse_second_final(existing: Iterable[Row], key: tuple[Any, ...]) -> Refusal | None:
    """V9: a final mark of the same kind exists."""
    for one in existing:
        if one["deleted_at"] is None and to_final_key(one) == key:
            return Refusal(400, "Отметка за период уже существует", "V9")
    return None


def to_final_key(row: Row) -> tuple[Any, ...]:
    """What makes two final marks the same: pupil, subject, year, kind, period."""
    period_id = row.get("attestation_period_id")
    kind = "year" if row.get("is_year_mark") else (row.get("mark_type") or "period")
    subject = (row["student_profile_id"], row["subject_id"], row["academic_year_id"])
    return (*subject, kind, None if period_id is None else int(period_id))


def refuse_homework(
    entries: Any, assigned_on: str, prepared_for: str, group: Row, subject_id: Any, members: Collection[int]
) -> Refusal | None:
    """V11: an entry without pupils (or with strangers), prepared before assigned, or another subject than the group's."""
    if not isinstance(entries, list) or not entries:
        return Refusal(400, "Домашнее задание не содержит записей", "V11")
    for entry in entries:
        student_ids = entry.get("student_ids") if isinstance(entry, dict) else None
        if not isinstance(student_ids, list) or not student_ids:
            return Refusal(400, "Не указаны ученики", "V11")
        if any(student_id not in members for student_id in student_ids):
            return Refusal(400, "Ученик не состоит в группе", "V11")
    if prepared_for < assigned_on:
        return Refusal(400, "Дата выполнения раньше даты выдачи", "V11")
    if subject_id != group["subject_id"]:
        return Refusal(400, "Предмет не соответствует группе", "V11")
    return None


def refuse_partial(body: Row, fields: Iterable[str]) -> Refusal | None:
    """V12, strict mode: a PUT without all fields of the object."""
    missing = sorted(name for name in fields if name not in body)
    return Refusal(400, f"Не переданы поля: {', '.join(missing)}", "V12") if missing else None


def refuse_gone(row: Row | None) -> Refusal | None:
    """V13: nothing to delete or change."""
    return Refusal(404, "Объект не найден", "V13") if row is None or row["deleted_at"] is not None else None


def refuse_stale(sent_updated_at: Any, stored_updated_at: str) -> Refusal | None:
    """V14: the sender's `updated_at` is older than the stored one; both to the minute, as the wire has them."""
    try:
        sent = parse_dotted_minute(sent_updated_at)
    except ValueError:
        return Refusal(409, "Объект изменён другим пользователем", "V14")
    stored = datetime.fromisoformat(stored_updated_at).replace(second=0, microsecond=0)
    return Refusal(409, "Объект изменён другим пользователем", "V14") if sent < stored else None
