"""Finds the table of a sheet: which row holds the heads, in one storey or two, and what each column means. Pure.

Between the readers of formats and the readers of rows. Position says nothing; a title above is looked through for the class
and the subject.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial

import msgspec
from rapidfuzz import fuzz, process

from gateway.connectors.planner.workbook.cells import is_blank, to_text
from gateway.connectors.planner.workbook.days import SchoolYear, find_day, find_month, read_day
from gateway.connectors.planner.workbook.ends import FinalColumn, find_final_columns, strip_mark, strip_remark
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.layouts import KNOWN_BESIDE, LAYOUTS, Layout
from gateway.connectors.planner.workbook.sheets import Cell, Row
from gateway.connectors.planner.workbook.titles import Title, find_title, row_texts
from gateway.connectors.planner.workbook.words import find_class, head_key
from gateway.domain.reasons import WB_HEAD_TWICE, WB_NO_HEADS

HEAD_ROWS = 40
"""How far down heads are looked for: a page of a plan has a title page's worth of lines above them."""
_LIKE_SCORE = 84
"""Similarity of 100 from which a head is named as a likely misspelling; it decides nothing."""
_EITHER = ("marks", "comment")
_KNOWN_ENDS = re.compile(
    r"^.*\bфакт\w*$|^(?:[ivх\d]{1,4} )?(?:четверть|триместр|полугодие|год|годовая|итоговая|период).*$"
)


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table that was found.

    Attributes:
        columns: Field → column from 0.
        days, levels: Column → day of a page, class of a grid or grade of a curriculum.
        finals, remarks: Column of a page → which final mark, or of which day the remark.
        head_row: Row of the (lower) heads; `first_row` is that of the upper ones.
        needed: The fields each row must have.
        unread: Columns whose head says nothing known, and columns of a page whose head is no day.
        keys: Normal forms of all heads, by column.
    """

    layout: Layout
    title: Title
    columns: dict[str, int]
    days: dict[int, date]
    levels: dict[int, str]
    finals: dict[int, FinalColumn]
    remarks: dict[int, date]
    first_row: int
    head_row: int
    needed: frozenset[str]
    unread: tuple[int, ...]
    keys: dict[int, str]


class _Match(msgspec.Struct, kw_only=True):
    layout: Layout
    columns: dict[str, int]
    twice: list[str]
    days: dict[int, date]
    levels: dict[int, str]
    finals: dict[int, FinalColumn]
    remarks: dict[int, date]
    needed: frozenset[str]
    score: int


def find_table(sheet: str, rows: Sequence[Row], year: SchoolYear) -> Table:
    """Find the table in a sheet's first rows: the row that says most is the head, of equal ones the first.

    Args:
        sheet: The sheet's name.
        rows: Its first rows, `HEAD_ROWS` of them or all.
        year: For heads that are days.

    Raises:
        CellError: No row has the heads of any layout, or one stands twice; the detail names what is missing.
    """
    nearest: tuple[int, str] = (0, "")
    best: tuple[int, Callable[[], Table]] | None = None
    for at, row in enumerate(rows):
        texts = row_texts(row)
        if sum(1 for text in texts if text) < 2:
            continue
        above = " ".join(head_key(text) for line in rows[:at] for text in row_texts(line) if text)
        speaks = f"{head_key(sheet)} {above}"
        single = _best(row, texts, speaks, year)
        is_best = single is not None and (best is None or single.score > best[0])
        if single is not None and is_best:
            best = (single.score, partial(_table, single, sheet, rows[:at], row.number, row, texts))
        lower = rows[at + 1] if at + 1 < len(rows) else None
        if lower is not None and _is_lower_storey(lower, year):
            both = _two_storeys(texts, row_texts(lower))
            double = _best(lower, both, speaks, year, months=_months(texts, lower))
            alone = _best(lower, row_texts(lower), speaks, year)
            # A title line over one storey of heads must not pass for the upper storey. Of a lower storey that adds no
            # column («План», «Факт») it shows that nothing stands in it where every row has something.
            is_level = single is not None and is_best and _is_bare(lower, single)
            floor = -1 if best is None else best[0] - is_level
            if double is not None and double.score > max(floor, alone.score if alone else 0):
                best = (double.score, partial(_table, double, sheet, rows[:at], row.number, lower, both))
        nearest = max(nearest, _nearly(texts))
    if best is None:
        raise CellError(WB_NO_HEADS, nearest[1])
    return best[1]()


def _is_bare(row: Row, match: _Match) -> bool:
    """Whether a row has nothing in the columns that every row must have."""
    return all(is_blank(row.at(match.columns[key])) for key in match.needed)


def _two_storeys(upper: Sequence[str], lower: Sequence[str]) -> list[str]:
    """Join two storeys: a merged upper head spreads over the lower ones to its right."""
    joined: list[str] = []
    carried = ""
    for column in range(max(len(upper), len(lower))):
        top = upper[column] if column < len(upper) else ""
        bottom = lower[column] if column < len(lower) else ""
        if top:
            carried = top
        if bottom:
            joined.append(bottom if top == bottom else f"{carried} {bottom}".strip())
        else:
            joined.append(top)
    return joined


def _is_lower_storey(row: Row, year: SchoolYear) -> bool:
    """Whether a row may be the lower storey: it has no long text and at most texts, days and numbers of days."""
    filled = [cell for cell in row.cells if not is_blank(cell)]
    return bool(filled) and all(
        isinstance(cell, date | datetime)
        or (isinstance(cell, str) and len(cell) < 80)
        or (isinstance(cell, float) and cell.is_integer() and 1 <= cell <= 31)
        or (isinstance(cell, float) and find_day(f"{cell:.10g}", year) is not None)
        for cell in filled
    )


def _months(upper: Sequence[str], lower: Row) -> dict[int, int]:
    """The month above each column of numbers: «Сентябрь» over 5, 7, 9."""
    found: dict[int, int] = {}
    month: int | None = None
    for column in range(max(len(upper), len(lower.cells))):
        text = upper[column] if column < len(upper) else ""
        if text:
            month = find_month(text)
        if month is not None:
            found[column] = month
    return found


def _best(
    row: Row, texts: Sequence[str], speaks: str, year: SchoolYear, months: dict[int, int] | None = None
) -> _Match | None:
    found = [
        match for layout in LAYOUTS if (match := _match(layout, row, texts, speaks, year, months or {})) is not None
    ]
    return max(found, key=lambda one: one.score, default=None)


def _match(
    layout: Layout, row: Row, texts: Sequence[str], speaks: str, year: SchoolYear, months: dict[int, int]
) -> _Match | None:
    keys = [head_key(text) for text in texts]
    columns, twice = _columns(layout, keys)
    needed = next((frozenset(one) for one in layout.needs if all(key in columns for key in one)), None)
    if needed is None:
        return None
    if all(key in columns for key in _EITHER):
        needed -= set(_EITHER)  # a row has what happened at the lesson, seldom both
    finals: dict[int, FinalColumn] = {}
    remarks: dict[int, date] = {}
    days: dict[int, date] = {}
    levels: dict[int, str] = {}
    taken = set(columns.values())
    if layout.dynamic == "days":
        days = _days(row, texts, taken, year, months)
        rest = {at: text for at, text in enumerate(texts) if text and at not in taken and at not in days}
        remarks = {at: day for at, text in rest.items() if (day := _remark_day(text, year)) is not None}
        finals = find_final_columns({at: head_key(text) for at, text in rest.items() if at not in remarks})
    elif layout.dynamic:
        for column, text in enumerate(texts):
            found = find_class(text) if text and column not in taken else None
            if found is not None and (layout.dynamic == "levels" or not found[1].isdecimal()):
                levels[column] = found[1]
    # a page on which no day is written yet is a page all the same, if nothing else is
    is_blank_page = layout.dynamic == "days" and len(columns) + keys.count("№") == sum(1 for key in keys if key)
    if layout.dynamic and not days and not levels and not finals and not is_blank_page:
        return None
    score = 2 * len(columns) + 2 * min(3, len(days) + len(levels))
    # alone they speak less for a page: a class list may have them too
    score += min(3, len(finals)) if not days else 0
    if layout.title and re.search(layout.title, speaks):
        score += 3
    return _Match(
        layout=layout,
        columns=columns,
        twice=twice,
        days=days,
        levels=levels,
        finals=finals,
        remarks=remarks,
        needed=needed,
        score=score,
    )


def _columns(layout: Layout, keys: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return the columns a layout knows, and fields whose head stands twice."""
    columns: dict[str, int] = {}
    twice: list[str] = []
    for one in layout.columns:
        words = {head_key(one.head), *one.words}
        for column, key in enumerate(keys):
            if key in words and column not in columns.values():
                if one.key in columns:
                    twice.append(one.head)
                columns.setdefault(one.key, column)
    for one in layout.columns:
        if one.key in columns or not one.stems:
            continue
        for stem in one.stems:  # the narrower first
            alike = [
                column
                for column, key in enumerate(keys)
                if key and column not in columns.values() and re.search(stem, key)
            ]
            if len(alike) == 1:
                columns[one.key] = alike[0]
            if alike:
                break
    return columns, twice


def _days(row: Row, texts: Sequence[str], taken: set[int], year: SchoolYear, months: dict[int, int]) -> dict[int, date]:
    days: dict[int, date] = {}
    for column, text in enumerate(texts):
        if column in taken or not text:
            continue
        cell = row.at(column)
        day = _day_of_month(cell, months.get(column), year) or _find_day(cell, year)
        if day is None and (rest := strip_mark(text)) != text:
            day = _find_day(rest, year)
        if day is not None:
            days[column] = day
    return days


def _remark_day(head: str, year: SchoolYear) -> date | None:
    rest = strip_remark(head)
    return _find_day(rest, year) if rest else None


def _find_day(cell: Cell, year: SchoolYear) -> date | None:
    try:
        return read_day(cell, year)
    except CellError:
        return None


def _day_of_month(cell: Cell, month: int | None, year: SchoolYear) -> date | None:
    try:
        text = to_text(cell)
        return date(year.year_of(month), month, int(text)) if month and text.isdecimal() else None
    except (CellError, ValueError):
        return None


def _table(match: _Match, sheet: str, above: Sequence[Row], first_row: int, head: Row, texts: Sequence[str]) -> Table:
    if match.twice:
        raise CellError(WB_HEAD_TWICE, f"«{match.twice[0]}»")
    title = find_title(sheet, above)
    taken = {*match.columns.values(), *match.days, *match.levels, *match.finals, *match.remarks}
    keys = {column: head_key(text) for column, text in enumerate(texts) if text}
    unread = tuple(
        column
        for column, key in keys.items()
        if column not in taken and key and key not in KNOWN_BESIDE and not _KNOWN_ENDS.match(key)
    )
    needed = set(match.needed)
    if "class_name" in match.columns or (match.layout.name == "roster" and title.class_name is None):
        needed.add("class_name")
    return Table(
        layout=match.layout,
        title=title,
        columns=match.columns,
        days=match.days,
        levels=match.levels,
        finals=match.finals,
        remarks=match.remarks,
        first_row=first_row,
        head_row=head.number,
        needed=frozenset(needed),
        unread=unread,
        keys=keys,
    )


def _nearly(texts: Sequence[str]) -> tuple[int, str]:
    """How near a row comes to the heads of some layout, and what is missing in it, in words."""
    keys = [head_key(text) for text in texts]
    best: tuple[int, str] = (0, "")
    for layout in LAYOUTS:
        columns, _ = _columns(layout, keys)
        if not columns:
            continue
        need = min(layout.needs, key=lambda one: sum(key not in columns for key in one))
        heads = {one.key: one.head for one in layout.columns}
        missing = [heads[key] for key in need if key not in columns]
        words = ", ".join(f"«{head}»{_misspelt(head, keys)}" for head in missing)
        if words and len(columns) > best[0]:
            best = (len(columns), f"нет столбца {words}")
    return best


def _misspelt(head: str, keys: Sequence[str]) -> str:
    like = process.extractOne(head_key(head), [key for key in keys if key], scorer=fuzz.ratio, score_cutoff=_LIKE_SCORE)
    return f", похоже на столбец {list(keys).index(like[0]) + 1}" if like else ""
