"""Opens a workbook by what it is: the one door to the four readers."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.connectors.planner.workbook.container import FileForm, find_form
from gateway.connectors.planner.workbook.delimited import DelimitedBook
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.ods import OdsBook
from gateway.connectors.planner.workbook.sheets import Caps, Sheet
from gateway.connectors.planner.workbook.xls import XlsBook
from gateway.connectors.planner.workbook.xlsx import XlsxBook
from gateway.domain.reasons import WB_BOMB, WB_HALF_WRITTEN, WB_UNREADABLE


@contextmanager
def open_book(path: Path, caps: Caps) -> Iterator[Iterator[Sheet]]:
    """Open a workbook and hand out its sheets in their order.

    Raises:
        CellError: It is none, may not be opened, or its parts don't fit together.
    """
    try:
        form = find_form(path, caps)
        if form is FileForm.CSV:
            yield DelimitedBook(path, caps).iter_sheets()
            return
        if form is FileForm.XLS:
            old = XlsBook(path, caps)
            try:
                yield _capped(old.iter_sheets(), caps)
            finally:
                old.close()
            return
        with zipfile.ZipFile(path) as archive:
            book = XlsxBook(archive, caps) if form is FileForm.XLSX else OdsBook(archive, caps)
            yield _capped(book.iter_sheets(), caps)
    except OSError as exc:
        raise CellError(WB_UNREADABLE, type(exc).__name__) from exc
    except zipfile.BadZipFile as exc:
        raise CellError(WB_HALF_WRITTEN) from exc


def _capped(sheets: Iterable[Sheet], caps: Caps) -> Iterator[Sheet]:
    for count, sheet in enumerate(sheets):
        if count >= caps.sheets:
            raise CellError(WB_BOMB, f"листов больше {caps.sheets}")
        yield sheet
