"""Engines of one process put each statement together once for all of them.

An engine keeps what it has put together for itself. A process of the product has one engine; tests have one each, and most
of what a short one costs would be putting together again what the test before it had.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from gateway.store import engine as engines

_compiled: dict[tuple[Any, ...], Any] = {}


class Shared:
    """Stands for an engine's cache; a statement is found by its driver, where SQLAlchemy asks by one engine's dialect."""

    def __init__(self, driver: str) -> None:
        self._driver = driver

    def get(self, key: tuple[Any, ...]) -> Any:
        return _compiled.get((self._driver, *key[1:]))

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        _compiled[self._driver, *key[1:]] = compiled


@contextmanager
def between_engines() -> Iterator[None]:
    """Engines that the store makes share their compiled statements."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "create_engine", make)
        yield


def make(*args: Any, **options: Any) -> Engine:
    """Stand for `create_engine`."""
    engine = create_engine(*args, **options)
    engine.update_execution_options(compiled_cache=Shared(engine.driver))
    return engine
