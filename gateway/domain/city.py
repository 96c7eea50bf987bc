"""The city's side in our words: directory objects, what stands in the journal, and what we ask it to hold.

A city connector turns its wire models into these and nothing above it knows the foreign spelling. Ids are the city's
own integers, valid within one `Place`. Moments are aware UTC, `_on` a Moscow day.

What comes by the hundred thousand is `gc=False`: it holds plain values, can't be part of a ring, and would only be walked
over again and again by the collector while a batch of it is in memory.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

from gateway.domain.identifiers import Kind
from gateway.domain.records import FinalForm, PlannedLesson


class CityYear(msgspec.Struct, frozen=True, kw_only=True):
    """A school year; `id` is the `aid` of every call."""

    id: int
    name: str
    begins_on: date
    ends_on: date
    is_current: bool


class CityPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A marking period of a schedule; closed ones take no writes (or the city may not refuse at all: ours then must)."""

    id: int
    schedule_id: int
    name: str
    begins_on: date
    ends_on: date
    is_closed: bool = False
    edit_until_on: date | None = None


class CitySubject(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str


class CityClass(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    level: int


class CityGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Pupils taught one subject together; a metagroup has pupils of several classes."""

    id: int
    name: str
    subject_id: int
    subject_name: str
    class_ids: tuple[int, ...]
    class_name: str | None
    level: int
    schedule_id: int | None
    teacher_ids: tuple[int, ...]
    pupil_ids: tuple[int, ...] = ()
    is_metagroup: bool = False
    is_subgroup: bool = False


class CityTeacher(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    last_name: str
    first_name: str
    middle_name: str | None
    group_ids: tuple[int, ...] = ()
    replacement_group_ids: tuple[int, ...] = ()


class CityMembership(msgspec.Struct, frozen=True, kw_only=True):
    group_id: int
    begins_on: date | None = None
    ends_on: date | None = None


class CityPupil(msgspec.Struct, frozen=True, kw_only=True):
    """A pupil's yearly profile; `person_id` (UUID of the contingent) is the stable key, `id` changes over the years."""

    id: int
    person_id: str
    last_name: str | None
    first_name: str | None
    middle_name: str | None
    birth_on: date | None
    class_id: int | None
    class_name: str | None
    is_active: bool
    memberships: tuple[CityMembership, ...] = ()
    previous_id: int | None = None


class CityForm(msgspec.Struct, frozen=True, kw_only=True):
    """A control form: what kind of work a mark is for, with its default weight and grade system.

    Attributes:
        grade_system: `five`, `ten`, `hundred` or `approve`.
        level: Education level 1–3 (see `education_level`), not the class's level.
    """

    id: int
    name: str
    weight: int
    grade_system_id: int
    grade_system: str
    subject_id: int
    level: int
    is_deleted: bool = False


def education_level(class_level: int) -> int:
    """The education level under which control forms are kept: classes 1–4 → 1, 5–9 → 2, 10–11 → 3.

    Source: city-journal.md §1.5 «Classes» (S1, S2).
    """
    if class_level <= 4:
        return 1
    return 2 if class_level <= 9 else 3


class CityLesson(msgspec.Struct, frozen=True, kw_only=True):
    """A timetable item. Who may write on it: its teacher, or the replacement."""

    id: int
    group_id: int
    subject_id: int
    starts_at: datetime
    duration_min: int
    number: int
    teacher_id: int | None
    replacement_teacher_id: int | None = None
    is_cancelled: bool = False
    topic: str | None = None


class CityMark(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A mark that stands in the city's journal, whoever wrote it.

    Attributes:
        value: As shown: «5», «4+», «см»…
        is_point: «Точка», a debt with a deadline and not a mark yet (R18).
    """

    id: int
    pupil_id: int
    lesson_id: int
    group_id: int
    subject_id: int | None
    value: str
    weight: int
    form_id: int
    on: date
    teacher_id: int | None
    created_at: datetime | None
    updated_at: datetime | None
    is_point: bool = False


class CityAbsence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    id: int
    pupil_id: int
    lesson_id: int
    on: date | None
    reason_id: int | None


class CityHomework(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A homework with its entries flattened: one text, one list of pupils."""

    id: int
    group_id: int
    subject_id: int
    teacher_id: int | None
    assigned_on: date
    prepared_for: date
    text: str
    pupil_ids: tuple[int, ...]
    updated_at: datetime | None = None


class CityComment(msgspec.Struct, frozen=True, kw_only=True):
    """A remark on a pupil at a lesson.

    Attributes:
        form: `late` where its whole text is the city's letter for being late (a setting), else `remark`.
    """

    id: int
    pupil_id: int
    lesson_id: int
    form: Literal["late", "remark"]
    text: str
    teacher_id: int | None = None
    on: date | None = None


class CityFinal(msgspec.Struct, frozen=True, kw_only=True):
    """A final mark; one a pupil, subject, year, form and period.

    Attributes:
        value: As shown; «А/З» is an academic debt, and empty where only a flag stands («не аттестован»).
        period_id: 0 where the form is not `period`.
    """

    id: int
    pupil_id: int
    group_id: int
    subject_id: int
    form: FinalForm
    period_id: int
    value: str
    on: date | None = None
    updated_at: datetime | None = None


class CityTopics(msgspec.Struct, frozen=True, kw_only=True):
    """The КТП of one group, its sections and topics flattened: the n-th entry is the n-th lesson.

    Attributes:
        is_shared: Several groups are taught by it: changing it would change theirs.
        calendar_id: The calendar plan that gives its lessons their dates; None where it is not published.
    """

    id: int
    group_id: int
    name: str
    lessons: tuple[PlannedLesson, ...]
    is_shared: bool = False
    calendar_id: int | None = None
    on: date | None = None


CityObject = CityMark | CityAbsence | CityHomework | CityComment | CityFinal | CityTopics


class MarkIntent(msgspec.Struct, frozen=True, kw_only=True, tag="mark", gc=False):
    """What we ask the city to hold in one cell. Value, weight and form are one atom."""

    pupil_id: int
    lesson_id: int
    group_id: int
    subject_id: int
    teacher_id: int
    on: date
    value: str
    weight: int
    form_id: int
    grade_system_id: int

    @property
    def object_key(self) -> str:
        """What is ordered and fenced together: the cell."""
        return f"mark/{self.pupil_id}/{self.lesson_id}"


class AbsenceIntent(msgspec.Struct, frozen=True, kw_only=True, tag="absence", gc=False):
    pupil_id: int
    lesson_id: int
    group_id: int
    teacher_id: int
    on: date
    reason_id: int

    @property
    def object_key(self) -> str:
        """The cell: one absence a pupil and lesson."""
        return f"absence/{self.pupil_id}/{self.lesson_id}"


class HomeworkIntent(msgspec.Struct, frozen=True, kw_only=True, tag="homework", gc=False):
    """Natural key: group, subject, both dates, teacher. Text and pupils are attributes, never part of a key."""

    group_id: int
    subject_id: int
    teacher_id: int
    assigned_on: date
    prepared_for: date
    text: str
    pupil_ids: tuple[int, ...]

    @property
    def object_key(self) -> str:
        """The natural key without the text."""
        return (
            f"homework/{self.group_id}/{self.subject_id}/{self.assigned_on:%Y%m%d}/{self.prepared_for:%Y%m%d}"
            f"/{self.teacher_id}"
        )


class CommentIntent(msgspec.Struct, frozen=True, kw_only=True, tag="comment"):
    """A remark, or the letter for being late, at one lesson of a pupil."""

    pupil_id: int
    lesson_id: int
    group_id: int
    subject_id: int
    teacher_id: int
    on: date
    form: Literal["late", "remark"]
    text: str

    @property
    def object_key(self) -> str:
        """The cell and the form: being late and a remark stand beside each other."""
        return f"comment/{self.pupil_id}/{self.lesson_id}/{self.form}"


class FinalIntent(msgspec.Struct, frozen=True, kw_only=True, tag="final"):
    """A final mark.

    Attributes:
        on: Last day of its period, or of the year's last one: the day by which it is locked.
        period_id: The period of the group's own schedule; 0 where the form is not `period`.
        grade_system: `five` or `approve`.
    """

    pupil_id: int
    group_id: int
    subject_id: int
    teacher_id: int
    on: date
    form: FinalForm
    period_id: int
    value: str
    grade_system: str

    @property
    def object_key(self) -> str:
        """Pupil, subject, form and period: the city takes no second one (V9)."""
        return f"final/{self.pupil_id}/{self.subject_id}/{self.form}/{self.period_id}"


class TopicsIntent(msgspec.Struct, frozen=True, kw_only=True, tag="topics"):
    """The whole КТП of a group; it is put into the plan that stands there, an empty one included.

    Attributes:
        on: First day of the school year: a plan is of no single day.
    """

    plan_id: int
    calendar_id: int | None
    group_id: int
    subject_id: int
    teacher_id: int
    on: date
    name: str
    lessons: tuple[PlannedLesson, ...]

    @property
    def object_key(self) -> str:
        """One plan a group."""
        return f"topics/{self.group_id}"


Intent = MarkIntent | AbsenceIntent | HomeworkIntent | CommentIntent | FinalIntent | TopicsIntent

INTENT_KINDS: dict[type[msgspec.Struct], Kind] = {
    MarkIntent: Kind.MARK,
    AbsenceIntent: Kind.ABSENCE,
    HomeworkIntent: Kind.HOMEWORK,
    CommentIntent: Kind.COMMENT,
    FinalIntent: Kind.FINAL,
    TopicsIntent: Kind.TOPICS,
}


def day_of_intent(intent: Intent) -> date:
    """The Moscow day of an intent: of its lesson, of the setting of homework, of the end of a final mark's period."""
    return intent.assigned_on if isinstance(intent, HomeworkIntent) else intent.on


def pupils_of(intent: Intent) -> tuple[int, ...]:
    """The city's numbers of the pupils an intent is about."""
    if isinstance(intent, HomeworkIntent):
        return intent.pupil_ids
    pupil_id = getattr(intent, "pupil_id", None)
    return () if pupil_id is None else (pupil_id,)


class MarkAtom(msgspec.Struct, frozen=True, gc=False):
    """The part of a mark that is compared three ways."""

    value: str
    weight: int
    form_id: int


class AbsenceAtom(msgspec.Struct, frozen=True, gc=False):
    reason_id: int


class HomeworkAtom(msgspec.Struct, frozen=True, gc=False):
    text: str
    prepared_for: date
    pupil_ids: tuple[int, ...]


class CommentAtom(msgspec.Struct, frozen=True):
    text: str


class FinalAtom(msgspec.Struct, frozen=True):
    value: str


class TopicsAtom(msgspec.Struct, frozen=True):
    """(section, topic) in order. The plan's name and the flags that a person sets there are not compared."""

    lessons: tuple[tuple[str, str], ...]


Atom = MarkAtom | AbsenceAtom | HomeworkAtom | CommentAtom | FinalAtom | TopicsAtom
