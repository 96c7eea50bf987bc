"""The host's clock jumps while an operation is on its way: one effect, one proof, an audit in the order of its numbers."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from gateway.audit.read import EntryFilter, iter_entries
from gateway.connectors.port import Accepted, CityRead, CityScope
from gateway.domain.clock import SystemClock, VirtualClock
from gateway.domain.identifiers import Kind
from gateway.queue.breaker import BreakerTerms, GuardedCity
from gateway.queue.due import sweep
from gateway.queue.states import State
from gateway.store.transaction import Store


class JumpingClock(VirtualClock):
    """A machine's clock that somebody sets."""

    def jump(self, hours: float) -> None:
        with self._lock:
            self._now += timedelta(hours=hours)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock(datetime.fromisoformat("2026-11-23T05:00:00+00:00"))


@pytest.mark.row("D1")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_a_clock_that_is_set_doubles_nothing_loses_nothing_and_disorders_nothing(
    desk: Any, clock: JumpingClock, hours: float, moment: str
) -> None:
    operation_id = desk.queue_create("item:1", "5")
    applied: list[int] = []

    def apply() -> None:
        applied.append(1)
        desk.city[501] = desk.build_mark(501, "5")
        if moment == "during":
            clock.jump(hours)
            sweep(desk.store)

    desk.sink.answers = [Accepted(city_id=501, request_id="r", status=200, profile="main")]
    desk.sink.during = apply
    if moment == "before":
        clock.jump(hours)
    state = desk.delivery().deliver(operation_id)
    if state is None:
        # set back, it is due at a time that comes once more
        clock.advance(abs(hours) * 3600)
        state = desk.delivery().deliver(operation_id)
    if moment == "after":
        clock.jump(hours)
    for _ in range(2):
        sweep(desk.store)
        desk.read_city()
        desk.settle()
        clock.advance(abs(hours) * 3600 + desk.terms.deadline_s + desk.terms.settle_s)
    desk.read_city()
    desk.settle()

    assert state in (State.ACCEPTED, State.UNKNOWN)
    assert applied == [1]
    assert desk.states() == [State.VERIFIED]
    assert desk.receipts().count("verified") == 1
    entries = [entry.seq for entry in iter_entries(desk.store, EntryFilter()) if entry.stream == "deeds"]
    assert entries == list(range(1, len(entries) + 1))
    assert desk.is_chain_whole()


class FastClock(SystemClock):
    """The clock of a host that is a minute and a half ahead."""

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=90)


class Shown:
    """A city that shows an empty scope, read now, or exported a while ago."""

    def __init__(self, clock: SystemClock, age: timedelta) -> None:
        self._clock = clock
        self._age = age

    def fetch_scope(self, scope: CityScope) -> CityRead:
        return CityRead(scope=scope, read_at=self._clock.now() - self._age, objects=())


@pytest.mark.row("D2")
@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
@pytest.mark.parametrize("age", [timedelta(0), timedelta(hours=1)], ids=["read now", "an export of an hour ago"])
def test_a_read_of_the_city_is_dated_by_the_clock_that_all_hosts_share(database_url: str, age: timedelta) -> None:
    """What was read lately is asked by that clock: a host ahead of it let plans out upon reads of a minute and a half ago."""
    clock = FastClock()
    store = Store.open(database_url, clock)
    scope = CityScope(
        kind=Kind.MARK, group_id=1, subject_id=1, level=7, from_on=date(2026, 9, 1), to_on=date(2026, 12, 31)
    )
    city: Any = Shown(clock, age)
    try:
        began_at = store.now()
        read = GuardedCity(city, store, "city/1", BreakerTerms()).fetch_scope(scope)
        ended_at = store.now()
    finally:
        store.close()

    if age:
        assert read.read_at < began_at
    else:
        assert began_at <= read.read_at <= ended_at
