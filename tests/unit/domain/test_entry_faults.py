"""Faults of a typed entry: one table, both languages, the same things named in both."""

from __future__ import annotations

import re
import string

import pytest

from gateway.domain.entry_faults import TEXTS, entry_fault

CYRILLIC = re.compile(r"[А-Яа-яё]")


def names_in(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_fault_is_told_in_both_languages(name: str) -> None:
    russian, english = TEXTS[name]

    assert CYRILLIC.search(russian)
    assert english
    assert not CYRILLIC.search(english)
    assert names_in(russian) == names_in(english)
    named = re.compile("gateway [a-z ]+|--[a-z]+")
    assert named.findall(russian) == named.findall(english)


def test_what_a_fault_names_stands_in_both() -> None:
    fault = entry_fault("form", "same_absence", number=7)

    assert fault.field == "form"
    assert "запись 7" in fault.ru
    assert "entry 7" in fault.en
