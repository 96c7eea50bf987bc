"""Writes tables of plain values as XLSX, ODS, XLS or CSV, and files that are made to hurt. No format is written by what reads it here.

ODS and XLS are put together by hand, because no library that is locked writes them.
"""

from __future__ import annotations

import csv
import io
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import xlsxwriter

NS = {
    "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
    "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
    "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
    "style": "urn:oasis:names:tc:opendocument:xmlns:style:1.0",
}
ODS_TYPE = "application/vnd.oasis.opendocument.spreadsheet"
MANIFEST = (
    '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.3">'
    f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{ODS_TYPE}"/></manifest:manifest>'
)


@dataclass(frozen=True)
class F:
    """A formula and the value that the spreadsheet last showed."""

    formula: str
    value: Any = 0


@dataclass(frozen=True)
class Error:
    """An error of the spreadsheet."""


@dataclass
class Page:
    """A sheet: rows of values; `merges` are (row, column, row, column) from 0."""

    name: str
    rows: Sequence[Sequence[Any]]
    merges: Sequence[tuple[int, int, int, int]] = ()
    is_hidden: bool = False


@dataclass
class Book:
    pages: list[Page] = field(default_factory=list)


def write_xlsx(
    path: Path, pages: Sequence[Page], *, constant: bool = False, shared: bool = True, **options: Any
) -> None:
    book = xlsxwriter.Workbook(
        str(path),
        {
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "in_memory": shared,
            "constant_memory": constant,
            **options,
        },
    )
    day = book.add_format({"num_format": "dd.mm.yyyy"})
    clock = book.add_format({"num_format": "hh:mm"})
    for page in pages:
        sheet = book.add_worksheet(page.name)
        for top, left, bottom, right in page.merges:
            sheet.merge_range(top, left, bottom, right, "")
        for at, row in enumerate(page.rows):
            for column, value in enumerate(row):
                match value:
                    case None:
                        continue
                    case F():
                        sheet.write_formula(at, column, value.formula, None, value.value)
                    case Error():
                        sheet.write_formula(at, column, "=#REF!", None, "#REF!")
                    case datetime() | date():
                        sheet.write_datetime(at, column, value, day)
                    case time():
                        sheet.write_datetime(at, column, value, clock)
                    case str():
                        sheet.write_string(at, column, value)
                    case _:
                        sheet.write(at, column, value)
        if page.is_hidden:
            sheet.hide()
    if pages and all(not page.is_hidden for page in pages[:1]):
        book.worksheets()[0].activate()
    book.close()


def write_ods(path: Path, pages: Sequence[Page]) -> None:
    out = io.StringIO()
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
    out.write(f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {names} office:version="1.3">')
    out.write(
        '<office:automatic-styles><style:style style:name="ta0" style:family="table"><style:table-properties table:display="false"/>'
    )
    out.write("</style:style></office:automatic-styles><office:body><office:spreadsheet>")
    for page in pages:
        hidden = ' table:style-name="ta0"' if page.is_hidden else ""
        out.write(f"<table:table table:name={quoteattr(page.name)}{hidden}>")
        covered = {
            (row, column)
            for top, left, bottom, right in page.merges
            for row in range(top, bottom + 1)
            for column in range(left, right + 1)
            if (row, column) != (top, left)
        }
        spans = {(top, left): (bottom - top + 1, right - left + 1) for top, left, bottom, right in page.merges}
        for at, row in enumerate(page.rows):
            out.write("<table:table-row>")
            for column, value in enumerate(row):
                if (at, column) in covered:
                    out.write("<table:covered-table-cell/>")
                    continue
                down, right = spans.get((at, column), (1, 1))
                span = (
                    f' table:number-rows-spanned="{down}" table:number-columns-spanned="{right}"'
                    if (down, right) != (1, 1)
                    else ""
                )
                out.write(_ods_cell(value, span))
            out.write("</table:table-row>")
        out.write(
            '<table:table-row table:number-rows-repeated="1000000"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
        )
        out.write("</table:table>")
    out.write("</office:spreadsheet></office:body></office:document-content>")
    write_ods_content(path, out.getvalue())


def write_ods_content(path: Path, content: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", ODS_TYPE, zipfile.ZIP_STORED)
        archive.writestr("META-INF/manifest.xml", MANIFEST)
        archive.writestr("content.xml", content)


def _ods_cell(value: Any, span: str) -> str:
    match value:
        case None:
            return f"<table:table-cell{span}/>"
        case F():
            shown = "string" if isinstance(value.value, str) else "float"
            number = "" if shown == "string" else f' office:value="{value.value}"'
            start = f'<table:table-cell{span} table:formula={quoteattr("of:" + value.formula)} office:value-type="{shown}"{number}>'
            return f"{start}<text:p>{escape(str(value.value))}</text:p></table:table-cell>"
        case Error():
            return f'<table:table-cell{span} table:formula="of:=#REF!" office:value-type="string"><text:p>#REF!</text:p></table:table-cell>'
        case bool():
            return f'<table:table-cell{span} office:value-type="boolean" office:boolean-value="{str(value).lower()}"/>'
        case int() | float():
            return f'<table:table-cell{span} office:value-type="float" office:value="{value}"><text:p>{value}</text:p></table:table-cell>'
        case date():
            return f'<table:table-cell{span} office:value-type="date" office:date-value="{value:%Y-%m-%d}"><text:p>{value:%d.%m.%y}</text:p></table:table-cell>'
        case time():
            return f'<table:table-cell{span} office:value-type="time" office:time-value="PT{value:%HH%MM%S}S"/>'
    lines = "".join(f"<text:p>{escape(line)}</text:p>" for line in str(value).split("\n"))
    return f'<table:table-cell{span} office:value-type="string">{lines}</table:table-cell>'


def write_csv(path: Path, page: Page, *, encoding: str = "cp1251", delimiter: str = ";", start: str = "") -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    for row in page.rows:
        writer.writerow([_csv_cell(value) for value in row])
    path.write_bytes((start + out.getvalue()).encode(encoding))


def _csv_cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:g}".replace(".", ",")
        case datetime() | date():
            return f"{value:%d.%m.%Y}"
        case time():
            return f"{value:%H:%M}"
    return str(value)


def write_xls(path: Path, page: Page) -> None:
    """An XLS of texts and numbers: BIFF8 records in a compound file of one stream.

    Source: [MS-XLS] §2.4 (BOF, BoundSheet8, Label, Number, EOF), [MS-CFB] §2 (header, FAT, directory).
    """

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    def text(value: str) -> bytes:
        return struct.pack("<HB", len(value), 1) + value.encode("utf-16-le")

    cells = b""
    for at, row in enumerate(page.rows):
        for column, value in enumerate(row):
            if isinstance(value, int | float):
                cells += record(0x0203, struct.pack("<HHHd", at, column, 15, value))
            elif value is not None:
                cells += record(0x0204, struct.pack("<HHH", at, column, 15) + text(_csv_cell(value)))
    width = max(len(row) for row in page.rows)
    size = record(0x0200, struct.pack("<IIHHH", 0, len(page.rows), 0, width, 0))
    sheet = record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0)) + size + cells + record(0x000A, b"")
    styles = b"".join(record(0x00E0, struct.pack("<HHHBBBBIIH", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)) for _ in range(16))
    start = record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0)) + record(0x0042, struct.pack("<H", 1200))
    name = page.name.encode("utf-16-le")
    length = len(start) + len(styles) + 4 + 8 + len(name) + 4
    bound = record(0x0085, struct.pack("<IBBBB", length, 0, 0, len(page.name), 1) + name)
    stream = start + styles + bound + record(0x000A, b"") + sheet
    stream = stream.ljust(max(4096, -(-len(stream) // 512) * 512), b"\0")
    sectors = len(stream) // 512
    fat_sectors = 1
    while fat_sectors * 128 < fat_sectors + 1 + sectors:
        fat_sectors += 1
    directory_at = fat_sectors
    stream_at = directory_at + 1
    fat = [0xFFFFFFFD] * fat_sectors + [0xFFFFFFFE] + [stream_at + one + 1 for one in range(sectors - 1)] + [0xFFFFFFFE]
    fat += [0xFFFFFFFF] * (fat_sectors * 128 - len(fat))

    def entry(title: str, kind: int, child: int, first: int, count: int) -> bytes:
        encoded = title.encode("utf-16-le") + b"\0\0"
        head = encoded.ljust(64, b"\0") + struct.pack(
            "<HBBIII", len(encoded) if title else 0, kind, 1, *(0xFFFFFFFF,) * 2, child
        )
        return head + bytes(16) + struct.pack("<IQQIQ", 0, 0, 0, first, count)

    directory = entry("Root Entry", 5, 1, 0xFFFFFFFE, 0) + entry("Workbook", 2, 0xFFFFFFFF, stream_at, len(stream))
    directory += entry("", 0, 0xFFFFFFFF, 0, 0) * 2
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, fat_sectors, directory_at, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", *range(fat_sectors), *(0xFFFFFFFF,) * (109 - fat_sectors))
    path.write_bytes(header + struct.pack(f"<{len(fat)}I", *fat) + directory + stream)


def repack(path: Path, changes: dict[str, bytes]) -> None:
    """Replace parts of a zip."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in (parts | changes).items():
            archive.writestr(name, body)
