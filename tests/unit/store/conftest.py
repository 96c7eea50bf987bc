"""Tests of the store migrate and commit in earnest: what is made and set there is what they are about."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest


@pytest.fixture(autouse=True)
def in_earnest(ready_schema: ModuleType, unsynced: ModuleType) -> Iterator[None]:
    with ready_schema.in_earnest(), unsynced.in_earnest():
        yield
