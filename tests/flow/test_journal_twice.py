"""The same thing typed twice, a contradiction, and a work that no rule knows are refused with what to do about it."""

from __future__ import annotations

import dataclasses
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.domain.errors import ConfigurationError
from gateway.domain.records import Group, Lesson, Mark
from gateway.flows.journal import Typed, add_entry, load_entries, withdraw_entry
from gateway.flows.journal_checks import load_standing
from gateway.mapping.rules import ItemRule, Rules
from tests.flow.test_journal import load

REPLACE = msgspec.structs.replace


def typed_on_a_lesson(hand: Any) -> Typed:
    """A mark of «user:1000» on the first lesson without a mark of the portal's."""
    hand.link_everybody()
    hand.through()
    days = {mark.item_number.rpartition("-")[2] for mark in load(hand, Mark)}
    at = min(
        one.starts_at
        for one in load(hand, Lesson)
        if f"{one.starts_at:%Y%m%d}" not in days and one.starts_at < datetime(2026, 11, 20, tzinfo=UTC)
    )
    return Typed(pupil="user:1000", group=load(hand, Group)[0].ref, lesson_at=at, value=5, work="Контрольная работа")


def refused(hand: Any, typed: Typed, *words: str) -> None:
    before = load_entries(hand.gateway)
    with pytest.raises(ConfigurationError) as caught:
        add_entry(hand.gateway, typed)
    for word in words:
        assert word in caught.value.sentence
    assert load_entries(hand.gateway) == before


def test_an_absence_stands_once_on_a_lesson_until_it_is_withdrawn(small: Any) -> None:
    with small.open() as hand:
        absent = REPLACE(typed_on_a_lesson(hand), value=None, work="", form="absent")
        number = add_entry(hand.gateway, absent)
        how = f"gateway journal withdraw {number}"

        refused(hand, absent, "уже внесён", f"запись {number}", how)
        refused(hand, REPLACE(absent, is_again=True), "уже внесён")
        refused(hand, REPLACE(absent, form="late"), "другой пропуск", f"запись {number}", how)
        add_entry(hand.gateway, REPLACE(absent, pupil="user:1001"))
        withdraw_entry(hand.gateway, number)
        add_entry(hand.gateway, REPLACE(absent, form="late"))


def test_a_second_mark_of_a_work_needs_the_word_again(small: Any) -> None:
    with small.open() as hand:
        mark = typed_on_a_lesson(hand)
        number = add_entry(hand.gateway, mark)
        how = f"gateway journal withdraw {number}"

        refused(hand, mark, "Эта отметка уже внесена", f"запись {number}", how, "--again")
        refused(hand, REPLACE(mark, work=" контрольная  РАБОТА "), "Эта отметка уже внесена")
        refused(hand, REPLACE(mark, value=3), "За эту работу", f"запись {number}", how, "--again")
        add_entry(hand.gateway, REPLACE(mark, work=""))
        refused(hand, REPLACE(mark, work="Работа на уроке"), "Эта отметка уже внесена")  # what a nameless one goes as
        again = add_entry(hand.gateway, REPLACE(mark, is_again=True))
        assert again != number


def test_a_work_that_no_rule_knows_by_name_is_refused_with_those_that_are(small: Any) -> None:
    with small.open() as hand:
        mark = typed_on_a_lesson(hand)

        refused(hand, REPLACE(mark, work="Зачёт"), "не знают", "«Контрольная работа»", "«Работа на уроке»")
        for work in ("Проект", "Итоговая контрольная", "работа на уроке"):
            add_entry(hand.gateway, REPLACE(mark, work=work))


def test_a_row_for_anything_knows_only_its_own_form_by_name(small: Any) -> None:
    with small.open() as hand:
        mark = REPLACE(typed_on_a_lesson(hand), work="Контрольная работа")
        gateway = dataclasses.replace(hand.gateway, rules=Rules(items=(ItemRule(form="Зачёт"),)))

        with pytest.raises(ConfigurationError, match="Известны: «Зачёт»"):
            add_entry(gateway, mark)
        add_entry(gateway, REPLACE(mark, work="зачет"))


def test_of_two_at_once_one_is_stored(build_world: Any, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with build_world(pupils=3, database_url=database_url).open() as hand:
        mark = typed_on_a_lesson(hand)
        looked = threading.Barrier(2)
        stored: list[int] = []
        told: list[str] = []

        def look_together(*args: Any, **more: Any) -> Any:
            found = load_standing(*args, **more)
            with suppress(threading.BrokenBarrierError):
                looked.wait(1)  # both would see nothing here, if both could look before one has stored
            return found

        def add() -> None:
            try:
                stored.append(add_entry(hand.gateway, mark))
            except ConfigurationError as error:
                told.append(error.sentence)

        monkeypatch.setattr("gateway.flows.journal.load_standing", look_together)
        threads = [threading.Thread(target=add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        (line,) = load_entries(hand.gateway)
        assert stored == [line.id]
        assert [f"запись {line.id}." in sentence for sentence in told] == [True]


def test_the_list_speaks_russian_and_again_is_an_option(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with small.open() as hand:
        mark = typed_on_a_lesson(hand)
        add_entry(hand.gateway, REPLACE(mark, value=None, work="", form="absent"))
        add_entry(hand.gateway, mark)
        monkeypatch.setattr("gateway.cli.journal.opened", lambda *_, **__: _Opened(hand.gateway))
        words = ["--pupil", mark.pupil, "--group", mark.group, "--lesson", mark.lesson_at.isoformat(), "--mark", "5"]

        told = CliRunner().invoke(app, ["journal", "add", *words, "--work", mark.work, "--again"])
        assert told.exit_code == 0, told.output
        shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["journal", "list"]).stdout

        assert "absent" not in shown
        assert "(н)" in shown
        refused(hand, REPLACE(mark, pupil="user:9"), "gateway links list --waiting")


class _Opened:
    """The test's own gateway in place of one composed from settings."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    def __enter__(self) -> Any:
        return self._gateway

    def __exit__(self, *_: object) -> None:
        return None
