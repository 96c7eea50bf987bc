"""Reads one cell as what its column says it is. Pure; each reader raises the fault of its kind.

Texts are kept as they are, hostile ones too: whoever shows or exports them escapes them. Only ends are trimmed and lengths
capped.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import Literal

import msgspec

from gateway.connectors.planner.workbook.days import SchoolYear, find_time, find_weekday, read_birth, read_day
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import Broken, Cell, Formula
from gateway.connectors.planner.workbook.words import find_class, plain
from gateway.domain.reasons import (
    WB_ADDRESS,
    WB_BROKEN_CELL,
    WB_CHOICE,
    WB_CLASS,
    WB_FORMULA,
    WB_NAME,
    WB_NUMBER,
    WB_TEXT_TOO_LONG,
    WB_TIME,
    WB_WEEKDAY,
)

SHORT_CHARS = 300
"""Names, subjects and topics; the city's own topics end at 255."""
LONG_CHARS = 10_000
"""Homework, content, resources."""
LONGEST_CHARS = 32_767
"""Of any cell, in a column that is read or not: what a cell of Excel holds."""
HIGHEST_NUMBER = 2_000
"""Of lessons in a plan, and hours of a subject in a year."""
_EMAIL = re.compile(r"[^@\s,;<>\"']{1,64}@[^@\s,;<>\"']{1,255}\.[^@\s,;<>\"'.]{2,63}")
_PHONE = re.compile(r"\+?[\d\s()\-–]{5,25}")
_WEEK = re.compile(r"недел|[-–—,;]\s*\d|\d\s*\+|по\s|четверт|\bнед\b", re.IGNORECASE)
_ONLINE = ("онлайн", "дистан", "online", "удален", "удалён")
_OFFLINE = ("очн", "офлайн", "оффлайн", "offline", "в школе", "класс")


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell is read by besides itself: the school year and the day of the reading."""

    year: SchoolYear
    today: date


class PersonName(msgspec.Struct, frozen=True):
    """A name in its parts, as written."""

    last: str
    first: str
    middle: str | None = None


def to_text(cell: Cell) -> str:
    """A cell as the text it shows: a whole number without «.0», a day as 05.09.2026.

    Raises:
        CellError: A formula or an error of the spreadsheet.
    """
    match cell:
        case None:
            return ""
        case str():
            return cell.strip(" \t\r\n\u00a0")
        case Formula():
            raise CellError(WB_FORMULA)
        case Broken():
            raise CellError(WB_BROKEN_CELL)
        case bool():
            return "да" if cell else "нет"
        case float():
            return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.10g}"
        case datetime() | date():
            return f"{cell:%d.%m.%Y}"
        case time():
            return f"{cell:%H:%M}"
    return str(cell)


def read_short(cell: Cell, reader: Reader) -> str | None:
    """A text of one line's length."""
    del reader
    return _capped(to_text(cell), SHORT_CHARS)


def read_long(cell: Cell, reader: Reader) -> str | None:
    """A text of a page's length."""
    del reader
    return _capped(to_text(cell), LONG_CHARS)


def _capped(text: str, chars: int) -> str | None:
    if len(text) > chars:
        raise CellError(WB_TEXT_TOO_LONG, f"допустимо {chars} знаков")
    return text or None


def read_name_part(cell: Cell, reader: Reader) -> str | None:
    """A last, first or middle name: letters, at least one, and no digit."""
    text = read_short(cell, reader)
    if text is not None and (any(one.isdigit() for one in text) or not any(one.isalpha() for one in text)):
        raise CellError(WB_NAME)
    return plain(text) if text else None


def read_full_name(cell: Cell, reader: Reader) -> PersonName | None:
    """«Фамилия Имя Отчество» in one cell; a number before it («1. Иванов Иван») belongs to the list."""
    text = read_short(cell, reader)
    if text is None:
        return None
    parts = plain(re.sub(r"^\d{1,3}[.)]\s*", "", text)).split(" ")
    if len(parts) < 2 or any(read_name_part(part, reader) is None for part in parts):
        raise CellError(WB_NAME)
    return PersonName(parts[0], parts[1], " ".join(parts[2:]) or None)


def read_class(cell: Cell, reader: Reader) -> str | None:
    """A class, in the form `7А`."""
    text = read_short(cell, reader)
    if text is None:
        return None
    found = find_class(text)
    if found is None or found[1].isdecimal():
        raise CellError(WB_CLASS)
    return found[1]


def read_level(cell: Cell, reader: Reader) -> str | None:
    """A grade or a class: `7` or `7А`."""
    text = read_short(cell, reader)
    if text is None:
        return None
    found = find_class(text)
    if found is None:
        raise CellError(WB_CLASS)
    return found[1]


def read_lesson_day(cell: Cell, reader: Reader) -> date | None:
    """A day of the school year."""
    return None if is_blank(cell) else read_day(_checked(cell), reader.year)


def read_study_day(cell: Cell, reader: Reader) -> date | str | None:
    """A day of a plan, or what else people write there: «1 неделя», «05.09–12.09»."""
    if is_blank(cell):
        return None
    try:
        return read_day(_checked(cell), reader.year)
    except CellError:
        text = read_short(cell, reader)
        if text and isinstance(cell, str) and _WEEK.search(text):
            return text
        raise


def read_birthday(cell: Cell, reader: Reader) -> date | None:
    """A birthday."""
    return None if is_blank(cell) else read_birth(_checked(cell), reader.today)


def read_weekday(cell: Cell, reader: Reader) -> int | None:
    """A weekday as its ISO number."""
    text = read_short(cell, reader)
    if text is None:
        return None
    found = find_weekday(text)
    if found is None:
        raise CellError(WB_WEEKDAY)
    return found


def read_time(cell: Cell, reader: Reader) -> time | None:
    """A time of day; of «08:30–09:15» the beginning."""
    del reader
    if is_blank(cell):
        return None
    found = find_time(_checked(cell))
    if found is None and isinstance(cell, str):
        found = find_time(re.split(r"\s*[-–—]\s*(?=\d{1,2}[:.])", cell.strip())[0])
    if found is None:
        raise CellError(WB_TIME)
    return found


def read_ordinal(cell: Cell, reader: Reader) -> int | None:
    """A lesson's number within a day, 0–14."""
    return _whole(cell, reader, 0, 14)


def read_number(cell: Cell, reader: Reader) -> int | None:
    """A row's number in a plan."""
    return _whole(cell, reader, 1, HIGHEST_NUMBER)


def _whole(cell: Cell, reader: Reader, lowest: int, highest: int) -> int | None:
    text = (read_short(cell, reader) or "").rstrip(". ")
    if not text:
        return None
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise CellError(WB_NUMBER, f"от {lowest} до {highest}")
    return int(text)


def read_hours(cell: Cell, reader: Reader) -> float | None:
    """Hours: «1», «0,5», «34 ч.»; a dash is none."""
    text = (read_short(cell, reader) or "").casefold()
    text = re.sub(r"\s*(?:часов|часа|час|ч)\.?$", "", text).replace(",", ".").strip()
    if text in ("", "-", "–", "—"):
        return None
    if not re.fullmatch(r"\d{1,4}(?:\.\d{1,2})?", text) or float(text) > HIGHEST_NUMBER:
        raise CellError(WB_NUMBER, f"от 0 до {HIGHEST_NUMBER}")
    return float(text)


def read_emails(cell: Cell, reader: Reader) -> tuple[str, ...] | None:
    """One address or several."""
    return _several(read_short(cell, reader), _EMAIL, r"[;,\s]+")


def read_phones(cell: Cell, reader: Reader) -> tuple[str, ...] | None:
    """One number or several."""
    return _several(read_short(cell, reader), _PHONE, r"[;,\n]+")


def _several(text: str | None, form: re.Pattern[str], between: str) -> tuple[str, ...] | None:
    parts = tuple(part.strip() for part in re.split(between, text or "") if part.strip())
    if any(not form.fullmatch(part) for part in parts):
        raise CellError(WB_ADDRESS)
    return parts or None


def read_form(cell: Cell, reader: Reader) -> Literal["offline", "online"] | None:
    """Whether a lesson is held online."""
    text = (read_short(cell, reader) or "").casefold()
    if not text:
        return None
    if text.startswith(_ONLINE):
        return "online"
    if text.startswith(_OFFLINE):
        return "offline"
    raise CellError(WB_CHOICE)


def is_blank(cell: Cell) -> bool:
    """Whether there is nothing in a cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip(" \t\r\n\u00a0"))


def _checked(cell: Cell) -> Cell:
    """The cell itself, where it is neither a formula nor an error."""
    to_text(cell)
    return cell
