"""One exported workbook as sheets of named columns; nothing here knows what a mark is.

Between the file and `pages`. A workbook is data from outside: its size is looked at before it is unpacked, nothing in it
is executed, and what does not open is a fault of that file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

from gateway.connectors.mesh import codecs
from gateway.connectors.mesh.file.layout import Layout
from gateway.domain.clock import MOSCOW
from gateway.domain.errors import RecordError

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_UNPACKED_BYTES = 512 * 1024 * 1024
"""A school's whole year of one group unpacks to a few megabytes; a bomb to gigabytes."""

Cell = object


@dataclass(frozen=True)
class Row:
    """One row below the heads.

    Attributes:
        number: As the sheet counts it, from 1.
        cells: Everything in it, by column from 0.
    """

    number: int
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Sheet:
    """One sheet whose heads were found."""

    file: str
    name: str
    heads: Mapping[str, int]
    head_row: Row
    rows: Sequence[Row]

    def text(self, row: Row, head: str) -> str:
        """The text of a column; empty where there is none."""
        return to_text(self.value(row, head))

    def value(self, row: Row, head: str) -> Cell:
        """The cell of a column; an empty text where the sheet has no such column."""
        column = self.heads.get(head)
        return "" if column is None or column >= len(row.cells) else row.cells[column]

    def fault(self, row: Row, column: int | str, sentence: str) -> RecordError:
        """Name a cell that can't be read: file, sheet, and the cell as people call it; never what stands in it."""
        number = self.heads.get(column, 0) if isinstance(column, str) else column
        where = f"{self.file} / {self.name} / {letters(number)}{row.number}"
        return RecordError(sentence, where=where, reason="CONTRACT")


@dataclass
class Book:
    """A workbook as read.

    Attributes:
        titles: What stands beside «Группа», «Предмет» and the like, on any sheet.
        exported_at: When it was exported, aware UTC; the file's own time where it does not say.
    """

    file: str
    exported_at: datetime
    titles: dict[str, str] = field(default_factory=dict)
    sheets: dict[str, Sheet] = field(default_factory=dict)
    faults: list[RecordError] = field(default_factory=list)


def read_book(path: Path, layout: Layout) -> Book:
    """Read a workbook.

    Raises:
        RecordError: It is no workbook, too large, or half written.
    """
    try:
        stat = path.stat()
        _refuse_large(path, stat.st_size)
        workbook = CalamineWorkbook.from_path(path)
        book = Book(file=path.name, exported_at=datetime.fromtimestamp(stat.st_mtime, UTC))
        for name in workbook.sheet_names:
            rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
            _add_sheet(book, layout, name, rows)
    except (OSError, CalamineError, zipfile.BadZipFile, ValueError) as exc:
        raise RecordError("Книга не открывается: не таблица или записана не до конца", where=path.name) from exc
    told = book.titles.get("exported")
    if told is not None and (moment := to_moment(told)) is not None:
        book.exported_at = moment
    return book


def _refuse_large(path: Path, size: int) -> None:
    unpacked = size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(one.file_size for one in archive.infolist())
    if size > MAX_FILE_BYTES or unpacked > MAX_UNPACKED_BYTES:
        raise RecordError("Книга слишком велика для страницы журнала", where=path.name)


def _add_sheet(book: Book, layout: Layout, name: str, rows: Sequence[Sequence[Cell]]) -> None:
    kind = layout.kind_of(name)
    if kind is None:
        return
    for title, value in _iter_titles(layout, rows):
        book.titles.setdefault(title, value)
    found = layout.find_heads(kind, rows)
    if found is None:
        book.faults.append(RecordError("На листе нет нужных заголовков", where=f"{book.file} / {name}"))
        return
    number, heads = found
    book.sheets[kind] = Sheet(
        file=book.file,
        name=name,
        heads=heads,
        head_row=Row(number + 1, rows[number]),
        rows=[Row(at + 1, rows[at]) for at in range(number + 1, len(rows)) if any(to_text(cell) for cell in rows[at])],
    )


def _iter_titles(layout: Layout, rows: Sequence[Sequence[Cell]]) -> Iterator[tuple[str, str]]:
    for row in rows[:10]:
        for at, cell in enumerate(row[:-1]):
            title = layout.title_of(cell) if isinstance(cell, str) and cell.strip() else None
            value = next((told for one in row[at + 1 :] if (told := to_text(one))), "")
            if title is not None and value:
                yield title, value


def to_text(cell: Cell) -> str:
    """A cell as a person reads it: 5.0 is «5», a day is dd.MM.yyyy."""
    if isinstance(cell, datetime):
        return f"{cell:%d.%m.%Y %H:%M}"
    if isinstance(cell, date):
        return codecs.to_dotted(cell)
    if isinstance(cell, time):
        return f"{cell:%H:%M}"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell).strip()


def to_day(cell: Cell) -> date | None:
    """A day, typed or written; None where it is none."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    text = to_text(cell)[:10]
    for read in (codecs.from_dotted, codecs.from_dashed):
        try:
            return read(text)
        except codecs.FormError:
            continue
    return None


def to_time(cell: Cell) -> time | None:
    """A time of day; None where it is none. A bare number is a part of a day, as spreadsheets count."""
    if isinstance(cell, datetime):
        return cell.time()
    if isinstance(cell, time):
        return cell
    if isinstance(cell, timedelta):
        return (datetime(1900, 1, 1, tzinfo=UTC) + cell).time()
    try:
        return datetime.strptime(to_text(cell), "%H:%M").time()  # noqa: DTZ007  # a time of day has no zone
    except ValueError:
        return None


def to_moment(text: str) -> datetime | None:
    """`23.11.2026 19:30` in Moscow → aware UTC; None where it is none."""
    try:
        return codecs.from_dotted_minute(text)
    except codecs.FormError:
        return None


def to_utc(day: date, at: time) -> datetime:
    """A Moscow day and time → aware UTC."""
    return datetime.combine(day, at, MOSCOW).astimezone(UTC)


def letters(column: int) -> str:
    """Column from 0 → its letters: 0 is A, 26 is AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


__all__ = ["Book", "Row", "Sheet", "letters", "read_book", "to_day", "to_moment", "to_text", "to_time", "to_utc"]
