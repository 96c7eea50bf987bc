"""Reason codes: one table, complete, and fit to be shown beside any pupil's row."""

from __future__ import annotations

import re

import pytest

from gateway.domain import errors, reasons
from gateway.domain.errors import GatewayError
from gateway.domain.reasons import REASONS, get_reason
from gateway.reconcile.compare import Absence, Category, decide

CODES = sorted(value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str))


def test_constants_and_table_name_the_same_codes() -> None:
    assert sorted(REASONS) == CODES
    assert all(getattr(reasons, code) == code for code in REASONS)


@pytest.mark.parametrize("code", CODES)
def test_each_code_says_what_it_is_and_what_to_do_in_both_languages(code: str) -> None:
    reason = get_reason(code)
    russian, english = (reason.what_ru, reason.todo_ru), (reason.what_en, reason.todo_en)

    assert reason.code == code
    assert len(code) <= 40  # the column's width
    assert all(re.search("[а-я]", text) and text.endswith(".") for text in russian)
    assert all(not re.search("[а-яё]", text.casefold()) and text.endswith(".") for text in english)


def test_every_error_class_carries_a_known_code() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, GatewayError)]

    assert len(classes) > 10
    assert all(one.reason in REASONS for one in classes)


def test_a_comparison_counts_a_reason_under_the_category_the_table_gives() -> None:
    legs = (b"a", b"b", b"c", *Absence)
    seen = set()
    for ours in legs:
        for base in (b"a", b"b", Absence.ABSENT):
            if base is Absence.ABSENT and not isinstance(ours, bytes):
                continue
            for theirs in (b"a", b"b", b"c", Absence.ABSENT, Absence.UNKNOWN):
                for has_equal, has_twin in ((False, False), (True, False), (False, True)):
                    decision = decide(ours, base, theirs, has_equal=has_equal, has_twin=has_twin)
                    seen.add((decision.reason, decision.category))

    assert {(reason, Category(REASONS[reason].category)) for reason, _ in seen} == seen
