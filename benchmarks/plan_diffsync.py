"""The library diffsync on the same two files: two adapters, one diff.

Written the way its documentation has it, and where there is a choice the faster one is taken: lines are validated
straight from JSON, and the models hold only what both sides have.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import ClassVar

import msgspec
import structlog
from diffsync import Adapter, DiffSyncModel

from benchmarks.plan_files import OURS_FILE, THEIRS_FILE
from benchmarks.plan_ours import Measured, peak_mb


class MarkModel(DiffSyncModel):
    """A mark as both files have it; the cell is its identity."""

    _modelname: ClassVar[str] = "mark"
    _identifiers: ClassVar[tuple[str, ...]] = ("pupil_id", "lesson_id")
    _attributes: ClassVar[tuple[str, ...]] = (
        "group_id",
        "subject_id",
        "teacher_id",
        "on",
        "value",
        "weight",
        "form_id",
    )

    pupil_id: int
    lesson_id: int
    group_id: int
    subject_id: int
    teacher_id: int
    on: date
    value: str
    weight: int
    form_id: int


class School(Adapter):
    """One side."""

    mark = MarkModel
    top_level: ClassVar[list[str]] = ["mark"]

    def load_file(self, path: Path) -> None:
        """Load a file's lines."""
        with path.open("rb") as file:
            for line in file:
                self.add(MarkModel.model_validate_json(line))


def measure(folder: Path) -> Measured:
    """Load both sides and compare them; the comparison is two-legged, so a change by a person is like any other."""
    # its progress would go to stdout, and its time into the figure
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    started = time.perf_counter()
    ours, theirs = School(name="ours"), School(name="theirs")
    ours.load_file(folder / OURS_FILE)
    theirs.load_file(folder / THEIRS_FILE)
    found: Counter[str] = Counter(theirs.diff_from(ours).summary())
    seconds = time.perf_counter() - started
    return Measured(seconds=seconds, rss_mb=peak_mb(), by_reason=dict(found))


def main(arguments: list[str]) -> None:
    """`FOLDER`."""
    sys.stdout.buffer.write(msgspec.json.encode(measure(Path(arguments[0]))))


if __name__ == "__main__":
    main(sys.argv[1:])
