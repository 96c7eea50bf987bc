"""What a row of a workbook says, checked and in plain types: the connector's own words, one struct a kind of sheet.

Between the readers of rows and the canonical records: people are still names here, and nothing has been looked up.
"""

from __future__ import annotations

from datetime import date, time
from typing import Literal

import msgspec

from gateway.connectors.planner.workbook.cells import PersonName
from gateway.connectors.planner.workbook.ends import FinalCell, FinalColumn
from gateway.connectors.planner.workbook.faults import Fault
from gateway.connectors.planner.workbook.marks import PageCell


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What every entry has: its row, so that what is found wrong later can still be named there."""

    row: int


class PupilEntry(Entry, frozen=True, kw_only=True):
    """A pupil of a class list."""

    name: PersonName
    class_name: str
    birth_on: date | None = None
    school_id: str | None = None
    person_id: str | None = None
    guardian_name: str | None = None
    guardian_email: tuple[str, ...] = ()
    guardian_phone: tuple[str, ...] = ()


class SlotEntry(Entry, frozen=True, kw_only=True):
    """A place in the timetable: every week on a weekday, or once on a day."""

    class_name: str
    subject: str
    group: str | None = None
    weekday: int | None = None
    day: date | None = None
    ordinal: int | None = None
    starts: time | None = None
    ends: time | None = None
    form: Literal["offline", "online"] = "offline"
    from_on: date | None = None
    to_on: date | None = None
    column: int | None = None


class LessonEntry(Entry, frozen=True, kw_only=True):
    """What was taught and given out at a lesson."""

    class_name: str
    subject: str
    group: str | None = None
    day: date
    ordinal: int | None = None
    starts: time | None = None
    topic: str | None = None
    homework: str | None = None
    due_on: date | None = None


class PagePupil(Entry, frozen=True, kw_only=True):
    """A pupil who stands on a page, with or without anything in his cells: how «cleared» is told from «left»."""

    class_name: str
    subject: str
    group: str | None = None
    name: PersonName


class CellEntry(Entry, frozen=True, kw_only=True):
    """One cell of a pupil in a subject.

    Attributes:
        fault: Set where the cell is there and can't be read: then nothing is known of it.
    """

    class_name: str
    subject: str
    group: str | None = None
    name: PersonName
    fault: Fault | None = None
    column: int


class PageEntry(CellEntry, frozen=True, kw_only=True):
    """One cell of a journal's page.

    Attributes:
        nth: Which of the group's lessons of that day, from 1.
        ordinal: Number of the lesson in the school's day, where the sheet says it.
    """

    day: date
    nth: int
    ordinal: int | None = None
    content: PageCell


class RemarkEntry(CellEntry, frozen=True, kw_only=True):
    """A remark on a pupil at a lesson; `day`, `nth` and `ordinal` as of a page's cell."""

    day: date
    nth: int
    ordinal: int | None = None
    text: str = ""


class FinalEntry(CellEntry, frozen=True, kw_only=True):
    """A final mark of a pupil; `content` is None where the cell can't be read."""

    final: FinalColumn
    content: FinalCell | None = None


class PlanEntry(Entry, frozen=True, kw_only=True):
    """A row of a calendar-thematic plan."""

    level_name: str
    subject: str
    number: int
    section: str | None = None
    topic: str
    hours: float
    control: float = 0.0
    practice: float = 0.0
    study: date | str | None = None
    homework: str | None = None
    resources: str | None = None


class ProgrammeEntry(Entry, frozen=True, kw_only=True):
    """A row of a work programme's thematic planning."""

    level_name: str
    subject: str
    number: int
    section: str | None = None
    topic: str
    hours: float
    content: str | None = None
    activities: str | None = None
    resources: str | None = None


class CurriculumEntry(Entry, frozen=True, kw_only=True):
    """Hours of a subject in a grade or class."""

    level_name: str
    subject: str
    hours: float
    unit: Literal["week", "year"]
    column: int | None = None


AnyEntry = (
    PupilEntry
    | SlotEntry
    | LessonEntry
    | PagePupil
    | PageEntry
    | RemarkEntry
    | FinalEntry
    | PlanEntry
    | ProgrammeEntry
    | CurriculumEntry
)
