"""Every code says what it is, what to do and whose move it is, in Russian and in English, by one table for pages and screens."""

from __future__ import annotations

import re

import pytest

from docs.pages.reasons import build_discrepancies_page, build_reasons_page
from gateway.cli.words import OWNER_WORDS
from gateway.domain.discrepancies import TYPE_TEXTS, TYPE_WORDS, DiscrepancyType
from gateway.domain.reasons import OWNER_EN, OWNER_RU, REASONS
from gateway.reconcile.discrepancies import owners_of


@pytest.mark.parametrize("code", REASONS)
def test_every_reason_says_in_both_languages_what_it_is_what_to_do_and_whose_move_it_is(code: str) -> None:
    reason = REASONS[code]

    for russian in (reason.what_ru, reason.todo_ru, OWNER_RU[reason.owner]):
        assert re.search("[а-яё]{2}", russian)
    for english in (reason.what_en, reason.todo_en, OWNER_EN[reason.owner]):
        assert re.search("[a-z]{2}", english)
        assert not re.search("[а-яё]{2}", re.sub("«[^»]*»", "", english)), "what is quoted from a screen stays as it is"


@pytest.mark.parametrize("type_", DiscrepancyType)
def test_every_type_says_in_both_languages_what_it_is_what_to_do_and_whose_move_it_may_be(
    type_: DiscrepancyType,
) -> None:
    text = TYPE_TEXTS[type_]

    for russian in (text.what_ru, text.todo_ru, TYPE_WORDS[type_], *(OWNER_RU[one] for one in owners_of(type_))):
        assert re.search("[а-яё]{2}", russian)
    for english in (text.what_en, text.todo_en, *(OWNER_EN[one] for one in owners_of(type_))):
        assert re.search("[a-z]{2}", english)
        assert not re.search("[а-яё]{2}", english)
    assert owners_of(type_), "somebody's"


def test_documents_and_screens_say_whose_move_it_is_by_one_table() -> None:
    page = build_discrepancies_page() + build_reasons_page()

    assert OWNER_WORDS == OWNER_RU
    for owner in OWNER_RU:
        assert OWNER_RU[owner] in page
        assert OWNER_EN[owner] in page
