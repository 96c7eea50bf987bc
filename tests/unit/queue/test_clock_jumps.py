"""The host's clock jumps while an operation is on its way: one effect, one proof, an audit in the order of its numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.audit.read import EntryFilter, iter_entries
from gateway.connectors.port import Accepted
from gateway.domain.clock import VirtualClock
from gateway.queue.due import sweep
from gateway.queue.states import State


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
