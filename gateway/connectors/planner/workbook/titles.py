"""Reads what stands above a table, and in its sheet's name: the class, the subject, the group, who typed it and who answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from gateway.connectors.planner.workbook.cells import SHORT_CHARS, to_text
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import Row
from gateway.connectors.planner.workbook.words import find_class, plain

_LABELS = r"класс|предмет|учебный предмет|группа|подгруппа|внес|внёс|заполнил|заполнила|за кого|от имени|отвечает|ответственный"
_TITLE = re.compile(rf"^({_LABELS})\s*[:\-–—]\s*(.*)$", re.IGNORECASE)
_TITLE_ALONE = re.compile(rf"^({_LABELS})\s*:?$", re.IGNORECASE)
_CLASS_INSIDE = re.compile(r"(?<![\w.])(\d{1,2}\s?[-–]?\s?[«\"]?[а-яa-z]?[»\"]?)[\s-]*класс", re.IGNORECASE)
_CLASS_AFTER = re.compile(r"\bкласса?\s+(\d{1,2}\s?[-–]?\s?[«\"]?[а-яёa-z]?[»\"]?)(?!\w)", re.IGNORECASE)
_KINDS = ("ктп", "журнал")
"""Words that may stand before class and subject in a sheet's name."""
_TITLE_KEYS = {
    "класс": "class",
    "предмет": "subject",
    "учебный предмет": "subject",
    "группа": "group",
    "подгруппа": "group",
    **dict.fromkeys(("внес", "внёс", "заполнил", "заполнила"), "typed_by"),
    **dict.fromkeys(("за кого", "от имени"), "on_behalf_of"),
    **dict.fromkeys(("отвечает", "ответственный"), "answers"),
}
_POSTS = {
    "учитель": "teacher",
    "куратор": "curator",
    "методист": "methodist",
    "завуч": "deputy_head",
    "заместитель директора": "deputy_head",
    "секретарь": "office",
    "канцелярия": "office",
}
"""Posts that a title may name; a person's name there is not kept."""


class Title(msgspec.Struct, frozen=True, kw_only=True):
    """What stands above a table or in the sheet's name: a class or grade as `words.find_class` names it, and so on.

    Attributes:
        typed_by: Post of whoever filled it in; `on_behalf_of` at whose word; `answers` who answers for it.
    """

    class_name: str | None = None
    subject: str | None = None
    group: str | None = None
    typed_by: str = ""
    on_behalf_of: str = ""
    answers: str = ""


def find_title(sheet: str, above: Sequence[Row]) -> Title:
    """Read class, subject and group out of the lines above a table, else out of the sheet's name («7А Алгебра»)."""
    found: dict[str, str] = {}
    for row in above:
        texts = [text for text in row_texts(row) if text]
        for number, text in enumerate(texts):
            line = plain(text)
            if match := _TITLE.match(line):
                value = match[2] or (texts[number + 1] if number + 1 < len(texts) else "")
                found.setdefault(_TITLE_KEYS[match[1].casefold()], value.strip())
            elif (match := _TITLE_ALONE.match(line)) and number + 1 < len(texts):
                found.setdefault(_TITLE_KEYS[match[1].casefold()], texts[number + 1].strip())
            elif (match := _CLASS_INSIDE.search(line)) or (
                (match := _CLASS_AFTER.search(line)) and find_class(match[1]) is not None
            ):
                found.setdefault("class", match[1])
            elif len(texts) == 1 and (alone := find_class(line)) is not None and not alone[1].isdecimal():
                found.setdefault("class", alone[1])
    words = plain(sheet.replace("_", " ")).split(" ")
    words = words[1:] if words[0].casefold() in _KINDS else words
    for count in (1, 2):
        for first, last in ((0, count), (len(words) - count, len(words))):
            if 0 <= first < last <= len(words) and (of_sheet := find_class(" ".join(words[first:last]))):
                found.setdefault("class", of_sheet[1])
                rest = " ".join([*words[:first], *words[last:]]).strip(" -–—.,")
                if rest and find_class(rest) is None and not rest.casefold().startswith(("лист", "sheet", "класс")):
                    found.setdefault("subject", rest)
    known = find_class(found.get("class", ""))
    return Title(
        class_name=known[1] if known else None,
        subject=found.get("subject") or None,
        group=found.get("group") or None,
        typed_by=_POSTS.get(found.get("typed_by", "").casefold(), ""),
        on_behalf_of=_POSTS.get(found.get("on_behalf_of", "").casefold(), ""),
        answers=_POSTS.get(found.get("answers", "").casefold(), ""),
    )


def row_texts(row: Row) -> list[str]:
    """The cells of a row as heads: days of a page stay in their own form, everything else is text."""
    texts: list[str] = []
    for cell in row.cells:
        try:
            texts.append(to_text(cell)[:SHORT_CHARS])
        except CellError:
            texts.append("")
    return texts
