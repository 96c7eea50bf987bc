"""The made-up school as its planner holds it: journal pages, in the planner's own spelling.

The same people, lessons and marks as the sandbox portal's of the same size and seed; the planner knows them by ids of its
own, names the lessons' topics, and says nothing of tests. What people type there later stands in `Edits`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from gateway.sandbox.school import SUBJECTS, LessonSlot, School

Row = dict[str, Any]
FORMS = {"A": "absent", "E": "excused", "L": "late"}
SITE_BOOKS = ("people", "subjects", "groups")
GROUP_BOOKS = ("lessons", "marks", "absences", "homework")
TASKS = ("ДЗ №1", "ДЗ №2")


@dataclass
class Edits:
    """What people changed on the pages: row by (group, book, id); None = taken out."""

    rows: dict[tuple[str, str, str], Row | None] = field(default_factory=dict)
    revision: int = 1

    def put(self, group: str, book: str, row: Row) -> None:
        """Write a row, new or in place of the one with its id."""
        self.rows[group, book, str(row["id"])] = row
        self.revision += 1

    def take_out(self, group: str, book: str, row_id: str) -> None:
        """Clear a row."""
        self.rows[group, book, row_id] = None
        self.revision += 1

    def over(self, group: str, book: str, rows: Iterator[Row]) -> list[Row]:
        """The rows as people left them, in order of their ids."""
        found = {str(row["id"]): row for row in rows}
        for (own_group, own_book, row_id), row in self.rows.items():
            if (own_group, own_book) != (group, book):
                continue
            if row is None:
                found.pop(row_id, None)
            else:
                found[row_id] = row
        return [found[row_id] for row_id in sorted(found)]


class BlankBooks:
    """Books in which nothing stands but what people type."""

    def __init__(self) -> None:
        self.edits = Edits()

    def book(self, name: str, group: str | None) -> list[Row] | None:
        """All rows of a book; None where there is no such book or group."""
        if group is None:
            return self.edits.over("", name, iter(())) if name in SITE_BOOKS else None
        known = {row["id"] for row in self.edits.over("", "groups", iter(()))}
        return self.edits.over(group, name, iter(())) if group in known and name in GROUP_BOOKS else None


class PlannerBooks:
    """Computes the books of a made-up school."""

    def __init__(self, school: School, *, subjects_count: int = len(SUBJECTS)) -> None:
        self.school = school
        self.edits = Edits()
        self._subjects = range(subjects_count)

    def book(self, name: str, group: str | None) -> list[Row] | None:
        """All rows of a book; None where there is no such book or group."""
        if group is None:
            makers = {"people": self._people, "subjects": self._subject_rows, "groups": self._groups}
            return self.edits.over("", name, makers[name]()) if name in makers else None
        place = self._place(group)
        if place is None:
            return None
        of_group = {
            "lessons": self._lessons,
            "marks": self._marks,
            "absences": self._absences,
            "homework": self._homework,
        }
        return self.edits.over(group, name, of_group[name](*place)) if name in of_group else None

    def group_id(self, class_number: int, subject: int) -> str:
        """`7А-ALG`."""
        return f"{self.school.class_name(class_number)}-{SUBJECTS[subject][0]}"

    def lesson_id(self, class_number: int, subject: int, slot: LessonSlot) -> str:
        """`7А-ALG-20261110-1`."""
        return f"{self.group_id(class_number, subject)}-{slot.day:%Y%m%d}-{slot.ordinal}"

    def _place(self, group: str) -> tuple[int, int] | None:
        return next(
            (
                (class_number, subject)
                for class_number in range(self.school.class_count)
                for subject in self._subjects
                if self.group_id(class_number, subject) == group
            ),
            None,
        )

    def _people(self) -> Iterator[Row]:
        for number in range(self.school.pupils):
            pupil = self.school.pupil(number)
            yield {
                "id": f"p{number}",
                "role": "pupil",
                "last_name": pupil.last_name,
                "first_name": pupil.first_name,
                "class_name": self.school.class_name(pupil.class_number),
                "person_id": pupil.person_id,
                "school_id": f"S-{number:05d}",
            }
        for class_number in range(self.school.class_count):
            for subject in self._subjects:
                last, first = self.school.teacher_name(class_number, subject)
                yield {"id": f"t{class_number}-{subject}", "role": "teacher", "last_name": last, "first_name": first}

    def _subject_rows(self) -> Iterator[Row]:
        for subject in self._subjects:
            short, name = SUBJECTS[subject]
            yield {"id": short, "name": name}

    def _groups(self) -> Iterator[Row]:
        for class_number in range(self.school.class_count):
            for subject in self._subjects:
                yield {
                    "id": self.group_id(class_number, subject),
                    "subject": SUBJECTS[subject][0],
                    "name": f"{SUBJECTS[subject][1]} {self.school.class_name(class_number)}",
                    "class_name": self.school.class_name(class_number),
                    "pupils": [f"p{number}" for number in self.school.pupils_of(class_number)],
                    "teachers": [f"t{class_number}-{subject}"],
                }

    def _slots(self, class_number: int, subject: int) -> list[LessonSlot]:
        return [
            slot
            for is_past in (True, False)
            for slot in self.school.iter_lessons(class_number, subject, is_past=is_past)
        ]

    def _lessons(self, class_number: int, subject: int) -> Iterator[Row]:
        for number, slot in enumerate(self._slots(class_number, subject), start=1):
            yield {
                "id": self.lesson_id(class_number, subject, slot),
                "starts_at": slot.starts_at.isoformat(),
                "duration_min": 45,
                "topic": f"{SUBJECTS[subject][1]}: тема {number}",
            }

    def _past(self, class_number: int, subject: int) -> list[LessonSlot]:
        return list(self.school.iter_lessons(class_number, subject, is_past=True))

    def _marks(self, class_number: int, subject: int) -> Iterator[Row]:
        first: dict[date, LessonSlot] = {}
        for slot in self._past(class_number, subject):
            first.setdefault(slot.day, slot)
        for day in self.school.marked_days():
            for number in self.school.pupils_of(class_number):
                value = self.school.lesson_mark(number, subject, day) if day in first else None
                if value is not None:
                    lesson = self.lesson_id(class_number, subject, first[day])
                    yield {"id": f"{lesson}-p{number}", "pupil": f"p{number}", "lesson": lesson, "value": value}

    def _absences(self, class_number: int, subject: int) -> Iterator[Row]:
        for slot in self._past(class_number, subject):
            lesson = self.lesson_id(class_number, subject, slot)
            for number in self.school.pupils_of(class_number):
                letter = self.school.attendance(number, slot, subject)
                if letter in FORMS:
                    yield {
                        "id": f"{lesson}-p{number}",
                        "pupil": f"p{number}",
                        "lesson": lesson,
                        "form": FORMS[letter],
                        "entry": {"typed_by": f"t{class_number}-{subject}"},
                    }

    def _homework(self, class_number: int, subject: int) -> Iterator[Row]:
        monday = self.school.today - timedelta(days=self.school.today.weekday())
        for number, back in enumerate((4, 7)):
            due = monday - timedelta(days=back)
            yield {
                "id": f"{self.group_id(class_number, subject)}-hw{number + 1}",
                "title": f"{TASKS[number]} ({SUBJECTS[subject][0]})",
                "text": "Домашнее задание",
                "assigned_on": (due - timedelta(days=3)).isoformat(),
                "prepared_for": due.isoformat(),
            }
