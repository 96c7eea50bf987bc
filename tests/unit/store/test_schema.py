"""The migrations make exactly the tables that the code declares, on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gateway.domain.clock import VirtualClock
from gateway.domain.errors import ConfigurationError
from gateway.migrations import current_revision, head_revision, is_newer, upgrade
from gateway.migrations.generate import append_only_names, build_postgresql_triggers, build_sqlite_triggers
from gateway.migrations.models import load_metadata
from gateway.store.transaction import Store


def test_the_migrated_schema_is_the_declared_one(store: Store) -> None:
    """When this fails: `python -m gateway.migrations.generate`."""
    with store.write() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        differences = compare_metadata(context, load_metadata())

    assert differences == []


def test_every_append_only_table_has_its_triggers(store: Store) -> None:
    metadata = load_metadata()
    names = append_only_names(metadata)
    wanted = build_postgresql_triggers(names)[1:]
    query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY(:names)"
    if store.dialect == "sqlite":
        wanted = [
            line
            for name in names
            for line in build_sqlite_triggers(name, [column.name for column in metadata.tables[name].primary_key])
        ]
        query = "SELECT sql FROM sqlite_schema WHERE type = 'trigger'"
    with store.read() as conn:
        found = conn.execute(text(query), {"names": names} if store.dialect == "postgresql" else {}).scalars().all()

    assert "audit_entry" in names
    if store.dialect == "postgresql":
        wanted = [line.split()[2] for line in wanted]
    assert sorted(found) == sorted(wanted)


@pytest.mark.row("G2")
def test_an_upgraded_database_is_at_the_head_and_a_second_upgrade_changes_nothing(store: Store) -> None:
    upgrade(store.engine)

    assert current_revision(store.engine) == head_revision()
    assert not is_newer(store.engine)


@pytest.mark.row("G2", "G3")
def test_a_database_that_newer_code_has_migrated_is_refused(store: Store, open_store: Callable[[], Store]) -> None:
    with store.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    assert is_newer(store.engine)
    with pytest.raises(ConfigurationError, match="новее"):
        open_store()


@pytest.mark.row("G1")
def test_a_failed_migration_leaves_no_half_of_it(database_url: str, clock: VirtualClock) -> None:
    """A foreign table stands in the way of a later one: the earlier ones must be gone with it."""
    from gateway.store.engine import make_engine

    engine = make_engine(database_url)
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE watermark (x INTEGER)"))

    with pytest.raises(DBAPIError):
        upgrade(engine)

    with engine.begin() as conn:
        assert MigrationContext.configure(conn).get_current_revision() is None
        with pytest.raises(DBAPIError):
            conn.execute(text("SELECT 1 FROM gateway_instance"))
    engine.dispose()


def test_foreign_keys_are_enforced_again_after_a_migration(store: Store) -> None:
    upgrade(store.engine)

    with pytest.raises(DBAPIError), store.write() as conn:
        conn.execute(
            text(
                "INSERT INTO mark_lesson (place_id, mark_ref, city_lesson_id, rule, rule_version, chosen_at)"
                " VALUES (77, 'm', 1, 'r', 'v', '2026-11-23 00:00:00')"
            )
        )
