"""Canonical records: our one immutable form of a thing, whichever system it came from.

A record knows its `ref` (unique in system and kind) and the origin of its fields. References between records are refs,
never objects. Moments are aware UTC; `_on` is a civil day in Moscow. Raw facts stay raw: 4.5 of 5 points is stored so, and
what the city gets for it is decided by mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import ClassVar, Literal

import msgspec
import xxhash

from gateway.domain.identifiers import Kind


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who brought a record in: a teacher himself, or somebody else at his word (a curator, a methodist).

    Refs of people at the source where it has them, posts where it has not; never names. Empty = the source does not say.

    Attributes:
        typed_by: Whose hands typed it.
        on_behalf_of: At whose word.
        answers: Who answers for it; the group's teacher where nothing else is said.
        way: How it came in: `page`, `workbook`, `push`, `journal`, `portal`; `resolution` where a person decided since.
    """

    typed_by: str = ""
    on_behalf_of: str = ""
    answers: str = ""
    way: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What every record has.

    Attributes:
        ref: Id within (system, kind), e.g. `user:3`.
        origins: Field → external ref it was read from; `*` stands for all fields not named.
        entry: Who brought it in, where the source tells; left out of the body where it does not.
    """

    kind: ClassVar[Kind]
    ref: str
    origins: dict[str, str] = {}
    entry: Entry | msgspec.UnsetType = msgspec.UNSET


class Tenure(msgspec.Struct, frozen=True):
    """A person holding a post between two days, open where None (both ends included)."""

    person: str
    begins_on: date | None = None
    ends_on: date | None = None


class Programme(Record, frozen=True, kw_only=True):
    """A course of study (portal: course) or a module of it."""

    kind: ClassVar[Kind] = Kind.PROGRAMME
    name: str
    short_name: str
    form: Literal["course", "module"] = "course"
    begins_on: date | None = None
    ends_on: date | None = None
    curators: tuple[Tenure, ...] = ()


class Person(Record, frozen=True, kw_only=True):
    """A pupil or a teacher as one system knows them.

    Attributes:
        person_id: Value of the configured custom field that holds the city's person id; None where the portal has none.
    """

    kind: ClassVar[Kind] = Kind.PERSON
    role: Literal["pupil", "teacher"]
    last_name: str
    first_name: str
    middle_name: str | None = None
    birth_on: date | None = None
    class_name: str | None = None
    person_id: str | None = None
    school_id: str | None = None
    is_active: bool = True


class Subject(Record, frozen=True, kw_only=True):
    """What is taught; the dictionary ties it to the city's subject."""

    kind: ClassVar[Kind] = Kind.SUBJECT
    name: str


class Group(Record, frozen=True, kw_only=True):
    """Pupils taught one subject together (portal: course × group)."""

    kind: ClassVar[Kind] = Kind.GROUP
    programme: str
    subject: str
    name: str
    class_name: str | None = None


class Membership(Record, frozen=True, kw_only=True):
    """A pupil's place in a group between two days."""

    kind: ClassVar[Kind] = Kind.MEMBERSHIP
    person: str
    group: str
    begins_on: date | None = None
    ends_on: date | None = None


class TeachingAssignment(Record, frozen=True, kw_only=True):
    """A teacher's place at a group between two days; `substitutes` names the absent colleague."""

    kind: ClassVar[Kind] = Kind.ASSIGNMENT
    person: str
    group: str
    begins_on: date | None = None
    ends_on: date | None = None
    substitutes: str | None = None


class Period(Record, frozen=True, kw_only=True):
    """A marking period of a group's schedule (quarter, trimester, half-year)."""

    kind: ClassVar[Kind] = Kind.PERIOD
    name: str
    begins_on: date
    ends_on: date
    schedule: str


class Lesson(Record, frozen=True, kw_only=True):
    """One lesson of one group.

    Attributes:
        ordinal: Number among the group's lessons of that day, from 1.
    """

    kind: ClassVar[Kind] = Kind.LESSON
    group: str
    starts_at: datetime
    duration_min: int
    ordinal: int
    form: Literal["offline", "online"] = "offline"
    topic: str | None = None


class Scale(msgspec.Struct, frozen=True):
    """How a gradebook item counts: points between two bounds, or words of a scale counted from `minimum`."""

    form: Literal["points", "words"]
    minimum: float
    maximum: float


class Mark(Record, frozen=True, kw_only=True):
    """A gradebook cell with a value.

    Attributes:
        item: Gradebook item, e.g. `item:5`; `module` and `activity` say what stands behind it (`quiz`, `quiz:1`).
        raw_points: As the gradebook holds it.
        word: Shown word where the scale is one of words.
        due_at: Assignment's due date; `closes_at`: quiz's close; both facts of the item.
        lesson_at: Start of the lesson on whose page the mark stands, where the source has pages; then no rule looks for it.
        is_hidden: Hidden from the pupil at the source: out of scope, with a reason.
    """

    kind: ClassVar[Kind] = Kind.MARK
    pupil: str
    programme: str
    group: str | None
    item: str
    item_name: str
    item_number: str = ""
    item_form: Literal["mod", "manual"]
    module: str | None = None
    activity: str | None = None
    scale: Scale
    raw_points: float
    word: str | None = None
    weight: float | None = None
    due_at: datetime | None = None
    closes_at: datetime | None = None
    lesson_at: datetime | None = None
    graded_at: datetime | None = None
    comment: str | None = None
    category: str | None = None
    is_hidden: bool = False
    is_overridden: bool = False


class Absence(Record, frozen=True, kw_only=True):
    """A pupil not (fully) at a lesson. Reasons and remarks are health data and are not read.

    Attributes:
        form: `absent` and `excused` are both «н» for the city; `late` is not an absence.
    """

    kind: ClassVar[Kind] = Kind.ABSENCE
    pupil: str
    lesson: str
    group: str
    form: Literal["absent", "excused", "late"]


class Homework(Record, frozen=True, kw_only=True):
    """A task given to a group."""

    kind: ClassVar[Kind] = Kind.HOMEWORK
    group: str
    programme: str
    title: str
    text: str
    assigned_on: date
    prepared_for: date
    pupils: tuple[str, ...] = ()


class Attempt(Record, frozen=True, kw_only=True):
    """A pupil's attempt at an electronic test; unfinished ones are out of scope.

    Attributes:
        counting: Which attempt the test counts; points are on the test's own scale up to `maximum`.
    """

    kind: ClassVar[Kind] = Kind.ATTEMPT
    activity: str
    programme: str
    pupil: str
    number: int
    state: Literal["finished", "unfinished"]
    counting: Literal["highest", "average", "first", "last"]
    started_at: datetime | None = None
    finished_at: datetime | None = None
    points: float | None = None
    maximum: float | None = None


class Guardian(Record, frozen=True, kw_only=True):
    """How a pupil's parent or other representative is reached; only for notices, never sent to the city.

    Attributes:
        email: As written, checked only for its form; `phone` likewise.
    """

    kind: ClassVar[Kind] = Kind.GUARDIAN
    pupil: str
    name: str | None = None
    email: str | None = None
    phone: str | None = None


class LessonPlan(Record, frozen=True, kw_only=True):
    """A row of a calendar-thematic plan (КТП): what a lesson is about, wherever it falls.

    Attributes:
        number: Number of the lesson in the plan, from 1.
        level: Grade the plan is for; `class_name` where it is a class's own, `group` that class's group of the subject.
        hours: Academic hours; those of `control` and `practice` are among them.
        study_on: The day where one is written; `study_text` what else is written there, such as a week.
    """

    kind: ClassVar[Kind] = Kind.LESSON_PLAN
    programme: str
    subject: str
    level: int
    class_name: str | None = None
    group: str | None = None
    number: int
    section: str | None = None
    topic: str
    hours: float
    control: float = 0.0
    practice: float = 0.0
    study_on: date | None = None
    study_text: str | None = None
    homework: str | None = None
    resources: str | None = None


class CurriculumHours(Record, frozen=True, kw_only=True):
    """Hours of a subject in the school's curriculum (учебный план), for a grade or for one class.

    Attributes:
        unit: Whether `hours` are counted a week or a year.
    """

    kind: ClassVar[Kind] = Kind.CURRICULUM
    subject: str
    level: int
    class_name: str | None = None
    hours: float
    unit: Literal["week", "year"]


class ProgrammeSection(Record, frozen=True, kw_only=True):
    """A row of a work programme's thematic planning (рабочая программа)."""

    kind: ClassVar[Kind] = Kind.PROGRAMME_SECTION
    programme: str
    subject: str
    level: int
    number: int
    section: str | None = None
    topic: str
    hours: float
    content: str | None = None
    activities: str | None = None
    resources: str | None = None


FinalForm = Literal["period", "intermediate", "year", "final"]
"""The city's four kinds of final marks, in the order they are set (city-journal.md R12)."""


class Final(Record, frozen=True, kw_only=True):
    """A final mark of a pupil in a subject, set by a teacher; the gateway derives none.

    Attributes:
        form: `period` names its period; the other three are of the whole year.
        period: Number of the period in the group's own schedule (`1`), or its name there; None where `form` is not `period`.
        item: Gradebook item or cell it stands in.
        raw_points: As the source holds it, on `scale`; `word` where the scale is one of words (also a plain «5» or «зачёт»).
    """

    kind: ClassVar[Kind] = Kind.FINAL
    pupil: str
    group: str
    item: str
    item_name: str
    form: FinalForm
    period: str | None = None
    scale: Scale
    raw_points: float
    word: str | None = None
    set_at: datetime | None = None
    is_hidden: bool = False


class LessonComment(Record, frozen=True, kw_only=True):
    """A remark on a pupil at a lesson. Attendance remarks are health data and never become one.

    Attributes:
        form: `late` is told to the city by its one letter; `text` is the remark's own words.
    """

    kind: ClassVar[Kind] = Kind.COMMENT
    pupil: str
    lesson: str
    group: str
    form: Literal["late", "remark"]
    text: str = ""


class PlannedLesson(msgspec.Struct, frozen=True, kw_only=True):
    """One lesson of a lesson plan: its topic, and the section it belongs to.

    Attributes:
        module: Section of the plan; empty = the one before goes on.
    """

    topic: str
    module: str = ""
    has_homework: bool = False
    has_test: bool = False


class Topics(Record, frozen=True, kw_only=True):
    """What a group is taught, lesson by lesson: the n-th entry belongs to the n-th lesson that is held.

    Put together of the rows of its lesson plan, or of its lessons' own topics; no source hands it over as such.
    """

    kind: ClassVar[Kind] = Kind.TOPICS
    group: str
    name: str
    lessons: tuple[PlannedLesson, ...]


AnyRecord = (
    Programme
    | Person
    | Subject
    | Group
    | Membership
    | TeachingAssignment
    | Period
    | Lesson
    | Mark
    | Absence
    | Homework
    | Attempt
    | Guardian
    | LessonPlan
    | CurriculumHours
    | ProgrammeSection
    | LessonComment
    | Final
    | Topics
)

RECORD_TYPES: dict[Kind, type[Record]] = {
    cls.kind: cls
    for cls in (
        Programme,
        Person,
        Subject,
        Group,
        Membership,
        TeachingAssignment,
        Period,
        Lesson,
        Mark,
        Absence,
        Homework,
        Attempt,
        Guardian,
        LessonPlan,
        CurriculumHours,
        ProgrammeSection,
        LessonComment,
        Final,
        Topics,
    )
}

to_body: Callable[[object], bytes] = msgspec.json.Encoder(order="deterministic").encode
"""Encode a record as canonical JSON: same record, same bytes. The encoder's own method: a night calls it for every row."""

digest_of: Callable[[bytes], bytes] = xxhash.xxh3_128_digest
"""128 bits that stand for a body when two are compared.

Not a security measure: the audit uses SHA-256. xxh3 does 8 M bodies of 100 bytes a second and core.
"""


def xor_of(digests: Sequence[bytes]) -> bytes:
    """128 bits that stand for a set of rows in any order: all digests laid over one another.

    Folded as one large number, half over half, which is ten steps for a thousand digests.
    """
    whole = int.from_bytes(b"".join(digests), "big")
    count = len(digests)
    while count > 1:
        half = (count + 1) // 2
        whole = (whole & ((1 << 128 * half) - 1)) ^ (whole >> 128 * half)
        count = half
    return whole.to_bytes(16, "big")
