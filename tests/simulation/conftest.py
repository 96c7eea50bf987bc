"""Shared by the simulation's tests: the corpus of seeds, how many seeds are played, and the planted mistakes."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
SEEDS = "GATEWAY_TEST_SEEDS"
"""How many worlds are played: a thousand by `.ci/run`, ten thousand by `make figures`."""
DEFAULT_SEEDS_COUNT = 500
"""Of the bare test command: some five minutes of one core."""


@pytest.fixture(scope="session")
def corpus() -> list[int]:
    lines = (HERE / "corpus.txt").read_text(encoding="utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="session")
def seeds_count() -> int:
    return int(os.environ.get(SEEDS, DEFAULT_SEEDS_COUNT))


@pytest.fixture(scope="session")
def planted() -> ModuleType:
    """The module of planted mistakes; tests are no package, so it and its second part are loaded by their paths."""
    for name in ("planted", "planted_more"):
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
    return sys.modules["planted"]
