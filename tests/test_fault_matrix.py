"""Every row of the fault matrix has a test named after it, or a line that says why not."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


def test_every_row_has_a_test_or_a_reason(fault_matrix: ModuleType) -> None:
    _, rows = fault_matrix.load_rows()

    assert fault_matrix.find_gaps(rows, fault_matrix.find_marked()) == []


def test_a_row_without_either_a_reason_beside_a_test_and_a_row_that_is_none_are_told(fault_matrix: ModuleType) -> None:
    bare = fault_matrix.Row(id="A1", part="A", fault="", expected="", must="")
    both = fault_matrix.Row(id="A2", part="A", fault="", expected="", must="", why_not="no")
    later = fault_matrix.Row(id="V1", part="V", fault="", expected="", must="", later="another issue")

    gaps = fault_matrix.find_gaps({"A1": bare, "A2": both, "V1": later}, {"A2": ["one"], "A9": ["two"]})

    assert [gap.partition(":")[0] for gap in gaps] == ["A1", "A2", "A9"]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('@pytest.mark.row("A1", "A2")\ndef test_one(): ...\n', {"A1", "A2"}),
        ('pytestmark = pytest.mark.row("B1")\ndef test_one(): ...\n', {"B1"}),
        ('pytestmark = [pytest.mark.slow, pytest.mark.row("B1")]\ndef test_one(): ...\n', {"B1"}),
        ('@pytest.mark.row("C1")\nclass TestIt:\n    def test_one(self): ...\n', {"C1"}),
        ('@pytest.mark.row("C1")\ndef helper(): ...\n', set()),
        ('@pytest.mark.other("C1")\ndef test_one(): ...\n', set()),
    ],
)
def test_markers_are_found_where_pytest_finds_them(
    fault_matrix: ModuleType, tmp_path: Path, text: str, rows: set[str]
) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_it.py").write_text(text)

    assert set(fault_matrix.find_marked(folder)) == rows
