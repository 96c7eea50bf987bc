"""The store that a law's keeper keeps reads in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.clock import VirtualClock
from gateway.domain.identifiers import Place
from gateway.mapping.links import get_place_id
from gateway.store.transaction import Store
from tests.contract.sources.laws import PLACE_ID, Keeper
from tests.contract.sources.stands import NOW


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    store = Store.open(f"sqlite:///{tmp_path / 'gateway.sqlite'}", VirtualClock(NOW))
    with store.write() as conn:
        assert get_place_id(conn, Place(city="city", portal="portal", year="2026/27")) == PLACE_ID
    yield Keeper(store)
    store.close()
