"""Delivery broken off where nobody expects it: at any line, in the handling of an error, by a full disk, by a lost database.

Whatever it was, the row says what may have happened, and the next worker brings the operation to one effect and one proof.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import pytest
from dramatiq.middleware import TimeLimitExceeded
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from gateway.connectors.port import Accepted
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import AuditError, OutcomeUnknownError
from gateway.queue import deliver, outcome
from gateway.queue.due import sweep
from gateway.queue.states import State
from gateway.store.passing import is_passing
from gateway.store.transaction import Store

ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ONLY_POSTGRES = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)


STEPS = {str(deliver.__file__), str(outcome.__file__)}
"""The modules whose lines stand between sending and recording."""


class City:
    """What really happened in the city, whatever became of the answer."""

    def __init__(self, desk: Any) -> None:
        self._desk = desk
        self.marks: dict[int, int] = {}

    def answer(self, pupil: int) -> None:
        """Let the next call create that pupil's mark, and show it from then on."""
        city_id = 500 + pupil
        self._desk.sink.answers = [Accepted(city_id=city_id, request_id="r", status=200, profile="main")]

        def applied() -> None:
            self.marks[city_id] = self.marks.get(city_id, 0) + 1
            self._desk.city[city_id] = self._desk.build_mark(city_id, "5", pupil=pupil)

        self._desk.sink.during = applied


def finish(desk: Any, clock: VirtualClock, city: City, operation_id: int, pupil: int) -> None:
    """What the next worker does after the settle time; the city answers as it should."""
    clock.advance(desk.terms.deadline_s + desk.terms.settle_s + desk.terms.lease_s)
    sweep(desk.store)
    desk.read_city()
    desk.settle()
    row = next(row for row in desk.rows() if row.id == operation_id)
    if row.state == State.READY.value:
        city.answer(pupil)
        desk.delivery().deliver(operation_id)
        desk.sink.during = None
        desk.read_city()
        desk.settle()


@contextmanager
def interrupted_at(line: int, error: type[BaseException]) -> Iterator[list[tuple[str, int]]]:
    """Raise at the n-th line that the steps reach once the city was called; says which lines there were."""
    lines: list[tuple[str, int]] = []
    is_called = False

    def trace(frame: FrameType, kind: str, _: object) -> Any:
        nonlocal is_called
        if frame.f_code.co_filename not in STEPS:
            return None
        if kind == "call" and frame.f_code.co_name == "_call":
            is_called = True
            return None
        place = (frame.f_code.co_filename, frame.f_lineno)
        if kind == "line" and is_called and place not in lines:
            lines.append(place)
            if len(lines) == line:
                sys.settrace(None)
                raise error
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


@ONLY_SQLITE
@pytest.mark.row("B6")
def test_broken_off_at_any_line_between_sending_and_recording_an_operation_has_one_effect(
    desk: Any, clock: VirtualClock
) -> None:
    """M10 at every line: dramatiq would throw such an error between two bytecodes of ours."""
    city = City(desk)
    line = broken = 0
    is_reached = True
    while is_reached:
        line += 1
        operation_id = desk.queue_create(f"item:{line}", "5", pupil=line)
        city.answer(line)
        try:
            with interrupted_at(line, TimeLimitExceeded) as lines:
                desk.delivery().deliver(operation_id)
        except TimeLimitExceeded:
            broken += 1
        is_reached = len(lines) >= line
        finish(desk, clock, city, operation_id, line)

    assert broken == line - 1 > 15
    assert set(desk.states()) == {State.VERIFIED}
    assert city.marks == {500 + pupil: 1 for pupil in range(1, line + 1)}
    assert desk.receipts().count("verified") == line


@pytest.mark.row("B19")
def test_a_fault_in_the_handling_of_an_error_leaves_the_outcome_unknown(
    desk: Any, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    city = City(desk)
    operation_id = desk.queue_create("item:1", "5")
    city.answer(1)
    desk.sink.answers = [OutcomeUnknownError("нет ответа")]

    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(outcome, "note_answer", break_down)
        with suppress(RuntimeError):
            desk.delivery().deliver(operation_id)
        state = desk.states()
    clock.advance(desk.terms.deadline_s)
    sweep(desk.store)

    assert state in ([State.SENDING], [State.UNKNOWN])
    assert desk.states() == [State.UNKNOWN]
    finish(desk, clock, city, operation_id, 1)
    assert desk.states() == [State.VERIFIED]
    assert city.marks == {501: 1}


@pytest.mark.row("B13")
def test_a_ring_for_what_was_rolled_back_finds_nothing(desk: Any) -> None:
    with suppress(RuntimeError), desk.store.write() as conn:
        conn.execute(text("UPDATE operation SET state = 'ready'"))
        raise RuntimeError

    assert desk.delivery().deliver(1) is None
    assert desk.sink.asked == []
    assert desk.rows() == []


@contextmanager
def room_for(store: Store, pages: int) -> Iterator[None]:
    """Let the database grow by so many pages only: SQLite says FULL at the next one, as on a full disk."""

    def limit(driver: Any, *_: object) -> None:
        count = driver.execute("PRAGMA page_count").fetchone()[0]
        driver.execute(f"PRAGMA max_page_count={count + pages}")

    def lift(driver: Any, *_: object) -> None:
        driver.execute("PRAGMA max_page_count=1073741823")

    event.listen(store.engine, "checkout", limit)
    event.listen(store.engine, "checkin", lift)
    try:
        yield
    finally:
        event.remove(store.engine, "checkout", limit)
        event.remove(store.engine, "checkin", lift)


@ONLY_SQLITE
@pytest.mark.row("C4")
def test_a_disk_that_is_full_at_whatever_statement_leaves_no_half_of_anything(desk: Any, clock: VirtualClock) -> None:
    """Every statement that writes fails once with the disk's error, from the claim to the proof."""
    city = City(desk)
    number = failed = 0
    is_reached = True
    while is_reached:
        number += 1
        operation_id = desk.queue_create(f"item:{number}", "5", pupil=number)
        city.answer(number)
        with failing_at(desk.store, number) as seen, suppress(DBAPIError, AuditError):
            desk.delivery().deliver(operation_id)
            desk.sink.during = None
            desk.read_city()
            desk.settle()
        failed += seen[1]
        is_reached = bool(seen[1])
        finish(desk, clock, city, operation_id, number)

    assert failed == number - 1 > 10
    assert set(desk.states()) == {State.VERIFIED}
    assert city.marks == {500 + pupil: 1 for pupil in range(1, number + 1)}
    assert desk.is_chain_whole()


@contextmanager
def failing_at(store: Store, number: int) -> Iterator[list[int]]:
    """Let the n-th statement that changes something fail as SQLite does on a full disk; [statements seen, failed]."""
    seen = [0, 0]

    def before(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.split(None, 1)[0] in ("INSERT", "UPDATE", "DELETE"):
            seen[0] += 1
            if seen[0] == number:
                seen[1] = 1
                raise OperationalError(statement, None, sqlite3.OperationalError("database or disk is full"))

    event.listen(store.engine, "before_cursor_execute", before)
    try:
        yield seen
    finally:
        event.remove(store.engine, "before_cursor_execute", before)


@ONLY_SQLITE
@pytest.mark.row("C4")
def test_a_database_that_may_not_grow_sends_nothing_and_goes_on_when_it_may(desk: Any, clock: VirtualClock) -> None:
    city = City(desk)
    ids = [desk.queue_create(f"item:{pupil}", "5", pupil=pupil) for pupil in range(1, 25)]
    stopped = None
    with room_for(desk.store, 0):
        for pupil, operation_id in enumerate(ids, start=1):
            city.answer(pupil)
            try:
                desk.delivery().deliver(operation_id)
            except (DBAPIError, AuditError) as error:
                stopped = error
                break

    assert stopped is not None
    assert "full" in str(getattr(stopped, "orig", None) or stopped.__cause__)
    for pupil, operation_id in enumerate(ids, start=1):
        finish(desk, clock, city, operation_id, pupil)
    assert set(desk.states()) == {State.VERIFIED}
    assert city.marks == {500 + pupil: 1 for pupil in range(1, 25)}
    assert desk.is_chain_whole()


@ONLY_POSTGRES
@pytest.mark.row("C9", "C11")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_server_that_goes_away_around_a_commit_leaves_it_whole_or_not_there(
    desk: Any, clock: VirtualClock, open_store: Callable[[], Store], moment: str
) -> None:
    """The connection is ended by the server at each commit in turn, before it or after it but before its answer."""
    city = City(desk)
    other = open_store()
    errors: list[Exception] = []
    number = 0
    is_reached = True
    while is_reached:
        number += 1
        operation_id = desk.queue_create(f"item:{number}", "5", pupil=number)
        city.answer(number)
        with server_ends_at(desk.store, other, number, moment=moment) as seen:
            try:
                desk.delivery().deliver(operation_id)
                desk.sink.during = None
                desk.read_city()
                desk.settle()
            except (DBAPIError, AuditError) as error:
                errors.append(error)
        is_reached = seen[0] >= number
        finish(desk, clock, city, operation_id, number)

    assert len(errors) == number - 1 > 3
    assert all(is_passing(error) for error in errors), "a worker would take this for a fault of its own"
    assert set(desk.states()) == {State.VERIFIED}
    assert city.marks == {500 + pupil: 1 for pupil in range(1, number + 1)}
    assert desk.is_chain_whole()


@contextmanager
def server_ends_at(store: Store, other: Store, number: int, *, moment: str) -> Iterator[list[int]]:
    """End the connection at the n-th commit."""
    seen = [0]
    real = store.engine.dialect.do_commit

    def do_commit(driver: Any) -> None:
        seen[0] += 1
        if seen[0] != number:
            real(driver)
            return
        pid = driver.dbapi_connection.info.backend_pid
        if moment == "after":
            real(driver)
        with other.engine.connect() as conn:
            conn.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        driver.dbapi_connection.execute("SELECT 1")  # the answer that does not come

    store.engine.dialect.do_commit = do_commit  # type: ignore[method-assign]  # one engine's own, put back below
    try:
        yield seen
    finally:
        store.engine.dialect.do_commit = real  # type: ignore[method-assign]  # as above


@ONLY_POSTGRES
@pytest.mark.row("C10")
def test_a_deadlock_is_the_databases_moment_and_the_operation_goes_on(
    desk: Any, open_store: Callable[[], Store]
) -> None:
    ids = [desk.queue_create(f"item:{pupil}", "5", pupil=pupil) for pupil in (1, 2)]
    gate = threading.Barrier(2)
    errors: list[BaseException] = []

    def lock(store: Store, first: int, second: int) -> None:
        try:
            with store.write() as conn:
                touch = text("UPDATE operation SET changed_at = changed_at WHERE id = :id")
                conn.execute(touch, {"id": first})
                gate.wait(10)
                conn.execute(touch, {"id": second})
        except DBAPIError as error:
            errors.append(error)

    threads = [
        threading.Thread(target=lock, args=(open_store(), first, second)) for first, second in (ids, reversed(ids))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(errors) == 1
    assert is_passing(errors[0])
    assert [desk.delivery().deliver(operation_id) for operation_id in ids] == [State.ACCEPTED] * 2
