"""The store keeps what was committed, and only that."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, update
from sqlalchemy.exc import DBAPIError, StatementError

from gateway.domain.clock import SystemClock, VirtualClock
from gateway.domain.errors import GatewayError
from gateway.domain.identifiers import Place
from gateway.store.epoch import bump_epoch, get_epoch
from gateway.store.metadata import gateway_instance, watermark
from gateway.store.place import bind_place, load_instance
from gateway.store.transaction import Store, upsert
from gateway.store.watermark import find_watermark, set_watermark

PLACE = Place("127.0.0.1#1", "portal", "2026/27")
counter = Table("counter", MetaData(), Column("id", Integer, primary_key=True), Column("value", Integer))


def test_a_committed_write_is_seen_by_a_second_store(open_store: Callable[[], Store]) -> None:
    with open_store().write() as conn:
        set_watermark(conn, PLACE, "mark|group:1", "7", now=datetime(2026, 11, 23, tzinfo=UTC))

    with open_store().read() as conn:
        found = find_watermark(conn, PLACE, "mark|group:1")
    assert found is not None
    assert (found.value, found.moved_at) == ("7", datetime(2026, 11, 23, tzinfo=UTC))


def test_a_write_that_fails_leaves_nothing(store: Store, clock: VirtualClock) -> None:
    def write_and_fail() -> None:
        with store.write() as conn:
            set_watermark(conn, PLACE, "s", "1", now=clock.now())
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()

    with store.read() as conn:
        assert find_watermark(conn, PLACE, "s") is None


def test_a_transaction_closed_under_the_callers_hands_is_an_error_and_not_a_silent_nothing(store: Store) -> None:
    with pytest.raises(GatewayError, match="отменена"), store.write() as conn:
        conn.get_transaction().rollback()  # type: ignore[union-attr]  # there is one inside write()


def test_a_read_can_not_write(store: Store) -> None:
    with pytest.raises(DBAPIError), store.read() as conn:
        bump_epoch(conn)

    with store.write() as conn:
        assert bump_epoch(conn) == 2


def test_a_read_does_not_see_what_was_committed_after_it_began(store: Store, clock: VirtualClock) -> None:
    with store.read() as conn:
        before = get_epoch(conn)
        with store.write() as writer:
            bump_epoch(writer)

        assert get_epoch(conn) == before == 1
    with store.read() as conn:
        assert get_epoch(conn) == 2


def test_a_write_inside_a_write_of_the_same_thread_is_refused_at_once(store: Store) -> None:
    with store.write(), pytest.raises(GatewayError, match="внутри"), store.write():
        pass


@pytest.mark.row("C5", "C6")
def test_of_400_read_modify_writes_in_four_threads_400_are_kept(store: Store) -> None:
    with store.write() as conn:
        counter.create(conn)
        conn.execute(insert(counter).values(id=1, value=0))

    def add() -> None:
        for _ in range(100):
            with store.write() as conn:
                row = select(counter.c.value).where(counter.c.id == 1)
                value = conn.execute(row.with_for_update() if store.dialect == "postgresql" else row).scalar_one()
                conn.execute(update(counter).values(value=value + 1))

    _in_threads(4, add)

    with store.read() as conn:
        assert conn.execute(select(counter.c.value)).scalar_one() == 400


@pytest.mark.row("C5", "C6")
def test_two_stores_on_one_file_lose_no_read_modify_write(open_store: Callable[[], Store]) -> None:
    """Each store has its own lock, so only BEGIN IMMEDIATE (or the row lock) stands between them."""
    stores = [open_store(), open_store()]

    def add(store: Store) -> None:
        for _ in range(50):
            with store.write() as conn:
                row = select(gateway_instance.c.epoch)
                epoch = conn.execute(row.with_for_update() if store.dialect == "postgresql" else row).scalar_one()
                conn.execute(update(gateway_instance).values(epoch=epoch + 1))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, stores))

    with stores[0].read() as conn:
        assert get_epoch(conn) == 101


def test_a_database_in_memory_serves_several_threads() -> None:
    store = Store.open("sqlite://", SystemClock())

    def add() -> None:
        for _ in range(25):
            with store.write() as conn:
                bump_epoch(conn)
            with store.read() as conn:
                get_epoch(conn)

    _in_threads(4, add)

    with store.read() as conn:
        assert get_epoch(conn) == 101
    store.close()


def test_a_database_in_memory_refuses_what_its_one_connection_can_not_do() -> None:
    store = Store.open("sqlite://", SystemClock())

    with store.read(), pytest.raises(GatewayError, match="внутри"), store.write():
        pass
    with store.write(), pytest.raises(GatewayError, match="внутри"), store.read():
        pass
    store.close()


def test_a_naive_moment_is_refused(store: Store) -> None:
    with pytest.raises(StatementError) as caught, store.write() as conn:
        set_watermark(conn, PLACE, "s", "1", now=datetime(2026, 11, 23))  # noqa: DTZ001  # the point of the test

    assert isinstance(caught.value.orig, ValueError)


def test_a_moment_in_another_zone_comes_back_in_utc_to_the_microsecond(store: Store) -> None:
    moment = datetime(2026, 11, 23, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=3)))

    with store.write() as conn:
        set_watermark(conn, PLACE, "s", "1", now=moment)

    with store.read() as conn:
        found = find_watermark(conn, PLACE, "s")
    assert found is not None
    assert found.moved_at == moment
    assert found.moved_at.tzinfo is UTC


def test_a_failed_statement_does_not_tell_its_values(store: Store, clock: VirtualClock) -> None:
    row = {"city": "c", "portal": "p", "year": "y", "scope": "s", "value": "Канарейкина", "moved_at": clock.now()}

    with pytest.raises(DBAPIError) as caught, store.write() as conn:
        conn.execute(insert(watermark), [row, row])

    assert "Канарейкина" not in str(caught.value)


def test_upsert_changes_only_the_named_columns_and_the_last_row_of_a_key_wins(
    store: Store, clock: VirtualClock
) -> None:
    later = clock.now() + timedelta(hours=1)
    base = {"city": "c", "portal": "p", "year": "y"}
    keys = ["city", "portal", "year", "scope"]
    with store.write() as conn:
        upsert(conn, watermark, [{**base, "scope": "a", "value": "1", "moved_at": clock.now()}], keys, ["value"])

        rows = [{**base, "scope": s, "value": v, "moved_at": later} for s, v in [("a", "2"), ("b", "3"), ("a", "4")]]
        upsert(conn, watermark, rows, keys, ["value"])
        upsert(conn, watermark, [{**rows[0], "value": "5"}], keys, [])

    with store.read() as conn:
        columns = select(watermark.c.scope, watermark.c.value, watermark.c.moved_at).order_by(watermark.c.scope)
        assert [tuple(row) for row in conn.execute(columns)] == [("a", "4", clock.now()), ("b", "3", later)]


def test_upsert_takes_more_rows_than_a_statement_has_variables(store: Store, clock: VirtualClock) -> None:
    row = {"city": "c", "portal": "p", "year": "y", "value": "1", "moved_at": clock.now()}
    rows = [{**row, "scope": f"s{n}"} for n in range(12_001)]

    with store.write() as conn:
        upsert(conn, watermark, rows, ["city", "portal", "year", "scope"], ["value"])

    with store.read() as conn:
        assert conn.execute(select(func.count()).select_from(watermark)).scalar_one() == 12_001


def test_upsert_refuses_rows_with_different_columns(store: Store) -> None:
    with pytest.raises(ValueError, match="watermark"), store.write() as conn:
        upsert(conn, watermark, [{"city": "c"}, {"city": "c", "value": "1"}], ["city"], ["value"])


def test_the_place_is_bound_once_and_the_instance_stays(open_store: Callable[[], Store]) -> None:
    with open_store().write() as conn:
        first = bind_place(conn, "city-a#1", "portal")

    with open_store().write() as conn:
        second = bind_place(conn, "city-b#2", "other")
        assert load_instance(conn) == second == first
    assert (first.city, first.portal, first.epoch) == ("city-a#1", "portal", 1)


@pytest.mark.row("C12")
def test_now_is_the_given_clock_unless_the_clock_is_the_machines(store: Store, clock: VirtualClock) -> None:
    clock.advance(60)

    assert store.now() == clock.now()
    with store.read() as conn:
        assert store.now(conn) == clock.now()


@pytest.mark.row("C12")
@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_with_the_machines_clock_postgresql_is_asked_and_its_time_moves_on_in_a_transaction(database_url: str) -> None:
    store = Store.open(database_url, SystemClock())

    with store.write() as conn:
        began = conn.execute(select(func.now())).scalar_one()
        moments = [began, store.now(conn), store.now(conn), store.now()]

    assert moments == sorted(set(moments))
    assert all(moment.tzinfo is UTC for moment in moments[1:])
    store.close()


def _open_and_count(url: str) -> int:
    store = Store.open(url, SystemClock())
    with store.write() as conn:
        epoch = bump_epoch(conn)
    store.close()
    return epoch


def test_processes_that_open_a_new_database_at_once_migrate_it_once(database_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        epochs = pool.map(_open_and_count, [database_url] * 4)

    assert sorted(epochs) == [2, 3, 4, 5]


def _in_threads(count: int, work: Callable[[], object]) -> None:
    """Run the same work in that many threads that start together; the first failure is raised."""
    gate = threading.Barrier(count)

    def run() -> None:
        gate.wait()
        work()

    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(run) for _ in range(count)]:
            future.result()
