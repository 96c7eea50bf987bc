"""The rows that a planner gives, in the door's own spelling: these models are the contract.

`docs/reference/planner-door.md` and the JSON Schema beside it are made from them. Strict on purpose: the door is ours, so
a field that we do not know is a mistake of whoever fills it, and it is told by its place before anything is stored.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

LONG_CHARS = 4000
"""Longest free text: the city cuts a homework at 4 000."""

NO_CONTROLS = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
"""Texts have no control characters but tab and line ends: no database keeps all of them, and no page shows them."""

Id = Annotated[str, StringConstraints(strict=True, pattern=r"^[^\s\x00-\x1f\x7f-\x9f|/]{1,80}$")]
Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200, pattern=NO_CONTROLS)]
LongText = Annotated[str, StringConstraints(strict=True, max_length=LONG_CHARS, pattern=NO_CONTROLS)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EntryRow(_Row):
    """Who brought a row in."""

    typed_by: Id | Literal[""] = ""
    """`id` of the person whose hands typed it."""
    on_behalf_of: Id | Literal[""] = ""
    """`id` of the person at whose word, where that is another one (a curator types for a teacher)."""
    answers: Id | Literal[""] = ""
    """`id` of the person who answers for it; empty = the group's teacher."""


class PersonRow(_Row):
    """A pupil or a teacher."""

    id: Id
    role: Literal["pupil", "teacher"]
    last_name: Name
    first_name: Name
    middle_name: Name | None = None
    birth_on: date | None = None
    class_name: Name | None = None
    person_id: Name | None = None
    """The city's person id (UUID of the contingent): what tells that two records are one child."""
    school_id: Name | None = None
    """The school's own id, the same as at the portal."""
    is_active: bool = True


class SubjectRow(_Row):
    """What is taught."""

    id: Id
    name: Name


class GroupRow(_Row):
    """Pupils taught one subject together."""

    id: Id
    subject: Id
    name: Name
    class_name: Name | None = None
    pupils: tuple[Id, ...] = ()
    """`id` of each pupil who is in it now: how a pupil who left is told from a mark that was cleared."""
    teachers: tuple[Id, ...] = ()


class _Entered(_Row):
    entry: EntryRow | None = None
    """Who brought it in; absent = the planner does not know."""


class LessonRow(_Row):
    """One lesson of one group."""

    id: Id
    starts_at: AwareDatetime
    """With its offset: `2026-11-23T09:00:00+03:00`; within two years of the day it is read."""
    duration_min: Annotated[int, Field(strict=True, ge=5, le=480)] = 45
    form: Literal["offline", "online"] = "offline"
    topic: LongText | None = None


class MarkRow(_Entered):
    """A mark on a lesson's page."""

    id: Id
    pupil: Id
    lesson: Id
    value: Annotated[float, Field(ge=0, le=1000)]
    """Points out of `maximum`; of 5 it is the mark itself."""
    maximum: Annotated[float, Field(gt=0, le=1000)] = 5.0
    work: Annotated[str, StringConstraints(strict=True, max_length=200, pattern=NO_CONTROLS)] = ""
    """Kind of work («Контрольная работа»); empty = the page does not say."""
    weight: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    comment: LongText | None = None


class AbsenceRow(_Entered):
    """A pupil not, or not fully, at a lesson. Reasons are health data: there is no field for them."""

    id: Id
    pupil: Id
    lesson: Id
    form: Literal["absent", "excused", "late"]


class HomeworkRow(_Entered):
    """A task given to a group."""

    id: Id
    title: LongText = ""
    text: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=LONG_CHARS, pattern=NO_CONTROLS)]
    assigned_on: date
    """Within two years of the day it is read, as `prepared_for`."""
    prepared_for: date
    pupils: tuple[Id, ...] = ()
    """Only these pupils; empty = the whole group."""


ROWS: dict[str, type[BaseModel]] = {
    "people": PersonRow,
    "subjects": SubjectRow,
    "groups": GroupRow,
    "lessons": LessonRow,
    "marks": MarkRow,
    "absences": AbsenceRow,
    "homework": HomeworkRow,
}
"""Book → its row. The first three are of the whole school, the others a book a group."""
SITE_BOOKS = ("people", "subjects", "groups")
GROUP_BOOKS = ("lessons", "marks", "absences", "homework")


class Page(BaseModel):
    """One page of a book, asked for by `GET /v1/BOOK?page=N` or `GET /v1/groups/ID/BOOK?page=N`, N from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    book: str
    group: str | None = None
    revision: Annotated[str, StringConstraints(max_length=100)]
    """Changes whenever the book changes; pages of different revisions are never put together."""
    page: Annotated[int, Field(ge=1)]
    pages: Annotated[int, Field(ge=1)]
    total: Annotated[int, Field(ge=0)]
    """Rows of the whole book: proof that none is missing."""
    rows: list[dict[str, object]]


class Batch(BaseModel):
    """A whole book as it is pushed: it replaces what was pushed of that book before."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    book: Literal["people", "subjects", "groups", "lessons", "marks", "absences", "homework"]
    group: Id | None = None
    """Of a book of a group: which."""
    revision: Annotated[int, Field(ge=1)]
    """Grows with every push of that book; an older one that comes late is refused, the same one changes nothing."""
    total: Annotated[int, Field(ge=0)]
    """Rows that were meant to be sent: fewer or more of them refuse the batch."""
    rows: list[dict[str, object]]
