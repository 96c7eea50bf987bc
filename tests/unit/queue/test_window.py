"""A period may close between the approval and the call: then nothing is sent, and the row says why."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityGroup, CityPeriod, CityYear
from gateway.queue.states import State
from gateway.reconcile.tables import city_directory
from gateway.store.transaction import upsert

LAST_DAY = date(2026, 11, 24)


def build_directory(*, is_closed: bool = False, edit_until_on: date | None = None) -> CityDirectory:
    """The quarter of the desk's day, in the schedule of its group, beside the quarter of another schedule."""
    periods = tuple(
        CityPeriod(
            id=number,
            schedule_id=number,
            name="2 четверть",
            begins_on=date(2026, 11, 2),
            ends_on=date(2026, 12, 27),
            is_closed=is_closed if number == 1 else not is_closed,
            edit_until_on=edit_until_on if number == 1 else None,
        )
        for number in (1, 2)
    )
    group = CityGroup(
        id=1,
        name="Алгебра 7А",
        subject_id=1,
        subject_name="Алгебра",
        class_ids=(1,),
        class_name="7А",
        level=7,
        schedule_id=1,
        teacher_ids=(9,),
    )
    year = CityYear(id=14, name="2026/2027", begins_on=date(2026, 9, 1), ends_on=date(2027, 8, 31), is_current=True)
    return CityDirectory(
        year=year, periods=periods, classes=(), subjects=(), groups=(group,), teachers=(), pupils=(), forms=()
    )


def store_directory(desk: Any, directory: CityDirectory) -> None:
    """Keep what planning would have read now."""
    with desk.store.write() as conn:
        row = {"place_id": desk.place_id, "body": msgspec.json.encode(directory), "read_at": desk.store.now(conn)}
        upsert(conn, city_directory, [row], keys=("place_id",), update=("body", "read_at"))


@pytest.mark.row("D10")
@pytest.mark.parametrize("op", ["create", "change", "delete"])
def test_nothing_is_sent_into_a_period_that_was_closed_after_the_plan(desk: Any, op: str) -> None:
    operation_id = queue(desk, op)
    store_directory(desk, build_directory(is_closed=True))

    state = desk.delivery().deliver(operation_id)

    assert state is State.SUPERSEDED
    assert desk.rows()[-1].reason == "WINDOW_CLOSED"
    assert desk.sink.asked == []


@pytest.mark.row("D10")
def test_nothing_is_sent_after_midnight_of_the_last_day_of_editing(desk: Any) -> None:
    store_directory(desk, build_directory(edit_until_on=LAST_DAY))
    worker = desk.delivery()
    in_time = desk.queue_create("item:1", "5", pupil=1)
    too_late = desk.queue_create("item:2", "4", pupil=2)

    first = worker.deliver(in_time)
    desk.clock.advance(timedelta(days=14).total_seconds())
    second = worker.deliver(too_late)

    assert (first, second) == (State.ACCEPTED, State.SUPERSEDED)
    assert desk.rows()[-1].reason == "WINDOW_EDIT_OVER"
    assert desk.sink.asked == [("create", None)]


def test_a_worker_that_lives_on_learns_of_the_closing_from_the_next_reading(desk: Any) -> None:
    store_directory(desk, build_directory())
    worker = desk.delivery()
    first = worker.deliver(desk.queue_create("item:1", "5", pupil=1))
    desk.clock.advance(1)
    store_directory(desk, build_directory(is_closed=True))

    second = worker.deliver(desk.queue_create("item:2", "4", pupil=2))

    assert (first, second) == (State.ACCEPTED, State.SUPERSEDED)


def test_the_quarter_of_another_schedule_closes_nothing(desk: Any) -> None:
    store_directory(desk, build_directory(is_closed=False))

    assert desk.delivery().deliver(desk.queue_create()) is State.ACCEPTED


def queue(desk: Any, op: str) -> int:
    """Queue one operation of that form, on a mark that stands where it has to."""
    if op == "create":
        return int(desk.queue_create())
    desk.agree("item:1", 500, "4")
    desk.show(500, "4")
    if op == "change":
        desk.want("item:1", "5")
        return int(desk.queue("item:1", "change", ours="5", base_value="4", theirs="4", city_id=500))
    return int(desk.queue("item:1", "delete", base_value="4", theirs="4", city_id=500))
