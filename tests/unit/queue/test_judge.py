"""What a complete read-back says about an operation, every branch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import (
    AccessDeniedError,
    ConnectorError,
    ContractError,
    LockedPeriodError,
    OutcomeUnknownError,
    RejectedError,
    StaleError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from gateway.queue.judge import Finding, Seen, judge
from gateway.queue.redelivery import FIRST_WAIT_S, LONGEST_WAIT_S, PAUSE_S, next_attempt_at

MINE, OLD, OTHER = b"m" * 16, b"o" * 16, b"x" * 16
NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def look(op: str, *cell: Seen, is_accepted: bool, is_settled: bool = True, **known: Any) -> Finding:
    """Judge an operation by what stands in its cell."""
    return judge(
        op=op,
        is_accepted=is_accepted,
        city_id=known.get("city_id"),
        intent_digest=MINE if op != "delete" else OLD,
        base_digest=None if op == "create" else OLD,
        ids_before=known.get("ids_before", ()),
        cell=[one for one in cell if not one.is_of_another],
        by_id={seen.city_id: seen for seen in cell},
        is_settled=is_settled,
        is_filled=known.get("is_filled", False),
    )


def seen(city_id: int, digest: bytes, *, is_ours: bool = False) -> Seen:
    return Seen(city_id, digest, is_ours)


def of_another(city_id: int) -> Seen:
    return Seen(city_id, MINE, is_ours=False, is_of_another=True)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        # create, accepted with an id
        (look("create", seen(7, MINE), is_accepted=True, city_id=7), Finding("verified", "", 7)),
        (look("create", seen(7, OTHER), is_accepted=True, city_id=7), Finding("parked", "VERIFY_MISMATCH", 7)),
        (look("create", is_accepted=True, city_id=7, is_settled=False), Finding("again")),
        (look("create", is_accepted=True, city_id=7), Finding("parked", "NOT_SEEN_AFTER_ACCEPT")),
        (
            look("create", seen(7, MINE, is_ours=True), is_accepted=True, city_id=7),
            Finding("parked", "CONFLICT", 7),
        ),
        # the id that the city told is another child's
        (look("create", of_another(7), is_accepted=True, city_id=7, is_settled=False), Finding("again")),
        (look("create", of_another(7), is_accepted=True, city_id=7), Finding("parked", "NOT_SEEN_AFTER_ACCEPT")),
        (look("create", seen(8, MINE), of_another(7), is_accepted=True, city_id=7), Finding("verified", "", 8)),
        (look("change", of_another(7), is_accepted=True, city_id=7), Finding("parked", "CONFLICT", 7)),
        (look("delete", of_another(7), is_accepted=False, city_id=7), Finding("parked", "CONFLICT", 7)),
        # create, accepted without an id
        (look("create", seen(7, MINE), is_accepted=True), Finding("verified", "", 7)),
        (look("create", seen(7, MINE), is_accepted=True, ids_before=[7]), Finding("verified", "", 7)),
        (look("create", is_accepted=True, is_settled=False), Finding("again")),
        (look("create", is_accepted=True), Finding("parked", "NOT_SEEN_AFTER_ACCEPT")),
        (look("create", seen(7, OTHER), is_accepted=True, ids_before=[7]), Finding("parked", "CONFLICT")),
        # create without an answer
        (look("create", seen(7, MINE), is_accepted=False), Finding("verified", "", 7)),
        (look("create", seen(7, MINE), seen(8, MINE), is_accepted=False), Finding("parked", "SEVERAL_AFTER_UNKNOWN")),
        (look("create", seen(7, MINE), is_accepted=False, ids_before=[7]), Finding("resend")),
        (look("create", seen(7, MINE, is_ours=True), is_accepted=False), Finding("resend")),
        (look("create", seen(7, OTHER), is_accepted=False), Finding("superseded", "BASE_MOVED")),
        (look("create", is_accepted=False), Finding("resend")),
        # what is created stands there before, empty: a lesson plan
        (look("create", seen(7, MINE), is_accepted=False, ids_before=[7], is_filled=True), Finding("verified", "", 7)),
        (look("create", seen(7, OTHER), is_accepted=False, ids_before=[7], is_filled=True), Finding("resend")),
        (
            look("create", seen(7, MINE, is_ours=True), is_accepted=False, ids_before=[7], is_filled=True),
            Finding("resend"),
        ),
        (
            look("create", seen(7, OTHER), is_accepted=True, city_id=7, is_filled=True, is_settled=False),
            Finding("again"),
        ),
        (
            look("create", seen(7, OTHER), is_accepted=True, city_id=7, is_filled=True),
            Finding("parked", "VERIFY_MISMATCH", 7),
        ),
        # change
        (look("change", seen(7, MINE, is_ours=True), is_accepted=True, city_id=7), Finding("verified", "", 7)),
        (look("change", seen(7, MINE, is_ours=True), is_accepted=False, city_id=7), Finding("verified", "", 7)),
        (look("change", seen(7, OTHER, is_ours=True), is_accepted=True, city_id=7), Finding("parked", "CONFLICT", 7)),
        (look("change", seen(7, OLD, is_ours=True), is_accepted=False, city_id=7), Finding("resend")),
        (
            look("change", seen(7, OLD, is_ours=True), is_accepted=True, city_id=7, is_settled=False),
            Finding("again"),
        ),
        (
            look("change", seen(7, OLD, is_ours=True), is_accepted=True, city_id=7),
            Finding("parked", "NOT_SEEN_AFTER_ACCEPT", 7),
        ),
        (look("change", is_accepted=True, city_id=7), Finding("superseded", "BASE_MOVED")),
        # delete
        (look("delete", is_accepted=True, city_id=7), Finding("verified")),
        (look("delete", is_accepted=False, city_id=7), Finding("verified")),
        (look("delete", seen(7, OLD, is_ours=True), is_accepted=False, city_id=7), Finding("resend")),
        (
            look("delete", seen(7, OLD, is_ours=True), is_accepted=True, city_id=7, is_settled=False),
            Finding("again"),
        ),
        (
            look("delete", seen(7, OLD, is_ours=True), is_accepted=True, city_id=7),
            Finding("parked", "NOT_SEEN_AFTER_ACCEPT", 7),
        ),
    ],
)
def test_a_read_back_is_judged_as_the_table_says(finding: Finding, expected: Finding) -> None:
    assert finding == expected


objects = st.lists(
    st.builds(Seen, city_id=st.integers(1, 4), digest=st.sampled_from([MINE, OLD, OTHER]), is_ours=st.booleans()),
    max_size=4,
    unique_by=lambda one: one.city_id,
)


@pytest.mark.row("A4")
@given(cell=objects, before=st.lists(st.integers(1, 4), unique=True), is_settled=st.booleans())
def test_an_unanswered_create_is_sent_again_only_where_nothing_new_of_ours_stands(
    cell: list[Seen], before: list[int], is_settled: bool
) -> None:
    finding = look("create", *cell, is_accepted=False, ids_before=before, is_settled=is_settled)

    new = [one for one in cell if one.city_id not in before and not one.is_ours]
    assert (finding.state == "resend") == (not new)
    if finding.state == "verified":
        assert [one.city_id for one in new if one.digest == MINE] == [finding.city_id]


@given(
    op=st.sampled_from(["create", "change", "delete"]),
    cell=objects,
    city_id=st.none() | st.integers(1, 4),
    is_settled=st.booleans(),
)
def test_what_the_city_accepted_is_never_sent_again(
    op: str, cell: list[Seen], city_id: int | None, is_settled: bool
) -> None:
    finding = look(op, *cell, is_accepted=True, city_id=city_id, is_settled=is_settled)

    assert finding.state != "resend"
    assert finding.state != "again" or not is_settled


def test_the_wait_doubles_and_ends_with_a_person() -> None:
    error = UnreachableError("нет связи")
    waits = [
        (due - NOW).total_seconds()
        for attempts in range(1, 12)
        if (due := next_attempt_at(error, attempts=attempts, max_attempts=12, now=NOW)) is not None
    ]

    assert waits[:4] == [FIRST_WAIT_S, 30.0, 60.0, 120.0]
    assert waits == sorted(waits)
    assert waits[-1] <= LONGEST_WAIT_S
    assert next_attempt_at(error, attempts=10_000, max_attempts=10_001, now=NOW) == NOW + timedelta(
        seconds=LONGEST_WAIT_S
    )
    assert next_attempt_at(error, attempts=12, max_attempts=12, now=NOW) is None
    # nine killed workers say nothing about the city, and still bring the operation nearer to a person
    assert next_attempt_at(error, attempts=11, max_attempts=12, now=NOW, kills=9) == NOW + timedelta(seconds=30)
    assert next_attempt_at(error, attempts=12, max_attempts=12, now=NOW, kills=9) is None


@given(retry_after_s=st.floats(1.0, 3600.0), attempts=st.integers(1, 11))
def test_the_citys_own_wait_is_never_cut_short(retry_after_s: float, attempts: int) -> None:
    error = ThrottledError("медленнее", retry_after_s=retry_after_s)

    due = next_attempt_at(error, attempts=attempts, max_attempts=12, now=NOW)

    assert due is not None
    assert due >= NOW + timedelta(seconds=retry_after_s)


@pytest.mark.parametrize(
    ("error", "wait_s"),
    [
        (UnavailableError(), FIRST_WAIT_S),
        (AccessDeniedError(), PAUSE_S),
        (ContractError(), PAUSE_S),
        (RejectedError(), None),
        (LockedPeriodError(), None),
        (StaleError(), None),
        (OutcomeUnknownError(), None),
    ],
)
def test_the_type_of_the_error_decides_when_it_is_tried_again(error: ConnectorError, wait_s: float | None) -> None:
    due = next_attempt_at(error, attempts=1, max_attempts=12, now=NOW)

    assert due == (None if wait_s is None else NOW + timedelta(seconds=wait_s))


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        next_attempt_at(UnreachableError(), attempts=1, max_attempts=12, now=NOW.replace(tzinfo=None))
