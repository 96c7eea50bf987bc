"""The export of aSc TimeTables as plain rows: read as a stream, without entities, network or a document type.

Below the expansion; knows the file and nothing of dates. Whatever is no plain export is refused before a parser may be
made to work for it: a bomb needs a document type, and an export has none.

Source: portal-and-planner.md §d («aSc Timetables 2012 XML», ascttversion 2021.6.2).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec
from lxml import etree

from gateway.domain.errors import IncompleteReadError

SYSTEM = "timetable"
MAX_BYTES = 64 * 1024 * 1024
"""A school of 1 500 pupils exports 3 MB."""
MAX_ELEMENTS = 500_000
"""Such a school has some 20 000 elements, most of them cards."""
MAX_VALUE_CHARS = 20_000
"""Longest attribute: lists of pupils of a group."""
MAX_ATTRIBUTES = 100
"""Of one element; lessons, which have most, come to some twenty."""
_PROLOG_BYTES = 64 * 1024
"""The root stands in the first kilobyte of every export."""
_CHUNK_BYTES = 1024 * 1024
_FORBIDDEN = (b"<!DOCTYPE", b"<!ENTITY")
_LONGEST_FORBIDDEN = max(map(len, _FORBIDDEN))
_ENCODINGS = frozenset(
    {"utf-8", "utf8", "utf-16", "windows-1251", "windows-1252", "windows-1250", "iso-8859-1", "iso-8859-5"}
)
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
ROWS = frozenset(
    {
        *("period", "daysdef", "weeksdef", "termsdef", "subject", "teacher", "class", "group", "student"),
        *("lesson", "card"),
    }
)
_DTD_CAUSE = "в нём есть DOCTYPE: такие файлы не читаются"
Row = Mapping[str, str]


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by element name, attributes as they stand."""

    rows: Mapping[str, tuple[Row, ...]]

    def of(self, name: str) -> tuple[Row, ...]:
        """The rows of one element name."""
        return self.rows.get(name, ())

    def by_id(self, name: str) -> dict[str, Row]:
        """The rows of one element name by their id."""
        return {row["id"]: row for row in self.of(name) if row.get("id")}


def read_export(path: Path) -> Export:
    """Read a whole export.

    Raises:
        IncompleteReadError: No plain export, cut off, or beyond the caps; nothing of it is used.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _refused(path, f"больше {MAX_BYTES // 1024 // 1024} МБ")
        with path.open("rb") as file:
            prolog = file.read(_PROLOG_BYTES)
        has_dtd = _has_dtd(path)
    except OSError as exc:
        raise _refused(path, f"не читается ({type(exc).__name__})") from exc
    if has_dtd:
        raise _refused(path, _DTD_CAUSE)
    _require_plain(path, prolog)
    try:
        with path.open("rb") as file:
            rows = _read_rows(path, file)
    except etree.XMLSyntaxError as exc:
        raise _refused(path, f"оборван или не XML, строка {exc.lineno}") from None
    if not rows["lesson"] or not rows["period"]:
        raise _refused(path, "в нём нет уроков или звонков: это не выгрузка расписания")
    return Export(rows={name: tuple(found) for name, found in rows.items()})


def _read_rows(path: Path, file: BinaryIO) -> dict[str, list[Row]]:
    """Read the rows as they come; what was read is let go at once.

    Raises:
        IncompleteReadError: Beyond the caps.
    """
    rows: dict[str, list[Row]] = defaultdict(list)
    elements = etree.iterparse(
        file,
        events=("start", "end"),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    count = 0
    for event, element in elements:
        if event == "start":
            # Whatever spelling hid it from the look at the bytes: the parser has it by now, and nothing of it is used.
            if count == 0 and element.getroottree().docinfo.internalDTD is not None:
                raise _refused(path, _DTD_CAUSE)
            continue
        count += 1
        if count > MAX_ELEMENTS:
            raise _refused(path, f"больше {MAX_ELEMENTS} элементов")
        if len(element.attrib) > MAX_ATTRIBUTES:
            raise _refused(path, f"больше {MAX_ATTRIBUTES} свойств у одного элемента")
        if element.tag in ROWS:
            row = {str(name): str(value).strip() for name, value in element.attrib.items()}
            if any(len(value) > MAX_VALUE_CHARS for value in row.values()):
                raise _refused(path, "слишком длинное значение")
            rows[str(element.tag)].append(row)
        element.clear()
        parent = element.getparent()
        while parent is not None and element.getprevious() is not None:
            del parent[0]
    return rows


def _has_dtd(path: Path) -> bool:
    """Whether a document type or an entity stands anywhere in the file, in a comment too: an export has neither.

    Raises:
        OSError: It can't be read.
    """
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            # In UTF-16 every second byte is zero; without them the markup is the same text.
            text = tail + chunk.replace(b"\x00", b"")
            if any(one in text for one in _FORBIDDEN):
                return True
            tail = text[-_LONGEST_FORBIDDEN:]
    return False


def _require_plain(path: Path, prolog: bytes) -> None:
    """Refuse encodings in which a document type could hide, and what is no export.

    Raises:
        IncompleteReadError: It is one.
    """
    text = (
        prolog.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").replace(b"\x00", b"")
    )
    declared = _DECLARED.match(text)
    if declared is not None and declared[1].decode().lower() not in _ENCODINGS:
        raise _refused(path, "кодировка не из тех, в которых выгружают расписание")
    if b"<timetable" not in text:
        raise _refused(path, "это не выгрузка aSc: нет элемента timetable")


def _refused(path: Path, cause: str) -> IncompleteReadError:
    return IncompleteReadError(f"Расписание {path.name}: {cause}", system=SYSTEM)
