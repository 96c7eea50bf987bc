"""XLS of Excel 97–2003, read by calamine.

The format has 65 536 rows and 256 columns at most, and so a bound of its own. Calamine gives the last value of a formula and
does not say that it is one: formulas in XLS can't be told from typed values, which the reader of a report is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import python_calamine

from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import Caps, Cell, Merge, Merges, Row
from gateway.domain.reasons import WB_LOCKED, WB_TOO_MANY_COLUMNS, WB_UNREADABLE


class XlsBook:
    """An open workbook.

    Raises:
        CellError: It can't be read.
    """

    def __init__(self, path: Path, caps: Caps) -> None:
        try:
            self._book = python_calamine.CalamineWorkbook.from_path(str(path))
        except python_calamine.PasswordError as exc:
            raise CellError(WB_LOCKED) from exc
        except python_calamine.CalamineError as exc:
            raise CellError(WB_UNREADABLE) from exc
        except BaseException as exc:
            if not _is_panic(exc):
                raise
            raise CellError(WB_UNREADABLE) from exc
        self._caps = caps

    def close(self) -> None:
        """Let the file go."""
        self._book.close()

    def iter_sheets(self) -> Iterator[XlsSheet]:
        """The worksheets in the workbook's order."""
        for one in self._book.sheets_metadata:
            if one.typ == python_calamine.SheetTypeEnum.WorkSheet:
                is_hidden = one.visible != python_calamine.SheetVisibleEnum.Visible
                yield XlsSheet(self._book, one.name, self._caps, is_hidden=is_hidden)


class XlsSheet:
    """One sheet; implements `sheets.Sheet`."""

    def __init__(self, book: python_calamine.CalamineWorkbook, name: str, caps: Caps, *, is_hidden: bool) -> None:
        self.name = self.title = name
        self.is_hidden = is_hidden
        self._book = book
        self._caps = caps

    def iter_rows(self) -> Iterator[Row]:
        """Hand out the rows of the sheet.

        Raises:
            CellError: The sheet can't be read, or is beyond the caps.
        """
        try:
            sheet = self._book.get_sheet_by_name(self.name)
        except python_calamine.CalamineError as exc:
            raise CellError(WB_UNREADABLE) from exc
        except BaseException as exc:
            if not _is_panic(exc):
                raise
            raise CellError(WB_UNREADABLE) from exc
        if sheet.start is None:
            return
        if sheet.total_width > self._caps.columns:
            raise CellError(WB_TOO_MANY_COLUMNS, f"допустимо {self._caps.columns}")
        merges = Merges([Merge(a + 1, b, c + 1, d) for (a, b), (c, d) in sheet.merged_cell_ranges or ()])
        for number, line in enumerate(sheet.to_python(skip_empty_area=False), start=1):
            yield merges.apply(number, [_cell(one) for one in line])


def _is_panic(exc: BaseException) -> bool:
    """Whether the library's Rust side gave up, which is no `Exception` and yet only this file's fault."""
    return type(exc).__name__ == "PanicException"


def _cell(value: object) -> Cell:
    if value == "" or value is None:
        return None
    if isinstance(value, timedelta):
        return str(value)
    return value  # type: ignore[return-value]  # calamine's other types are the ones of a cell
