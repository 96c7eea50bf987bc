"""Cleans names of people and classes into the form in which two systems may be compared.

Pure; knows nothing of other systems. A key that comes out equal is evidence, never proof: namesakes exist. Whatever is
unknown («None None», an empty part) gives None, and None is equal to nothing.

Source: city-journal.md §1.5 (null name parts, «None None», ё→е), S2, S23.
"""

from __future__ import annotations

import re
import unicodedata

_LOOK_ALIKES = str.maketrans("ABCEHKMOPTXYaceopxy", "АВСЕНКМОРТХУасеорху")
"""Latin letters drawn like Cyrillic ones. Small k, m, t, b, h are left out: they are drawn differently."""
_HAS_CYRILLIC = re.compile("[а-яёА-ЯЁ]")
_HYPHENS = re.compile("[-\u2010-\u2015\u2212]")
_UNKNOWN = frozenset({"", "none", "null", "none none"})
_CLASS = re.compile(r"(\d{1,2})\s*[-–—]?\s*[\"«“]?\s*([A-ZА-ЯЁ]?)\s*[\"»”]?(?:\s*КЛАСС)?")


def normal_text(text: str) -> str:
    """Return a text in the form in which words of two systems are compared: NFC, casefold, ё→е, single spaces.

    NFC and never NFD: stripping marks would turn й into и.
    """
    composed = unicodedata.normalize("NFC", text).replace("\u00a0", " ")
    return " ".join(composed.casefold().replace("ё", "е").split())


def name_part_key(part: str | None) -> str | None:
    """Return the comparable form of one part of a name, or None where it is unknown.

    A Latin letter is folded into its Cyrillic look-alike only inside a word that has Cyrillic letters; a wholly Latin
    name stays Latin. A hyphen counts as a space.
    """
    if part is None:
        return None
    composed = _HYPHENS.sub(" ", unicodedata.normalize("NFC", part))
    words = (word.translate(_LOOK_ALIKES) if _HAS_CYRILLIC.search(word) else word for word in composed.split())
    key = normal_text(" ".join(words))
    return None if key in _UNKNOWN else key


def name_key(last_name: str | None, first_name: str | None) -> tuple[str, str] | None:
    """Return (last, first) in comparable form, or None when either is unknown: then it is equal to nobody's."""
    last, first = name_part_key(last_name), name_part_key(first_name)
    return None if last is None or first is None else (last, first)


def class_key(name: str | None) -> str | None:
    """Return a class name in comparable form: «7 А», «7-а», «7 "А"» and Latin «7A» are all `7А`; None where unknown.

    What does not look like a class (a subgroup's own name) comes back whole, so that it never equals a class by chance.
    """
    if name is None:
        return None
    upper = unicodedata.normalize("NFC", name).upper().translate(_LOOK_ALIKES).strip()
    if normal_text(name) in _UNKNOWN:
        return None
    found = _CLASS.fullmatch(upper)
    if found is None:
        return " ".join(upper.split())
    return f"{int(found[1])}{found[2]}"


def person_id_key(value: str | None) -> str | None:
    """Return a person id (a UUID of the contingent) in comparable form, or None where there is none."""
    if value is None:
        return None
    key = value.strip().strip("{}").casefold()
    return None if key in _UNKNOWN else key
