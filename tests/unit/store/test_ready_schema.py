"""What a test's store is filled with instead of being migrated is what the migrations make, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from sqlalchemy import Connection, make_url, text

from gateway.domain.clock import VirtualClock
from gateway.store.schema import current_revision, head_revision
from gateway.store.transaction import Store

OBJECTS = {
    "sqlite": "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name",
    "postgresql": """
        SELECT 'column', table_name, column_name, data_type, is_nullable, column_default
          FROM information_schema.columns WHERE table_schema = current_schema()
        UNION ALL SELECT 'index', tablename, indexname, indexdef, '', ''
          FROM pg_indexes WHERE schemaname = current_schema()
        UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''
          FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
        UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), '', ''
          FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN
          (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)
        UNION ALL SELECT 'function', proname, prosrc, '', '', ''
          FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
        ORDER BY 1, 2, 3, 4
    """,
}


def load_objects(conn: Connection, dialect: str) -> list[tuple[object, ...]]:
    """Everything that the schema has, without the name that the test's own schema has by chance."""
    rows = conn.execute(text(OBJECTS[dialect])).all()
    name = "" if dialect == "sqlite" else f"{conn.execute(text('SELECT current_schema()')).scalar_one()}."
    return [tuple(one.replace(name, "") if name and isinstance(one, str) else one for one in row) for row in rows]


@pytest.fixture
def migrated_objects(store: Store) -> list[tuple[object, ...]]:
    with store.read() as conn:
        return load_objects(conn, store.dialect)


@pytest.fixture
def filled(
    database_url: str, store: Store, clock: VirtualClock, ready_schema: ModuleType
) -> Iterator[Callable[[], Store]]:
    """Opens a store in a further empty place of the same database, filled."""
    opened: list[Store] = []
    url = make_url(database_url)

    def open_one() -> Store:
        number = len(opened)
        if store.dialect == "sqlite":
            there = url.set(database=f"{url.database}.{number}")
        else:
            first = str(url.query["options"]).removeprefix("-csearch_path=")
            with store.engine.begin() as conn:
                conn.execute(text(f"CREATE SCHEMA {first}_{number}"))
            there = url.update_query_dict({"options": f"-csearch_path={first}_{number}"})
        with ready_schema.in_place_of_migrations():
            opened.append(Store.open(there.render_as_string(hide_password=False), clock))
        return opened[-1]

    yield open_one
    for number, one in enumerate(opened):
        one.close()
        if store.dialect == "postgresql":
            first = str(url.query["options"]).removeprefix("-csearch_path=")
            with store.engine.begin() as conn:
                conn.execute(text(f"DROP SCHEMA {first}_{number} CASCADE"))


def test_a_filled_store_has_the_schema_of_a_migrated_one(
    filled: Callable[[], Store], migrated_objects: list[tuple[object, ...]]
) -> None:
    filled()  # where statements are said again, the first one hears them
    there = filled()

    with there.read() as conn:
        assert load_objects(conn, there.dialect) == migrated_objects
    assert len(migrated_objects) > 100
    assert current_revision(there.engine) == head_revision()
