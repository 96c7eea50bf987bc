"""Tables of the command line on a narrow terminal: cells grow taller, and nothing of a code is cut off."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from gateway.cli.words import dense_table, pull_counts_table

ROOT = Path(__file__).parents[2]
CODES = [f"planner/person:{letter * 12}{number}" for number, letter in enumerate("abcdefghi")]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_sign_of_a_code_is_lost_however_narrow_the_terminal(width: int) -> None:
    table = dense_table(title="Внесено в шлюз")
    for number in range(len(CODES)):
        table.add_column(f"столбец{number}")
    table.add_row(*CODES)
    out = StringIO()

    Console(file=out, width=width).print(table)

    shown = out.getvalue()
    assert "…" not in shown
    for letter in "abcdefghi":
        assert len(re.findall(letter, shown)) == sum(code.count(letter) for code in CODES), letter


def test_what_was_read_is_not_called_the_portals_alone() -> None:
    out = StringIO()
    table = pull_counts_table({"lesson_plan": {"read": 3, "new": 3, "changed": 0, "gone": 0, "unchanged": 0}})

    Console(file=out, width=100).print(table)

    assert "строки КТП" in out.getvalue()
    assert "Портал" not in out.getvalue()


def test_every_table_of_the_command_line_is_a_dense_one() -> None:
    bare = [
        path.name
        for path in (ROOT / "gateway" / "cli").glob("*.py")
        if path.name != "words.py" and re.search(r"(?<![\w.])Table\(", path.read_text(encoding="utf-8"))
    ]
    assert bare == []
