"""The mapping file: what it says, and what of it is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Kind
from gateway.mapping.rules import (
    DEFAULT_MAPPING_TOML,
    Modes,
    ScopeRule,
    build_rules,
    everything_on,
    load_rules,
    rule_version,
)


def test_the_template_spells_out_exactly_the_built_in_rules(write_rules: Callable[[str], Path]) -> None:
    written = load_rules(write_rules(DEFAULT_MAPPING_TOML))

    assert written == load_rules(None)
    assert rule_version(written) == rule_version(load_rules(None))


def test_the_version_is_64_hex_digits_and_moves_with_any_change() -> None:
    usual = load_rules(None)
    versions = {
        rule_version(rules)
        for rules in (
            usual,
            everything_on(usual),
            build_rules({"version": 2}),
            build_rules({"subjects": {"Алг": "Алгебра"}}),
            build_rules({"rounding": "down"}),
            build_rules({"fields": {"mark.weight": {"owner": "city"}}}),
        )
    }

    assert len(versions) == 6
    assert all(re.fullmatch("[0-9a-f]{64}", version) for version in versions)


def test_the_version_does_not_depend_on_the_order_of_entries() -> None:
    one = build_rules({"subjects": {"а": "1", "б": "2"}})
    other = build_rules({"subjects": {"б": "2", "а": "1"}})

    assert rule_version(one) == rule_version(other)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[[items]]\npattern = "("\nform = "Тест"', "items.1.pattern"),
        ('[[items]]\npattern = "тест"', "items.1"),
        ('[[items]]\nform = "Тест"\ncolour = "red"', "items.1.colour"),
        ("colour = 1", "colour"),
        ("[[percent]]\nfrom_on = 2026-09-01\nedges = { 5 = 70, 4 = 80 }", "percent.1"),
        ("[[percent]]\nfrom_on = 2026-09-01\nedges = { 5 = 101 }", "percent.1"),
        ("[[percent]]\nfrom_on = 2026-09-01\nedges = {}", "percent.1"),
        (
            "[[percent]]\nfrom_on = 2026-09-01\nedges = { 5 = 85 }\n[[percent]]\nfrom_on = 2026-09-01\nedges = { 5 = 90 }",
            "percent",
        ),
        ("percent = []", "percent"),
        ("[[scope]]\nkind = 'mark'\n[[scope]]\nkind = 'mark'", "scope"),
        ("[[scope]]\nclass_name = '7А'\n[[scope]]\nclass_name = '7 а'", "scope"),
        ("[[scope]]\ncreate = 'maybe'", "scope.1.create"),
        ('[words]\n"зачёт" = "да"', "words"),
        ('rounding = "up"', "rounding"),
        ('[fields."mark.colour"]\nowner = "city"', "fields.mark.colour"),
        ('[fields."mark.form"]\nowner = "city"', "fields.mark.form"),
        ('[fields."mark.weight"]\nstrength = "only_if_empty"', "fields.mark.weight"),
        ("not toml", "mapping.toml"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place(write_rules: Callable[[str], Path], text: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_rules(write_rules(text))

    assert place in caught.value.sentence


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.toml"):
        load_rules(tmp_path / "absent.toml")


def test_nothing_is_sent_until_the_school_has_chosen() -> None:
    rules = load_rules(None)

    decision = rules.scope_for(Kind.MARK, ("Алгебра",), "7А")

    assert not decision.is_sent
    assert decision.row is None
    assert decision.modes == Modes()


def test_the_sandbox_starts_with_everything_on_and_keeps_a_table_the_school_filled() -> None:
    chosen = build_rules({"scope": [{"direction": "off"}]})

    assert everything_on(load_rules(None)).scope_for(Kind.HOMEWORK, ("Физика",), None).is_sent
    assert everything_on(chosen) == chosen


def scope_of(*rows: dict[str, Any]) -> Any:
    return build_rules({"scope": list(rows)})


@pytest.mark.parametrize(
    ("kind", "subject", "class_name", "row"),
    [
        (Kind.HOMEWORK, "Физика", "8Б", 1),
        (Kind.MARK, "Физика", "8Б", 2),
        (Kind.MARK, "Алгебра", "8Б", 3),
        (Kind.HOMEWORK, "Алгебра", "7-а", 4),
        (Kind.MARK, "алгебра", "7 A", 5),
    ],
)
def test_the_narrowest_row_decides_and_is_named(kind: Kind, subject: str, class_name: str, row: int) -> None:
    rules = scope_of(
        {},
        {"kind": "mark"},
        {"subject": "Алгебра"},
        {"class_name": "7А"},
        {"kind": "mark", "subject": "Алгебра", "class_name": "7А", "delete": "off"},
    )

    assert rules.scope_for(kind, (subject,), class_name).row == row


def test_with_as_many_columns_named_the_class_is_narrower_than_the_subject() -> None:
    rules = scope_of({"class_name": "7А", "direction": "off"}, {"subject": "Алгебра"})

    assert rules.scope_for(Kind.MARK, ("Алгебра",), "7А").row == 1


def test_a_row_for_a_class_says_nothing_of_a_group_without_one() -> None:
    rules = scope_of({"class_name": "7А"})

    assert not rules.scope_for(Kind.HOMEWORK, ("Физкультура",), None).is_sent


@pytest.mark.parametrize(
    "row", [{"direction": "off"}, {"direction": "from_city"}, {"create": "off", "change": "off", "delete": "off"}]
)
def test_what_goes_the_other_way_or_nowhere_is_not_sent(row: dict[str, str]) -> None:
    assert not scope_of(row).scope_for(Kind.MARK, ("Алгебра",), "7А").is_sent


def test_a_row_without_modes_asks_for_approval() -> None:
    assert ScopeRule().create == "approve"
    assert scope_of({}).scope_for(Kind.MARK, ("x",), None).modes == Modes("approve", "approve", "approve")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Урок 10.11.2026: работа на уроке", "Работа на уроке"),
        ("Контрольная работа на уроке", "Контрольная работа"),
        ("ДЗ №1", "Домашнее задание"),
        ("Домашняя работа", "Домашнее задание"),
        ("Мини-проект", "Проект"),
        ("Тест №3", "Тест"),
    ],
)
def test_the_first_item_row_that_matches_decides(make: Any, name: str, form: str) -> None:
    rule = load_rules(None).find_item_rule(make.mark(item_name=name))

    assert rule is not None
    assert rule.form == form


def test_an_item_of_unknown_form_matches_no_row(make: Any) -> None:
    assert load_rules(None).find_item_rule(make.mark(item_name="Поведение")) is None


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("name", {"item_name": "Зачёт"}),
        ("number", {"item_number": "зачёт-1"}),
        ("category", {"category": "Зачёты"}),
        ("module", {"module": "зачёт"}),
        ("*", {"category": "зачёт"}),
    ],
)
def test_an_item_row_looks_at_its_own_field(make: Any, field: str, changes: dict[str, str]) -> None:
    rules = build_rules({"items": [{"match": field, "pattern": "зачёт", "form": "Зачёт"}]})

    assert rules.find_item_rule(make.mark(**changes)) is not None
    assert rules.find_item_rule(make.mark()) is None


@pytest.mark.parametrize(
    ("ref", "name", "subject"),
    [
        ("s:1", "Алгебра, 7 класс", "Алгебра"),
        ("s:1", "Физика 10", "Физика"),
        ("s:1", "1С-программирование", "1С-программирование"),
        ("RUS", "что угодно", "Русский язык"),
        ("s:1", "рус. яз.", "Русский язык"),
        ("s:1", "Рус. яз., 5 класс", "Русский язык"),
    ],
)
def test_a_subject_goes_through_the_dictionary_else_by_its_own_name(ref: str, name: str, subject: str) -> None:
    rules = build_rules({"subjects": {"RUS": "Русский язык", "Рус. яз.": "Русский язык"}})

    assert rules.city_subject(ref, name) == subject


def test_a_file_saved_in_cp1251_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_bytes("# правила школы\n".encode("cp1251"))

    with pytest.raises(ConfigurationError, match=r"mapping\.toml не в UTF-8: сохраните в UTF-8"):
        load_rules(path)
