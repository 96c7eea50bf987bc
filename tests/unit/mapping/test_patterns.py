"""Patterns of a school's rules that no name may hang a process with, and the usual ones, which are let through."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mapping.patterns import LONGEST, find_costly
from gateway.mapping.rules import load_rules

HARMLESS = (
    ".*", "", "контрольн", r"\bтест", r"\bДЗ\b|домашн", r"^Диктант\ 4$", r"к\.?\s?р\.?\s{0,3}№?\s*\d+", "(?:кр|ср) №[0-9]{1,2}",
    "контр.*раб.*четверт", "(итог|зачёт)", "[аеиоу]+", "(?<!не )зачёт", r"(?:\d{2}\.){2}\d{4}",
)  # fmt: skip
COSTLY = (
    "(а+)+$", "(а*)*б", "(а|а)*б", "(а|аб)+в", "(а?){30}б", r"(\w+\s?)+$", ".*.*.*.*я", "(.*а){12}", "((аб?)*)*", "(?:а+){2,}",
    "(?=(а+)+$)", "а" * (LONGEST + 1),
)  # fmt: skip

PIECES = st.sampled_from(
    ["а", "б", "(", ")", "*", "+", "?", "|", ".", "{2}", "{9}", "\\w", "(а+", "(а|", ")*", ")+", "$"]
)


@pytest.mark.parametrize("pattern", [*HARMLESS, *(rule.pattern for rule in load_rules(None).items)])
def test_what_schools_write_is_let_through(pattern: str) -> None:
    assert find_costly(pattern) is None


@pytest.mark.parametrize("pattern", COSTLY)
def test_what_could_hold_a_process_is_told(pattern: str) -> None:
    re.compile(pattern)
    assert find_costly(pattern)


@settings(deadline=None, max_examples=600)
@given(st.lists(PIECES, max_size=10).map("".join), st.sampled_from(["а", "аб", "аа б"]))
def test_whatever_is_let_through_ends_soon_on_a_long_name(pattern: str, letters: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, FutureWarning):
        return
    if find_costly(pattern) is not None:
        return
    began_s = time.process_time()

    re.search(pattern, (letters * 40)[:60] + "я", re.IGNORECASE)

    assert time.process_time() - began_s < 1.0
