"""XLSX, row by row in flat memory.

The library beside it (calamine) reads a sheet whole, 600 MiB for a million rows, allots a dense block from the first to the
last cell, so that two cells in far corners end the process, and hands out a formula's last value as if somebody had typed it.
`tests/unit/workbook/test_workbook_readers.py` compares the two cell by cell.

Source: ECMA-376 part 1, §18.3 (sheets), §18.4 (shared strings), §18.8 (styles).
"""

from __future__ import annotations

import re
import zipfile
from array import array
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import PurePosixPath

from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import BROKEN, FORMULA, Caps, Cell, Merge, Merges, Row
from gateway.connectors.planner.workbook.stream import (
    Attributes,
    LocalNames,
    build_parser,
    iter_parsed,
    open_part,
    parse_whole,
)
from gateway.domain.reasons import WB_TEXT_TOO_LONG, WB_TOO_MANY_COLUMNS, WB_TOO_MANY_ROWS, WB_UNREADABLE

_REF = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_MERGE = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]*?ref=\"([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})\"")
_SCAN_BYTES = 1024 * 1024
_OVERLAP_BYTES = 256  # longer than any `<mergeCell …>`
_BUILT_IN_DAYS = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
_DAY_1900 = datetime(1899, 12, 30)  # noqa: DTZ001  # a spreadsheet's day has no zone
_DAY_1904 = datetime(1904, 1, 1)  # noqa: DTZ001  # likewise
_WORKSHEET = "/worksheet"


class XlsxBook:
    """An open workbook.

    Raises:
        CellError: Its parts don't fit together.
    """

    def __init__(self, archive: zipfile.ZipFile, caps: Caps) -> None:
        self._archive = archive
        self._caps = caps
        self._names = set(archive.namelist())
        self._is_1904 = False
        self._strings: SharedStrings | None = None
        self._day_styles: frozenset[int] | None = None
        self._sheets = self._read_sheets()

    def iter_sheets(self) -> Iterator[XlsxSheet]:
        """The sheets in the workbook's order."""
        for name, part, is_hidden in self._sheets:
            yield XlsxSheet(self, name, part, is_hidden=is_hidden)

    def open_part(self, part: str) -> zipfile.ZipExtFile:
        """Open a part; never more is read from it than the zip's directory says."""
        return open_part(self._archive, part)

    @property
    def caps(self) -> Caps:
        """What the workbook may be at most."""
        return self._caps

    def strings(self) -> SharedStrings:
        """The shared strings, read when the first sheet wants them."""
        if self._strings is None:
            self._strings = SharedStrings()
            if "xl/sharedStrings.xml" in self._names:
                with self.open_part("xl/sharedStrings.xml") as file:
                    self._strings.read(file)
        return self._strings

    def day_styles(self) -> frozenset[int]:
        """Numbers of the cell styles that show a number as a day or time."""
        if self._day_styles is None:
            self._day_styles = frozenset()
            if "xl/styles.xml" in self._names:
                with self.open_part("xl/styles.xml") as file:
                    self._day_styles = _read_day_styles(file)
        return self._day_styles

    def to_day(self, serial: float) -> datetime | date | time | float:
        """Turn a day-styled number into a day, a moment or a time; a number that is none stays a number."""
        if 0 <= serial < 1:
            seconds = round(serial * 86_400)
            return time(seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
        try:
            moment = (_DAY_1904 if self._is_1904 else _DAY_1900) + timedelta(seconds=round(serial * 86_400))
        except OverflowError:
            return serial
        return moment.date() if serial.is_integer() else moment

    def _read_sheets(self) -> list[tuple[str, str, bool]]:
        targets: dict[str, str] = {}
        names = LocalNames()

        def on_relation(name: str, attributes: Attributes) -> None:
            if names[name] == "Relationship" and attributes.get("Type", "").endswith(_WORKSHEET):
                targets[attributes.get("Id", "")] = _part_of(attributes.get("Target", ""))

        with self.open_part("xl/_rels/workbook.xml.rels") as file:
            parse_whole(file, on_start=on_relation)
        found: list[tuple[str, str, bool]] = []

        def on_sheet(name: str, attributes: Attributes) -> None:
            local = names[name]
            if local == "workbookPr":
                self._is_1904 = attributes.get("date1904") in ("1", "true")
            elif local == "sheet":
                key = next((value for key, value in attributes.items() if names[key] == "id"), "")
                if key in targets:
                    is_hidden = attributes.get("state", "visible") != "visible"
                    found.append((attributes.get("name", ""), targets[key], is_hidden))

        with self.open_part("xl/workbook.xml") as file:
            parse_whole(file, on_start=on_sheet)
        return found


def _part_of(target: str) -> str:
    """Name the part a relation leads to; one that leads out of the workbook leads nowhere."""
    path = PurePosixPath(target) if target.startswith("/") else PurePosixPath("/xl") / target
    return "" if ".." in path.parts else str(path).lstrip("/")


class SharedStrings:
    """The texts of a workbook by number, in one block: a million small objects would take five times the room."""

    def __init__(self) -> None:
        self._block = bytearray()
        self._ends = array("Q", [0])

    def read(self, file: zipfile.ZipExtFile) -> None:
        """Read them all; phonetic readings are left out."""
        names = LocalNames()
        depth_phonetic = 0
        is_text = False

        def on_start(name: str, _: Attributes) -> None:
            nonlocal depth_phonetic, is_text
            local = names[name]
            if local == "rPh":
                depth_phonetic += 1
            is_text = local == "t" and not depth_phonetic

        def on_end(name: str) -> None:
            nonlocal depth_phonetic, is_text
            local = names[name]
            is_text = False
            if local == "rPh":
                depth_phonetic -= 1
            elif local == "si":
                self._ends.append(len(self._block))

        def on_text(text: str) -> None:
            if is_text:
                self._block += text.encode("utf-8", "surrogatepass")

        parse_whole(file, on_start=on_start, on_end=on_end, on_text=on_text)

    def get(self, number: int) -> str:
        """Return a text.

        Raises:
            CellError: The workbook has no such text.
        """
        if not 0 <= number < len(self._ends) - 1:
            raise CellError(WB_UNREADABLE, "нет строки текста")
        return self._block[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogatepass")


class XlsxSheet:
    """One sheet; implements `sheets.Sheet`."""

    def __init__(self, book: XlsxBook, name: str, part: str, *, is_hidden: bool) -> None:
        self.name = self.title = name
        self.is_hidden = is_hidden
        self._book = book
        self._part = part
        self._merges: list[Merge] | None = None

    def iter_rows(self) -> Iterator[Row]:
        """Read row by row.

        Raises:
            CellError: The sheet can't be read further, or is beyond the caps.
        """
        if self._merges is None:
            self._merges = self._read_merges()
        merges = Merges(self._merges)
        rows = _RowEvents(self._book)
        parser = build_parser(rows.on_start, rows.on_end, rows.on_text)
        with self._book.open_part(self._part) as file:
            for _ in iter_parsed(file, parser):
                for number, cells in rows.ready:
                    yield merges.apply(number, cells)
                rows.ready.clear()

    def _read_merges(self) -> list[Merge]:
        """Find the merged blocks, which stand behind the rows, by a look through the raw text."""
        found: list[Merge] = []
        before = b""
        with self._book.open_part(self._part) as file:
            while chunk := _read_some(file):
                for match in _MERGE.finditer(before + chunk):
                    if match.end() > len(before):
                        left, top, right, bottom = match.groups()
                        found.append(Merge(int(top), _column(left.decode()), int(bottom), _column(right.decode())))
                if len(found) > self._book.caps.merges:
                    raise CellError(WB_TOO_MANY_COLUMNS, f"объединений больше {self._book.caps.merges}")
                before = chunk[-_OVERLAP_BYTES:]
        return found


def _read_some(file: zipfile.ZipExtFile) -> bytes:
    try:
        return file.read(_SCAN_BYTES)
    except Exception as exc:  # noqa: BLE001  # a broken stream is named when the rows of the sheet are parsed
        del exc
        return b""


class _RowEvents:
    """Builds rows out of a sheet's XML events."""

    def __init__(self, book: XlsxBook) -> None:
        self.ready: list[tuple[int, list[Cell]]] = []
        self._book = book
        self._caps = book.caps
        self._names = LocalNames()
        self._days = book.day_styles()
        self._number = 0
        self._cells: list[Cell] = []
        self._column = -1
        self._form = "n"
        self._style = 0
        self._has_formula = False
        self._parts: list[str] | None = None
        self._texts: list[str] = []
        self._phonetic = 0
        self._is_in_cell = False
        self._chars = 0

    def on_start(self, name: str, attributes: Attributes) -> None:
        local = self._names[name]
        if local == "c":
            ref = attributes.get("r")
            self._column = self._column + 1 if ref is None else _column(ref.rstrip("0123456789"))
            self._form = attributes.get("t", "n")
            style = attributes.get("s", "0")
            self._style = int(style) if style.isdecimal() else 0
            self._has_formula = False
            self._is_in_cell = True
            self._texts = []
            self._chars = 0
        elif local in ("v", "t"):
            if self._is_in_cell and not self._phonetic:
                self._parts = []
        elif local == "f":
            self._has_formula = True
        elif local == "row":
            number = attributes.get("r", "")
            after = int(number) if number.isdecimal() else self._number + 1
            if after <= self._number:
                raise CellError(WB_UNREADABLE, "строки стоят не по порядку")
            self._number = after
            if after > self._caps.rows:
                raise CellError(WB_TOO_MANY_ROWS, f"допустимо {self._caps.rows}")
            self._cells = []
            self._column = -1
        elif local == "rPh":
            self._phonetic += 1

    def on_end(self, name: str) -> None:
        local = self._names[name]
        if local in ("v", "t"):
            if self._parts is not None:
                self._texts.append("".join(self._parts))
                self._parts = None
        elif local == "c":
            self._is_in_cell = False
            if self._texts or self._has_formula:
                self._put(self._build())
        elif local == "row":
            self.ready.append((self._number, self._cells))
        elif local == "rPh":
            self._phonetic -= 1

    def on_text(self, text: str) -> None:
        if self._parts is not None:
            self._chars += len(text)
            if self._chars > self._caps.unpacked_bytes // 16:
                raise CellError(WB_TEXT_TOO_LONG)
            self._parts.append(text)

    def _put(self, cell: Cell) -> None:
        if self._column >= self._caps.columns:
            raise CellError(WB_TOO_MANY_COLUMNS, f"допустимо {self._caps.columns}")
        if self._column < len(self._cells):
            raise CellError(WB_UNREADABLE, "ячейки стоят не по порядку")
        self._cells.extend([None] * (self._column - len(self._cells)))
        self._cells.append(cell)

    def _build(self) -> Cell:
        if self._has_formula:
            return FORMULA
        text = self._texts[0] if len(self._texts) == 1 else "".join(self._texts)
        match self._form:
            case "s":
                return self._book.strings().get(int(text) if text.isdecimal() else -1) or None
            case "str" | "inlineStr":
                return text or None
            case "b":
                return text == "1"
            case "e":
                return BROKEN
            case "d":
                return text or None  # ISO 8601, read by whoever expects a day
        if not text:
            return None
        try:
            number = float(text)
        except ValueError as exc:
            raise CellError(WB_UNREADABLE, "число записано не числом") from exc
        return self._book.to_day(number) if self._style in self._days else number


def _column(letters: str) -> int:
    """`A` is 0."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _read_day_styles(file: zipfile.ZipExtFile) -> frozenset[int]:
    codes: dict[str, str] = {}
    formats: list[str] = []
    names = LocalNames()
    is_inside = False

    def on_start(name: str, attributes: Attributes) -> None:
        nonlocal is_inside
        local = names[name]
        if local == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif local == "cellXfs":
            is_inside = True
        elif local == "xf" and is_inside:
            formats.append(attributes.get("numFmtId", "0"))

    def on_end(name: str) -> None:
        nonlocal is_inside
        if names[name] == "cellXfs":
            is_inside = False

    parse_whole(file, on_start=on_start, on_end=on_end)
    return frozenset(number for number, key in enumerate(formats) if _shows_day(key, codes))


def _shows_day(key: str, codes: dict[str, str]) -> bool:
    code = codes.get(key)
    if code is None:
        return key.isdecimal() and int(key) in _BUILT_IN_DAYS
    # a colour, a locale or a text in quotes may hold any letter; elapsed time stands in brackets: [h]:mm
    plain = _QUOTED.sub(lambda found: "h" if re.fullmatch(r"\[[hms]+\]", found[0], re.IGNORECASE) else "", code)
    return bool(re.search("[dmyhs]", plain.partition(";")[0], re.IGNORECASE))
