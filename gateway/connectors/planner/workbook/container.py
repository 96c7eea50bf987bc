"""What kind of file this is, by its first bytes, and whether it may be opened at all.

The first step of reading, before any reader: everything here is decided from the file's size, its signature and the zip's
own directory. A name says nothing: «.xls» is often HTML, «.csv» often XLSX.
"""

from __future__ import annotations

import zipfile
from enum import StrEnum
from pathlib import Path

from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import Caps
from gateway.domain.reasons import WB_BOMB, WB_FORMAT, WB_HALF_WRITTEN, WB_LOCKED, WB_TOO_BIG, WB_UNREADABLE

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_OTHERS = (b"<?xml", b"<!doctype", b"<html", b"<head", b"<meta", b"<table", b"%pdf", b"{\\rtf")
"""What is sold as «.xls» or «.csv» and is neither."""
_HEAD_BYTES = 8192


class FileForm(StrEnum):
    """Formats that are read."""

    XLSX = "xlsx"
    XLS = "xls"
    ODS = "ods"
    CSV = "csv"


def find_form(path: Path, caps: Caps) -> FileForm:
    """Say what a file is and that it may be opened.

    Raises:
        CellError: It is none of the formats, locked, half written, too big, or made to hurt.
        OSError: It can't be read.
    """
    size = path.stat().st_size
    if size == 0:
        raise CellError(WB_HALF_WRITTEN)
    if size > caps.raw_bytes:
        raise CellError(WB_TOO_BIG, f"{size} байт, допустимо {caps.raw_bytes}")
    with path.open("rb") as file:
        start = file.read(_HEAD_BYTES)
    if start.startswith(b"PK"):
        return _zip_form(path, caps)
    if start.startswith(_OLE):
        return _ole_form(path, size, caps)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_OTHERS):
        raise CellError(WB_FORMAT)
    # a stray NUL may stand in a text; a file that is full of them is no text
    if start.count(0) * 20 > len(start) and not start.startswith(_UTF16) and not _is_utf16(start):
        raise CellError(WB_FORMAT)
    return FileForm.CSV


def _is_utf16(start: bytes) -> bool:
    """Whether every second byte, and only it, is NUL or 4, as Latin and Cyrillic text in UTF-16 has it."""
    pairs = len(start) // 2
    if not pairs:
        return False
    even, odd = (sum(1 for byte in start[at : pairs * 2 : 2] if byte in (0, 4)) / pairs for at in (0, 1))
    return max(even, odd) > 0.9 and min(even, odd) < 0.5


def _zip_form(path: Path, caps: Caps) -> FileForm:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except zipfile.BadZipFile as exc:
        raise CellError(WB_HALF_WRITTEN) from exc
    except (NotImplementedError, ValueError, UnicodeDecodeError) as exc:
        raise CellError(WB_UNREADABLE) from exc
    _check_parts(parts, caps)
    names = {part.filename for part in parts}
    if any(part.flag_bits & 1 for part in parts):
        raise CellError(WB_LOCKED)
    if "xl/workbook.xml" in names:
        return FileForm.XLSX
    if "content.xml" in names and "xl/workbook.bin" not in names:
        return FileForm.ODS
    raise CellError(WB_FORMAT)


def _check_parts(parts: list[zipfile.ZipInfo], caps: Caps) -> None:
    """Refuse a zip whose own directory says too much; that it says too little is seen while it is unpacked."""
    if len(parts) > caps.parts:
        raise CellError(WB_BOMB, f"частей {len(parts)}, допустимо {caps.parts}")
    total = sum(part.file_size for part in parts)
    if total > caps.unpacked_bytes:
        raise CellError(WB_BOMB, f"распаковывается в {total} байт, допустимо {caps.unpacked_bytes}")
    for part in parts:
        if part.file_size > caps.free_bytes and part.file_size > caps.ratio * max(1, part.compress_size):
            raise CellError(WB_BOMB, f"сжатие в {part.file_size // max(1, part.compress_size)} раз")


def _ole_form(path: Path, size: int, caps: Caps) -> FileForm:
    if size > caps.old_bytes:
        raise CellError(WB_TOO_BIG, f"{size} байт, для XLS допустимо {caps.old_bytes}")
    if _ENCRYPTED in path.read_bytes():
        raise CellError(WB_LOCKED)
    return FileForm.XLS
