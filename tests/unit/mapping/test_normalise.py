"""Names and classes of two systems in one spelling."""

from __future__ import annotations

import unicodedata

import pytest

from gateway.mapping.normalise import class_key, name_key, name_part_key, person_id_key


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Семёнов", "Семенов"),
        ("СЕМЕНОВ", "Семенов"),
        ("Cемeнoв", "Семенов"),  # Latin C, e, o
        ("Иванова-Петрова", "Иванова Петрова"),
        ("Иванова \u2014 Петрова", "Иванова-Петрова"),
        ("  Анна\u00a0 ", "Анна"),
        (unicodedata.normalize("NFD", "Андрей Ёлкин"), "Андрей Елкин"),
    ],
)
def test_spellings_of_one_name_are_equal(ours: str, theirs: str) -> None:
    assert name_part_key(ours) == name_part_key(theirs)


@pytest.mark.parametrize(
    ("ours", "theirs"), [("Андрей", "Андреи"), ("Анна", "Anna"), ("Майя", "Маия"), ("Ким", "Кимм")]
)
def test_different_names_stay_different(ours: str, theirs: str) -> None:
    assert name_part_key(ours) != name_part_key(theirs)


@pytest.mark.parametrize("part", [None, "", "  ", "None", "none", "None None", "NULL"])
def test_an_unknown_part_makes_the_name_unknown(part: str | None) -> None:
    assert name_part_key(part) is None
    assert name_key(part, "Анна") is None
    assert name_key("Ким", part) is None


def test_last_and_first_name_are_not_interchangeable() -> None:
    assert name_key("Максим", "Роман") != name_key("Роман", "Максим")


@pytest.mark.parametrize("name", ["7А", "7 А", "7-а", "7A", "7a", '7 "А"', "7«А»", "07А", "7А класс", " 7 а "])
def test_spellings_of_one_class_are_equal(name: str) -> None:
    assert class_key(name) == "7А"


@pytest.mark.parametrize("name", ["7Б", "17А", "7АБ", "7А англ", "А7", "7", None, "None"])
def test_other_classes_are_not_that_class(name: str | None) -> None:
    assert class_key(name) != "7А"


def test_a_person_id_is_compared_without_case_and_braces() -> None:
    assert person_id_key(" {ABC-1} ") == person_id_key("abc-1")
    assert person_id_key("None") is None
