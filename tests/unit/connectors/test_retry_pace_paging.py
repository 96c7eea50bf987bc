"""Trying again, going slowly, and reading a list to its proven end."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connectors.pace import PacedByClock, Unpaced
from gateway.connectors.paging import Page, iter_pages, read_count, read_settled
from gateway.connectors.retry import RepeatBudget, Retry, parse_retry_after
from gateway.connectors.strict_json import parse_json
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import (
    AccessDeniedError,
    GatewayError,
    IncompleteReadError,
    OutcomeUnknownError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def failing(*errors: GatewayError) -> tuple[Callable[[], str], list[int]]:
    """A call that fails with each error in turn and then answers; and how often it was made."""
    left, calls = list(errors), [0]

    def call() -> str:
        calls[0] += 1
        if left:
            raise left.pop(0)
        return "done"

    return call, calls


@pytest.mark.parametrize("error", [UnreachableError(), UnavailableError(), ThrottledError(retry_after_s=2.0)])
def test_a_read_is_tried_again(error: GatewayError) -> None:
    call, calls = failing(error)

    assert (Retry(VirtualClock(NOW)).read(call), calls) == ("done", [2])


def test_a_write_is_tried_again_only_when_nothing_was_sent() -> None:
    unsent, unsent_calls = failing(UnreachableError())
    assert (Retry(VirtualClock(NOW)).write(unsent), unsent_calls) == ("done", [2])

    for error in (OutcomeUnknownError(), UnavailableError(), ThrottledError(retry_after_s=1.0), AccessDeniedError()):
        call, calls = failing(error)
        with pytest.raises(type(error)):
            Retry(VirtualClock(NOW)).write(call)
        assert calls == [1]


@pytest.mark.row("B20")
@pytest.mark.parametrize("seed", range(20))
def test_while_half_of_all_calls_fail_at_most_a_tenth_more_calls_are_made(
    seed: int, tell_figure: Callable[..., None]
) -> None:
    """F16: retry amplification in a brown-out."""
    rng = random.Random(seed)
    retry = Retry(VirtualClock(NOW))
    asked = 0

    def call() -> None:
        nonlocal asked
        asked += 1
        if rng.random() < 0.5:
            raise UnavailableError

    for _ in range(300):
        with suppress(UnavailableError):
            retry.read(call)

    assert asked / 300 <= 1.10
    if seed == 0:
        tell_figure("F16 calls made for one asked for while half fail", f"{asked / 300:.3f}")


def test_a_budget_that_was_spent_is_earned_again() -> None:
    budget = RepeatBudget(spare_count=1, earned_ratio=0.5)
    assert [budget.try_spend(), budget.try_spend()] == [True, False]
    for _ in range(5):
        budget.earn()

    assert [budget.try_spend(), budget.try_spend()] == [True, False]


@pytest.mark.row("A7")
def test_tries_and_waits_are_bounded() -> None:
    clock = VirtualClock(NOW)
    call, calls = failing(*[UnreachableError() for _ in range(9)])

    with pytest.raises(UnreachableError):
        Retry(clock).read(call)

    assert calls == [3]
    assert timedelta(seconds=0.7) < clock.now() - NOW < timedelta(seconds=2)


def test_a_short_wait_asked_for_is_kept_and_a_long_one_goes_up() -> None:
    clock = VirtualClock(NOW)
    call, _ = failing(ThrottledError(retry_after_s=4.0))
    Retry(clock).read(call)
    assert clock.now() - NOW == timedelta(seconds=4)

    long, calls = failing(ThrottledError(retry_after_s=30.0))
    with pytest.raises(ThrottledError):
        Retry(clock).read(long)
    assert calls == [1]


@pytest.mark.row("A12")
@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        (None, 5.0),
        ("", 5.0),
        ("soon", 5.0),
        ("7", 7.0),
        ("0", 1.0),
        ("-1", 1.0),
        ("-99999999999", 1.0),
        ("1000000000", 3600.0),
        ("9" * 400, 3600.0),
        ("1e9", 5.0),
        ("Mon, 23 Nov 2026 05:02:00 GMT", 120.0),
        ("Mon, 23 Nov 2026 08:02:00 +0300", 120.0),
        ("Mon, 23 Nov 2020 05:02:00 GMT", 1.0),
        ("Mon, 23 Nov 2099 05:02:00 GMT", 3600.0),
        ("Mon, 99 Nov 2026 05:02:00 GMT", 5.0),
        ("120, 120", 120.0),
        ("5, 120", 120.0),
    ],
)
def test_every_form_of_retry_after_becomes_a_wait_within_bounds(value: str | None, expected_s: float) -> None:
    assert parse_retry_after(value, NOW) == expected_s


@pytest.mark.row("A12")
@settings(deadline=None)  # two busy cores say nothing about an example
@given(st.text())
def test_no_text_of_retry_after_breaks_the_bounds(value: str) -> None:
    assert 1.0 <= parse_retry_after(value, NOW) <= 3600.0


@settings(deadline=None)
@given(rate=st.floats(0.5, 50), burst=st.integers(1, 10), count=st.integers(1, 60))
def test_a_bucket_never_lets_more_through_than_rate_and_burst(rate: float, burst: int, count: int) -> None:
    clock = VirtualClock(NOW)
    pace = PacedByClock(clock, rate_per_s=rate, burst_count=burst)

    for _ in range(count):
        pace.take()

    passed_s = (clock.now() - NOW).total_seconds()
    assert passed_s == pytest.approx(max(0, count - burst) / rate, abs=1e-3)


@pytest.mark.row("D1")
def test_a_clock_set_back_does_not_stop_the_pace() -> None:
    class Jumping(VirtualClock):
        shift = timedelta()

        def now(self) -> datetime:
            return super().now() + self.shift

    clock = Jumping(NOW)
    pace = PacedByClock(clock, rate_per_s=1)
    pace.take()
    clock.shift = timedelta(hours=-1)
    before = clock.now()
    pace.take()

    assert clock.now() - before <= timedelta(seconds=1)


def test_unpaced_does_not_wait_and_a_pace_needs_a_rate() -> None:
    Unpaced().take()
    with pytest.raises(ValueError, match="positive"):
        PacedByClock(VirtualClock(NOW), rate_per_s=0)


def read_all(pages: Sequence[Page[int]], **changes: bool) -> list[int]:
    """Read a list whose pages are given; pages after the last are empty."""

    def fetch(number: int) -> Page[int]:
        return pages[number - 1] if number <= len(pages) else Page(rows=())

    return [row for page in iter_pages(fetch, row_id=lambda row: row, system="mesh", **changes) for row in page]


def test_totals_end_a_list_without_another_call() -> None:
    assert read_all(
        [Page(rows=[1, 2], total_count=3, pages_count=2), Page(rows=[3], total_count=3, pages_count=2)]
    ) == [
        1,
        2,
        3,
    ]


@pytest.mark.row("A20")
def test_without_totals_only_an_empty_page_ends_a_list() -> None:
    asked: list[int] = []

    def fetch(number: int) -> Page[int]:
        asked.append(number)
        return Page(rows=[[1, 2, 3], [4], [5, 6], []][number - 1])

    rows = [row for page in iter_pages(fetch, row_id=lambda row: row, system="mesh") for row in page]

    assert (rows, asked) == ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4])


@pytest.mark.row("A20", "A21")
@pytest.mark.parametrize(
    "pages",
    [
        [Page(rows=[1, 2], total_count=3), Page(rows=[], total_count=3)],
        [Page(rows=[1, 2], total_count=3, pages_count=1)],
        [Page(rows=[1, 2], total_count=1)],
        [Page(rows=[1, 2], total_count=4), Page(rows=[3], total_count=5)],
        [Page(rows=[1, 2]), Page(rows=[2, 3])],
        [Page(rows=[1, 1])],
        [Page(rows=[1], pages_count=3), Page(rows=[], pages_count=3)],
    ],
    ids=["rows missing", "page missing", "too many", "totals moved", "row twice", "twice in a page", "pages missing"],
)
def test_a_list_that_is_not_proven_whole_is_discarded(pages: list[Page[int]]) -> None:
    with pytest.raises(IncompleteReadError):
        read_all(pages)


def test_a_server_that_goes_round_in_circles_is_left() -> None:
    with pytest.raises(IncompleteReadError):
        read_all([Page(rows=[1, 2])] * 5)
    with pytest.raises(IncompleteReadError):
        list(iter_pages(lambda n: Page(rows=[n]), row_id=lambda row: row, system="mesh", max_pages_count=4))


def test_a_list_that_knows_no_pages_ends_when_it_repeats_itself() -> None:
    assert read_all([Page(rows=[1, 2])] * 5, may_ignore_paging=True) == [1, 2]
    with pytest.raises(IncompleteReadError):
        read_all([Page(rows=[1, 2]), Page(rows=[2, 1])], may_ignore_paging=True)


@pytest.mark.row("A20")
@settings(deadline=None)
@given(st.lists(st.integers(), unique=True, max_size=40), st.integers(1, 7), st.booleans())
def test_any_list_cut_into_pages_is_read_whole(rows: list[int], size: int, has_totals: bool) -> None:
    total = len(rows) if has_totals else None
    pages = [Page(rows=rows[at : at + size], total_count=total) for at in range(0, len(rows), size)]

    assert read_all([*pages, Page(rows=(), total_count=total)]) == rows


class Moving:
    """A list in pages of which rows are deleted between two fetches, as `deletions` says; no totals are told."""

    def __init__(self, rows: list[int], size: int, deletions: list[int | None]) -> None:
        self.rows = list(rows)
        self._size = size
        self._deletions = iter(deletions)
        self.asked: list[int] = []

    def fetch(self, number: int) -> Page[int]:
        self.asked.append(number)
        page = Page(rows=self.rows[(number - 1) * self._size : number * self._size])
        lost = next(self._deletions, None)
        if lost is not None and self.rows:
            self.rows.pop(lost % len(self.rows))
        return page


@pytest.mark.row("A21")
def test_a_row_that_slid_to_a_page_already_read_is_found_by_the_next_pass() -> None:
    moving = Moving([1, 2, 3, 4, 5], 2, [0])
    assert read_settled(moving.fetch, row_id=lambda row: row, system="mesh", least_page_count=2) == [2, 3, 4, 5]

    hidden = Moving([1, 2, 3, 4, 5], 2, [0])
    seen = [row for page in iter_pages(hidden.fetch, row_id=lambda row: row, system="mesh") for row in page]
    assert 3 not in seen, "one pass alone does not find it, or this test shows nothing"


@pytest.mark.row("A21")
@settings(deadline=None)
@given(
    st.lists(st.integers(), unique=True, max_size=12),
    st.integers(1, 4),
    st.lists(st.none() | st.integers(0, 11), max_size=12),
)
def test_whatever_is_deleted_meanwhile_no_row_that_stood_all_the_time_is_missing(
    rows: list[int], size: int, deletions: list[int | None]
) -> None:
    moving = Moving(rows, size, deletions)
    try:
        found = read_settled(moving.fetch, row_id=lambda row: row, system="mesh", least_page_count=size)
    except IncompleteReadError:
        return

    assert set(moving.rows) <= set(found)


@pytest.mark.row("A21")
def test_a_list_shorter_than_a_page_or_of_a_told_length_needs_no_second_pass() -> None:
    one = Moving([1, 2], 5, [])
    assert read_settled(one.fetch, row_id=lambda row: row, system="mesh") == [1, 2]
    assert one.asked == [1, 2]

    asked: list[int] = []

    def fetch(number: int) -> Page[int]:
        asked.append(number)
        return Page(rows=[number], total_count=3)

    assert read_settled(fetch, row_id=lambda row: row, system="mesh") == [1, 2, 3]
    assert asked == [1, 2, 3]


def test_only_plain_numbers_count_as_totals() -> None:
    found = [read_count({"pages": text}, "pages") for text in ("3", " 3 ", "-3", "3.0", "", "9" * 30)]

    assert found == [3, 3, None, None, None, None]


@pytest.mark.row("A25")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b"[Infinity]",
        b"[" + b"1" * 31 + b"]",
        b"[" * 100 + b"]" * 100,
        b"[" * 100_000,
        b"\xef\xbb\xbf[]",
        '["ё"]'.encode("cp1251"),
    ],
    ids=["empty", "cut", "repeated key", "nan", "infinity", "huge", "deep", "very deep", "bom", "cp1251"],
)
def test_a_document_that_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        parse_json(body)


def test_an_ordinary_document_is_read() -> None:
    assert parse_json('{"id": 123.0, "name": "ё", "list": [null, true, -5]}'.encode()) == {
        "id": 123.0,
        "name": "ё",
        "list": [None, True, -5],
    }
