"""Reads the rows of a found table: each cell by its column's reader, each fault with its address, each good row whole.

Pure. A row with a fault is not taken; its neighbours are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

import msgspec

from gateway.connectors.planner.workbook.cells import LONGEST_CHARS, Reader, is_blank, to_text
from gateway.connectors.planner.workbook.columns import Column
from gateway.connectors.planner.workbook.faults import CellError, Fault, Place
from gateway.connectors.planner.workbook.heads import Table
from gateway.connectors.planner.workbook.sheets import Row
from gateway.connectors.planner.workbook.words import head_key, is_no_lesson
from gateway.domain.reasons import WB_EMPTY_CELL, WB_MERGED, WB_SHIFTED_ROW, WB_TEXT_TOO_LONG

_TOTAL = re.compile(
    r"(?:итого|всего)\s*[:.\-–—]?\s*(?:$|\d|по\b|за\b|часов|уроков|учеников|учащихся|обучающихся|человек|к финанс)"
    r"|общ(?:ее (?:количество|число)|ий объ[её]м)\b",
    re.IGNORECASE,
)
"""How total rows begin. «Всего хорошего» may be a topic."""
_HEAD_CHARS = 300
_SHIFTS = (-1, 1)
_SHIFT_FAULTS = 2
"""Wrong cells of a row from which it is tried moved by a column: one wrong cell is just that."""


class Line(msgspec.Struct, frozen=True):
    """A row whose cells are all in order: field → value, blank fields left out."""

    row: Row
    values: dict[str, object]


class Total(msgspec.Struct, frozen=True):
    """A total row, which says nothing but what the rows above should come to."""

    row: Row


class Section(msgspec.Struct, frozen=True):
    """A row of one text, which names what the rows below it belong to."""

    row: Row
    text: str


class _Wrong(msgspec.Struct, frozen=True):
    column: Column
    code: str
    detail: str


Read = Line | Total | Section | Fault


def iter_lines(
    table: Table, rows: Iterable[Row], place: Place, reader: Reader, *, sections: bool = False, idle: int | None = None
) -> Iterator[Read]:
    """Read the rows below the heads.

    Args:
        table: Where the columns are.
        rows: Rows of the sheet; those up to the heads are passed over.
        place: For faults.
        reader: The school year and today.
        sections: Whether a row of one text is a section's name and not a row with empty cells.
        idle: Column of a timetable whose dash or «окно» says that there is no lesson: such a row is passed over.
    """
    columns = [(one, table.columns[one.key]) for one in table.layout.columns if one.key in table.columns]
    carried: dict[int, object] = {}
    for row in rows:
        if row.number <= table.head_row or all(is_blank(cell) for cell in row.cells):
            continue
        too_long = next(
            (at for at, cell in enumerate(row.cells) if isinstance(cell, str) and len(cell) > LONGEST_CHARS), None
        )
        if too_long is not None:
            yield place.fault(WB_TEXT_TOO_LONG, row=row.number, column=too_long)
            continue
        first = next((text for cell in row.cells if (text := _safe_text(cell))), "")
        if _TOTAL.match(first):
            yield Total(row)
            continue
        if _repeats_heads(table, row) or _counts_columns(row):
            continue
        filled = [column for column, cell in enumerate(row.cells) if not is_blank(cell) and column not in row.merged]
        if sections and len(filled) == 1 and _is_section(table, row, filled[0]):
            yield Section(row, first)
            continue
        if not any(not is_blank(row.at(at)) and at not in row.merged for _, at in columns) and not table.levels:
            continue  # only columns that are not read, or merged cells from above
        values, wrong = _read(table, columns, row, reader, carried)
        if idle is not None and is_no_lesson(_safe_text(row.at(idle))):
            continue  # after it was read: its weekday may stand for the rows below
        if len(wrong) >= _SHIFT_FAULTS and _fits_shifted(table, columns, row, reader):
            yield place.fault(WB_SHIFTED_ROW, row=row.number, column=filled[0] if filled else None)
        elif wrong:
            for one in wrong:
                yield place.fault(
                    one.code,
                    row=row.number,
                    column=table.columns[one.column.key],
                    head=one.column.head,
                    detail=one.detail,
                )
        else:
            yield Line(row, values)


def require_own_cell(row: Row, column: int, own: Collection[int], names: Collection[int]) -> None:
    """Refuse a cell that shares its merged block with another one, its first cell no less than those it covers.

    Args:
        row: A row of the table.
        column: The cell's column.
        own: All columns whose cells say something of their own: two of them in one block are two lessons or grades.
        names: Columns that say whose the row is. Where they are merged over the same rows, all of these are one pupil's.

    Raises:
        CellError: What stands in it may belong to any cell of the block; the detail is the block's address.
    """
    block = row.block_at(column) if row.blocks else None
    if block is None:
        return
    is_wide = sum(block.first_column <= one <= block.last_column for one in own) > 1
    # a row below the first one is another pupil's, unless the name goes over it too
    is_tall = block.last_row > block.first_row and not any(
        whose is not None and whose.first_row <= block.first_row and whose.last_row >= block.last_row
        for whose in map(row.block_at, names)
    )
    if is_wide or is_tall or column in row.merged:
        raise CellError(WB_MERGED, block.address)


def _is_section(table: Table, row: Row, column: int) -> bool:
    """Whether the only filled cell names a section: a text that spreads over the row, or stands elsewhere than topics do."""
    is_spread = column + 1 in row.merged
    return isinstance(row.at(column), str) and (is_spread or column != table.columns.get("topic"))


def _read(
    table: Table, columns: list[tuple[Column, int]], row: Row, reader: Reader, carried: dict[int, object]
) -> tuple[dict[str, object], list[_Wrong]]:
    values: dict[str, object] = {}
    wrong: list[_Wrong] = []
    for one, at in columns:
        cell = row.at(at)
        try:
            if at in row.merged and not one.is_carried:
                raise CellError(WB_MERGED)
            value = one.read(cell, reader)
            if value is None and one.repeats_blank and at in carried:
                value = carried[at]
            if value is None and one.key in table.needed:
                raise CellError(WB_EMPTY_CELL)
        except CellError as exc:
            wrong.append(_Wrong(one, exc.code, exc.detail))
            carried.pop(at, None)  # what is below an unreadable cell is not what was above it
            continue
        if value is not None:
            values[one.key] = value
            if one.repeats_blank:
                carried[at] = value
    return values, wrong


def _fits_shifted(table: Table, columns: list[tuple[Column, int]], row: Row, reader: Reader) -> bool:
    for shift in _SHIFTS:
        cells = [None, *row.cells] if shift > 0 else row.cells[1:]
        if not _read(table, columns, Row(row.number, cells), reader, {})[1]:
            return True
    return False


def _repeats_heads(table: Table, row: Row) -> bool:
    """Whether the heads stand here again, as on each printed page."""
    some = next(iter(table.keys))
    if row.at(some) is None and len(table.keys) > 2:
        some = max(table.keys)
    if head_key(_safe_text(row.at(some))[:_HEAD_CHARS]) != table.keys[some]:
        return False  # nearly every row goes out here, at the price of one cell
    same = sum(1 for column, key in table.keys.items() if head_key(_safe_text(row.at(column))) == key)
    return same >= 2 and same * 3 >= len(table.keys) * 2


def _counts_columns(row: Row) -> bool:
    """Whether it is the row «1 2 3 4 5» under the heads of an official form."""
    texts = [text for cell in row.cells if (text := _safe_text(cell))]
    return len(texts) > 2 and texts == [str(number) for number in range(1, len(texts) + 1)]


def _safe_text(cell: object) -> str:
    try:
        return to_text(cell)  # type: ignore[arg-type]  # a cell of a row
    except CellError:
        return ""
