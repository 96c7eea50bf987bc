"""Rows of the planner's door turned into canonical records. Pure.

Between the books and the source. A row that does not fit is one fault with its place and nothing else is lost; a row
without a readable id makes the whole book unusable, because nobody could say which record is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from gateway.connectors.planner.door import wire
from gateway.domain.clock import moscow_day
from gateway.domain.errors import IncompleteReadError, RecordError
from gateway.domain.identifiers import sourced
from gateway.domain.reasons import PLANNER_INVALID
from gateway.domain.records import (
    Absence,
    Entry,
    Group,
    Homework,
    Lesson,
    Mark,
    Membership,
    Person,
    Record,
    Scale,
    Subject,
    TeachingAssignment,
)
from gateway.domain.storable import storable_text

SCHOOL = "school"
"""Programme of all groups: the door has no programmes."""
PAGE_MODULE = "page"
"""Module of a mark on a page: the rules give it a form where the page names no kind of work."""

FAR = timedelta(days=2 * 366)
"""A lesson or a homework further away than this has a mistyped year: no school year reaches so far."""
_DAYS = ("starts_at", "assigned_on", "prepared_for")

Row = TypeVar("Row", bound=BaseModel)


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A book as records, with what is wrong in it."""

    records: list[Record]
    faults: list[RecordError]


class Names:
    """How the planner's ids become refs.

    Args:
        source: Name of the source, put before every ref.
        way: How rows come in, for their entries.
    """

    def __init__(self, source: str, way: str) -> None:
        self.source = source
        self.way = way

    def ref(self, kind: str, row_id: str) -> str:
        return sourced(self.source, f"{kind}:{row_id}")

    @property
    def site(self) -> str:
        return sourced(self.source, "site")

    @property
    def programme(self) -> str:
        return sourced(self.source, SCHOOL)

    def origins(self, book: str, row_id: str) -> dict[str, str]:
        return {"*": f"{self.source}/{book}/{row_id}"}

    def entry(self, row: wire.EntryRow | None) -> Entry:
        """Who brought a row in; where the planner does not say, only the way is known."""
        if row is None:
            return Entry(way=self.way)

        def person(row_id: str) -> str:
            return self.ref("person", row_id) if row_id else ""

        return Entry(
            typed_by=person(row.typed_by),
            on_behalf_of=person(row.on_behalf_of),
            answers=person(row.answers),
            way=self.way,
        )


def read_rows(
    book: str, rows: Iterable[Mapping[str, object]], names: Names, read_at: datetime, build: Callable[[Row], Record]
) -> Read:
    """Build the records of a book.

    Args:
        read_at: Aware UTC; days far from it are faults.

    Raises:
        IncompleteReadError: A row has no readable id, or an id comes twice.
    """
    model, kind = wire.ROWS[book], KIND_WORDS[book]
    records: list[Record] = []
    faults: list[RecordError] = []
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        row_id = row.get("id")
        if not isinstance(row_id, str) or not row_id or row_id in seen:
            what = "с повторённым id" if isinstance(row_id, str) and row_id else "без id"
            raise IncompleteReadError(
                f"Планировщик: {book}, строка {number} {what}, книга отброшена", system=names.source
            )
        seen.add(row_id)
        ref = names.ref(kind, row_id)
        try:
            fitting = model.model_validate(row)
            _require_near(fitting, read_at)
            records.append(build(fitting))  # type: ignore[arg-type]  # the model of the book that `build` is for
        except ValidationError as exc:
            places = sorted({".".join(map(str, error["loc"])) or "row" for error in exc.errors(include_input=False)})
            faults.append(_fault(book, number, f"не по форме {', '.join(places[:5])}", ref))
        except RecordError as exc:
            faults.append(_fault(book, number, exc.sentence, ref))
    return Read(records=records, faults=faults)


def _require_near(row: BaseModel, read_at: datetime) -> None:
    """Refuse days that no arithmetic and no school year reaches.

    Raises:
        RecordError: Names the fields.
    """
    first, last = read_at - FAR, read_at + FAR
    far = []
    for name in _DAYS:
        value = getattr(row, name, None)
        if isinstance(value, datetime):
            is_near = first <= value <= last
        else:
            is_near = not isinstance(value, date) or first.date() <= value <= last.date()
        if not is_near:
            far.append(name)
    if far:
        raise RecordError(f"день не этих лет: {', '.join(far)}")


def _fault(book: str, number: int, what: str, ref: str) -> RecordError:
    return RecordError(storable_text(f"Строка {number} книги {book}: {what}"), where=ref, reason=PLANNER_INVALID)


KIND_WORDS = {
    "people": "person",
    "subjects": "subject",
    "groups": "group",
    "lessons": "lesson",
    "marks": "mark",
    "absences": "absence",
    "homework": "homework",
}
"""Book → first part of its refs."""


def to_person(row: wire.PersonRow, names: Names) -> Person:
    return Person(
        ref=names.ref("person", row.id),
        origins=names.origins("people", row.id),
        role=row.role,
        last_name=row.last_name.strip(),
        first_name=row.first_name.strip(),
        middle_name=row.middle_name,
        birth_on=row.birth_on,
        class_name=row.class_name,
        person_id=row.person_id,
        school_id=row.school_id,
        is_active=row.is_active,
    )


def to_subject(row: wire.SubjectRow, names: Names) -> Subject:
    return Subject(ref=names.ref("subject", row.id), origins=names.origins("subjects", row.id), name=row.name)


def to_group(row: wire.GroupRow, names: Names) -> Group:
    return Group(
        ref=names.ref("group", row.id),
        origins=names.origins("groups", row.id),
        programme=names.programme,
        subject=names.ref("subject", row.subject),
        name=row.name,
        class_name=row.class_name,
    )


def memberships(row: wire.GroupRow, names: Names) -> list[Membership]:
    """The group's pupils."""
    return [
        Membership(
            ref=names.ref("member", f"{row.id}:{pupil}"),
            origins=names.origins("groups", row.id),
            person=names.ref("person", pupil),
            group=names.ref("group", row.id),
        )
        for pupil in row.pupils
    ]


def assignments(row: wire.GroupRow, names: Names) -> list[TeachingAssignment]:
    """The group's teachers."""
    return [
        TeachingAssignment(
            ref=names.ref("teaching", f"{row.id}:{teacher}"),
            origins=names.origins("groups", row.id),
            person=names.ref("person", teacher),
            group=names.ref("group", row.id),
        )
        for teacher in row.teachers
    ]


def to_lesson(row: wire.LessonRow, names: Names, group: str) -> Lesson:
    """A lesson; its number in the day is given by `numbered`."""
    return Lesson(
        ref=names.ref("lesson", row.id),
        origins=names.origins("lessons", row.id),
        group=group,
        starts_at=row.starts_at,
        duration_min=row.duration_min,
        ordinal=1,
        form=row.form,
        topic=row.topic,
    )


def numbered(lessons: Sequence[Lesson]) -> list[Lesson]:
    """Number a group's lessons of each day by their start, from 1; those of one moment share a number."""
    starts: dict[date, set[datetime]] = {}
    for lesson in lessons:
        starts.setdefault(moscow_day(lesson.starts_at), set()).add(lesson.starts_at)
    ordered = {day: sorted(found) for day, found in starts.items()}
    return [
        msgspec.structs.replace(lesson, ordinal=ordered[moscow_day(lesson.starts_at)].index(lesson.starts_at) + 1)
        for lesson in lessons
    ]


def to_mark(row: wire.MarkRow, names: Names, group: str, lessons: Mapping[str, Lesson]) -> Mark:
    """A mark of a page.

    Raises:
        RecordError: Its lesson is not among the group's, or its points are above the maximum.
    """
    lesson = _lesson(row.lesson, names, lessons)
    if row.value > row.maximum:
        raise RecordError("балл больше наибольшего")
    return Mark(
        ref=names.ref("mark", row.id),
        origins=names.origins("marks", row.id),
        entry=names.entry(row.entry),
        pupil=names.ref("person", row.pupil),
        programme=names.programme,
        group=group,
        item=lesson.ref,
        item_name=row.work.strip(),
        item_form="manual",
        module=PAGE_MODULE,
        scale=Scale("points", 0, row.maximum),
        raw_points=row.value,
        weight=row.weight,
        lesson_at=lesson.starts_at,
        comment=row.comment,
    )


def to_absence(row: wire.AbsenceRow, names: Names, group: str, lessons: Mapping[str, Lesson]) -> Absence:
    """An absence.

    Raises:
        RecordError: Its lesson is not among the group's.
    """
    return Absence(
        ref=names.ref("absence", row.id),
        origins=names.origins("absences", row.id),
        entry=names.entry(row.entry),
        pupil=names.ref("person", row.pupil),
        lesson=_lesson(row.lesson, names, lessons).ref,
        group=group,
        form=row.form,
    )


def to_homework(row: wire.HomeworkRow, names: Names, group: str) -> Homework:
    """A homework.

    Raises:
        RecordError: It is due before it is set.
    """
    if row.prepared_for < row.assigned_on:
        raise RecordError("срок раньше дня, когда задано")
    return Homework(
        ref=names.ref("homework", row.id),
        origins=names.origins("homework", row.id),
        entry=names.entry(row.entry),
        group=group,
        programme=names.programme,
        title=row.title,
        text=row.text,
        assigned_on=row.assigned_on,
        prepared_for=row.prepared_for,
        pupils=tuple(names.ref("person", pupil) for pupil in row.pupils),
    )


def _lesson(row_id: str, names: Names, lessons: Mapping[str, Lesson]) -> Lesson:
    lesson = lessons.get(names.ref("lesson", row_id))
    if lesson is None:
        raise RecordError("урока с таким id нет среди уроков группы")
    return lesson
