"""One workbook looked through without any effect: what is in it, and every fault with its place.

The report is for the teacher who mends the file. It streams: of a million rows only the faults stay, and of those the first
`FAULTS_SHOWN`, the rest as a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from gateway.connectors.planner.workbook.book import open_book
from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.entries import AnyEntry, CellEntry, PagePupil, PupilEntry
from gateway.connectors.planner.workbook.faults import CellError, Fault, Place
from gateway.connectors.planner.workbook.reading import SheetReading
from gateway.connectors.planner.workbook.sheets import DEFAULT_CAPS, Caps
from gateway.domain.reasons import WB_EMPTY, WB_HIDDEN_SHEET, WB_ROW_TWICE

FAULTS_SHOWN = 10_000
"""More than a person will ever read; a file that has more is mended and looked through again."""
_REMEMBERED_ROWS = 100_000
"""Pupils of a sheet that are watched for repetition; it bounds the memory, and no school has so many."""
_STEP_ROWS = 10_000

ProgressCall = Callable[[int], None]


class SheetReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one sheet holds.

    Attributes:
        layout: Kind of sheet, empty where none was found.
        taken: Rows (of a page: cells) in order; `faults` is the number of faults, `remarks` of them lose nothing.
    """

    sheet: str
    layout: str
    taken: int
    faults: int
    remarks: int


class LintReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a file.

    Attributes:
        faults: In the order of the file, at most `FAULTS_SHOWN`; `counts` are all of them by code.
    """

    file: str
    taken: int
    sheets: tuple[SheetReport, ...]
    counts: dict[str, int]
    faults: tuple[Fault, ...]

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to say."""
        return not self.counts


def lint_workbook(
    path: Path, reader: Reader, *, caps: Caps = DEFAULT_CAPS, progress: ProgressCall = lambda _: None
) -> LintReport:
    """Look a workbook through.

    Args:
        path: The file.
        reader: The school year and today.
        caps: What it may be at most.
        progress: Told how many rows are over, every ten thousand.
    """
    shown: list[Fault] = []
    counts: Counter[str] = Counter()
    sheets: list[SheetReport] = []
    place = Place(file=path.name)

    def note(fault: Fault) -> None:
        counts[fault.code] += 1
        if len(shown) < FAULTS_SHOWN:
            shown.append(fault)

    try:
        with open_book(path, caps) as book:
            for sheet in book:
                here = Place(file=path.name, sheet=sheet.name)
                if sheet.is_hidden:
                    note(here.fault(WB_HIDDEN_SHEET, is_lost=False))
                    continue
                try:
                    reading = SheetReading(sheet, here, reader)
                except CellError as exc:
                    note(here.fault(exc.code, detail=exc.detail))
                    sheets.append(SheetReport(sheet=sheet.name, layout="", taken=0, faults=1, remarks=0))
                    continue
                if not reading.is_empty:
                    sheets.append(_lint_sheet(sheet.name, reading, note, progress))
    except CellError as exc:
        note(place.fault(exc.code, detail=exc.detail))
    if not sheets and not any(code != WB_HIDDEN_SHEET for code in counts):
        note(place.fault(WB_EMPTY))
    return LintReport(
        file=path.name,
        taken=sum(sheet.taken for sheet in sheets),
        sheets=tuple(sheets),
        counts=dict(sorted(counts.items())),
        faults=tuple(shown),
    )


def _lint_sheet(name: str, reading: SheetReading, note: Callable[[Fault], None], progress: ProgressCall) -> SheetReport:
    taken = faults = remarks = 0
    for number, item in enumerate(iter_checked(reading), start=1):
        fault = item if isinstance(item, Fault) else item.fault if isinstance(item, CellEntry) else None
        if fault is None:
            taken += not isinstance(item, PagePupil)
        else:
            note(fault)
            faults += fault.is_lost
            remarks += not fault.is_lost
        if number % _STEP_ROWS == 0:
            progress(number)
    return SheetReport(sheet=name, layout=reading.layout, taken=taken, faults=faults, remarks=remarks)


def iter_checked(reading: SheetReading) -> Iterator[AnyEntry | Fault]:
    """The entries of a sheet without the pupils that stand in it twice; each repetition becomes a fault."""
    seen: set[int] = set()
    for item in reading.iter_entries():
        if isinstance(item, PupilEntry) and len(seen) < _REMEMBERED_ROWS:
            key = hash((item.name, item.class_name, item.birth_on, item.school_id, item.person_id))
            if key in seen:
                yield reading.place.fault(WB_ROW_TWICE, row=item.row)
                continue
            seen.add(key)
        yield item
