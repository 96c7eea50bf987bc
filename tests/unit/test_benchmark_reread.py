"""An unchanged portal read again: one row a scope is written, none a cell, and the JSON is what the docs name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import reread

ROOT = Path(reread.__file__).parent.parent


def test_a_second_read_writes_a_row_a_scope_and_none_a_cell(tmp_path: Path) -> None:
    figures = reread.measure(tmp_path, 5_000)

    assert figures.cells == 5_000
    assert figures.rows_written == 5_000 // reread.SCOPE_CELLS
    assert figures.statements_a_scope <= 2


def test_one_json_object_comes_out() -> None:
    command = [sys.executable, "-m", "benchmarks.reread", "--cells", "2000", "--json"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=120)

    told = json.loads(done.stdout)
    assert set(told) == {
        *("cells", "rows_written", "rows_a_cell", "statements_a_scope"),
        *("cells_per_s", "cpu_s", "rss_mb"),
    }
    assert told["rows_a_cell"] <= 0.001
