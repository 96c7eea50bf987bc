"""Turns: one at a time by name, never beside another gateway's tables in the same database."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

from gateway.domain.clock import Clock
from gateway.store.transaction import Store
from gateway.store.turns import stand_beside, take_turn, try_turns

pytestmark = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture
def stores(database_url: str, clock: Clock) -> Iterator[tuple[Store, Store, Store]]:
    """Two processes of one gateway, and another gateway in a schema of its own beside it."""
    schema = f"gateway_test_{uuid.uuid4().hex}"
    engine = create_engine(database_url)
    with engine.begin() as conn:
        conn.execute(text(f"CREATE SCHEMA {schema}"))
    other = make_url(database_url).update_query_dict({"options": f"-csearch_path={schema}"})
    opened = [
        Store.open(url, clock) for url in (database_url, database_url, other.render_as_string(hide_password=False))
    ]
    yield opened[0], opened[1], opened[2]
    for store in opened:
        store.close()
    with engine.begin() as conn:
        conn.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


def test_a_turn_is_had_by_one_process_of_a_gateway_and_by_no_other_gateway(stores: tuple[Store, Store, Store]) -> None:
    """Two gateways in two schemas, and two tests at once, once stopped each other's deliveries (found by CI)."""
    one, same, other = stores
    with one.write() as conn:
        assert try_turns(conn, ["a", "b"]) == [True, True]
        with same.write() as beside:
            assert try_turns(beside, ["b", "c"]) == [False, True]
        with other.write() as beside:
            assert try_turns(beside, ["a", "b"]) == [True, True]
            take_turn(beside, "a")
    with same.write() as conn:
        assert try_turns(conn, ["a", "b", "c"]) == [True, True, True]


def test_those_who_stand_beside_each_other_make_who_wants_to_be_alone_wait(stores: tuple[Store, Store, Store]) -> None:
    one, same, _ = stores
    order: list[str] = []

    def be_alone(begun: Callable[[], object]) -> None:
        with same.write() as conn:
            begun()
            take_turn(conn, "periods")
            order.append("alone")

    begun = threading.Event()
    waiting = threading.Thread(target=be_alone, args=(begun.set,))
    with one.write() as conn:
        stand_beside(conn, "periods")
        with same.write() as beside:
            stand_beside(beside, "periods")
        waiting.start()
        begun.wait(10)
        order.append("beside")
    waiting.join(10)

    assert order == ["beside", "alone"]
