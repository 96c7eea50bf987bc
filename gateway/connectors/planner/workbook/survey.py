"""The first look through a folder: everything but the cells of the pages, which are read when their turn comes.

After it the reader knows who is in which class, when which lesson is, and which sheets belong to which group. Pages are the only
thing that grows with the year, so they are not kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.connectors.planner.workbook.book import open_book
from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.entries import (
    AnyEntry,
    CellEntry,
    CurriculumEntry,
    LessonEntry,
    PageEntry,
    PagePupil,
    PlanEntry,
    ProgrammeEntry,
    PupilEntry,
    RemarkEntry,
    SlotEntry,
)
from gateway.connectors.planner.workbook.faults import CellError, Fault, Place
from gateway.connectors.planner.workbook.folder import WAITING, FoundFile
from gateway.connectors.planner.workbook.lint import iter_checked
from gateway.connectors.planner.workbook.names import GroupKey
from gateway.connectors.planner.workbook.reading import SheetReading
from gateway.connectors.planner.workbook.sheets import Caps, Sheet
from gateway.domain.reasons import WB_HIDDEN_SHEET, WB_TOO_MANY_ROWS

MOST_ENTRIES = 300_000
"""Rows of one file that are kept before it is refused: a hundred times a school's largest list."""


@dataclass
class Sheets:
    """What is kept of one file.

    Attributes:
        pages: Group → numbers of the sheets that are its pages.
        broken: Sheets that could not be read, with the reason: what stood in them is unknown.
        places: Sheet number → its place, for faults found later.
    """

    file: FoundFile
    problem: CellError | None = None
    pupils: list[tuple[Place, PupilEntry]] = field(default_factory=list)
    slots: list[tuple[Place, SlotEntry]] = field(default_factory=list)
    lessons: list[tuple[Place, LessonEntry]] = field(default_factory=list)
    listed: list[tuple[Place, PageEntry]] = field(default_factory=list)
    remarks: list[tuple[Place, RemarkEntry]] = field(default_factory=list)
    plans: list[tuple[Place, PlanEntry]] = field(default_factory=list)
    programmes: list[tuple[Place, ProgrammeEntry]] = field(default_factory=list)
    curriculum: list[tuple[Place, CurriculumEntry]] = field(default_factory=list)
    pages: dict[GroupKey, list[int]] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    broken: dict[int, Fault] = field(default_factory=dict)
    places: dict[int, Place] = field(default_factory=dict)

    @property
    def is_waiting(self) -> bool:
        """Whether it will be readable without anybody's doing."""
        return self.problem is not None and self.problem.code in WAITING

    def keep_subject(self, subject: str, key: str) -> None:
        """Remember how a subject is written where it stands first."""
        self.subjects.setdefault(key, subject)


def survey(files: Sequence[FoundFile], reader: Reader, caps: Caps) -> list[Sheets]:
    """Look the files through, in their order; what is wrong with one stays with it."""
    return [_survey_file(file, reader, caps) for file in files]


def _survey_file(file: FoundFile, reader: Reader, caps: Caps) -> Sheets:
    kept = Sheets(file)
    if file.problem:
        kept.problem = CellError(file.problem)
        return kept
    try:
        with open_book(file.path, caps) as book:
            for number, sheet in enumerate(book):
                if sheet.is_hidden:
                    _note_hidden(kept, sheet, reader)
                    continue
                kept.places[number] = Place(file=file.path.name, sheet=sheet.name)
                try:
                    _keep_sheet(kept, number, SheetReading(sheet, kept.places[number], reader))
                except CellError as exc:
                    kept.broken[number] = kept.places[number].fault(exc.code, detail=exc.detail)
    except CellError as exc:
        kept.problem = exc
    return kept


def _note_hidden(kept: Sheets, sheet: Sheet, reader: Reader) -> None:
    """Tell of a hidden sheet that looks like one of ours; lists behind a form are nobody's business."""
    place = Place(file=kept.file.path.name, sheet=sheet.name)
    try:
        is_ours = not SheetReading(sheet, place, reader).is_empty
    except CellError:  # so it is none of ours
        return
    if is_ours:
        kept.faults.append(place.fault(WB_HIDDEN_SHEET))


def _keep_sheet(kept: Sheets, number: int, reading: SheetReading) -> None:
    """Keep what a sheet says.

    Raises:
        CellError: More rows than any school has.
    """
    place = reading.place
    counts: Counter[str] = Counter()
    for item in iter_checked(reading):
        counts["rows"] += not isinstance(item, CellEntry)
        if counts["rows"] > MOST_ENTRIES:
            raise CellError(WB_TOO_MANY_ROWS, f"допустимо {MOST_ENTRIES}")
        if isinstance(item, Fault):
            if item.is_lost and reading.layout != "page":
                kept.faults.append(item)
            elif item.is_lost and item.row is None:
                kept.broken[number] = item
        else:
            _keep_entry(kept, number, place, item, is_page=reading.layout == "page")


def _keep_entry(kept: Sheets, number: int, place: Place, item: AnyEntry, *, is_page: bool) -> None:
    match item:
        case PupilEntry():
            kept.pupils.append((place, item))
        case PlanEntry():
            kept.plans.append((place, item))
        case ProgrammeEntry():
            kept.programmes.append((place, item))
        case CurriculumEntry():
            kept.curriculum.append((place, item))
        case SlotEntry():
            kept.slots.append((place, item))
        case LessonEntry():
            kept.lessons.append((place, item))
        case RemarkEntry() if not is_page:
            kept.remarks.append((place, item))
        case PagePupil() | PageEntry():
            key = GroupKey.of(item.class_name, item.subject, item.group)
            if is_page:
                numbers = kept.pages.setdefault(key, [])
                if number not in numbers:
                    numbers.append(number)
            elif isinstance(item, PageEntry):
                kept.listed.append((place, item))
    if not isinstance(item, PupilEntry):
        kept.keep_subject(item.subject, GroupKey.of("", item.subject, None).subject)


def iter_pages(
    kept: Sheets, key: GroupKey, reader: Reader, caps: Caps
) -> Iterator[tuple[SheetReading, AnyEntry | Fault]]:
    """Read a group's pages of a file again, this time cell by cell.

    Raises:
        CellError: The file is no longer what it was.
    """
    wanted = kept.pages.get(key, [])
    if not wanted:
        return
    with open_book(kept.file.path, caps) as book:
        for number, sheet in enumerate(book):
            if number in wanted:
                reading = SheetReading(sheet, kept.places[number], reader)
                for item in reading.iter_entries():
                    yield reading, item
