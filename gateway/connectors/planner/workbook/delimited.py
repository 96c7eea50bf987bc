"""CSV as people make it: windows-1251 from Russian Excel, UTF-8 with or without its mark, UTF-16; `;`, `,` or tabs.

The encoding is taken for the whole file and only where it is beyond doubt: a name in a wrong encoding is another name.
Nothing a cell holds is evaluated; `=…` is a text like any other.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path

from gateway.connectors.planner.workbook.cells import LONGEST_CHARS
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import Caps, Cell, Row
from gateway.domain.reasons import (
    WB_ENCODING,
    WB_FORMAT,
    WB_HALF_WRITTEN,
    WB_TOO_MANY_COLUMNS,
    WB_TOO_MANY_ROWS,
)

_SAMPLE_BYTES = 256 * 1024
_DELIMITERS = (";", "\t", ",")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_FREQUENT = frozenset("оеаинтсрвл")
"""Ten commonest letters of Russian, over half of any text. In a wrong encoding others take their place."""
_FREQUENT_RATIO = 0.35
_RARE_RATIO = 0.15
"""Russian has over the one, its bytes taken for another encoding under the other: small letters come out as something else."""
_OTHERS = ("koi8-r", "cp866")


class DelimitedBook:
    """A text file as a workbook of one sheet.

    Raises:
        CellError: Its encoding can't be told.
    """

    def __init__(self, path: Path, caps: Caps) -> None:
        self.path = path
        self.caps = caps
        self.encoding = _find_encoding(path)

    def iter_sheets(self) -> Iterator[DelimitedSheet]:
        """The only sheet, without a name."""
        yield DelimitedSheet(self)


class DelimitedSheet:
    """The text; implements `sheets.Sheet`."""

    name = ""
    """A text has no sheets: faults name the file alone."""
    is_hidden = False

    def __init__(self, book: DelimitedBook) -> None:
        self._book = book
        self.title = book.path.stem

    def iter_rows(self) -> Iterator[Row]:
        """Read row by row; a line that is too long is handed on as one oversized cell, so that it is named and the next one read.

        Raises:
            CellError: The text breaks off, or is beyond the caps.
        """
        try:
            yield from self._iter_rows()
        except UnicodeDecodeError as exc:
            raise CellError(WB_ENCODING) from exc

    def _iter_rows(self) -> Iterator[Row]:
        caps = self._book.caps
        with self._book.path.open(encoding=self._book.encoding, newline="") as file:
            delimiter, first = _find_delimiter(file.readline(), file)
            reader = csv.reader(_rejoined(first, file), delimiter=delimiter)
            width = number = 0
            ended = True
            cells: list[Cell] = []
            while True:
                try:
                    line = next(reader, None)
                except csv.Error as exc:
                    if "field limit" not in str(exc):
                        raise CellError(WB_FORMAT) from exc
                    line = ["x" * (LONGEST_CHARS + 1)]
                if line is None:
                    break
                number += 1
                if number > caps.rows:
                    raise CellError(WB_TOO_MANY_ROWS, f"допустимо {caps.rows}")
                if len(line) > caps.columns:
                    raise CellError(WB_TOO_MANY_COLUMNS, f"допустимо {caps.columns}")
                if number > 1:
                    yield Row(number - 1, cells)
                cells = [text or None for text in line]
                width = max(width, len(line)) if number > 1 else len(line)
                ended = len(line) >= width
            if number and not ended and not _ends_with_newline(self._book.path, self._book.encoding):
                raise CellError(WB_HALF_WRITTEN, "последняя строка оборвана")
            if number:
                yield Row(number, cells)


def _rejoined(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _find_delimiter(first: str, file: Iterator[str]) -> tuple[str, str]:
    """Return the delimiter and the first line of rows; Excel's own `sep=;` line is not a row."""
    stripped = first.strip().strip("\ufeff").lower()
    if stripped.startswith("sep=") and len(stripped) == 5:
        return stripped[4], ""
    if stripped == "sep=":  # a tab, stripped
        return "\t", ""
    del file
    counts = {one: first.count(one) for one in _DELIMITERS}
    return max(_DELIMITERS, key=lambda one: counts[one]), first


def _find_encoding(path: Path) -> str:
    """Tell the encoding of the whole file.

    Raises:
        CellError: Bytes that fit none, or text in which Russian letters stand as in another encoding.
    """
    with path.open("rb") as file:
        start = file.read(_SAMPLE_BYTES)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if b"\x00" in start[:200]:
        evens, odds = start[0:200:2].count(0), start[1:200:2].count(0)
        if odds > 4 * evens:
            return "utf-16-le"
        if evens > 4 * odds:
            return "utf-16-be"
    if _is_utf8(path):
        if _garbled(start.decode("utf-8", "ignore")):
            raise CellError(WB_ENCODING, "текст перекодирован дважды")
        return "utf-8"
    best = max(_OTHERS, key=lambda name: _frequency(start, name))
    if _frequency(start, "cp1251") < _RARE_RATIO and _frequency(start, best) >= _FREQUENT_RATIO:
        raise CellError(WB_ENCODING, f"похоже на {best}")
    try:
        start.decode("cp1251")
    except UnicodeDecodeError as exc:
        raise CellError(WB_ENCODING) from exc
    return "cp1251"


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1024 * 1024):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:  # so it is another encoding
        return False
    return True


def _garbled(text: str) -> bool:
    """Whether it is UTF-8 taken for Latin-1 or windows-1251 and stored as UTF-8 again («Ð¤Ð°Ð¼», «Р¤Р°Рј»)."""
    letters = sum(one.isalpha() for one in text)
    return letters > 20 and (text.count("Ð") + text.count("Ñ") + text.count("Р") + text.count("С")) * 5 > letters * 2


def _frequency(start: bytes, encoding: str) -> float:
    """Share of the commonest small Russian letters among all bytes above ASCII."""
    high_count = sum(byte > 127 for byte in start)
    return sum(one in _FREQUENT for one in start.decode(encoding, "ignore")) / high_count if high_count else 0.0


def _ends_with_newline(path: Path, encoding: str) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4))
        tail = file.read()
    return b"\n" in tail[-2 if encoding.startswith("utf-16") else -1 :] or tail.endswith(b"\r")
