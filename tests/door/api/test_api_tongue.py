"""Errors are told in Russian, and in English to who asks for it; what is wrong with each value too."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from gateway.access.roles import Role
from gateway.domain.reasons import REASONS

LATIN = re.compile(r"[A-Za-z]{2,}")
CYRILLIC = re.compile(r"[А-Яа-яё]")


@pytest.fixture
def deputy(school: Any) -> Any:
    school.account("deputy", Role.DEPUTY_HEAD)
    return school.call("deputy")


def wrong_sync(deputy: Any, tongue: str | None) -> Any:
    headers = {"Idempotency-Key": uuid.uuid4().hex} | ({} if tongue is None else {"Accept-Language": tongue})
    body = {"from_on": "не день", "dry_run": "да", "unknown": 1, "class_name": 7}
    return deputy.ask("POST", "/runs", json=body, headers=headers)


@pytest.mark.parametrize("tongue", [None, "ru", "ru-RU,en;q=0.5", "fr", "en;q=0.2,ru;q=0.9", "en;q=zero"])
def test_what_is_wrong_is_told_in_russian(deputy: Any, tongue: str | None) -> None:
    answer = wrong_sync(deputy, tongue)
    told = answer.json()

    assert (answer.status_code, answer.headers["Content-Language"]) == (422, "ru")
    assert len(told["errors"]) == 4
    assert all(CYRILLIC.search(one["detail"]) for one in told["errors"]), told
    assert not [one for one in told["errors"] if LATIN.search(re.sub("true|false", "", one["detail"]))], told
    assert {one["pointer"] for one in told["errors"]} == {
        "/body/from_on", "/body/dry_run", "/body/unknown", "/body/class_name",
    }  # fmt: skip


@pytest.mark.parametrize("tongue", ["en", "en-GB,ru;q=0.5", "ru;q=0.1, en"])
def test_who_asks_for_english_gets_it(deputy: Any, tongue: str) -> None:
    answer = wrong_sync(deputy, tongue)
    told = answer.json()

    assert answer.headers["Content-Language"] == "en"
    assert not CYRILLIC.search(answer.text), told
    assert told["detail"] == REASONS["REQUEST_INVALID"].what_en


def test_a_refusal_says_its_reason_in_both_languages(deputy: Any, school: Any) -> None:
    body = {"kind": "mark", "until": "2026-11-01T00:00:00Z", "reason": "поздно"}

    def refused(tongue: str) -> Any:
        headers = {"Idempotency-Key": uuid.uuid4().hex, "Accept-Language": tongue}
        return deputy.ask("POST", "/holds", json=body, headers=headers).json()

    russian, english = refused("ru"), refused("en")
    reason = REASONS["DAY_OUT_OF_REACH"]
    assert russian["code"] == english["code"] == reason.code
    assert russian["todo"] == reason.todo_ru
    assert (english["detail"], english["todo"]) == (reason.what_en, reason.todo_en)
    missing = deputy.ask("GET", "/runs/999", headers={"Accept-Language": "en"})
    assert (missing.status_code, CYRILLIC.search(missing.text)) == (404, None)


def test_words_of_our_own_checks_are_told_as_they_are(deputy: Any) -> None:
    body = {"from_on": "2026-11-10", "to_on": "2026-11-01"}
    answer = deputy.ask("POST", "/runs", json=body, headers={"Idempotency-Key": uuid.uuid4().hex}).json()

    assert [one["detail"] for one in answer["errors"]] == ["to_on раньше from_on"]
