"""Without a token, one group's workbook is gone from the folder: its lines lose the lesson's number, the others nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.flows.hand_list import read_hand_list
from tests.flow.test_without_a_token import School, prepare, sync_through

GONE, OTHER = "7А — Алгебра", "7А — Русский язык"


@pytest.fixture
def two_pages(build_world: Any, tmp_path: Path) -> School:
    return School(build_world(pupils=4, courses=2, prepare=prepare), tmp_path / "export")


def test_the_list_goes_on_for_the_others_and_names_the_group(
    two_pages: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = two_pages
    school.export()
    with school.world.open() as hand:
        school.link_everybody(hand)
        sync_through(hand)
        before = read_hand_list(hand.gateway)
        assert before.problems == []
        assert {line.page for line in before.lines} == {GONE, OTHER}

        @contextmanager
        def opened(*_: Any, **__: Any) -> Iterator[Any]:
            yield hand.gateway

        def run(*words: str, code: int) -> str:
            told = CliRunner().invoke(app, ["hand-list", *words])
            assert told.exit_code == code, told.output
            return told.stdout

        monkeypatch.setattr("gateway.cli.hand_list.opened", opened)
        run(code=0)
        page_of_gone(school.folder).unlink()

        found = read_hand_list(hand.gateway)
        numbers = {line.operation: line.lesson for line in before.lines}
        assert {line.operation for line in found.lines} == set(numbers)
        for line in found.lines:
            assert line.lesson == (0 if line.page == GONE else numbers[line.operation])
        assert any(line.lesson for line in found.lines)

        told = json.loads(run("--json", code=3))
        assert told["count"] == len(before.lines)
        assert [(one["where"], one["reason"]) for one in told["problems"]] == [(GONE, "INCOMPLETE_READ")]
        shown = run(code=3)
        assert OTHER in shown
        assert "Замечания" in shown
        run("--to", str(tmp_path / "list"), code=3)
        assert len(list((tmp_path / "list").iterdir())) == 3

        synced = hand.sync()  # the city's directory has no such page any more: the school's own name says which
        assert f"{GONE}: Страницы журнала этой группы" in synced.sentence
        after = read_hand_list(hand.gateway)
        assert [one.where for one in after.problems] == [GONE]
        assert {line.page for line in after.lines} == {GONE, OTHER}
        assert hand.states() == {"by_hand": len(before.lines)}


def page_of_gone(folder: Path) -> Path:
    """The workbook of the group with the lowest city number, the first subject's."""
    return min(folder.glob("Журнал *.xlsx"))
