"""Tests of the store migrate in earnest: what the migrations make is what they are about."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest


@pytest.fixture(autouse=True)
def migrations_in_earnest(ready_schema: ModuleType) -> Iterator[None]:
    with ready_schema.in_earnest():
        yield
