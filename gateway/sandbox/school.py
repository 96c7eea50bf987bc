"""A made-up school of any size: classes, people, courses, lessons, marks, attendance, homework, quizzes.

Everything is computed from (seed, key) when asked for, so memory does not grow with the school and two runs with one
seed agree to the byte. All people are invented; namesakes are made on purpose, within a class and across classes.
The rows here are the school's own words; `gateway.sandbox.portal.school_server` says them in Moodle's spelling.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

CLASS_SIZE = 25
"""Pupils of a full class: the usual upper bound of a city school."""
WEEKS_BACK = 3
"""Weeks of lessons before the current one that have attendance."""
MARKED_DAYS = 10
"""Newest school days that have a column of marks in every course."""
LESSONS_A_DAY = 6
LESSON_S = 45 * 60
_SCHOOL_ZONE = ZoneInfo("Europe/Moscow")
_FIRST_BELL = time(9, 0)
_LESSON_STEP = timedelta(minutes=55)

SUBJECTS = (
    ("ALG", "Алгебра"),
    ("RUS", "Русский язык"),
    ("PHY", "Физика"),
    ("HIS", "История"),
    ("LIT", "Литература"),
    ("BIO", "Биология"),
    ("GEO", "География"),
    ("ENG", "Английский язык"),
)
LEVELS = (7, 8, 5, 6, 9, 10, 11)
_LETTERS = "АБВГДЕЖИКЛМН"
_LAST = (
    *("Иванов", "Петров", "Сидоров", "Кузнецов", "Смирнов", "Попов", "Васильев", "Соколов", "Михайлов", "Новиков"),
    *("Фёдоров", "Морозов", "Волков", "Алексеев", "Лебедев", "Семёнов", "Егоров", "Павлов", "Козлов", "Степанов"),
    *("Николаев", "Орлов", "Андреев", "Макаров", "Никитин", "Захаров", "Зайцев", "Соловьёв", "Борисов", "Яковлев"),
)
_BOYS = ("Александр", "Иван", "Егор", "Артём", "Максим", "Михаил", "Даниил", "Пётр", "Семён", "Фёдор", "Лев", "Марк")
_GIRLS = ("Алёна", "Мария", "Полина", "Дарья", "София", "Анна", "Вера", "Ксения", "Ева", "Таисия", "Алиса", "Юлия")


class Pupil(NamedTuple):
    """A made-up pupil; `number` counts from 0 over the school."""

    number: int
    last_name: str
    first_name: str
    class_number: int
    person_id: str | None


class LessonSlot(NamedTuple):
    """One lesson of a class in a subject; `ordinal` counts from 1 within class, subject and day."""

    day: date
    starts_at: datetime
    ordinal: int


@dataclass(frozen=True)
class School:
    """A made-up school.

    Attributes:
        pupils: How many.
        seed: Same seed, same school.
        now: Aware moment that divides what happened from what is planned.
    """

    pupils: int
    seed: int
    now: datetime

    def draw(self, *key: object) -> int:
        """A 64-bit number that depends on the seed and the key alone."""
        text = "|".join(map(str, (self.seed, *key)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

    @property
    def class_count(self) -> int:
        return max(1, -(-self.pupils // CLASS_SIZE))

    @property
    def today(self) -> date:
        return self.now.astimezone(_SCHOOL_ZONE).date()

    @property
    def year_starts_on(self) -> date:
        year = self.today.year if self.today.month >= 9 else self.today.year - 1
        return date(year, 9, 1)

    def level_of(self, class_number: int) -> int:
        return LEVELS[class_number % len(LEVELS)]

    def class_name(self, class_number: int) -> str:
        """`7А`; beyond the alphabet `7А2`."""
        row = class_number // len(LEVELS)
        letter, lap = _LETTERS[row % len(_LETTERS)], row // len(_LETTERS)
        return f"{self.level_of(class_number)}{letter}{lap + 1 if lap else ''}"

    def classes_of_level(self, level_index: int) -> range:
        """Class numbers of a level."""
        return range(level_index, self.class_count, len(LEVELS))

    def pupils_of(self, class_number: int) -> range:
        """Pupil numbers of a class."""
        first = class_number * CLASS_SIZE
        return range(first, min(first + CLASS_SIZE, self.pupils))

    def pupil(self, number: int) -> Pupil:
        """Make a pupil up. Every 40th shares the name of the one before (same class), every 30th of one a class earlier."""
        model = number
        if number % 40 == 39:
            model = number - 1
        elif number % 30 == 29 and number >= CLASS_SIZE:
            model = number - CLASS_SIZE
        drawn = self.draw("name", model)
        is_girl = drawn % 2 == 0
        last = _LAST[(drawn >> 8) % len(_LAST)] + ("а" if is_girl else "")
        first = (_GIRLS if is_girl else _BOYS)[(drawn >> 24) % len(_GIRLS)]
        person_id = None
        if number % 3:
            person_id = str(uuid.UUID(int=(self.draw("person", number) << 64) | self.draw("id", number), version=4))
        return Pupil(number, last, first, number // CLASS_SIZE, person_id)

    def teacher_name(self, level_index: int, subject_index: int) -> tuple[str, str]:
        """Last and first name of a course's teacher."""
        drawn = self.draw("teacher", level_index, subject_index)
        return _LAST[drawn % len(_LAST)] + "а", _GIRLS[(drawn >> 16) % len(_GIRLS)]

    def school_days(self, weeks_back: int, weeks_ahead: int) -> list[date]:
        """Mondays to Fridays around the current week, never before the school year."""
        monday = self.today - timedelta(days=self.today.weekday())
        days = [monday + timedelta(days=shift) for shift in range(-7 * weeks_back, 7 * (weeks_ahead + 1))]
        return [day for day in days if day.weekday() < 5 and day >= self.year_starts_on]

    def iter_lessons(self, class_number: int, subject_index: int, *, is_past: bool) -> Iterator[LessonSlot]:
        """Lessons of a class in a subject: those that ended up to now, or the planned ones up to next week's end."""
        for day in self.school_days(WEEKS_BACK, 1):
            ordinal = 0
            for slot in range(LESSONS_A_DAY):
                # A rotating timetable: each subject comes about four times a week, each class on other days.
                if (class_number + day.weekday() * LESSONS_A_DAY + slot) % len(SUBJECTS) != subject_index:
                    continue
                starts_at = datetime.combine(day, _FIRST_BELL, _SCHOOL_ZONE) + slot * _LESSON_STEP
                ordinal += 1
                if (starts_at + timedelta(seconds=LESSON_S) <= self.now) is is_past:
                    yield LessonSlot(day, starts_at.astimezone(UTC), ordinal)

    def marked_days(self) -> list[date]:
        """Days that have a column of lesson marks, oldest first."""
        return [day for day in self.school_days(WEEKS_BACK, 0) if day < self.today][-MARKED_DAYS:]

    def lesson_mark(self, number: int, subject_index: int, day: date) -> int | None:
        """Mark of a lesson, 2…5, or None: about two pupils in five are marked at a lesson."""
        drawn = self.draw("mark", number, subject_index, day.isoformat())
        return None if drawn % 5 > 1 else (5, 4, 4, 3, 5, 4, 3, 2)[(drawn >> 16) % 8]

    def task_points(self, number: int, subject_index: int, task: str) -> float | None:
        """Points of homework 0…5 in halves, or None when not handed in: one pupil in four."""
        drawn = self.draw(task, number, subject_index)
        return None if drawn % 4 == 0 else (5.0, 4.0, 4.5, 3.0, 5.0, 3.5, 2.0, 4.0)[(drawn >> 16) % 8]

    def quiz_sums(self, number: int, subject_index: int) -> list[float]:
        """Question points 0…4 of finished attempts, in order; none for one pupil in five, two for one in four."""
        drawn = self.draw("quiz", number, subject_index)
        if drawn % 5 == 0:
            return []
        sums = [float((drawn >> 16) % 5)]
        if drawn % 4 == 0:
            sums.append(float((drawn >> 24) % 5))
        return sums

    def attendance(self, number: int, slot: LessonSlot, subject_index: int) -> str:
        """`P`, `L`, `E` or `A`: one lesson in ten is missed."""
        drawn = self.draw("attendance", number, subject_index, slot.starts_at.isoformat())
        return "PPPPPPPPPPPPPPPPPLEA"[drawn % 20] if drawn % 7 else "P"
