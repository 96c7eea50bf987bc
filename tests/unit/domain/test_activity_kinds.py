"""Which event of the portal's log is whose deed, and how far the log counts as read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.activity import (
    EVENTS,
    KIND_TEXTS,
    LEFT_OUT_TEXTS,
    ActivityKind,
    Cursor,
    LeftOut,
    LogEvent,
    classify,
    move_cursor,
)

START = datetime(2026, 11, 23, 5, tzinfo=UTC)
OWN = frozenset({"user:2"})
LOOKBACK = timedelta(seconds=60)


def event(component: str = "core", action: str = "viewed", target: str = "course", **more: Any) -> LogEvent:
    fields: dict[str, Any] = {"id": 1, "at": START, "person": "user:7", **more}
    return LogEvent(component=component, action=action, target=target, **fields)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (("core", "loggedin", "user"), ActivityKind.ENTERED),
        (("core", "viewed", "course"), ActivityKind.VIEWED),
        (("mod_quiz", "viewed", "attempt_summary"), ActivityKind.VIEWED),
        (("gradereport_user", "viewed", "grade_report"), ActivityKind.VIEWED),
        (("mod_quiz", "reviewed", "attempt"), ActivityKind.VIEWED),
        (("mod_assign", "submitted", "assessable"), ActivityKind.SUBMITTED),
        (("mod_quiz", "started", "attempt"), ActivityKind.ATTEMPTED),
        (("mod_quiz", "submitted", "attempt"), ActivityKind.ATTEMPTED),
        (("mod_assign", "graded", "submission"), ActivityKind.MARKED),
        (("mod_attendance", "taken", "attendance"), ActivityKind.MARKED),
        (("mod_forum", "created", "post"), ActivityKind.COMMUNICATED),
        (("core", "sent", "message"), ActivityKind.COMMUNICATED),
        (("assignsubmission_file", "created", "submission"), LeftOut.TECHNICAL),
        (("core", "called", "webservice_function"), LeftOut.TECHNICAL),
        (("core", "updated", "user_profile"), LeftOut.UNMAPPED),
    ],
)
def test_events_come_to_their_kinds(name: tuple[str, str, str], expected: ActivityKind | LeftOut) -> None:
    assert classify(event(*name), own=OWN) is expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"person": "user:2"}, LeftOut.OWN),
        ({"person": "user:2", "origin": "ws"}, LeftOut.OWN),
        ({"origin": "ws"}, ActivityKind.VIEWED),  # the portal's own app on a pupil's telephone
        ({"person": None}, LeftOut.SYSTEM),
        ({"origin": "restore"}, LeftOut.SYSTEM),
        ({"is_as_another": True}, LeftOut.ANOTHER),
        ({"is_anonymous": True}, LeftOut.ANONYMOUS),
    ],
)
def test_what_is_nobodys_deed_is_left_out_with_its_reason(
    more: dict[str, Any], expected: ActivityKind | LeftOut
) -> None:
    assert classify(event(**more), own=OWN) is expected


def test_nobody_marks_himself() -> None:
    assert classify(event("core", "graded", "user", about="user:7"), own=OWN) is LeftOut.SYSTEM
    assert classify(event("core", "graded", "user", about="user:9"), own=OWN) is ActivityKind.MARKED


def test_every_kind_is_reached_and_has_its_words() -> None:
    assert {kind for *_, kind in EVENTS if isinstance(kind, ActivityKind)} == set(ActivityKind)
    assert set(KIND_TEXTS) == set(ActivityKind)
    assert set(LEFT_OUT_TEXTS) == set(LeftOut)
    assert len({row[:3] for row in EVENTS}) == len(EVENTS), "a second row for the same event never decides"


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 45)), min_size=1, max_size=40),
    st.lists(st.integers(1, 90), max_size=8),
    st.integers(1, 7),
)
def test_rows_that_are_committed_out_of_order_are_taken_once_each(
    rows: list[tuple[int, int]], waits: list[int], size: int
) -> None:
    """Numbers are given in the order of time and seen up to 45 s later, in any order; the log is looked at at any times."""
    log: list[tuple[LogEvent, datetime]] = []
    at = START
    for number, (step, delay) in enumerate(rows, start=1):
        at += timedelta(seconds=step)
        log.append((event(id=number, at=at), at + timedelta(seconds=delay)))
    cursor, taken, counted = Cursor(), set[int](), list[int]()
    moments = [START + timedelta(seconds=sum(waits[: place + 1])) for place in range(len(waits))]
    for now in [*moments, max(at, *moments, START) + timedelta(seconds=200)]:
        after = cursor.settled
        while True:
            seen = [one for one, commit_at in log if commit_at <= now and one.id > after][:size]
            if not seen:
                break
            counted += [one.id for one in seen if one.id not in taken]
            taken |= {one.id for one in seen}
            cursor = move_cursor(cursor, seen, settled_before=now - LOOKBACK)
            taken = {each for each in taken if each > cursor.settled}
            after = seen[-1].id

    assert sorted(counted) == [one.id for one, _ in log]
    assert cursor.top == len(rows)
    assert cursor.settled == cursor.top
