"""Every workbook of the corpus: each planted fault is named in its cell, no other is, and no good row is lost."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.lint import lint_workbook

FLAT_BYTES = 16 * 1024 * 1024
"""What a sheet of any length may take above a short one: a hundred thousand pupils are watched for repetition, the rest goes by."""


def test_the_corpus_has_at_least_sixty_workbooks_of_different_names(corpus: ModuleType) -> None:
    names = [case.name for case in corpus.cases()]

    assert len(names) == len(set(names)) >= 60


@pytest.mark.row("E13")
def test_every_fault_is_named_in_its_cell_and_no_good_row_is_lost(case: Any, tmp_path: Path, reader: Reader) -> None:
    path = tmp_path / case.name
    case.write(path)

    report = lint_workbook(path, reader)

    assert {(fault.code, fault.sheet, fault.cell) for fault in report.faults} == case.faults
    assert report.taken == case.taken


LINT_ALONE = """
import resource, sys
from datetime import date
from pathlib import Path
import msgspec
from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.days import SchoolYear
from gateway.connectors.planner.workbook.lint import lint_workbook
seen = []
reader = Reader(year=SchoolYear(2026), today=date(2026, 11, 23))
report = lint_workbook(Path(sys.argv[1]), reader, progress=seen.append)
peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.stdout.write(msgspec.json.encode({"report": report, "seen": seen, "peak_kib": peak_kib}).decode())
"""


@pytest.mark.row("E13")
@pytest.mark.slow
def test_a_very_long_sheet_is_read_in_flat_memory_with_every_fault_in_its_cell(
    tmp_path: Path, corpus: ModuleType
) -> None:
    """Twenty thousand rows here; `GATEWAY_TEST_WORKBOOK_ROWS=1000000` does what Excel holds at most."""
    rows = int(os.environ.get("GATEWAY_TEST_WORKBOOK_ROWS", "20000"))
    peaks = []
    for count in (100, rows):
        path = tmp_path / f"{count}.xlsx"
        planted = corpus.write_million(path, count)
        told = subprocess.run([sys.executable, "-c", LINT_ALONE, str(path)], check=True, capture_output=True)
        read = json.loads(told.stdout)
        peaks.append(read["peak_kib"] * 1024)

    report = read["report"]
    assert {(fault["code"], fault["sheet"], fault["cell"]) for fault in report["faults"]} == planted
    assert report["taken"] == rows - len(planted)
    assert peaks[1] - peaks[0] < FLAT_BYTES
    assert read["seen"] == list(range(10_000, rows + 1, 10_000))


@pytest.mark.row("E13")
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, reader: Reader, corpus: ModuleType) -> None:
    for case in corpus.cases():
        if "bomb" not in case.name:
            continue
        path = tmp_path / case.name
        case.write(path)
        tracemalloc.start()
        lint_workbook(path, reader)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < FLAT_BYTES, case.name


@pytest.mark.row("E13")
def test_a_spoilt_workbook_is_named_and_never_ends_the_reading(
    tmp_path: Path, reader: Reader, corpus: ModuleType
) -> None:
    """Each spoilt anew by a seed; `GATEWAY_TEST_SPOILT_WORKBOOKS=3000` tries more."""
    chance = random.Random(20261125)
    # a panic of calamine's Rust side is caught and named, but prints its own trace
    found = [case for case in corpus.cases() if case.taken and not case.name.startswith(("old", "text-of", "far"))]
    for number in range(int(os.environ.get("GATEWAY_TEST_SPOILT_WORKBOOKS", "120"))):
        case = chance.choice(found)
        path = tmp_path / f"{number}{Path(case.name).suffix}"
        case.write(path)
        corpus.spoil(path, chance)

        report = lint_workbook(path, reader)

        assert report.sheets or report.counts
        path.unlink()


def test_a_fault_never_repeats_what_a_cell_holds(case: Any, tmp_path: Path, reader: Reader, corpus: ModuleType) -> None:
    path = tmp_path / case.name
    case.write(path)

    told = " ".join(fault.sentence for fault in lint_workbook(path, reader).faults)

    assert not [name for name in (*corpus.LAST, "calc", "script", "example.org") if name in told and len(name) > 2]
