"""The corpus of workbooks, and what every reader of them is given."""

from __future__ import annotations

import importlib.util
import sys
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.days import SchoolYear

SAMPLES = Path(__file__).parents[2] / "samples" / "workbooks"


def load_sample_module(name: str) -> ModuleType:
    """Load a module that stands beside the samples and is no package."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, SAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


FORMATS = load_sample_module("formats")
CORPUS = load_sample_module("corpus")


@pytest.fixture
def reader() -> Reader:
    """The school year 2026/27, seen on 23 November 2026."""
    return Reader(year=SchoolYear(2026), today=date(2026, 11, 23))


@pytest.fixture
def formats() -> ModuleType:
    """Writers of workbooks."""
    return FORMATS


@pytest.fixture
def corpus() -> ModuleType:
    """The corpus of workbooks."""
    return CORPUS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a workbook for whoever asks for `case`; `sheet_case` are those that are whole XLSX, ODS or XLS."""
    for name in {"case", "sheet_case"} & set(metafunc.fixturenames):
        found = CORPUS.cases()
        if name == "sheet_case":
            found = [one for one in found if one.taken and one.name.endswith((".xlsx", ".ods", "old.xls"))]
            found = [one for one in found if "far-corner" not in one.name]  # the block between is what calamine allots
        metafunc.parametrize(name, found, ids=[one.name for one in found])
