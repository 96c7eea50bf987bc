"""What stands in one cell of a journal's page: marks with weight and kind of work, and whether the pupil was there. Pure.

«н,5(1),4(2К)» is an absence, a five of weight 1, and a four of weight 2 for a test. Reasons of an absence are health data:
«б» is read as an absence with a reason and what it was is not kept.

Source: city-journal.md R2 (several marks and an absence in a cell), R3 (letters).
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from gateway.connectors.planner.workbook.cells import to_text
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import Cell
from gateway.connectors.planner.workbook.words import plain
from gateway.domain.reasons import WB_MARK, WB_MARK_FORM, WB_MARK_SCALE, WB_MARK_WEIGHT

FORMS = {
    "": "Работа на уроке",
    "У": "Работа на уроке",
    "К": "Контрольная работа",
    "С": "Самостоятельная работа",
    "Т": "Тест",
    "П": "Проект",
    "Д": "Домашнее задание",
}
"""Letter in brackets → kind of work, in the words that the rules of the mapping file look for."""
ABSENCES: dict[str, Literal["absent", "excused", "late"]] = {
    "н": "absent",
    "нб": "absent",
    "нп": "absent",
    "б": "excused",
    "у": "excused",
    "уп": "excused",
    "п": "excused",
    "о": "late",
    "оп": "late",
}
MARKS = range(1, 6)
WEIGHTS = range(1, 11)
"""City-journal weights."""
_TOKEN = re.compile(r"([^(),;/\s]+)(?:\s*\(([^()]*)\))?")
_INSIDE = re.compile(r"(-?\d+)?\s*([А-ЯA-Z]?)")
_SEPARATORS = re.compile(r"[,;/\s]+")
_LATIN = str.maketrans("HOoYyKCTh", "НОоУуКСТн")


class CellMark(msgspec.Struct, frozen=True):
    """A mark of a cell; `form` is a key of `FORMS`."""

    value: int
    weight: int | None
    form: str


class PageCell(msgspec.Struct, frozen=True):
    """All that a cell says."""

    marks: tuple[CellMark, ...] = ()
    absence: Literal["absent", "excused", "late"] | None = None


def read_page_cell(cell: Cell) -> PageCell | None:
    """Read a cell; None where it is empty or a dot or dash stands for «nothing».

    Raises:
        CellError: Anything in it can't be read: then nothing of it is taken.
    """
    text = plain(to_text(cell)).translate(_LATIN)
    if text in ("", ".", "-", "–", "—"):
        return None
    marks: list[CellMark] = []
    absences: list[Literal["absent", "excused", "late"]] = []
    end = 0
    for found in _TOKEN.finditer(text):
        gap = text[end : found.start()]
        if gap and not _SEPARATORS.fullmatch(gap):
            raise CellError(WB_MARK)
        if not gap and end:
            raise CellError(WB_MARK)
        end = found.end()
        word, inside = found[1], found[2]
        absence = ABSENCES.get(word.casefold().replace(".", ""))
        if absence is not None and inside is None:
            absences.append(absence)
        else:
            marks.append(_mark(word, inside))
    if text[end:].strip(",;/ ") or len(set(absences)) > 1:
        raise CellError(WB_MARK)
    return PageCell(tuple(marks), absences[0] if absences else None)


def _mark(word: str, inside: str | None) -> CellMark:
    if not re.fullmatch(r"-?\d{1,3}", word):
        raise CellError(WB_MARK)
    if int(word) not in MARKS:
        raise CellError(WB_MARK_SCALE)
    if inside is None:
        return CellMark(int(word), None, "")
    found = _INSIDE.fullmatch(inside.strip().upper())
    if found is None or not inside.strip():
        raise CellError(WB_MARK_FORM)
    if found[1] is not None and int(found[1]) not in WEIGHTS:
        raise CellError(WB_MARK_WEIGHT)
    if found[2] not in FORMS:
        raise CellError(WB_MARK_FORM)
    return CellMark(int(word), int(found[1]) if found[1] is not None else None, found[2])
