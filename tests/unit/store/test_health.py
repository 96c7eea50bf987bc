"""A database that is damaged, deleted or swapped under a running gateway is noticed before anything is written into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.domain.errors import GatewayError
from gateway.store.epoch import bump_epoch
from gateway.store.health import find_damage
from gateway.store.transaction import Store

ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def file_of(store: Store) -> Path:
    return Path(str(store.engine.url.database))


@ONLY_SQLITE
@pytest.mark.row("C8")
def test_nothing_is_written_into_a_file_that_was_deleted(store: Store) -> None:
    file_of(store).unlink()

    with pytest.raises(GatewayError, match="больше нет"), store.write():
        pytest.fail("a write began")


@ONLY_SQLITE
@pytest.mark.row("C8")
def test_nothing_is_written_after_another_file_took_its_place(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "yesterday.sqlite"
    copy.write_bytes(file_of(store).read_bytes())
    copy.replace(file_of(store))

    with pytest.raises(GatewayError, match="подменён"), store.write():
        pytest.fail("a write began")


@ONLY_SQLITE
def test_a_file_that_grew_or_is_open_twice_is_the_same_one(store: Store, open_store: Callable[[], Store]) -> None:
    for one in (store, open_store(), store):
        with one.write() as conn:
            bump_epoch(conn)
            conn.execute(text("CREATE TABLE IF NOT EXISTS big AS SELECT randomblob(100000) AS x"))


def test_a_sound_database_has_no_damage(store: Store) -> None:
    assert find_damage(store.engine) is None


@ONLY_SQLITE
@pytest.mark.row("C7")
def test_a_reference_to_nowhere_is_damage(store: Store) -> None:
    raw = store.engine.raw_connection()
    raw.cursor().executescript(
        "PRAGMA foreign_keys=OFF;"
        "INSERT INTO city_directory (place_id, body, read_at) VALUES (77, x'', '2026-11-23 00:00:00');"
        "PRAGMA foreign_keys=ON;"
    )
    raw.close()

    assert find_damage(store.engine) == "foreign_key_check"
