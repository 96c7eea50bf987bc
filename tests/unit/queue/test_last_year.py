"""What an earlier year left undelivered is parked by the first run of the new one, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.queue.last_year import park_earlier_years
from gateway.queue.states import IN_FLIGHT, State

LEFT = (State.READY, State.UNKNOWN, State.ACCEPTED, State.BY_HAND)


def park(desk: Any, year: str) -> dict[str, int]:
    with desk.store.write() as conn:
        return park_earlier_years(conn, desk.audit, replace(desk.place, year=year), desk.store.now(conn))


@pytest.mark.row("D8")
def test_whatever_was_not_finished_is_parked_with_its_reason(desk: Any) -> None:
    for number, state in enumerate((*LEFT, State.VERIFIED, State.SUPERSEDED, State.PARKED), start=1):
        desk.alter(desk.queue_create(f"item:{number}", pupil=number), state=state.value)

    parked = park(desk, "2027/28")

    assert parked == {"2026/27": len(LEFT)}
    assert desk.states() == [State.PARKED] * len(LEFT) + [State.VERIFIED, State.SUPERSEDED, State.PARKED]
    assert [row.reason for row in desk.rows()] == ["YEAR_OVER"] * len(LEFT) + [""] * 3
    assert (park(desk, "2027/28"), desk.is_chain_whole()) == ({}, True)


@pytest.mark.parametrize("state", [*IN_FLIGHT, State.READY, State.BY_HAND])
def test_the_running_year_is_left_alone(desk: Any, state: State) -> None:
    desk.alter(desk.queue_create(), state=state.value)

    assert park(desk, "2026/27") == {}
    assert desk.states() == [state]
