"""No name, comment or value can be put into an entry: only codes, ids, digests and counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.deed import Actor, Deed
from gateway.audit.notes import Note
from gateway.audit.redact import check_deed, is_code
from gateway.domain.errors import AuditError

ACTOR = Actor("service", "worker")
TEXT_FIELDS = [
    "action",
    "originator",
    "object_type",
    "object_id",
    "subject",
    "plan_hash",
    "reason",
    "rule_version",
    "old_digest",
    "new_digest",
    "city_id",
    "outcome",
    "source_address",
    "request_id",
]
CYRILLIC = st.text(alphabet="абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВ", min_size=1)


def build(fields: dict[str, Any]) -> Deed:
    """A deed that would pass but for these fields."""
    return Deed(**{"action": "run.began", "actor": ACTOR, **fields})


@pytest.mark.parametrize("name", TEXT_FIELDS)
@given(start=st.text(alphabet="abc.09", max_size=5), word=CYRILLIC)
def test_no_text_field_takes_a_russian_letter(name: str, start: str, word: str) -> None:
    with pytest.raises(AuditError, match=name) as caught:
        check_deed(build({name: start + word}))

    assert str(caught.value) == f"Запись аудита отклонена: в поле {name} не код и не номер"


@pytest.mark.parametrize("name", TEXT_FIELDS)
@pytest.mark.parametrize("value", ["two words", "line\nbreak", "", "a" * 201, "tab\t", 'quo"te', "x\x00", "ok\n"])
def test_no_text_field_takes_more_than_a_code(name: str, value: str) -> None:
    with pytest.raises(AuditError, match=name):
        check_deed(build({name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject", "user:3"),
        ("subject", "portal/person/3"),
        ("old_digest", "5"),
        ("new_digest", "4.37"),
        ("action", "verified"),
        ("action", None),
        ("reason", "changed"),
        ("stream", "other"),
        ("run_id", True),
        ("run_id", "7"),
        ("fence", 2**63),
        ("operation_id", 1.5),
        ("city_id", 1.5),
        ("counts", {"create": "many"}),
        ("counts", {"Иванов": 1}),
        ("counts", {"create": True}),
        ("note", Note(1, "текст")),
        ("note", Note(True, "a" * 64)),
        ("actor", Actor("service", "Иванов Иван")),
        ("actor", Actor("service", "worker", role="роль")),
        ("actor", Actor("robot", "worker")),  # type: ignore[arg-type]  # the point of the test
        ("actor", Actor("service", "worker", is_authenticated=1)),  # type: ignore[arg-type]  # hashed as 1, not true
    ],
)
def test_a_field_takes_only_its_own_form(name: str, value: Any) -> None:
    with pytest.raises(AuditError):
        check_deed(build({name: value}))


def test_codes_and_ids_pass() -> None:
    check_deed(
        Deed(
            action="operation.verified",
            actor=Actor("os_user", "root", role="operator"),
            object_id="mark|course:2|group:1#7",
            subject="s" + "ab" * 16,
            city_id="100-5",
            source_address="::1",
            rule_version="2026.11@a1b2+local",
            counts={"out_of_scope": 0},
        )
    )


@given(st.text(max_size=300))
def test_a_code_has_only_printable_ascii_without_spaces(text: str) -> None:
    if is_code(text):
        assert 0 < len(text) <= 200
        assert text.isascii()
        assert text.isprintable()
        assert " " not in text
