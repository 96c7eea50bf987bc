"""The list «enter by hand»: what a person types into the city's journal, by teacher and journal page.

Pure but for making the workbook's bytes. Built anew from the operations that wait for a person, so it never has a line too
many or too few. It holds names and marks: it is for the teachers it names, and goes into no log.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Any, assert_never

import msgspec
import xlsxwriter

from gateway.connectors.port import CityDirectory
from gateway.domain.city import (
    AbsenceIntent,
    CityLesson,
    CommentIntent,
    FinalIntent,
    HomeworkIntent,
    Intent,
    MarkIntent,
    TopicsIntent,
)

ACTIONS = {"create": "внести", "change": "исправить", "delete": "удалить"}
FINAL_WORDS = {
    "period": "итог периода",
    "intermediate": "промежуточная аттестация",
    "year": "годовая отметка",
    "final": "итоговая отметка",
}
NOBODY = "—"


class HandLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to type.

    Attributes:
        operation: Number of the operation, by which it can be asked about.
        teacher: Whose journal page it is; the one who types.
        lesson: Number of the lesson on its day; 0 where the line is of no lesson.
        what: Kind of entry in words, such as «отметка».
        value: What should stand there; `was` what stands there now, where that is known.
        form: Control form, with its weight; only of marks.
    """

    operation: int
    teacher: str
    page: str
    on: date | None
    lesson: int
    pupil: str
    action: str
    what: str
    value: str
    was: str = ""
    form: str = ""
    weight: int | None = None


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that waits for a person, as far as the list needs it."""

    id: int
    op: str
    intent: Intent
    old: Intent | None


def build_hand_list(
    operations: Iterable[Handed],
    directory: CityDirectory,
    lessons: Mapping[int, CityLesson],
    *,
    pages: Mapping[int, str] | None = None,
) -> list[HandLine]:
    """Put operations into words, in the order a person types them: teacher, page, day, lesson, pupil.

    Args:
        operations: What waits for a person.
        directory: Names of pupils, groups, teachers and forms.
        lessons: City lesson id → lesson, of the groups concerned.
        pages: City group id → name of its page, of groups that the directory does not have any more.
    """
    names = _Names(directory, lessons, pages or {})
    lines = [names.line(one) for one in operations]
    return sorted(
        lines, key=lambda one: (one.teacher, one.page, one.on or date.min, one.lesson, one.pupil, one.operation)
    )


class _Names:
    """The city's names by its ids."""

    def __init__(self, directory: CityDirectory, lessons: Mapping[int, CityLesson], pages: Mapping[int, str]) -> None:
        self._pupils = {
            one.id: " ".join(part for part in (one.last_name, one.first_name, one.middle_name) if part)
            for one in directory.pupils
        }
        self._groups = {**pages, **{one.id: one.name for one in directory.groups}}
        self._members = {one.id: set(one.pupil_ids) for one in directory.groups}
        self._teachers = {
            one.id: " ".join(part for part in (one.last_name, one.first_name, one.middle_name) if part)
            for one in directory.teachers
        }
        self._forms = {one.id: one.name for one in directory.forms}
        self._periods = {one.id: one.name for one in directory.periods}
        self._lessons = lessons

    def line(self, handed: Handed) -> HandLine:
        """One operation in words."""
        intent = handed.intent
        what, value = self._words(intent)
        lesson = self._lessons.get(getattr(intent, "lesson_id", 0))
        pupil_id = getattr(intent, "pupil_id", None)
        return HandLine(
            operation=handed.id,
            teacher=self._teachers.get(intent.teacher_id, NOBODY),
            page=self._groups.get(intent.group_id, NOBODY),
            on=None
            if isinstance(intent, TopicsIntent)
            else intent.assigned_on
            if isinstance(intent, HomeworkIntent)
            else intent.on,
            lesson=lesson.number if lesson is not None else 0,
            pupil=self._pupils.get(pupil_id, NOBODY) if pupil_id is not None else "",
            action=ACTIONS[handed.op],
            what=what,
            value="" if handed.op == "delete" else value,
            was=value if handed.op == "delete" else self._words(handed.old)[1] if handed.old is not None else "",
            form=self._forms.get(intent.form_id, "") if isinstance(intent, MarkIntent) else "",
            weight=intent.weight if isinstance(intent, MarkIntent) else None,
        )

    def _words(self, intent: Intent) -> tuple[str, str]:
        match intent:
            case MarkIntent():
                return "отметка", intent.value
            case AbsenceIntent():
                return "пропуск", "н"
            case CommentIntent():
                return ("опоздание" if intent.form == "late" else "замечание"), intent.text
            case FinalIntent():
                period = self._periods.get(intent.period_id)
                what = FINAL_WORDS[intent.form] if period is None else f"{FINAL_WORDS[intent.form]} «{period}»"
                passed = {"1": "зачёт", "0": "незачёт"}
                return what, passed.get(intent.value, "") if intent.form == "intermediate" else intent.value
            case HomeworkIntent():
                return "домашнее задание", self._homework(intent)
            case TopicsIntent():
                return "темы уроков (КТП)", _topics(intent)
            case _:
                assert_never(intent)

    def _homework(self, intent: HomeworkIntent) -> str:
        whole = set(intent.pupil_ids) >= self._members.get(intent.group_id, set())
        whom = "всем" if whole else "; ".join(sorted(self._pupils.get(one, NOBODY) for one in intent.pupil_ids))
        return f"{intent.text} (на {intent.prepared_for:%d.%m.%Y}; кому: {whom})"


def _topics(intent: TopicsIntent) -> str:
    lines: list[str] = []
    module = ""
    for number, lesson in enumerate(intent.lessons, start=1):
        if lesson.module and lesson.module != module:
            module = lesson.module
            lines.append(f"{module}:")
        lines.append(f"{number}. {lesson.topic}")
    return "\n".join(lines)


def to_text(lines: Sequence[HandLine]) -> str:
    """The list as plain text, a box to tick before each line."""
    if not lines:
        return "Вносить руками нечего.\n"
    parts: list[str] = []
    for teacher, of_teacher in groupby(lines, key=attrgetter("teacher")):
        parts.append(f"Учитель: {teacher}")
        for page, of_page in groupby(of_teacher, key=attrgetter("page")):
            parts.append(f"  Журнал: {page}")
            parts += [f"    [ ] {_sentence(line)}" for line in of_page]
        parts.append("")
    return "\n".join(parts)


def _sentence(line: HandLine) -> str:
    day = f"{line.on:%d.%m.%Y}" if line.on is not None else ""
    place = ", ".join(part for part in (day, f"урок {line.lesson}" if line.lesson else "", line.pupil) if part)
    told = line.value.replace("\n", "\n        ")
    form = f" ({line.form}, вес {line.weight})" if line.form else ""
    was = f", сейчас там: {line.was}" if line.was and line.action != "удалить" else ""
    what = f"{line.action}: {line.what} {told or line.was}{form}{was}".strip()
    return f"{place} — {what} [№ {line.operation}]" if place else f"{what} [№ {line.operation}]"


def to_workbook(lines: Sequence[HandLine]) -> bytes:
    """The list as a workbook with one sheet, ready to be filtered by teacher; no text in it is ever a formula."""
    stream = io.BytesIO()
    with xlsxwriter.Workbook(
        stream, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as book:
        sheet = book.add_worksheet("Внести руками")
        head = book.add_format({"bold": True, "bottom": 1})
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        for column, (name, width) in enumerate(_COLUMNS):
            sheet.write_string(0, column, name, head)
            sheet.set_column(column, column, width, wrapped)
        for number, line in enumerate(lines, start=1):
            for column, cell in enumerate(_cells(line)):
                sheet.write_string(number, column, cell, wrapped)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, max(len(lines), 1), len(_COLUMNS) - 1)
    return stream.getvalue()


_COLUMNS: tuple[tuple[str, int], ...] = (
    ("Сделано", 9),
    ("Учитель", 28),
    ("Журнал", 28),
    ("Дата", 11),
    ("Урок", 6),
    ("Ученик", 30),
    ("Действие", 11),
    ("Что", 20),
    ("Значение", 40),
    ("Форма контроля", 22),
    ("Вес", 6),
    ("Сейчас там", 20),
    ("№", 8),
)


def _cells(line: HandLine) -> Sequence[str]:
    return (
        "",
        line.teacher,
        line.page,
        f"{line.on:%d.%m.%Y}" if line.on is not None else "",
        str(line.lesson or ""),
        line.pupil,
        line.action,
        line.what,
        line.value,
        line.form,
        "" if line.weight is None else str(line.weight),
        line.was,
        str(line.operation),
    )


def to_tree(lines: Sequence[HandLine]) -> list[Any]:
    """The list as plain JSON values."""
    found: list[Any] = msgspec.to_builtins(list(lines))
    return found


__all__ = ["HandLine", "Handed", "build_hand_list", "to_text", "to_tree", "to_workbook"]
