"""The planning benchmark: its JSON is what the README promises, and its decisions are the planted ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks import plan
from benchmarks.plan_files import REASONS, iter_marks, write_files
from benchmarks.plan_ours import measure, prepare

ROOT = Path(plan.__file__).parent.parent


def test_one_json_object_with_the_promised_keys_comes_out(tmp_path: Path) -> None:
    """Both sides' decisions are compared with the planted ones on the way; a difference ends without a figure."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.plan", "--marks", "500", "--json", "--keep", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=120,
    )

    figures = json.loads(done.stdout)
    assert set(figures) == {"ours", "diffsync", "ratio", "rss_mb"}
    assert all(value > 0 for value in figures.values())
    assert done.stderr.decode().count("\n") == 1


def test_a_planted_difference_of_every_kind_is_planned_as_what_it_is(tmp_path: Path) -> None:
    count, seed = 6_000, 3
    planted = write_files(tmp_path, count, seed)
    prepare(tmp_path, count, seed)

    found = measure(tmp_path)

    assert set(planted) == set(REASONS.values())
    assert found.by_reason == planted
    assert planted == dict(sorted(Counter(REASONS[mark.planted] for mark in iter_marks(count, seed)).items()))


def test_diffsync_is_held_to_the_same_differences_as_two_legs_see_them() -> None:
    two_legged = plan._as_two_legged({"CREATE": 1, "CHANGE": 2, "DRIFT": 3, "DELETE_HELD": 4, "NO_CHANGE": 5})

    assert two_legged == {"create": 1, "update": 5, "delete": 4, "no-change": 5, "skip": 0}
