"""What a page of the journal says beside its days: columns of final marks, and columns of remarks. Pure.

A head is a final mark's where it names its period («1 триместр», «итог II четверти», «1 полугодие»), the year («год», «годовая»),
an intermediate attestation («промежуточная аттестация», «зачёт», «экзамен»: that is how one is taken) or the final
mark («итоговая»). «Итог» alone is the final mark only beside a column of the year: on a page of one quarter it is the
quarter's, and nobody guesses which.

Source: city-journal.md R12 (the four kinds), R13 (quarters, trimesters, half-years).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from gateway.connectors.planner.workbook.cells import to_text
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import Cell
from gateway.connectors.planner.workbook.words import head_key, plain
from gateway.domain.reasons import WB_MARK, WB_MARK_SCALE
from gateway.domain.records import FinalForm, Scale

_ORDINALS = {
    "i": 1,
    "ii": 2,
    "iii": 3,
    "iv": 4,
    "первый": 1,
    "первая": 1,
    "первое": 1,
    "второй": 2,
    "вторая": 2,
    "второе": 2,
    "третий": 3,
    "третья": 3,
    "четвертый": 4,
    "четвертая": 4,
}
_PARTS = {"четв": "четверть", "чтв": "четверть", "трим": "триместр", "полуг": "полугодие", "период": "период"}
_NUMBER = r"\d{1,2}|" + "|".join(sorted(_ORDINALS, key=len, reverse=True))
_BEFORE = r"(?:(?:итог|итоги|итоговая|отметка|оценка|за)\s)*"
_PERIOD = re.compile(
    rf"{_BEFORE}(?:(?P<first>{_NUMBER})\s?(?:й|я|ая|ый|ой|е|ое)?\s)?(?P<part>четв|чтв|трим|полуг|период)\w*"
    rf"(?:\s(?P<last>{_NUMBER}))?(?:\s(?:отметка|оценка))?"
)
_WHOLE_YEAR: tuple[tuple[FinalForm, re.Pattern[str]], ...] = (
    (
        "year",
        re.compile(r"(?:(?:отметка|оценка|итог|за|учебный)\s)*(?:год|годовая|годовой)(?:\s(?:отметка|оценка|итог))?"),
    ),
    (
        "intermediate",
        re.compile(
            r"(?:(?:отметка|оценка|за)\s)*(?:(?:пром|промежуточн\w*)\sаттестаци\w*|аттестация|экзамен|зачет)(?:\s(?:отметка|оценка))?"
        ),
    ),
    ("final", re.compile(r"итоговая(?:\s(?:отметка|оценка))?")),
)
ALONE = "итог"
"""A head that is the final mark beside a column of the year, and else says too little."""
_REMARK = re.compile(r"\b(?:комментари\w*|замечани\w*)", re.IGNORECASE)
_MARKED = re.compile(r"\b(?:отметк\w*|оценк\w*|отм|балл\w*)", re.IGNORECASE)
_WORD = re.compile(r"[а-яё][а-яё/. ]{0,29}", re.IGNORECASE)
FIVE_POINTS = Scale("points", 0, 5)
PASSED = Scale("points", 0, 1)
WORDS = Scale("words", 0, 0)
MARKS = range(1, 6)


class FinalColumn(msgspec.Struct, frozen=True, order=True):
    """Which final mark a column holds.

    Attributes:
        period: `1 триместр`, with the word that says how many such a year has; empty where the form is not `period`.
    """

    form: FinalForm
    period: str = ""

    @property
    def key(self) -> str:
        """As a part of refs."""
        return ":".join(part for part in (self.form, self.period.replace(" ", "-")) if part)


class FinalCell(msgspec.Struct, frozen=True):
    """What stands in such a column: points on a scale, or a word."""

    scale: Scale
    points: float
    word: str | None = None


def find_final_columns(keys: Mapping[int, str]) -> dict[int, FinalColumn]:
    """Find the columns of final marks among heads that are no known column and no day; two of one kind are none.

    Args:
        keys: Column → head in the form of `words.head_key`.
    """
    found = {column: one for column, key in keys.items() if (one := find_final_column(key)) is not None}
    if any(one.form == "year" for one in found.values()) and not any(one.form == "final" for one in found.values()):
        found |= {column: FinalColumn("final") for column, key in keys.items() if key == ALONE}
    told = list(found.values())
    return {column: one for column, one in sorted(found.items()) if told.count(one) == 1}


def find_final_column(key: str) -> FinalColumn | None:
    """Say which final mark a head names; None where it names none."""
    period = _PERIOD.fullmatch(key)
    if period is not None:
        number = period["first"] or period["last"]
        if number is None or (period["first"] and period["last"]):
            return None
        return FinalColumn("period", f"{_ORDINALS.get(number) or int(number)} {_PARTS[period['part']]}")
    return next((FinalColumn(form) for form, pattern in _WHOLE_YEAR if pattern.fullmatch(key)), None)


def strip_mark(head: str) -> str:
    """A head without the word that marks stand below it: «05.09 отметка» → «05.09»."""
    return _MARKED.sub("", plain(head)).strip(" .,:;()-–—")


def strip_remark(head: str) -> str | None:
    """What is left of a head of remarks, «комментарий 05.09» → «05.09»; None where it is none."""
    text = plain(head)
    return _REMARK.sub("", text).strip(" .,:;()-–—") if _REMARK.search(text) else None


def read_final_cell(cell: Cell, column: FinalColumn) -> FinalCell | None:
    """Read a final mark; None where the cell is empty or a dash stands for «nothing».

    Raises:
        CellError: It is neither a mark of 1 to 5 (of an attestation 1 or 0 as well) nor a word.
    """
    text = plain(to_text(cell))
    if text in ("", ".", "-", "–", "—"):
        return None
    if re.fullmatch(r"-?\d{1,3}", text):
        value = int(text)
        if column.form == "intermediate" and value in (0, 1):
            return FinalCell(PASSED, float(value))
        if value not in MARKS:
            raise CellError(WB_MARK_SCALE)
        if column.form == "intermediate":  # which marks have passed is the school's word, like any other
            return FinalCell(WORDS, float(value), text)
        return FinalCell(FIVE_POINTS, float(value))
    if not _WORD.fullmatch(text):
        raise CellError(WB_MARK)
    return FinalCell(WORDS, 0.0, head_key(text))


__all__ = [
    "ALONE",
    "FinalCell",
    "FinalColumn",
    "find_final_column",
    "find_final_columns",
    "read_final_cell",
    "strip_mark",
    "strip_remark",
]
