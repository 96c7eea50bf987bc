"""A made-up group of class 7А in both systems, to be changed a field at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from gateway.domain.city import CityForm, CityGroup, CityLesson, CityMembership, CityPeriod, CityPupil
from gateway.domain.records import Absence, Attempt, Group, Homework, Mark, Person, Scale
from gateway.mapping.mesh import GroupContext
from gateway.mapping.rules import everything_on, load_rules

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)  # Monday, 19:00 in Moscow
PUPIL, CITY_PUPIL, GROUP_ID, SUBJECT_ID = "user:3", 40, 7, 70


class Builder:
    """Makes records that differ from an ordinary one only in what is named."""

    now = NOW

    def mark(self, **changes: Any) -> Mark:
        usual: dict[str, Any] = {
            "ref": "cell:5/3",
            "pupil": PUPIL,
            "programme": "course:2",
            "group": "group:1",
            "item": "item:5",
            "item_name": "Урок 10.11.2026: работа на уроке",
            "item_form": "manual",
            "scale": Scale("points", 0, 5),
            "raw_points": 4.0,
            "graded_at": NOW,
        }
        return Mark(**(usual | changes))

    def homework_mark(self, due_on: date, **changes: Any) -> Mark:
        due_at = datetime(due_on.year, due_on.month, due_on.day, 6, 0, tzinfo=UTC)
        usual: dict[str, Any] = {
            "item_name": "ДЗ №1",
            "item_form": "mod",
            "module": "assign",
            "activity": "assign:1",
            "due_at": due_at,
        }
        return self.mark(**(usual | changes))

    def quiz_mark(self, **changes: Any) -> Mark:
        usual: dict[str, Any] = {"item_name": "Тест №1", "item_form": "mod", "module": "quiz", "activity": "quiz:1"}
        return self.mark(**(usual | {"scale": Scale("points", 0, 10), "raw_points": 7.5} | changes))

    def attempt(self, number: int = 1, **changes: Any) -> Attempt:
        usual: dict[str, Any] = {
            "ref": f"attempt:{number}",
            "activity": "quiz:1",
            "programme": "course:2",
            "pupil": PUPIL,
            "number": number,
            "state": "finished",
            "counting": "highest",
            "finished_at": datetime(2026, 11, 11, 7, 0, tzinfo=UTC),
            "points": 7.5,
            "maximum": 10.0,
        }
        return Attempt(**(usual | changes))

    def absence(self, **changes: Any) -> Absence:
        usual: dict[str, Any] = {
            "ref": "absence:1/3",
            "pupil": PUPIL,
            "lesson": "session:2",
            "group": "group:1",
            "form": "absent",
        }
        return Absence(**(usual | changes))

    def homework(self, **changes: Any) -> Homework:
        usual: dict[str, Any] = {
            "ref": "assign:1/group:1",
            "group": "group:1",
            "programme": "course:2",
            "title": "ДЗ №1",
            "text": "Упражнения 1 и 2",
            "assigned_on": date(2026, 11, 10),
            "prepared_for": date(2026, 11, 16),
        }
        return Homework(**(usual | changes))

    def lesson(self, day: date, hour: int = 6, **changes: Any) -> CityLesson:
        starts_at = datetime(day.year, day.month, day.day, hour, 0, tzinfo=UTC)
        usual: dict[str, Any] = {
            "id": int(f"{day:%m%d}") * 100 + hour,
            "group_id": GROUP_ID,
            "subject_id": SUBJECT_ID,
            "starts_at": starts_at,
            "duration_min": 45,
            "number": 1,
            "teacher_id": 900,
        }
        return CityLesson(**(usual | changes))

    def lessons(self) -> tuple[CityLesson, ...]:
        """The recording's timetable: 9–13 and 23–27 November, 09:00 in Moscow."""
        days = [date(2026, 11, 9) + timedelta(days=shift) for shift in (*range(5), *range(14, 19))]
        return tuple(self.lesson(day) for day in days)

    def period(self, begins_on: date, ends_on: date, **changes: Any) -> CityPeriod:
        usual: dict[str, Any] = {"id": begins_on.month, "schedule_id": 1, "name": "четверть"}
        return CityPeriod(**(usual | {"begins_on": begins_on, "ends_on": ends_on} | changes))

    def periods(self, **changes: Any) -> tuple[CityPeriod, ...]:
        return (
            self.period(date(2026, 9, 1), date(2026, 10, 25)),
            self.period(date(2026, 11, 2), date(2026, 12, 30), **changes),
        )

    def form(self, name: str, **changes: Any) -> CityForm:
        usual: dict[str, Any] = {
            "id": 21,
            "weight": 1,
            "grade_system_id": 31,
            "grade_system": "five",
            "subject_id": SUBJECT_ID,
            "level": 2,
        }
        return CityForm(name=name, **(usual | changes))

    def forms(self) -> tuple[CityForm, ...]:
        names = ("Работа на уроке", "Домашнее задание", "Тест", "Проект")
        return tuple(self.form(name, id=21 + shift) for shift, name in enumerate(names))

    def pupil(self, **changes: Any) -> CityPupil:
        usual: dict[str, Any] = {
            "id": CITY_PUPIL,
            "person_id": "p-40",
            "last_name": "Семёнова",
            "first_name": "Алёна",
            "middle_name": None,
            "birth_on": None,
            "class_id": 1,
            "class_name": "7А",
            "is_active": True,
            "memberships": (CityMembership(group_id=GROUP_ID, begins_on=date(2026, 9, 1), ends_on=date(2027, 8, 31)),),
        }
        return CityPupil(**(usual | changes))

    def person(self, **changes: Any) -> Person:
        usual: dict[str, Any] = {
            "ref": PUPIL,
            "role": "pupil",
            "last_name": "Семёнова",
            "first_name": "Алёна",
            "class_name": "7А",
        }
        return Person(**(usual | changes))

    def group(self, **changes: Any) -> Group:
        usual: dict[str, Any] = {
            "ref": "group:1",
            "programme": "course:2",
            "subject": "subject:ALG",
            "name": "7А",
            "class_name": "7А",
        }
        return Group(**(usual | changes))

    def city_group(self, **changes: Any) -> CityGroup:
        usual: dict[str, Any] = {
            "id": GROUP_ID,
            "name": "7А — Алгебра",
            "subject_id": SUBJECT_ID,
            "subject_name": "Алгебра",
            "class_ids": (1,),
            "class_name": "7А",
            "level": 7,
            "schedule_id": 1,
            "teacher_ids": (900,),
            "pupil_ids": (CITY_PUPIL,),
        }
        return CityGroup(**(usual | changes))

    def context(self, **changes: Any) -> GroupContext:
        lessons = self.lessons()
        usual: dict[str, Any] = {
            "group": self.group(),
            "city_group": self.city_group(),
            "subject": "Алгебра, 7 класс",
            "class_name": "7А",
            "pupils": {PUPIL: CITY_PUPIL},
            "pupils_waiting": {},
            "city_pupils": {CITY_PUPIL: self.pupil()},
            "lessons": lessons,
            "lesson_links": {"session:2": lessons[1].id},
            "periods": self.periods(),
            "forms": self.forms(),
            "attempts": {},
            "chosen": {},
            "rules": everything_on(load_rules(None)),
            "now": NOW,
            "absence_reason_id": 2,
        }
        return GroupContext(**(usual | changes))

    def with_rules(self, **changes: Any) -> GroupContext:
        """The usual context under changed rules."""
        return self.context(rules=everything_on(load_rules(None)).model_copy(update=changes))

    def changed(self, struct: Any, **changes: Any) -> Any:
        return msgspec.structs.replace(struct, **changes)


@pytest.fixture
def make() -> Builder:
    return Builder()


@pytest.fixture
def write_rules(tmp_path: Any) -> Callable[[str], Any]:
    """Writes a mapping file and returns its path."""

    def write(text: str) -> Any:
        path = tmp_path / "mapping.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
