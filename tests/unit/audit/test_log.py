"""A deed and its entry are committed together or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from enum import StrEnum

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.read import AuditEntry, iter_entries, verify
from gateway.audit.table import audit_entry
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import AuditError, ConfigurationError, GatewayError
from gateway.domain.identifiers import Place
from gateway.store.epoch import bump_epoch, get_epoch
from gateway.store.transaction import Store

BuildDeed = Callable[[int], Deed]


@pytest.mark.row("D1")
def test_entries_are_numbered_from_one_in_each_stream(store: Store, log: AuditLog, build_deed: BuildDeed) -> None:
    access = Deed(stream="access", action="passport.seen", actor=Actor("os_user", "root"))

    with store.write() as conn:
        numbers = [log.append(conn, deed) for deed in (build_deed(1), access, build_deed(2), access)]
        numbers += log.append_many(conn, [access, build_deed(3)])

    assert numbers == [1, 1, 2, 2, 3, 3]
    assert verify(store, "deeds").ok
    assert verify(store, "access").ok


def test_every_field_of_a_deed_comes_back(store: Store, log: AuditLog, clock: VirtualClock) -> None:
    deed = Deed(
        action="plan.approved",
        actor=Actor("person", "account-4", role="deputy_head", is_authenticated=True),
        originator="account-1",
        place=Place("journal.example:443#5", "Портал", "2026/27"),
        object_type="plan",
        object_id="plan-9",
        subject="s" + "0" * 32,
        run_id=3,
        operation_id=2**40,
        fence=1,
        plan_hash="ab" * 32,
        reason="GUARD_HOLD",
        rule_version="rules-1",
        old_digest="c" * 64,
        new_digest="d" * 64,
        city_id=2**35,
        outcome="decided",
        counts={"create": 3, "update": 0},
        source_address="127.0.0.1",
        request_id="r-1",
    )
    with store.write() as conn:
        bump_epoch(conn)
        log.append(conn, deed)

    (entry,) = iter_entries(store)

    given = {name: getattr(deed, name) for name in deed.__struct_fields__ if name not in ("actor", "place", "note")}
    assert {name: getattr(entry, name) for name in given} == given | {"city_id": str(2**35)}
    assert (entry.actor_kind, entry.actor, entry.actor_role) == ("person", "account-4", "deputy_head")
    assert entry.is_authenticated is True
    assert (entry.environment, entry.code_version, entry.epoch, entry.tick_ns) == ("test", "0.1.0", 2, 1)
    assert entry.at == clock.now()
    assert len(entry.place or "") == 32


def test_a_rolled_back_transaction_leaves_no_entry_and_no_gap(
    store: Store, log: AuditLog, build_deed: BuildDeed
) -> None:
    def append_and_fail() -> None:
        with store.write() as conn:
            log.append(conn, build_deed(1))
            raise KeyError

    with pytest.raises(KeyError):
        append_and_fail()

    with store.write() as conn:
        assert log.append(conn, build_deed(2)) == 1
    assert [entry.operation_id for entry in iter_entries(store)] == [2]


def test_a_deed_whose_entry_failed_is_not_done_even_if_the_error_is_swallowed(store: Store, log: AuditLog) -> None:
    def act_and_swallow() -> None:
        with store.write() as conn:
            bump_epoch(conn)
            with pytest.raises(AuditError):
                log.append(conn, Deed(action="Not an action", actor=Actor("service", "worker")))

    with pytest.raises(GatewayError, match="отменена"):
        act_and_swallow()

    with store.read() as conn:
        assert get_epoch(conn) == 1


def test_a_database_that_refuses_the_entry_undoes_the_deed(store: Store, log: AuditLog, build_deed: BuildDeed) -> None:
    with store.write() as conn:
        conn.execute(text("ALTER TABLE audit_entry RENAME TO gone"))

    def act() -> None:
        with store.write() as conn:
            bump_epoch(conn)
            log.append(conn, build_deed(1))

    with pytest.raises(AuditError):
        act()

    with store.read() as conn:
        assert get_epoch(conn) == 1


def test_a_fault_of_ours_in_building_the_entry_undoes_the_deed(store: Store, log: AuditLog) -> None:
    """The wide `except` of `append_many`: a place that is no place fails with a plain AttributeError."""
    deed = Deed(action="run.began", actor=Actor("service", "worker"), place="nowhere")  # type: ignore[arg-type]  # wrong

    with pytest.raises(AuditError) as caught, store.write() as conn:
        log.append(conn, deed)

    assert isinstance(caught.value.__cause__, AttributeError)


def test_an_entry_can_not_be_written_in_a_read(store: Store, log: AuditLog, build_deed: BuildDeed) -> None:
    with pytest.raises((AuditError, GatewayError)), store.read() as conn:
        log.append(conn, build_deed(1))

    assert list(iter_entries(store)) == []


def test_one_bad_deed_of_several_writes_none_of_them(store: Store, log: AuditLog, build_deed: BuildDeed) -> None:
    bad = Deed(action="run.began", actor=Actor("service", "Иванов"))

    with pytest.raises(AuditError), store.write() as conn:
        log.append_many(conn, [build_deed(1), bad])

    assert verify(store, "deeds").entries == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET outcome = 'x'",
        "UPDATE audit_entry SET seq = seq + 100",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "INSERT OR REPLACE INTO audit_entry SELECT * FROM audit_entry WHERE seq = 2",
    ],
)
def test_the_database_itself_refuses_to_change_an_entry(filled: Store, statement: str) -> None:
    """TRUNCATE and OR REPLACE are words of one database each; to the other they are a syntax error."""
    with pytest.raises(DBAPIError), filled.write() as conn:
        conn.execute(text(statement))

    assert verify(filled, "deeds").entries == 10


def test_the_database_refuses_by_its_trigger_and_says_so(filled: Store) -> None:
    with pytest.raises(DBAPIError, match="append-only"), filled.write() as conn:
        conn.execute(text("DELETE FROM audit_entry WHERE seq = 10"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET outcome = 'x' WHERE seq = 2",
        "DELETE FROM audit_entry WHERE seq = 2",
        "INSERT OR REPLACE INTO audit_entry SELECT * FROM audit_entry WHERE seq = 2",
    ],
)
def test_a_foreign_connection_with_sqlites_own_settings_is_refused_too(filled: Store, statement: str) -> None:
    """With `recursive_triggers` off, OR REPLACE removes a row without asking the trigger against DELETE."""
    with (
        closing(sqlite3.connect(str(filled.engine.url.database))) as foreign,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        foreign.execute(statement)


def test_eight_threads_append_fifty_each_without_a_gap(store: Store, log: AuditLog, build_deed: BuildDeed) -> None:
    gate = threading.Barrier(8)

    def append(_thread: int) -> list[int]:
        gate.wait()
        numbers = []
        for number in range(50):
            with store.write() as conn:
                numbers.append(log.append(conn, build_deed(number)))
        return numbers

    with ThreadPoolExecutor(8) as pool:
        numbers = [number for part in pool.map(append, range(8)) for number in part]

    assert sorted(numbers) == list(range(1, 401))
    report = verify(store, "deeds")
    assert (report.ok, report.entries) == (True, 400)


def test_two_stores_append_to_one_chain(open_store: Callable[[], Store], build_deed: BuildDeed) -> None:
    """Two processes: no lock of ours is shared, only the database's."""
    stores = [open_store(), open_store()]

    def append(store: Store) -> None:
        log = AuditLog(store, environment="test", code_version="0.1.0")
        for number in range(40):
            with store.write() as conn:
                log.append(conn, build_deed(number))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(append, stores))

    assert verify(stores[0], "deeds").entries == 80


def test_a_code_given_as_an_enum_is_kept_as_its_text(store: Store, log: AuditLog) -> None:
    class Reason(StrEnum):
        CHANGED = "CHANGED"

    with store.write() as conn:
        log.append(conn, Deed(action="run.began", actor=Actor("service", "worker"), reason=Reason.CHANGED))

    assert verify(store, "deeds").ok
    with store.read() as conn:
        assert conn.execute(select(audit_entry.c.reason)).scalar_one() == "CHANGED"


def test_a_forged_first_entry_is_found(store: Store, log: AuditLog, build_deed: BuildDeed, filled: Store) -> None:
    """Writing past the log is possible for whoever has the database; passing the check is not."""
    with store.write() as conn:
        row = dict(conn.execute(select(audit_entry).where(audit_entry.c.seq == 10)).mappings().one())
        conn.execute(insert(audit_entry).values(row | {"seq": 11}))

    assert verify(filled, "deeds").first_broken_seq == 11


@pytest.mark.parametrize("name", ["", "школа", "two words"])
def test_an_environment_that_is_no_code_is_refused_at_the_start(store: Store, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"audit\.environment"):
        AuditLog(store, environment=name, code_version="0.1.0")


def test_nothing_to_append_is_no_entry(store: Store, log: AuditLog) -> None:
    with store.write() as conn:
        assert log.append_many(conn, []) == []

    entries: list[AuditEntry] = list(iter_entries(store))
    assert entries == []
