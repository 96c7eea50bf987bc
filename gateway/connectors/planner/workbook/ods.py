"""ODS, row by row in flat memory.

Repeated cells and rows are written once with a number beside them: a block of a billion cells fits in a hundred bytes, so
the caps count what a row comes to, and rows are handed out one at a time.

Source: OpenDocument 1.3 part 3, §9.1 (tables), §19.385 (value types).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time

from gateway.connectors.planner.workbook.cells import LONGEST_CHARS
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import FORMULA, Caps, Cell, Merge, Merges, Row
from gateway.connectors.planner.workbook.stream import (
    Attributes,
    LocalNames,
    build_parser,
    iter_parsed,
    open_part,
    parse_whole,
)
from gateway.domain.reasons import WB_TOO_MANY_COLUMNS, WB_TOO_MANY_ROWS

_DURATION = re.compile(r"PT(\d+)H(\d+)M(\d+)(?:[.,]\d+)?S")


class OdsBook:
    """An open document."""

    def __init__(self, archive: zipfile.ZipFile, caps: Caps) -> None:
        self._archive = archive
        self.caps = caps
        self._tables: list[tuple[str, str]] = []
        self._hidden_styles: set[str] = set()
        self._read_tables()

    def iter_sheets(self) -> Iterator[OdsSheet]:
        """The tables in the document's order."""
        for number, (name, style) in enumerate(self._tables):
            yield OdsSheet(self, number, name, is_hidden=style in self._hidden_styles)

    def open_content(self) -> zipfile.ZipExtFile:
        """Open the part that holds everything."""
        return open_part(self._archive, "content.xml")

    def _read_tables(self) -> None:
        names = LocalNames()
        style = ""

        def on_start(name: str, attributes: Attributes) -> None:
            nonlocal style
            local = names[name]
            if local == "style":
                style = _attribute(attributes, names, "name")
            elif local == "table-properties" and _attribute(attributes, names, "display") == "false":
                self._hidden_styles.add(style)
            elif local == "table":
                self._tables.append(
                    (_attribute(attributes, names, "name"), _attribute(attributes, names, "style-name"))
                )

        with self.open_content() as file:
            parse_whole(file, on_start=on_start)


def _attribute(attributes: Attributes, names: LocalNames, wanted: str) -> str:
    return next((value for key, value in attributes.items() if names[key] == wanted), "")


class OdsSheet:
    """One table; implements `sheets.Sheet`."""

    def __init__(self, book: OdsBook, number: int, name: str, *, is_hidden: bool) -> None:
        self.name = self.title = name
        self.is_hidden = is_hidden
        self._book = book
        self._number = number

    def iter_rows(self) -> Iterator[Row]:
        """Read row by row; empty rows are left out.

        Raises:
            CellError: The table can't be read further, or is beyond the caps.
        """
        rows = _RowEvents(self._book.caps, self._number)
        parser = build_parser(rows.on_start, rows.on_end, rows.on_text)
        merges = Merges([])
        with self._book.open_content() as file:
            for _ in iter_parsed(file, parser):
                for number, repeats, cells, spans in rows.ready:
                    if not any(cell is not None for cell in cells) and not spans:
                        continue
                    for offset in range(repeats):
                        if spans:
                            merges.add(spans, below=offset)
                        yield merges.apply(number + offset, list(cells))
                rows.ready.clear()
                if rows.is_over:
                    return


class _RowEvents:
    """Builds rows out of a document's XML events, of one table."""

    def __init__(self, caps: Caps, wanted: int) -> None:
        self.ready: list[tuple[int, int, list[Cell], list[Merge]]] = []
        self.is_over = False
        self._caps = caps
        self._wanted = wanted
        self._names = LocalNames()
        self._table = -1
        self._next_row = 1
        self._row_repeats = 1
        self._cells: list[Cell] = []
        self._column = 0
        self._spans: list[Merge] = []
        self._cell: Attributes = {}
        self._texts: list[str] = []
        self._is_text = 0
        self._notes = 0

    def on_start(self, name: str, attributes: Attributes) -> None:
        local = self._names[name]
        if local == "table":
            self._table += 1
            self.is_over = self._table > self._wanted
        if self._table != self._wanted:
            return
        if local in ("table-cell", "covered-table-cell"):
            self._cell = {self._names[key]: value for key, value in attributes.items()}
            self._texts = []
        elif local == "table-row":
            self._row_repeats = _count(_attribute(attributes, self._names, "number-rows-repeated"))
            self._cells, self._spans, self._column = [], [], 0
        elif local == "annotation":
            self._notes += 1
        elif local == "p" and not self._notes:
            if self._texts:
                self._texts.append("\n")
            self._is_text += 1
        elif local == "s" and self._is_text:
            self._texts.append(" " * min(_count(_attribute(attributes, self._names, "c")), LONGEST_CHARS))
        elif local in ("tab", "line-break") and self._is_text:
            self._texts.append("\t" if local == "tab" else "\n")

    def on_end(self, name: str) -> None:
        if self._table != self._wanted:
            return
        local = self._names[name]
        if local in ("table-cell", "covered-table-cell"):
            self._put()
        elif local == "table-row":
            has_content = any(cell is not None for cell in self._cells) or bool(self._spans)
            if has_content and self._next_row + self._row_repeats - 1 > self._caps.rows:
                raise CellError(WB_TOO_MANY_ROWS, f"допустимо {self._caps.rows}")
            self.ready.append((self._next_row, self._row_repeats, self._cells, self._spans))
            self._next_row += self._row_repeats
        elif local == "annotation":
            self._notes -= 1
        elif local == "p" and not self._notes:
            self._is_text -= 1
        elif local == "table":
            self.is_over = True

    def on_text(self, text: str) -> None:
        if self._is_text and not self._notes:
            self._texts.append(text)

    def _put(self) -> None:
        repeats = _count(self._cell.get("number-columns-repeated", ""))
        value = self._build()
        if value is not None:
            if self._column + repeats > self._caps.columns:
                raise CellError(WB_TOO_MANY_COLUMNS, f"допустимо {self._caps.columns}")
            self._cells.extend([None] * (self._column - len(self._cells)))
            self._cells.extend([value] * repeats)
        right, down = (_count(self._cell.get(f"number-{way}-spanned", "")) for way in ("columns", "rows"))
        if (right > 1 or down > 1) and self._column < self._caps.columns:
            first = self._next_row
            last_column = min(self._column + right, self._caps.columns) - 1
            self._spans.append(Merge(first, self._column, first + down - 1, last_column))
        self._column += repeats

    def _build(self) -> Cell:
        if self._cell.get("formula"):
            return FORMULA
        form = self._cell.get("value-type", "")
        text = "".join(self._texts)
        if form in ("float", "percentage", "currency"):
            try:
                return float(self._cell.get("value", ""))
            except ValueError:
                return text or None
        if form == "date":
            return _day(self._cell.get("date-value", "")) or text or None
        if form == "time":
            return _time(self._cell.get("time-value", "")) or text or None
        if form == "boolean":
            return self._cell.get("boolean-value") == "true"
        return self._cell.get("string-value") or text or None


def _count(text: str) -> int:
    """A repetition as a number, at least 1; eighteen digits are as good as endless."""
    return max(1, int(text)) if text.isdecimal() and len(text) < 19 else 1


def _time(text: str) -> time | None:
    found = _DURATION.fullmatch(text)
    try:
        return time(int(found[1]) % 24, int(found[2]), int(found[3])) if found else None
    except (ValueError, OverflowError):  # sixty minutes and more are no time of day
        return None


def _day(text: str) -> date | datetime | None:
    try:
        return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
    except ValueError:
        return None
