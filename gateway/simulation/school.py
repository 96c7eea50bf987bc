"""The made-up school of a seed: one or two classes of three, three lessons, four items of work; on both sides, and what belongs together.

Small on purpose: few cells meet all races sooner than many.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from random import Random
from typing import Any
from uuid import UUID

from gateway.domain.identifiers import Kind
from gateway.sandbox.city.city import LikeSchool
from gateway.sandbox.city.plans import list_topics
from gateway.sandbox.city.school import AID, School
from gateway.sandbox.city.state import Row

SUBJECT = "Алгебра"
PROGRAMME = "course:2"
SUBJECT_REF = "subject:2"
CLASSES = ("7А", "7Б")
PUPILS_A_CLASS = 3
LESSON_DAYS = (date(2026, 11, 9), date(2026, 11, 10), date(2026, 11, 12))
ITEMS = (
    ("Контрольная работа", 0),
    ("Самостоятельная работа", 1),
    ("Домашнее задание", 1),  # two works on one lesson: a cell with two marks
    ("Контрольная работа", 2),
)
"""Works: control form and the number of their lesson's day."""
FORMS = [
    ("Контрольная работа", "КР", 3, "five", False),
    ("Самостоятельная работа", "СР", 2, "five", False),
    ("Домашнее задание", "ДЗ", 1, "five", False),
]
LESSON_AT = time(9, 30)  # Moscow
START_AT = datetime(
    2026, 11, 11, 18, 0, tzinfo=UTC
)  # the evening before the third lesson, which is not yet to be marked
NAMES = (
    ("Берёзова", "Анна"),
    ("Вязов", "Егор"),
    ("Клёнов", "Пётр"),
    ("Липова", "Мария"),
    ("Осинин", "Олег"),
    ("Рябинина", "Дарья"),
    ("Тисова", "Вера"),
    ("Дубов", "Иван"),
    ("Ивин", "Семён"),
    ("Кедрова", "Ольга"),
    ("Сосновский", "Глеб"),
    ("Ольхова", "Нина"),
    ("Грабов", "Тимур"),
    ("Ясный", "Фёдор"),
)

_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")

NaturalKey = tuple[str, int, int, int]
"""(kind, pupil or group, lesson or day, control form or day): what may stand in the city once."""


STATE_KINDS = {
    Kind.MARK: "marks",
    Kind.ABSENCE: "attendances",
    Kind.HOMEWORK: "homeworks",
    Kind.COMMENT: "lesson_comments",
    Kind.FINAL: "final_marks",
    Kind.TOPICS: "lesson_plans",
}
"""Our kinds → the city's own names of them."""
LATE = "О"  # what the city's settings tell lateness by
YEAR_PERIOD = 0
"""Third part of the key of a final mark that is of the whole year."""


@dataclass(frozen=True)
class Pupil:
    """A child on both sides."""

    ref: str
    city_id: int
    person_id: str
    last_name: str
    first_name: str
    class_name: str


@dataclass(frozen=True)
class TaughtGroup:
    """A class in its subject on both sides, with its lessons: day → (our ref, the city's id)."""

    ref: str
    city_id: int
    class_name: str
    pupils: tuple[Pupil, ...]
    lessons: dict[date, tuple[str, int]]


@dataclass(frozen=True)
class Place:
    """One thing that the portal may hold: a cell of the gradebook, an absence, a homework.

    Attributes:
        key: Where it must stand in the city.
        lesson_on: Its lesson's day.
        form_id: Control form of a mark, 0 else.
        is_dated: Of a day that a period may close over; a lesson plan and a mark of the year are not of the period that goes on.
    """

    ref: str
    kind: Kind
    group: TaughtGroup
    pupil: Pupil | None
    key: NaturalKey
    lesson_on: date
    item: int = 0
    form_id: int = 0
    weight: int = 0
    is_dated: bool = True


@dataclass(frozen=True)
class SmallSchool:
    """Both sides of the school, and every place that may be filled."""

    like: LikeSchool
    groups: tuple[TaughtGroup, ...]
    places: tuple[Place, ...]
    admin: Row
    subject_id: int
    form_ids: dict[str, int]
    period_id: int
    has_chosen: bool
    level: int = 7
    days: tuple[date, ...] = LESSON_DAYS

    @cached_property
    def by_key(self) -> dict[NaturalKey, Place]:
        """Where → what."""
        return {place.key: place for place in self.places}

    @property
    def canaries(self) -> set[str]:
        """What no log, no metric and no audit entry may hold: names of children, and what names them elsewhere."""
        pupils = [pupil for group in self.groups for pupil in group.pupils]
        return {text for one in pupils for text in (one.last_name, one.person_id)}


class LaterSchool(School):
    """The city's side some years later: all dates are later, and all ids have moved on by one a year.

    So the id that a child, a class or a lesson had last year is another's now: whoever still goes by it writes to a
    stranger.
    """

    def __init__(self, years: int) -> None:
        self._years = years
        super().__init__()
        self._last_id = {kind: number + years for kind, number in self._last_id.items()}

    def add(self, kind: str, row: Row) -> Row:
        """Add a row, later."""
        return super().add(kind, self._later(row))

    def _later(self, value: Any) -> Any:
        if isinstance(value, dict):
            later = {name: self._later(inner) for name, inner in value.items()}
            return {**later, "academic_year_id": AID + self._years} if "academic_year_id" in value else later
        if isinstance(value, list):
            return [self._later(inner) for inner in value]
        if isinstance(value, str) and _ISO_DAY.match(value):
            return f"{int(value[:4]) + self._years}{value[4:]}"
        return value


def build_school(
    rng: Random,
    *,
    classes: int = len(CLASSES),
    pupils_a_class: int = PUPILS_A_CLASS,
    years_later: int = 0,
    last_year: Sequence[Pupil] = (),
    has_chosen: bool = False,
) -> SmallSchool:
    """Build the school of a seed; ids and person ids depend on the seed alone.

    Args:
        rng: Decides names and person ids, and who is in which class.
        classes: How many there are.
        pupils_a_class: How many children a class has.
        years_later: How many years after the first.
        last_year: The same children as they were then.
        has_chosen: The kinds a school chooses by name are sent as well: final marks, lateness, remarks, topics.
    """
    school = LaterSchool(years_later) if years_later else School()
    level = 7 + years_later
    days = tuple(day.replace(year=day.year + years_later) for day in LESSON_DAYS)
    admin = school.add_teacher("Ясенева", "Ирина", None, kind="school_admin")
    teacher = school.add_teacher("Тополев", "Лев", None)
    groups: list[TaughtGroup] = []
    forms: dict[str, Row] = {}
    subject_id = 0
    people = [(one.last_name, one.first_name, one.person_id) for one in last_year]
    people = people or [(last, first, "") for last, first in NAMES]
    rng.shuffle(people)
    for number, name in enumerate(CLASSES[:classes], start=1):
        class_name = f"{level}{name[-1]}"
        class_unit = school.add_class(class_name, level)
        group = school.add_group(f"{SUBJECT} {class_name}", SUBJECT, [class_unit], [teacher], school.quarters)
        subject_id = group["subject_id"]
        school.add_forms(group, FORMS)
        if has_chosen:
            school.add_lesson_plan(group, [], [])
        forms = {form[0]: school.get_form(group, form[0]) for form in FORMS}
        pupils: list[Pupil] = []
        for index in range(pupils_a_class):
            last, first, known_id = people.pop()
            person_id = known_id or str(UUID(int=rng.getrandbits(128), version=4))
            row = school.add_pupil(person_id, class_unit, (last, first, None))
            year = days[0].year
            school.enrol(row, group, begin_on=f"{year}-09-01", end_on=f"{year + 1}-08-31")
            ref = f"user:{10 * number + index}"
            pupils.append(Pupil(ref, row["id"], person_id, last, first, class_name))
        lessons = {
            later: (f"session:{number}{at}", school.add_lesson(group, day.isoformat(), f"{LESSON_AT:%H:%M}", 2)["id"])
            for at, (later, day) in enumerate(zip(days, LESSON_DAYS, strict=True))
        }
        groups.append(TaughtGroup(f"group:{number}", group["id"], class_name, tuple(pupils), lessons))
    places = [place for group in groups for place in _places_of(group, forms, days)]
    period_id = next(
        int(one["id"])
        for one in school.quarters["periods"]
        if one["begin_date"] <= days[0].isoformat() <= one["end_date"]
    )
    if has_chosen:
        places += [place for group in groups for place in _chosen_places_of(group, period_id, days[0])]
    return SmallSchool(
        like=LikeSchool(school),
        groups=tuple(groups),
        places=tuple(places),
        admin=admin,
        subject_id=subject_id,
        form_ids={name: form["id"] for name, form in forms.items()},
        period_id=period_id,
        has_chosen=has_chosen,
        level=level,
        days=days,
    )


def _places_of(group: TaughtGroup, forms: dict[str, Row], days: Sequence[date]) -> list[Place]:
    places: list[Place] = []
    for pupil in group.pupils:
        for item, (form_name, number) in enumerate(ITEMS, start=1):
            day = days[number]
            form, lesson_id = forms[form_name], group.lessons[day][1]
            places.append(
                Place(
                    ref=f"{group.ref}/item:{item}/{pupil.ref}",
                    kind=Kind.MARK,
                    group=group,
                    pupil=pupil,
                    key=("mark", pupil.city_id, lesson_id, form["id"]),
                    lesson_on=day,
                    item=item,
                    form_id=form["id"],
                    weight=form["weight"],
                )
            )
        for day in days[:2]:
            ref, lesson_id = group.lessons[day]
            places.append(
                Place(
                    ref=f"{ref}/{pupil.ref}",
                    kind=Kind.ABSENCE,
                    group=group,
                    pupil=pupil,
                    key=("absence", pupil.city_id, lesson_id, 0),
                    lesson_on=day,
                )
            )
    given = days[1]
    places.append(
        Place(
            ref=f"{group.ref}/homework:1",
            kind=Kind.HOMEWORK,
            group=group,
            pupil=None,
            key=homework_key(group.city_id, given, given + timedelta(days=2)),
            lesson_on=given,
        )
    )
    return places


def _chosen_places_of(group: TaughtGroup, period_id: int, day: date) -> list[Place]:
    """Of each pupil a final mark of the period that goes on and one of the year, a lateness and a remark; the group's topics."""
    lesson, lesson_id = group.lessons[day]
    second = sorted(group.lessons)[1]
    second_lesson, second_id = group.lessons[second]
    topics = Place(
        ref=f"topics:{group.ref}",
        kind=Kind.TOPICS,
        group=group,
        pupil=None,
        key=("topics", group.city_id, 0, 0),
        lesson_on=day,
        is_dated=False,
    )
    return [topics] + [
        place
        for pupil in group.pupils
        for place in (
            Place(
                ref=f"{group.ref}/final/{pupil.ref}",
                kind=Kind.FINAL,
                group=group,
                pupil=pupil,
                key=("final", pupil.city_id, period_id, 0),
                lesson_on=day,
            ),
            Place(
                ref=f"{group.ref}/year/{pupil.ref}",
                kind=Kind.FINAL,
                group=group,
                pupil=pupil,
                key=("final", pupil.city_id, YEAR_PERIOD, 0),
                lesson_on=day,
                is_dated=False,
            ),
            Place(
                ref=f"remark/{second_lesson}/{pupil.ref}",
                kind=Kind.COMMENT,
                group=group,
                pupil=pupil,
                key=("comment", pupil.city_id, second_id, 0),
                lesson_on=second,
            ),
            Place(
                ref=f"late/{lesson}/{pupil.ref}",
                kind=Kind.COMMENT,
                group=group,
                pupil=pupil,
                key=("comment", pupil.city_id, lesson_id, 0),
                lesson_on=day,
            ),
        )
    ]


def homework_key(group_id: int, assigned_on: date, prepared_for: date) -> NaturalKey:
    """Where a homework stands: group and both days."""
    return ("homework", group_id, assigned_on.toordinal(), prepared_for.toordinal())


def key_of_row(kind: str, row: Row) -> NaturalKey:
    """Where a row of the city's own state stands, worked out from that row alone."""
    if kind == "marks":
        return ("mark", row["student_profile_id"], row["schedule_lesson_id"], row["control_form_id"])
    if kind == "attendances":
        return ("absence", row["student_profile_id"], row["schedule_lesson_id"], 0)
    if kind == "lesson_comments":
        return ("comment", row["student_profile_id"], row["schedule_lesson_id"], 0)
    if kind == "final_marks":
        return ("final", row["student_profile_id"], row["attestation_period_id"] or YEAR_PERIOD, 0)
    if kind == "lesson_plans":
        return ("topics", row["group_ids"][0], 0, 0)
    days = [date.fromisoformat(row[name]) for name in ("date_assigned_on", "date_prepared_for")]
    return homework_key(row["group_id"], *days)


def is_late(place: Place) -> bool:
    """Whether a remark's place is that of a lateness, which says its one letter and nothing else."""
    return place.kind is Kind.COMMENT and place.ref.startswith("late/")


def value_of_row(kind: str, row: Row) -> str:
    """What a row of the city's own state says, as the portal's side would spell it."""
    if kind == "marks":
        return str(row["name"])
    if kind == "attendances":
        return str(row["absence_reason_id"])
    if kind == "lesson_comments":
        return str(row["comment"])
    if kind == "final_marks":
        return str(row["value"])
    if kind == "lesson_plans":
        return "\n".join(str(topic["name"]) for topic in list_topics(row))
    return "\n".join(str(entry["description"] or "") for entry in row["homework_entries"])
