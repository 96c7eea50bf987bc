"""The readers of XLSX and ODS against calamine, cell by cell, and what calamine can't say."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import python_calamine

from gateway.connectors.planner.workbook.book import open_book
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import BROKEN, DEFAULT_CAPS, FORMULA, Caps, Merge, Merges


def read_all(path: Path, caps: Caps = DEFAULT_CAPS) -> dict[str, dict[tuple[int, int], Any]]:
    """All cells by sheet and place; those that a merged cell covers are left out, because only we repeat it."""
    with open_book(path, caps) as sheets:
        return {
            sheet.name: {
                (row.number, column): cell
                for row in sheet.iter_rows()
                for column, cell in enumerate(row.cells)
                if cell is not None and column not in row.merged
            }
            for sheet in sheets
        }


def read_by_calamine(path: Path) -> dict[str, dict[tuple[int, int], Any]]:
    with python_calamine.CalamineWorkbook.from_path(str(path)) as book:
        return {
            name: {
                (number, column): cell
                for number, line in enumerate(book.get_sheet_by_name(name).to_python(skip_empty_area=False), start=1)
                for column, cell in enumerate(line)
                if cell != ""
            }
            for name in book.sheet_names
        }


def plain(cell: Any) -> Any:
    """A cell as both spell it."""
    if isinstance(cell, datetime) and (cell.hour, cell.minute, cell.second) == (0, 0, 0):
        return cell.date()
    return float(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell


def test_both_readers_see_the_same_cells(sheet_case: Any, tmp_path: Path) -> None:
    path = tmp_path / sheet_case.name
    sheet_case.write(path)

    ours, theirs = read_all(path), read_by_calamine(path)

    assert ours.keys() == theirs.keys()
    for name, cells in ours.items():
        told = {place: plain(cell) for place, cell in cells.items() if cell not in (FORMULA, BROKEN)}
        formulas = {place for place, cell in cells.items() if cell in (FORMULA, BROKEN)}
        assert told == {place: plain(cell) for place, cell in theirs[name].items() if place not in formulas}


def test_a_formula_is_told_from_what_was_typed(tmp_path: Path, formats: ModuleType) -> None:
    page = formats.Page("A", [["typed", formats.F("=1+1", 2)]])
    formats.write_xlsx(tmp_path / "a.xlsx", [page])
    formats.write_ods(tmp_path / "a.ods", [page])

    for name in ("a.xlsx", "a.ods"):
        assert read_all(tmp_path / name) == {"A": {(1, 0): "typed", (1, 1): FORMULA}}


def test_days_of_the_1904_system_are_the_same_days(tmp_path: Path, formats: ModuleType) -> None:
    page = formats.Page("A", [[date(2026, 9, 5)]])
    for name, is_1904 in (("a.xlsx", False), ("b.xlsx", True)):
        formats.write_xlsx(tmp_path / name, [page], date_1904=is_1904)
        assert read_all(tmp_path / name) == {"A": {(1, 0): date(2026, 9, 5)}}


def test_inline_strings_are_read_as_shared_ones(tmp_path: Path, formats: ModuleType) -> None:
    page = formats.Page("A", [["Ёж", " с пробелом ", "строка\nвторая"]])
    formats.write_xlsx(tmp_path / "shared.xlsx", [page])
    formats.write_xlsx(tmp_path / "inline.xlsx", [page], constant=True, shared=False)

    assert read_all(tmp_path / "shared.xlsx") == read_all(tmp_path / "inline.xlsx")


@pytest.mark.parametrize(
    "caps", [Caps(rows=2), Caps(columns=2), Caps(parts=3), Caps(raw_bytes=100), Caps(unpacked_bytes=500)]
)
def test_a_file_beyond_any_cap_is_refused(tmp_path: Path, formats: ModuleType, caps: Caps) -> None:
    formats.write_xlsx(tmp_path / "a.xlsx", [formats.Page("A", [["a", "b", "c"]] * 3)])

    with pytest.raises(CellError):
        read_all(tmp_path / "a.xlsx", caps)


def test_a_merged_cell_repeats_its_value_downwards_and_only_there() -> None:
    merges = Merges([Merge(1, 0, 3, 1)])

    rows = [
        merges.apply(number, list(cells))
        for number, cells in ((1, ["7А", None, "x"]), (3, [None, None, "y"]), (4, ["z"]))
    ]

    assert [row.cells for row in rows] == [["7А", None, "x"], ["7А", None, "y"], ["z"]]
    assert [row.merged for row in rows] == [{1}, {0, 1}, frozenset()]
