"""Words of heads, classes and subjects in the one form in which they are compared. Pure."""

from __future__ import annotations

import re
import unicodedata

_LOOK_ALIKES = str.maketrans("abcehkmoptxyABCEHKMOPTXY", "авсенкмортхуАВСЕНКМОРТХУ")
"""Latin letters drawn, or typed by mistake, like Cyrillic ones; folded only inside a word that has Cyrillic letters."""
_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)
_NOT_A_WORD = re.compile(r"[^\w№]+")
_CLASS = re.compile(r"(\d{1,2})\s*[-–—]?\s*[\"«“]?\s*([А-ЯЁ]{1,2})?\s*[\"»”]?\s*(?:КЛАСС\w*|КЛ\.?)?")
_LATIN_CLASS = str.maketrans("ABCEHKMOPTXY", "АВСЕНКМОРТХУ")
_NO_LESSON = re.compile(r"[-‐‑‒–—−]+|окно|нет(?: уроков| урока)?\.?")  # every dash a keyboard has
LEVELS = range(1, 12)
"""Grades of a school."""


def plain(text: str) -> str:
    """A text in NFC, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).replace("\u00a0", " ").split())


def head_key(text: str) -> str:
    """The form in which heads are compared: small letters, ё as е, Latin look-alikes folded, no punctuation.

    «Ф.И.О. учащегося *» is `ф и о учащегося`; «E-mail» stays `e mail`.
    """
    lowered = plain(text).casefold().replace("ё", "е").replace("_", " ")
    words = _NOT_A_WORD.sub(" ", lowered.replace("№", " № ")).split()
    return " ".join(word.translate(_LOOK_ALIKES) if _CYRILLIC.search(word) else word for word in words)


def is_no_lesson(text: str) -> bool:
    """Whether a cell of a timetable says that there is no lesson: a dash, «окно», «нет»."""
    return bool(_NO_LESSON.fullmatch(plain(text).casefold()))


def name_key(text: str) -> str:
    """The form in which the parts of a person's name are compared; a hyphen counts as a space."""
    return head_key(text.replace("-", " "))


def find_class(text: str) -> tuple[int, str] | None:
    """Return (grade, class name) of «7А», «7 "а"», «7-A» in Latin or «7 класс» (whose name is `7`); None where it is none."""
    found = _CLASS.fullmatch(plain(text).upper().translate(_LATIN_CLASS).strip(" ."))
    if found is None or int(found[1]) not in LEVELS:
        return None
    return int(found[1]), f"{int(found[1])}{found[2] or ''}"


def slug(text: str) -> str:
    """A text as a part of a ref: its words joined by hyphens, nothing that parts refs or scopes."""
    return head_key(text).replace(" ", "-")
