"""The pages of the journal, group by group: marks, absences, remarks, final marks, homework, against class list and timetable.

A cell that can't be read, whose pupil can't be told, or of which two sheets say different things, is parked under its own
ref: it says something, so what was read of it before is neither changed nor taken for cleared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from gateway.connectors.planner.workbook import records
from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.directories import Directories
from gateway.connectors.planner.workbook.entries import (
    CellEntry,
    FinalEntry,
    LessonEntry,
    PageEntry,
    PagePupil,
    RemarkEntry,
)
from gateway.connectors.planner.workbook.faults import CellError, Fault, Place
from gateway.connectors.planner.workbook.folder import digest_file
from gateway.connectors.planner.workbook.names import GroupKey, Names
from gateway.connectors.planner.workbook.page_ends import PageEnds, to_late_remarks
from gateway.connectors.planner.workbook.register import Slot
from gateway.connectors.planner.workbook.scopes import EMPTY, Lost, Scopes, fault_of, key_of
from gateway.connectors.planner.workbook.sheets import Caps
from gateway.connectors.planner.workbook.survey import Sheets, iter_pages
from gateway.connectors.port import ScopeRead
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import WB_CONTRADICTION, WB_DATE, WB_HALF_WRITTEN, WB_HOMEWORK_DAY
from gateway.domain.records import Record


@dataclass
class _Page:
    """A group's pages of one file as they are put together.

    Attributes:
        pupils: Refs of all who stand on them; `items` are their columns.
        doubtful: Days of which it is not sure which column is which lesson.
        ends: Final marks and remarks.
        is_whole: Whether every column and row could be read, so that absence may mean something.
        is_alone: Whether something of it hangs on a list or timetable that is in no file that could be read.
    """

    ends: PageEnds
    cells: dict[str, tuple[str, PageEntry, Place]] = field(default_factory=dict)
    marks: list[Record] = field(default_factory=list)
    absences: list[Record] = field(default_factory=list)
    lost_marks: Lost = field(default_factory=Lost)
    lost_absences: Lost = field(default_factory=Lost)
    pupils: set[str] = field(default_factory=set)
    items: set[str] = field(default_factory=set)
    doubtful: set[date] = field(default_factory=set)
    is_whole: bool = True
    is_alone: bool = False


class Pages:
    """Reads the pages of a folder.

    Args:
        directories: Class lists and timetable of the folder.
        names: Of the source.
        reader: The school year and today.
        caps: What a file may be at most.
        waiting: A file that is not there yet. What a page does not find may stand in it: then what was read of that page
            before stands.
    """

    def __init__(
        self, directories: Directories, names: Names, reader: Reader, caps: Caps, *, waiting: Sheets | None
    ) -> None:
        self._pupils = directories.pupils
        self._timetable = directories.timetable
        self._names = names
        self._reader = reader
        self._caps = caps
        self._waiting = waiting

    def iter_scopes(self, one: Sheets, scopes: Scopes) -> Iterator[ScopeRead]:
        """What the pages of a file hold, a group at a time; of a group within a class its members too."""
        listed: dict[GroupKey, list[tuple[Place, PageEntry]]] = defaultdict(list)
        for place, entry in one.listed:
            listed[key_of(entry)].append((place, entry))
        remarks: dict[GroupKey, list[tuple[Place, RemarkEntry]]] = defaultdict(list)
        for place, remark in one.remarks:
            remarks[key_of(remark)].append((place, remark))
        for key in sorted({*one.pages, *listed, *remarks}):
            if not scopes.is_wanted(key):
                continue
            try:
                page = self._read_page(one, key, [*listed.get(key, []), *remarks.get(key, [])])
                self._require_unchanged(one)
            except CellError as exc:
                fault = Place(file=one.file.path.name).fault(exc.code, detail=exc.detail)
                yield from self._unread(one, key, scopes, fault)
                continue
            if page.is_alone and self._waiting is not None:
                yield from self._unread(one, key, scopes, fault_of(self._waiting))
                continue
            # A row or column that can't be read may be any of the known ones: then nobody has left, nothing is cleared.
            pupils = frozenset(page.pupils) if page.is_whole else EMPTY
            items = frozenset(page.items)
            if key.group and page.is_whole:
                place = Place(file=one.file.path.name)
                members = [records.to_membership(self._names, key, pupil, place) for pupil in sorted(page.pupils)]
                yield from scopes.of_group(one, Kind.MEMBERSHIP, key, scopes.first(members))
            told = [*page.ends.remarks(page.doubtful), *to_late_remarks(page.absences)]
            for kind, found, lost in (
                (Kind.MARK, page.marks, page.lost_marks.all()),
                (Kind.ABSENCE, page.absences, page.lost_absences.all()),
                (Kind.COMMENT, told, page.ends.lost_remarks.all()),
            ):
                own = scopes.first(found)
                yield from scopes.of_group(one, kind, key, own, lost, pupils=pupils, items=items)
            if page.ends.items:
                own, columns = scopes.first(page.ends.finals()), frozenset(page.ends.items)
                faults = page.ends.lost_finals.all()
                yield from scopes.of_group(one, Kind.FINAL, key, own, faults, pupils=pupils, items=columns)

    def _unread(self, one: Sheets, key: GroupKey, scopes: Scopes, fault: Fault) -> Iterator[ScopeRead]:
        """Nothing is known of a group's pages now: what was read of them before stands."""
        for kind in (Kind.MARK, Kind.ABSENCE, Kind.COMMENT, Kind.FINAL):
            yield from scopes.of_group(one, kind, key, (), problem=fault.sentence)

    def _require_unchanged(self, one: Sheets) -> None:
        """Refuse what was read of a file that was written meanwhile.

        Raises:
            CellError: Its content is no longer what the survey saw.
        """
        try:
            if digest_file(one.file.path) != one.file.digest:
                raise CellError(WB_HALF_WRITTEN)
        except OSError as exc:
            raise CellError(WB_HALF_WRITTEN) from exc

    def _read_page(self, one: Sheets, key: GroupKey, listed: Sequence[tuple[Place, PageEntry | RemarkEntry]]) -> _Page:
        page = _Page(PageEnds(self._names, key, self._timetable))
        for place, entry in listed:
            page.items.add(self._item(key, entry.day, entry.nth, entry.ordinal))
            self._put(one, key, page, place, entry)
        for reading, item in iter_pages(one, key, self._reader, self._caps):
            if isinstance(item, Fault):
                if item.is_lost:
                    page.lost_marks.add_at(one, item)
            elif isinstance(item, PagePupil):
                self._put_pupil(one, key, page, reading.place, item)
            elif isinstance(item, CellEntry):
                self._put(one, key, page, reading.place, item)
            page.ends.items.update(records.final_item(self._names, key, of) for of in reading.table.finals.values())
            page.is_whole = page.is_whole and reading.is_whole
            page.items.update(self._item(key, day, nth) for _, day, nth in reading.days())
            page.doubtful |= reading.doubtful_days()
        for cell, (pupil, entry, place) in page.cells.items():
            if entry.day in page.doubtful and self._timetable.count(key, entry.day) != 1:
                fault = place.fault(WB_DATE, row=entry.row, column=entry.column, detail="рядом столбец без даты")
                self._park(page, cell, pupil, key, entry, fault)
            if cell not in page.lost_marks.by_where:
                self._to_records(key, page, pupil, entry, place)
        return page

    def _put_pupil(
        self, one: Sheets, key: GroupKey, page: _Page, place: Place, item: PagePupil | CellEntry
    ) -> str | None:
        """Note who stands in a row; one who can't be told is parked with all of it."""
        try:
            pupil = self._pupils.find(key.class_name, item.name)
        except CellError as exc:
            page.lost_marks.add_at(one, place.fault(exc.code, row=item.row, head="ФИО", detail=exc.detail))
            page.is_whole, page.is_alone = False, True
            return None
        page.pupils.add(pupil)
        return pupil

    def _put(self, one: Sheets, key: GroupKey, page: _Page, place: Place, entry: CellEntry) -> None:
        """Take a cell, of whatever column; that of a pupil who can't be told is parked with all of his."""
        pupil = self._put_pupil(one, key, page, place, entry)
        if pupil is None:
            return
        match entry:
            case PageEntry():
                self._put_cell(pupil, key, page, place, entry)
            case RemarkEntry():
                page.ends.put_remark(pupil, entry, place)
            case FinalEntry():
                page.ends.put_final(pupil, entry, place)

    def _put_cell(self, pupil: str, key: GroupKey, page: _Page, place: Place, entry: PageEntry) -> None:
        cell = self._names.cell("mark", pupil, key, entry.day, entry.nth)
        known = page.cells.setdefault(cell, (pupil, entry, place))
        fault = entry.fault
        if (known[1].content, known[1].fault is None) != (entry.content, entry.fault is None):
            fault = place.fault(WB_CONTRADICTION, row=entry.row, column=entry.column)
        if fault is not None:
            self._park(page, cell, pupil, key, entry, fault)

    def _park(self, page: _Page, cell: str, pupil: str, key: GroupKey, entry: PageEntry, fault: Fault) -> None:
        """Park all that a cell may have held; a lateness among it."""
        absence = self._names.cell("absence", pupil, key, entry.day, entry.nth)
        page.lost_marks.add(fault, cell)
        page.lost_absences.add(fault, absence)
        page.ends.lost_remarks.add(fault, records.late_ref(absence))

    def _to_records(self, key: GroupKey, page: _Page, pupil: str, entry: PageEntry, place: Place) -> None:
        slot: Slot | None = None
        try:
            slot = self._timetable.find(key, entry.day, entry.nth, entry.ordinal)
        except CellError as exc:
            page.is_alone = True
            if entry.content.absence is not None:
                fault = place.fault(exc.code, row=entry.row, column=entry.column, detail=exc.detail)
                absence_ref = self._names.cell("absence", pupil, key, entry.day, entry.nth)
                page.lost_absences.add(fault, absence_ref)
                if entry.content.absence == "late":
                    page.ends.lost_remarks.add(fault, records.late_ref(absence_ref))
        page.marks += records.iter_marks(self._names, key, pupil, entry, slot, place)
        absence = None if slot is None else records.to_absence(self._names, key, pupil, entry, slot, place)
        if absence is not None:
            page.absences.append(absence)

    def _item(self, key: GroupKey, day: date, nth: int, ordinal: int | None = None) -> str:
        try:
            slot: Slot | None = self._timetable.find(key, day, nth, ordinal)
        except CellError:  # a column of a page whose lesson is not in the timetable
            slot = None
        return records.column_item(self._names, key, day, nth, slot)

    def iter_homework(self, one: Sheets, scopes: Scopes) -> Iterator[ScopeRead]:
        """Homework of a file's lists of lessons."""
        by_group: dict[GroupKey, list[tuple[Place, LessonEntry]]] = defaultdict(list)
        for place, entry in one.lessons:
            by_group[key_of(entry)].append((place, entry))
        for key, entries in sorted(by_group.items(), key=lambda item: item[0]):
            found: list[Record] = []
            lost = Lost()
            days = sorted({entry.day for _, entry in entries})
            for place, entry in entries:
                if not entry.homework:
                    continue
                nth = entry.ordinal or 1
                after = next((day for day in days if day > entry.day), None)
                due_on = entry.due_on or self._timetable.next_day(key, entry.day) or after
                if due_on is None or due_on < entry.day:
                    ref = records.homework_ref(self._names, key, entry.day, nth)
                    lost.add(place.fault(WB_HOMEWORK_DAY, row=entry.row), ref)
                else:
                    found.append(records.to_homework(self._names, key, entry, nth, due_on, place))
            own = scopes.first(found)
            items = EMPTY if one.faults else frozenset(record.ref for record in own)
            yield from scopes.of_group(one, Kind.HOMEWORK, key, own, lost.all(), items=items)
