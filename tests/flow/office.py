"""What a school's office and teachers keep as workbooks, written for the flow tests."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from gateway.domain.clock import MOSCOW
from gateway.sandbox.planner.books import PlannerBooks
from gateway.sandbox.school import SUBJECTS, School

SAMPLES = Path(__file__).parents[1] / "samples" / "workbooks"
LETTERS = {"A": "н", "E": "у", "L": "о"}
LONG_AGO_S = 1_700_000_000
"""The files have been standing still for long."""


def load_formats() -> ModuleType:
    spec = importlib.util.spec_from_file_location("workbook_formats", SAMPLES / "formats.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["workbook_formats"] = module
    spec.loader.exec_module(module)
    return module


FORMATS = load_formats()


def write_book(path: Path, **sheets: list[list[Any]]) -> None:
    """Write a workbook: sheet's name → its rows."""
    FORMATS.write_xlsx(path, [FORMATS.Page(name, rows) for name, rows in sheets.items()])
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))


class SchoolOffice:
    """Writes down all that a workbook can carry of one class of the made-up school in its first subject."""

    def __init__(self, school: School, books: PlannerBooks, folder: Path) -> None:
        self.folder = folder
        self.school = school
        self.subject = SUBJECTS[0][1]
        self.class_name = school.class_name(0)
        self.past = list(school.iter_lessons(0, 0, is_past=True))
        self.slots = [*self.past, *school.iter_lessons(0, 0, is_past=False)]
        self.people = [row for row in books.book("people", None) or [] if row["role"] == "pupil"]
        group = books.group_id(0, 0)
        self.topics = {row["starts_at"]: row["topic"] for row in books.book("lessons", group) or []}
        self.tasks = {row["assigned_on"]: row for row in books.book("homework", group) or []}

    def write(self) -> None:
        """Write all of it."""
        write_book(
            self.folder / "список.xlsx",
            Ученики=[
                ["Фамилия", "Имя", "Класс", "person_id", "Личное дело", "ФИО родителя", "Email родителя"],
                *[
                    [
                        *(row["last_name"], row["first_name"], row["class_name"], row["person_id"], row["school_id"]),
                        *("Родитель Один", f"{row['id']}@example.org"),
                    ]
                    for row in self.people
                ],
            ],
        )
        write_book(
            self.folder / "расписание.xlsx",
            Расписание=[
                ["Класс", "Предмет", "Дата", "Начало"],
                *[
                    [self.class_name, self.subject, slot.day, slot.starts_at.astimezone(MOSCOW).time()]
                    for slot in self.slots
                ],
            ],
        )
        write_book(self.folder / "журнал.xlsx", Журнал=self._page(), Уроки=self._lessons())
        title = [[f"Класс: {self.class_name}"], [f"Предмет: {self.subject}"]]
        write_book(
            self.folder / "ктп.xlsx",
            КТП=[
                *title,
                ["№ п/п", "Раздел", "Тема урока", "Количество часов", "Контрольные работы"],
                *[[at, "Глава", topic, 1, None] for at, topic in enumerate(self.topics.values(), start=1)],
            ],
        )
        write_book(self.folder / "учебный план.xlsx", План=[["Предмет", "7 класс"], [self.subject, 4]])
        write_book(
            self.folder / "программа.xlsx",
            Программа=[
                *title,
                ["№ п/п", "Тема урока", "Количество часов", "Программное содержание"],
                [1, "Степень", 10, "Степень и её свойства"],
            ],
        )

    def _page(self) -> list[list[Any]]:
        marked = set(self.school.marked_days())
        rows = []
        for number, row in enumerate(self.people):
            cells = []
            for slot in self.past:
                letter = LETTERS.get(self.school.attendance(number, slot, 0), "")
                mark = (
                    self.school.lesson_mark(number, 0, slot.day) if slot.day in marked and slot.ordinal == 1 else None
                )
                cells.append(",".join(filter(None, (letter, str(mark or "")))))
            rows.append([f"{row['last_name']} {row['first_name']}", *cells])
        heads = ["ФИО", *[slot.day for slot in self.past]]
        return [[f"Класс: {self.class_name}"], [f"Предмет: {self.subject}"], heads, *rows]

    def _lessons(self) -> list[list[Any]]:
        rows = []
        for slot in self.slots:
            task = self.tasks.get(slot.day.isoformat(), {})
            topic = self.topics[slot.starts_at.isoformat()]
            rows.append([self.class_name, self.subject, slot.day, topic, task.get("text"), task.get("prepared_for")])
        return [["Класс", "Предмет", "Дата", "Тема урока", "Домашнее задание", "К какому дню"], *rows]
