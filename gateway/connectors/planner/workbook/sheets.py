"""A workbook as its readers hand it up: sheets of rows of plain cells, one row at a time, whatever the file's format.

Between the formats (`xlsx`, `ods`, `xls`, `delimited`) and the meaning (`heads`, `tables`, `pages`). Nothing is evaluated
and nothing is guessed here; a row is gone from memory when the next one is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Protocol

import msgspec

from gateway.connectors.planner.workbook.faults import CellError, column_letters
from gateway.domain.reasons import WB_UNREADABLE


class Formula(msgspec.Struct, frozen=True):
    """A cell with a formula. What the spreadsheet last made of it is not kept: it may be stale, and nobody typed it."""


class Broken(msgspec.Struct, frozen=True):
    """A cell in which the spreadsheet shows an error of its own."""


Cell = str | int | float | bool | datetime | date | time | Formula | Broken | None
"""None is an empty cell. Numbers and days are what the file says they are; a day has no zone."""

MOST_OPEN = 1_024
"""Merged blocks that may lie side by side in one row: as many as columns are read."""
FORMULA = Formula()
BROKEN = Broken()


class Merge(msgspec.Struct, frozen=True, order=True):
    """A merged block: rows from 1 and columns from 0, both ends included."""

    first_row: int
    first_column: int
    last_row: int
    last_column: int

    @property
    def address(self) -> str:
        """As the spreadsheet names it: `B2:B3`."""
        left, right = column_letters(self.first_column), column_letters(self.last_column)
        return f"{left}{self.first_row}:{right}{self.last_row}"


class Row(msgspec.Struct, frozen=True):
    """One row.

    Attributes:
        number: As the spreadsheet counts, from 1.
        cells: From column A on; short rows are short.
        merged: Columns whose cell is covered by a merged one. Downwards it repeats the value of the cell above, so that a
            class named once stands in all its rows; sideways it is empty.
        blocks: The merged blocks that lie over the row, those that begin in it too.
    """

    number: int
    cells: list[Cell]
    merged: frozenset[int] = frozenset()
    blocks: tuple[Merge, ...] = ()

    def at(self, column: int) -> Cell:
        """The cell of a column, None beyond the row's end."""
        return self.cells[column] if column < len(self.cells) else None

    def block_at(self, column: int) -> Merge | None:
        """The merged block in which the cell of a column lies, its first cell included."""
        return next((one for one in self.blocks if one.first_column <= column <= one.last_column), None)


class Sheet(Protocol):
    """A sheet whose rows may be read once or again.

    Attributes:
        name: As faults name it; empty where the format has no sheets.
        title: What may say class and subject: the sheet's name, else the file's.
    """

    name: str
    title: str
    is_hidden: bool

    def iter_rows(self) -> Iterator[Row]:
        """Read row by row; empty rows may be left out.

        Raises:
            CellError: The sheet can't be read further.
        """
        ...


class Merges:
    """Repeats merged values downwards while the rows of a sheet go by in order."""

    def __init__(self, merges: list[Merge]) -> None:
        self._ahead = sorted(merges, reverse=True)
        self._open: list[tuple[Merge, Cell]] = []

    def add(self, merges: list[Merge], *, below: int = 0) -> None:
        """Add blocks that are only now met, moved down by some rows."""
        moved = [
            Merge(one.first_row + below, one.first_column, one.last_row + below, one.last_column) for one in merges
        ]
        self._ahead = sorted([*self._ahead, *moved], reverse=True)

    def apply(self, number: int, cells: list[Cell]) -> Row:
        """Make the row of its cells, with what merged cells above say.

        Raises:
            CellError: More blocks lie over the row than it has columns.
        """
        self._open = [one for one in self._open if one[0].last_row >= number]
        merged: set[int] = set()
        while self._ahead and self._ahead[-1].first_row <= number:
            merge = self._ahead.pop()
            if merge.last_row < number:
                continue
            anchor = merge.first_column
            value = cells[anchor] if merge.first_row == number and anchor < len(cells) else None
            self._open.append((merge, value))
        if len(self._open) > MOST_OPEN:
            raise CellError(WB_UNREADABLE, "объединения перекрываются")
        for merge, value in self._open:
            merged.update(range(merge.first_column, merge.last_column + 1))
            if merge.first_row == number:
                merged.discard(merge.first_column)
                continue
            if value is not None:
                cells.extend([None] * (merge.first_column + 1 - len(cells)))
                cells[merge.first_column] = value
        if not self._open:
            return Row(number, cells)
        return Row(number, cells, frozenset(merged), tuple(merge for merge, _ in self._open))


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """What a workbook may be at most. Checked before anything is unpacked, and again while it is.

    Attributes:
        raw_bytes: 64 MiB: a year of a whole school's journal is under 20.
        unpacked_bytes: 1 GiB: a full sheet of a million rows is a third of it.
        ratio: Unpacked to packed of one part; XML of equal rows comes to 60. Small parts (`free_bytes`) are let be.
        rows: What a sheet of Excel can have; also the bound of a file's rows together.
        columns: 1 024; a page of a year has 250.
        merges: Merged blocks of a sheet; no more of them than columns may be open in one row.
        sheets: Of a workbook; a page a subject of a class is under twenty.
        parts: Files within the file; an ordinary workbook has thirty.
        old_bytes: 16 MiB of XLS: that format is unpacked whole, 65 536 rows at most.
    """

    raw_bytes: int = 64 * 1024 * 1024
    unpacked_bytes: int = 1024 * 1024 * 1024
    ratio: int = 250
    free_bytes: int = 8 * 1024 * 1024
    rows: int = 1_048_576
    columns: int = 1_024
    merges: int = 20_000
    sheets: int = 256
    parts: int = 2_000
    old_bytes: int = 16 * 1024 * 1024


DEFAULT_CAPS = Caps()
