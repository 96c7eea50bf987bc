"""A value mapped from the error is one line in the TOML, and changes nothing else."""

from __future__ import annotations

import pytest

from gateway.domain.errors import ConfigurationError
from gateway.mapping.rules import DEFAULT_MAPPING_TOML, Rules, parse_rules
from gateway.mapping.rules_text import write_entry

KEPT = "# комментарий школы"


@pytest.mark.parametrize(
    ("name", "local", "city"),
    [
        ("forms", "Блиц «опрос»", "Устный ответ"),
        ("subjects", 'Рус. "яз."', "Русский язык"),
        ("classes", "7 мат", "7В"),
        ("words", "превосходно", "5"),
        ("words", "ХОРОШО", "4"),
        ("passes", "сдал", "1"),
    ],
)
def test_an_entry_is_added_or_changed_and_comments_stay(name: str, local: str, city: str) -> None:
    text = write_entry(f"{KEPT}\n{DEFAULT_MAPPING_TOML}", name, local, city)
    before, after = Rules().model_dump(), parse_rules(text, "x").model_dump()

    assert after[name][local] == city
    assert {**before, name: None} == {**after, name: None}
    assert text.startswith(KEPT)
    assert len(after[name]) == len(before[name]) + (local != "ХОРОШО")


def test_where_the_built_in_entries_count_they_are_written_out_beside_the_new_one() -> None:
    after = parse_rules(write_entry("version = 2\n", "words", "ура", "5"), "x")

    assert after.words == {**Rules().words, "ура": "5"}
    assert after.items == Rules().items


def test_a_work_is_mapped_by_its_whole_name_after_all_other_rows() -> None:
    after = parse_rules(write_entry(DEFAULT_MAPPING_TOML, "items", "Зачёт (1+2)", "Зачёт"), "x")

    assert after.items[:-1] == Rules().items
    assert (after.items[-1].match, after.items[-1].form) == ("name", "Зачёт")
    assert after.items[-1].pattern == r"^Зачёт\ \(1\+2\)$"


@pytest.mark.parametrize(
    ("source", "name", "local", "city"),
    [
        ("", "colours", "красный", "5"),
        ("", "words", " ", "5"),
        ("", "words", "ура", "12"),
        ('forms = { "а" = "б" }', "forms", "в", "г"),
        ("version = 2\n", "items", "Зачёт", "Зачёт"),
    ],
)
def test_what_cannot_be_written_is_refused(source: str, name: str, local: str, city: str) -> None:
    with pytest.raises(ConfigurationError):
        write_entry(source, name, local, city)
