"""Reads a sheet: finds its table and turns its rows into entries and faults, one at a time.

The last step that knows sheets; `records` makes canonical records of the entries, `lint` a report of the faults.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar, cast

import msgspec

from gateway.connectors.planner.workbook.cells import PersonName, Reader, is_blank, read_hours, read_short
from gateway.connectors.planner.workbook.ends import FinalColumn, read_final_cell
from gateway.connectors.planner.workbook.entries import (
    AnyEntry,
    CurriculumEntry,
    FinalEntry,
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
from gateway.connectors.planner.workbook.heads import HEAD_ROWS, Table, find_table
from gateway.connectors.planner.workbook.layouts import LayoutName
from gateway.connectors.planner.workbook.marks import PageCell, read_page_cell
from gateway.connectors.planner.workbook.rows import Line, Section, Total, iter_lines, require_own_cell
from gateway.connectors.planner.workbook.sheets import Row, Sheet
from gateway.connectors.planner.workbook.words import head_key, is_no_lesson, plain
from gateway.domain.reasons import (
    WB_CLASS,
    WB_COLUMN_UNREAD,
    WB_DATE,
    WB_EMPTY_CELL,
    WB_HOURS,
    WB_HOURS_SUM,
    WB_MERGED,
    WB_TITLE_MISSING,
)

T = TypeVar("T")
_WHOSE = ("full_name", "last_name")
_STRAY_COLUMNS = 300
"""How far right of a page without any day marks are looked for."""
_WEEK_HOURS = 40
"""More hours than this in one grade and subject are a year's."""


class SheetReading:
    """A sheet whose table is found.

    Args:
        sheet: The sheet; its rows are read anew by each `iter_entries`.
        place: File and sheet, for faults.
        reader: The school year and today.

    Raises:
        CellError: No table is found, or the sheet can't be read.
    """

    def __init__(self, sheet: Sheet, place: Place, reader: Reader) -> None:
        self.place = place
        self.is_empty = False
        self.is_whole = True
        """Whether all columns of a page were read; known when the entries are over."""
        self._undated: set[int] = set()
        self._sheet = sheet
        self._reader = reader
        first = list(islice(sheet.iter_rows(), HEAD_ROWS))
        self.is_empty = not any(not is_blank(cell) for row in first for cell in row.cells)
        if not self.is_empty:
            self.table: Table = find_table(sheet.title, first, reader.year)
            said = self.table.title
            self.place = msgspec.structs.replace(
                place, typed_by=said.typed_by, on_behalf_of=said.on_behalf_of, answers=said.answers
            )

    @property
    def layout(self) -> LayoutName:
        """What kind of sheet it is."""
        return self.table.layout.name

    def iter_entries(self) -> Iterator[AnyEntry | Fault]:
        """Read the rows: what is in order as entries, everything else as faults, in the order of the sheet."""
        if self.is_empty:
            return
        for column in self.table.unread:
            yield self._unread_column(column)
        readers: dict[str, Callable[[], Iterator[AnyEntry | Fault]]] = {
            "roster": self._iter_roster,
            "timetable": self._iter_timetable,
            "grid": self._iter_grid,
            "lessons": self._iter_lessons,
            "entries": self._iter_listed,
            "page": self._iter_page,
            "ktp": self._iter_plan,
            "programme": self._iter_plan,
            "plan": self._iter_curriculum,
        }
        try:
            yield from readers[self.layout]()
        except CellError as exc:
            self.is_whole = False
            yield self.place.fault(exc.code, detail=exc.detail)

    @cached_property
    def _own_columns(self) -> frozenset[int]:
        """Columns whose cells say something of their own: of a lesson, a period, a grade."""
        table = self.table
        listed = {table.columns[key] for key in ("marks", "comment") if key in table.columns}
        return frozenset({*table.days, *table.remarks, *table.finals, *table.levels, *listed})

    @cached_property
    def _name_columns(self) -> tuple[int, ...]:
        """Columns that say whose a row is; only of a page, for a row of a list is a lesson of its own."""
        columns = self.table.columns if self.layout == "page" else {}
        return tuple(columns[key] for key in _WHOSE if key in columns)

    def days(self) -> list[tuple[int, date, int]]:
        """A page's columns: (column, day, which of the group's lessons of that day)."""
        counts: Counter[date] = Counter()
        found = []
        for column in sorted(self.table.days):
            day = self.table.days[column]
            counts[day] += 1
            found.append((column, day, counts[day]))
        return found

    def remark_days(self) -> list[tuple[int, date, int]]:
        """A page's columns of remarks: (column, day, which lesson of that day: the one whose column stands before it)."""
        days = self.days()
        return [
            (column, day, max((nth for at, of, nth in days if of == day and at < column), default=1))
            for column, day in sorted(self.table.remarks.items())
        ]

    def doubtful_days(self) -> set[date]:
        """Days beside a column without a day: it may be one more lesson of theirs, so which lesson is which is not sure."""
        near = {column + step for column in self._undated for step in (-1, 1)}
        return {day for column, day in self.table.days.items() if column in near}

    def _unread_column(self, column: int) -> Fault:
        is_dated = bool(self.table.days) or not self.table.finals
        if self.layout == "page" and is_dated and column > max(self.table.columns.values()):
            self.is_whole = False
            self._undated.add(column)
            return self.place.fault(WB_DATE, row=self.table.head_row, column=column)
        return self.place.fault(WB_COLUMN_UNREAD, row=self.table.head_row, column=column, is_lost=False)

    def _rows(self) -> Iterator[Row]:
        return self._sheet.iter_rows()

    def _lines(self, *, sections: bool = False, idle: int | None = None) -> Iterator[Line | Total | Section | Fault]:
        """The rows; the first one in order needs to know whose it is.

        Raises:
            CellError: Neither the rows nor the title say the class and the subject.
        """
        for line in iter_lines(self.table, self._rows(), self.place, self._reader, sections=sections, idle=idle):
            if isinstance(line, Line):
                self._check_title()
            yield line

    def _check_title(self) -> None:
        title = self.table.title
        said = {"class_name": title.class_name, "level": title.class_name, "subject": title.subject}
        lacking = [name for name in self.table.layout.from_title if name not in self.table.columns]
        if any(said[name] is None for name in lacking):
            raise CellError(WB_TITLE_MISSING)
        if "class_name" in lacking and title.class_name is not None and title.class_name.isdecimal():
            raise CellError(WB_CLASS, "нужен класс с литерой")

    def _iter_roster(self) -> Iterator[AnyEntry | Fault]:
        for line in self._lines():
            if isinstance(line, Fault):
                yield line
            elif isinstance(line, Line):
                values = self._titled(line, "class_name")
                yield PupilEntry(
                    row=line.row.number,
                    name=_name(values),
                    **_only(values, "class_name", "birth_on", "school_id", "person_id", "guardian_name"),
                    **_only(values, "guardian_email", "guardian_phone"),
                )

    def _iter_timetable(self) -> Iterator[AnyEntry | Fault]:
        for line in self._lines(idle=self.table.columns.get("subject")):
            if isinstance(line, Fault):
                yield line
            elif isinstance(line, Line):
                values = self._titled(line, "class_name")
                if "weekday" not in values and "day" not in values:
                    yield self.place.fault(WB_EMPTY_CELL, row=line.row.number, head="День недели")
                    continue
                yield SlotEntry(
                    row=line.row.number,
                    **_only(values, "class_name", "subject", "group", "weekday", "day", "ordinal", "starts", "ends"),
                    **_only(values, "form", "from_on", "to_on"),
                )

    def _iter_grid(self) -> Iterator[AnyEntry | Fault]:
        counts: Counter[tuple[int, str]] = Counter()
        for line in self._lines():
            if isinstance(line, Fault):
                yield line
            elif isinstance(line, Line):
                weekday = cast("int", line.values["weekday"])
                for column, class_name in sorted(self.table.levels.items()):
                    block = line.row.block_at(column) if column in line.row.merged else None
                    # a class covered by its neighbour's cell is told that it is, and not left without the lesson
                    first = block.first_column if block is not None else column
                    try:
                        text = _short(line.row, first if first in self.table.levels else column, self._reader)
                    except CellError as exc:
                        yield self.place.fault(exc.code, row=line.row.number, column=column, detail=exc.detail)
                        continue
                    if text is None or is_no_lesson(text):
                        continue
                    if block is not None:
                        number = line.row.number
                        yield self.place.fault(WB_MERGED, row=number, column=column, detail=block.address)
                        continue
                    counts[weekday, class_name] += 1
                    yield SlotEntry(
                        row=line.row.number,
                        column=column,
                        class_name=class_name,
                        subject=plain(text.splitlines()[0]),
                        weekday=weekday,
                        **_only(line.values, "ordinal", "starts"),
                    )

    def _iter_lessons(self) -> Iterator[AnyEntry | Fault]:
        for line in self._lines():
            if isinstance(line, Fault):
                yield line
            elif isinstance(line, Line):
                values = self._titled(line, "class_name", "subject", "group")
                yield LessonEntry(
                    row=line.row.number,
                    **_only(values, "class_name", "subject", "group", "day", "ordinal", "starts"),
                    **_only(values, "topic", "homework", "due_on"),
                )

    def _iter_listed(self) -> Iterator[AnyEntry | Fault]:
        column, remarks = self.table.columns.get("marks"), self.table.columns.get("comment")
        for line in self._lines():
            if isinstance(line, Fault):
                yield line
            elif isinstance(line, Line):
                values = self._titled(line, "class_name", "subject", "group")
                nth = cast("int", values.get("ordinal", 1))
                day = cast("date", values["day"])
                if column is not None:
                    yield from self._cell(line.row, column, values, day, nth)
                if remarks is not None:
                    yield from self._remark(line.row, remarks, values, day, nth)

    def _iter_page(self) -> Iterator[AnyEntry | Fault]:
        days = self.days()
        first = days[0][0] if days else max(self.table.columns.values()) + 1
        last = days[-1][0] if days else first + _STRAY_COLUMNS
        named = {*self.table.keys, *self.table.columns.values()}
        strays: set[int] = set()
        for line in self._lines():
            if isinstance(line, Fault):
                self.is_whole = False
                yield line
                continue
            if not isinstance(line, Line):
                continue
            for column, cell in enumerate(line.row.cells[first : last + 1], start=first):
                if column not in named and column not in strays and not is_blank(cell):
                    strays.add(column)
                    self._undated.add(column)
                    self.is_whole = False
                    yield self.place.fault(WB_DATE, row=self.table.head_row, column=column)
            values = self._titled(line, "class_name", "subject", "group")
            yield PagePupil(row=line.row.number, name=_name(values), **_only(values, "class_name", "subject", "group"))
            for column, day, nth in days:
                yield from self._cell(line.row, column, values, day, nth)
            for column, day, nth in self.remark_days():
                yield from self._remark(line.row, column, values, day, nth)
            for column, final in self.table.finals.items():
                yield from self._final(line.row, column, values, final)

    def _cell(self, row: Row, column: int, values: dict[str, object], day: date, nth: int) -> Iterator[PageEntry]:
        content, fault = self._try(row, column, f"{day:%d.%m.%Y}", lambda: read_page_cell(row.at(column)))
        if fault is not None or content is not None:
            yield PageEntry(
                row=row.number,
                column=column,
                name=_name(values),
                day=day,
                nth=nth,
                content=content or PageCell(),
                fault=fault,
                **_only(values, "class_name", "subject", "group", "ordinal"),
            )

    def _remark(self, row: Row, column: int, values: dict[str, object], day: date, nth: int) -> Iterator[RemarkEntry]:
        text, fault = self._try(row, column, f"{day:%d.%m.%Y}", lambda: read_short(row.at(column), self._reader))
        if fault is not None or text:
            yield RemarkEntry(
                row=row.number,
                column=column,
                name=_name(values),
                day=day,
                nth=nth,
                text=text or "",
                fault=fault,
                **_only(values, "class_name", "subject", "group", "ordinal"),
            )

    def _final(self, row: Row, column: int, values: dict[str, object], final: FinalColumn) -> Iterator[FinalEntry]:
        content, fault = self._try(
            row, column, final.period or final.form, lambda: read_final_cell(row.at(column), final)
        )
        if fault is not None or content is not None:
            yield FinalEntry(
                row=row.number,
                column=column,
                name=_name(values),
                final=final,
                content=content,
                fault=fault,
                **_only(values, "class_name", "subject", "group"),
            )

    def _try(self, row: Row, column: int, head: str, read: Callable[[], T | None]) -> tuple[T | None, Fault | None]:
        """What stands in a cell, or what is wrong with it."""
        try:
            require_own_cell(row, column, self._own_columns, self._name_columns)
            return read(), None
        except CellError as exc:
            return None, self.place.fault(exc.code, row=row.number, column=column, head=head, detail=exc.detail)

    def _iter_plan(self) -> Iterator[AnyEntry | Fault]:
        section: str | None = None
        total = section_total = 0.0
        number = 0
        is_short = False
        for line in self._lines(sections=True):
            if isinstance(line, Fault):
                is_short = True  # a row that was not taken is missing in every sum
                yield line
            elif isinstance(line, Section):
                section, section_total = line.text, 0.0
            elif isinstance(line, Total):
                if not is_short:
                    yield from self._check_total(line.row, total, section_total)
                section_total = 0.0
            else:
                values = self._titled(line, "level", "subject")
                values.setdefault("number", number + 1)
                number = cast("int", values["number"])
                values.setdefault("hours", 1.0)
                values.setdefault("section", section)
                hours = cast("float", values["hours"])
                if cast("float", values.get("control", 0)) + cast("float", values.get("practice", 0)) > hours:
                    is_short = True
                    yield self.place.fault(
                        WB_HOURS, row=line.row.number, column=self.table.columns.get("hours"), head="Количество часов"
                    )
                    continue
                total, section_total = total + hours, section_total + hours
                form = PlanEntry if self.layout == "ktp" else ProgrammeEntry
                names = ("control", "practice", "study", "homework") if form is PlanEntry else ("content", "activities")
                yield form(
                    row=line.row.number,
                    level_name=cast("str", values["level"]),
                    **_only(values, "subject", "number", "section", "topic", "hours", "resources", *names),
                )

    def _check_total(self, row: Row, total: float, section_total: float) -> Iterator[Fault]:
        column = self.table.columns.get("hours")
        try:
            said = None if column is None else read_hours(row.at(column), self._reader)
        except CellError:  # a formula, which is what a total row is made of
            return
        if said is not None and said not in (total, section_total):
            yield self.place.fault(WB_HOURS_SUM, row=row.number, column=column, head="Количество часов", is_lost=False)

    def _iter_curriculum(self) -> Iterator[AnyEntry | Fault]:
        above = " ".join([head_key(self._sheet.title), *self.table.keys.values()])
        for line in self._lines(sections=True):
            if isinstance(line, Fault):
                yield line
            elif isinstance(line, Line):
                listed = "hours" in line.values
                cells = [(self.table.columns["hours"], cast("str", line.values["level"]))] if listed else []
                for column, level_name in cells or sorted(self.table.levels.items()):
                    try:
                        require_own_cell(line.row, column, self._own_columns, self._name_columns)
                        hours = read_hours(line.row.at(column), self._reader)
                    except CellError as exc:
                        yield self.place.fault(
                            exc.code, row=line.row.number, column=column, head=level_name, detail=exc.detail
                        )
                        continue
                    if hours:
                        yield CurriculumEntry(
                            row=line.row.number,
                            column=column,
                            level_name=level_name,
                            subject=cast("str", line.values["subject"]),
                            hours=hours,
                            unit="year" if "в год" in above or hours > _WEEK_HOURS else "week",
                        )

    def _titled(self, line: Line, *names: str) -> dict[str, object]:
        """A row's values with what the title says where the table has no such column."""
        title = self.table.title
        said = {
            "class_name": title.class_name,
            "level": title.class_name,
            "subject": title.subject,
            "group": title.group,
        }
        return {name: value for name in names if (value := said[name]) is not None} | line.values


def _name(values: dict[str, object]) -> PersonName:
    whole = values.get("full_name")
    if isinstance(whole, PersonName):
        return whole
    return PersonName(
        cast("str", values["last_name"]),
        cast("str", values["first_name"]),
        cast("str | None", values.get("middle_name")),
    )


def _only(values: dict[str, object], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}


def _short(row: Row, column: int, reader: Reader) -> str | None:
    return read_short(row.at(column), reader)
