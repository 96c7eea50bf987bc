"""Every date form of the city, both ways."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.connectors.mesh import codecs
from gateway.domain.clock import moscow_day

# Since the last change of Moscow's clocks every local minute exists exactly once.
MOMENTS = st.integers(1_414_400_000, 4_000_000_000).flatmap(
    lambda second: st.integers(0, 999_999).map(
        lambda part: datetime.fromtimestamp(second, UTC).replace(microsecond=part)
    )
)

DAY_FORMS = [
    (codecs.from_dotted, codecs.to_dotted, "09.11.2026"),
    (codecs.from_dashed, codecs.to_dashed, "2026-11-09"),
    (codecs.from_slashed, codecs.to_slashed, "2026/11/09"),
    (codecs.from_triple, codecs.to_triple, [2026, 11, 9]),
]


@pytest.mark.parametrize(("read", "write", "spelled"), DAY_FORMS)
def test_a_day_is_spelled_as_the_city_does(
    read: Callable[[object], date], write: Callable[[date], object], spelled: object
) -> None:
    assert (read(spelled), write(date(2026, 11, 9))) == (date(2026, 11, 9), spelled)


@pytest.mark.row("D6")
@pytest.mark.parametrize(("read", "write", "spelled"), DAY_FORMS)
@settings(deadline=None)  # two busy cores say nothing about an example
@given(day=st.dates())
@example(day=date(1, 1, 1))
def test_every_day_survives_each_form(
    read: Callable[[object], date], write: Callable[[date], object], spelled: object, day: date
) -> None:
    assert read(write(day)) == day


@pytest.mark.row("D6")
@settings(deadline=None)
@given(MOMENTS)
def test_a_minute_survives_the_dotted_form(moment: datetime) -> None:
    assert codecs.from_dotted_minute(codecs.to_dotted_minute(moment)) == moment.replace(second=0, microsecond=0)


@pytest.mark.row("D6")
@settings(deadline=None)
@given(MOMENTS)
def test_a_moment_survives_both_stamps(moment: datetime) -> None:
    cut = moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    assert codecs.from_stamp(codecs.to_stamp(moment)) == cut
    assert codecs.from_stamp(codecs.to_stamp_utc(moment)) == cut


@settings(deadline=None)
@given(MOMENTS)
def test_day_and_clock_of_a_lesson_give_its_moment(moment: datetime) -> None:
    whole = moment.replace(second=0, microsecond=0)
    local = whole.astimezone(timezone(timedelta(hours=3)))
    clock = codecs.from_clock(codecs.to_clock(local.hour, local.minute))

    assert codecs.to_moment(codecs.from_triple(codecs.to_triple(moscow_day(whole))), clock) == whole


@pytest.mark.row("D6")
@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("2020-09-02T08:30:00.000", datetime(2020, 9, 2, 5, 30, tzinfo=UTC)),
        ("2020-09-02T08:30:00", datetime(2020, 9, 2, 5, 30, tzinfo=UTC)),
        ("2020-09-02T08:30:00.000Z", datetime(2020, 9, 2, 8, 30, tzinfo=UTC)),
        ("2013-09-02T08:30:00.000", datetime(2013, 9, 2, 4, 30, tzinfo=UTC)),  # Moscow was four hours ahead
    ],
)
def test_a_stamp_without_a_zone_is_moscow_and_with_z_is_not(spelled: str, expected: datetime) -> None:
    assert codecs.from_stamp(spelled) == expected


@pytest.mark.row("D5")
@pytest.mark.parametrize(
    ("spelled", "day"),
    [
        ("2026-11-22T22:30:00Z", date(2026, 11, 23)),
        ("2026-11-22T20:59:59Z", date(2026, 11, 22)),
        ("2026-11-22T22:30:00", date(2026, 11, 22)),
        ("2026-12-31T21:00:00.000Z", date(2027, 1, 1)),
    ],
)
def test_a_late_evening_in_utc_is_the_next_day_in_moscow(spelled: str, day: date) -> None:
    assert codecs.stamp_day(spelled) == day


@pytest.mark.row("D6")
@pytest.mark.parametrize(
    ("read", "value"),
    [
        (codecs.from_dotted, "9.11.2026"),
        (codecs.from_dotted, "2026-11-09"),
        (codecs.from_dotted, "31.11.2026"),
        (codecs.from_dotted, "09.11.2026 "),
        (codecs.from_dotted, "٠٩.11.2026"),
        (codecs.from_dotted, None),
        (codecs.from_dashed, "09.11.2026"),
        (codecs.from_dashed, "2026-02-29"),
        (codecs.from_slashed, "2026-11-09"),
        (codecs.from_dotted_minute, "09.11.2026"),
        (codecs.from_dotted_minute, "09.11.2026 24:00"),
        (codecs.from_dotted_minute, "01.01.0001 00:00"),
        (codecs.from_triple, [2026, 13, 1]),
        (codecs.from_triple, [2026, 11]),
        (codecs.from_triple, "2026-11-09"),
        (codecs.from_triple, [2026, 11, 9.5]),
        (codecs.from_triple, [2026, 11, True]),
        (codecs.from_triple, [10**30, 1, 1]),
        (codecs.from_clock, [24, 0]),
        (codecs.from_clock, [8]),
        (codecs.from_stamp, "2026-11-09 08:30:00"),
        (codecs.from_stamp, "2026-11-09T08:30:00+03:00"),
        (codecs.from_stamp, "2026-11-09T25:30:00"),
    ],
)
def test_another_form_is_refused_and_not_guessed(read: Callable[[object], object], value: object) -> None:
    with pytest.raises(codecs.FormError) as caught:
        read(value)

    assert str(value) not in str(caught.value)


def test_float_numbers_of_a_day_are_taken() -> None:
    assert codecs.from_triple([2026.0, 11.0, 9.0]) == date(2026, 11, 9)


def test_a_naive_moment_can_not_be_spelled() -> None:
    for write in (codecs.to_dotted_minute, codecs.to_stamp, codecs.to_stamp_utc):
        with pytest.raises(ValueError, match="aware"):
            write(datetime.fromisoformat("2026-11-09T08:00:00"))
