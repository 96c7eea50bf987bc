"""XML of a workbook's part as events, with no tree, no entity and no bound but the caps.

Below the readers of XLSX and ODS. A tree of a million rows would not fit, and every part that nobody asked for would stand in
it; expat keeps nothing. A document type is refused: no spreadsheet has one, and every entity bomb needs one.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol
from xml.parsers import expat

from gateway.connectors.planner.workbook.faults import CellError
from gateway.domain.reasons import WB_BOMB, WB_HALF_WRITTEN, WB_LOCKED, WB_UNREADABLE

_CHUNK_BYTES = 64 * 1024

Attributes = dict[str, str]


class Bytes(Protocol):
    """What is read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


class LocalNames(dict[str, str]):
    """Expat's `namespace local` → the local name: prefixes differ between writers. Each name is split once."""

    def __missing__(self, name: str) -> str:
        self[name] = local = name.rpartition(" ")[2]
        return local


def build_parser(
    on_start: Callable[[str, Attributes], None],
    on_end: Callable[[str], None],
    on_text: Callable[[str], None],
) -> expat.XMLParserType:
    """Make a parser that hands out names as `namespace local`."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_end
    parser.CharacterDataHandler = on_text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_doctype
    return parser


def _refuse_doctype(*_: object) -> NoReturn:
    raise CellError(WB_BOMB, "определения XML")


def open_part(archive: zipfile.ZipFile, part: str) -> zipfile.ZipExtFile:
    """Open a part of a workbook; never more is read from it than the zip's directory says.

    Raises:
        CellError: There is none, or it is packed in a way nobody packs workbooks.
    """
    try:
        file = archive.open(part)
    except (KeyError, NotImplementedError) as exc:
        raise CellError(WB_UNREADABLE, "нет части файла или способ сжатия") from exc
    except RuntimeError as exc:
        raise CellError(WB_LOCKED) from exc
    except (zipfile.BadZipFile, EOFError) as exc:
        raise CellError(WB_HALF_WRITTEN) from exc
    return file  # type: ignore[return-value]  # opened to read it is a ZipExtFile


def iter_parsed(file: Bytes, parser: expat.XMLParserType) -> Iterator[None]:
    """Parse piece by piece; after each yield the handlers have seen one piece more.

    Raises:
        CellError: The XML or the zip is broken.
    """
    try:
        while chunk := file.read(_CHUNK_BYTES):
            parser.Parse(chunk, False)
            yield
        parser.Parse(b"", True)
    except expat.ExpatError as exc:
        raise CellError(WB_UNREADABLE, "разметка нарушена") from exc
    except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
        raise CellError(WB_HALF_WRITTEN) from exc
    except NotImplementedError as exc:
        raise CellError(WB_UNREADABLE, "способ сжатия") from exc
    except (LookupError, ValueError) as exc:
        if "encoding" not in str(exc):
            raise
        raise CellError(WB_UNREADABLE, "кодировка разметки") from exc
    yield


def parse_whole(
    file: Bytes,
    *,
    on_start: Callable[[str, Attributes], None],
    on_end: Callable[[str], None] = lambda _: None,
    on_text: Callable[[str], None] = lambda _: None,
) -> None:
    """Parse a part to its end.

    Raises:
        CellError: The XML or the zip is broken.
    """
    for _ in iter_parsed(file, build_parser(on_start, on_end, on_text)):
        pass
