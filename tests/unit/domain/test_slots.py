"""Slots as pure decisions: cron tables, missed slots, silent days, hours, and the two days on which clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.calendar import DayRange, SchoolCalendar
from gateway.domain.slots import Hours, SlotRule, check_cron, decide, iter_slots, next_slot, parse_hours

WEEK = frozenset({1, 2, 3, 4, 5})
MOSCOW = SchoolCalendar(zone="Europe/Moscow", weekdays=WEEK)
BERLIN = SchoolCalendar(zone="Europe/Berlin", weekdays=WEEK)


def local(calendar: SchoolCalendar, text: str, fold: int = 0) -> datetime:
    """The aware UTC moment at which the school's clock shows `text`."""
    wall = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(calendar.zone), fold=fold)
    return wall.astimezone(UTC)


def shown(calendar: SchoolCalendar, slots: list[datetime]) -> list[str]:
    return [f"{calendar.local(slot):%d.%m %H:%M}" for slot in slots]


def slots_of(rule: SlotRule, calendar: SchoolCalendar, after: datetime, count: int) -> list[datetime]:
    return list(islice(iter_slots(rule, calendar, after), count))


@pytest.mark.parametrize(
    ("crons", "school_days_only", "expected"),
    [
        (("0 2 * * *",), False, ["21.11 02:00", "22.11 02:00", "23.11 02:00"]),
        (("30 15 * * *", "0 18 * * *"), True, ["20.11 15:30", "20.11 18:00", "23.11 15:30", "23.11 18:00"]),
        (("0 8-20 * * *",), True, ["20.11 13:00", "20.11 14:00"]),
        (("0 18 * * *", "0 18 * * 5"), False, ["20.11 18:00", "21.11 18:00"]),
        (("0 12 1 * *",), False, ["01.12 12:00", "01.01 12:00"]),
    ],
    ids=["every night", "two times a school day", "hourly", "the same moment twice is one slot", "monthly"],
)
def test_slots_stand_at_the_times_of_the_school(
    crons: tuple[str, ...], school_days_only: bool, expected: list[str]
) -> None:
    rule = SlotRule(crons=crons, school_days_only=school_days_only)
    friday_noon = local(MOSCOW, "2026-11-20 12:00")

    found = slots_of(rule, MOSCOW, friday_noon, len(expected))

    assert shown(MOSCOW, found) == expected


@pytest.mark.parametrize("cron", ["", "* * * *", "* * * * * *", "61 * * * *", "0 25 * * *", "every day", "0 2 30 2 *"])
def test_what_is_no_cron_of_five_fields_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="cron"):
        check_cron(cron)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("", None),
        ("08:00-20:30", Hours(time(8), time(20, 30))),
        ("22:00-06:00", Hours(time(22), time(6))),
    ],
)
def test_a_window_is_read(text: str, hours: Hours | None) -> None:
    assert parse_hours(text) == hours


@pytest.mark.parametrize("text", ["8-20", "08:00-24:00", "08:60-09:00", "08:00–20:00", "always"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="window"):
        parse_hours(text)


def test_hours_over_midnight_hold_the_night_and_not_the_day() -> None:
    night = Hours(time(22), time(6))

    assert [night.hold(time(hour)) for hour in (21, 22, 23, 0, 6, 7, 12)] == [
        False,
        True,
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.row("A28")
def test_slots_outside_the_hours_are_none() -> None:
    rule = SlotRule(crons=("0 * * * *",), hours=parse_hours("08:00-09:00"))

    found = slots_of(rule, MOSCOW, local(MOSCOW, "2026-11-20 08:30"), 3)

    assert shown(MOSCOW, found) == ["20.11 09:00", "21.11 08:00", "21.11 09:00"]


@pytest.mark.row("A28", "D8")
def test_silent_days_have_no_slots_and_their_last_day_is_silent_too() -> None:
    calendar = SchoolCalendar(
        zone="Europe/Moscow", weekdays=WEEK, silent=(DayRange(date(2026, 8, 25), date(2026, 9, 5)),)
    )
    rule = SlotRule(crons=("0 2 * * *",))

    found = slots_of(rule, calendar, local(calendar, "2026-08-23 12:00"), 3)

    assert shown(calendar, found) == ["24.08 02:00", "06.09 02:00", "07.09 02:00"]


def test_holidays_stop_what_asks_for_school_days_and_nothing_else() -> None:
    calendar = SchoolCalendar(
        zone="Europe/Moscow", weekdays=WEEK, holidays=(DayRange(date(2026, 12, 30), date(2027, 1, 10)),)
    )
    after = local(calendar, "2026-12-29 19:00")

    at_school = next_slot(SlotRule(crons=("0 18 * * *",), school_days_only=True), calendar, after)
    always = next_slot(SlotRule(crons=("0 18 * * *",)), calendar, after)

    assert at_school == local(calendar, "2027-01-11 18:00")
    assert always == local(calendar, "2026-12-30 18:00")


def test_an_expression_that_never_comes_has_no_slot() -> None:
    assert (
        next_slot(SlotRule(crons=("0 2 * * 6",), school_days_only=True), MOSCOW, local(MOSCOW, "2026-11-20 12:00"))
        is None
    )


@pytest.mark.row("D7")
@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("30 2 * * *", "2026-03-29", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        ("30 2 * * *", "2026-10-25", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("0 2 * * *", "2026-03-29", ["2026-03-29T01:00", "2026-03-30T00:00"]),
        ("0 2 * * *", "2026-10-25", ["2026-10-25T00:00", "2026-10-26T01:00"]),
        ("0 3 * * *", "2026-03-29", ["2026-03-29T01:00", "2026-03-30T01:00"]),
    ],
    ids=["missing half past two", "repeated half past two", "missing two", "repeated two", "three after the jump"],
)
def test_a_nightly_slot_comes_once_on_both_days_that_the_clocks_change(
    cron: str, day: str, expected: list[str]
) -> None:
    found = slots_of(SlotRule(crons=(cron,)), BERLIN, local(BERLIN, f"{day} 00:00"), 2)

    assert [f"{slot:%Y-%m-%dT%H:%M}" for slot in found] == expected


@pytest.mark.parametrize(
    "cron", ["30 2 * * *", "0 2 * * *", "0 1-4 * * *", "*/20 * * * *", "0 * * * *", "15 2,3 * * *"]
)
@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)], ids=["spring", "autumn"])
def test_asked_at_every_minute_of_a_changing_night_no_slot_comes_twice_and_none_is_lost(cron: str, day: date) -> None:
    """A process that looks each minute begins exactly the slots that one look over the whole night sees."""
    rule = SlotRule(crons=(cron,))
    begin = local(BERLIN, f"{day - timedelta(days=1)} 22:00")
    until = begin + timedelta(hours=14)
    whole = [slot for slot in slots_of(rule, BERLIN, begin, 60) if slot <= until]
    begun: list[datetime] = []
    next_at = next_slot(rule, BERLIN, begin)

    for minute in range(14 * 60 + 1):
        decision = decide(rule, BERLIN, next_at=next_at, now=begin + timedelta(minutes=minute))
        next_at = decision.next_at
        if decision.verdict == "begin":
            assert decision.passed_count == 1
            assert decision.slot_at is not None
            begun.append(decision.slot_at)

    assert begun == whole
    assert len(set(begun)) == len(begun) > 0


def test_a_schedule_waits_for_its_slot() -> None:
    next_at = local(MOSCOW, "2026-11-24 02:00")

    decision = decide(SlotRule(crons=("0 2 * * *",)), MOSCOW, next_at=next_at, now=next_at - timedelta(seconds=1))

    assert (decision.verdict, decision.next_at) == ("wait", next_at)


def test_missed_slots_melt_into_one_run_for_the_newest() -> None:
    rule = SlotRule(crons=("0 8-20 * * *",))

    decision = decide(rule, MOSCOW, next_at=local(MOSCOW, "2026-11-23 09:00"), now=local(MOSCOW, "2026-11-23 12:20"))

    assert decision.verdict == "begin"
    assert decision.passed_count == 4
    assert decision.slot_at == local(MOSCOW, "2026-11-23 12:00")
    assert decision.next_at == local(MOSCOW, "2026-11-23 13:00")


def test_a_year_asleep_is_one_run_and_not_a_long_count() -> None:
    rule = SlotRule(crons=("* * * * *",))

    decision = decide(rule, MOSCOW, next_at=local(MOSCOW, "2025-11-23 09:00"), now=local(MOSCOW, "2026-11-23 12:20"))

    assert decision.verdict == "begin"
    assert decision.slot_at == local(MOSCOW, "2026-11-23 12:20")
    assert decision.passed_count <= 35 * 24 * 60 + 2


def test_a_missed_night_found_in_the_morning_goes_into_the_next_night() -> None:
    rule = SlotRule(crons=("0 2 * * *",), hours=parse_hours("00:00-06:00"))

    decision = decide(rule, MOSCOW, next_at=local(MOSCOW, "2026-11-23 02:00"), now=local(MOSCOW, "2026-11-23 09:30"))

    assert decision.verdict == "skip"
    assert decision.next_at == local(MOSCOW, "2026-11-24 02:00")


def test_a_slot_at_the_very_end_of_its_hours_survives_a_busy_machine() -> None:
    rule = SlotRule(crons=("0 18 * * *",), hours=parse_hours("08:00-18:00"))

    decision = decide(rule, MOSCOW, next_at=local(MOSCOW, "2026-11-23 18:00"), now=local(MOSCOW, "2026-11-23 18:04"))

    assert decision.verdict == "begin"


def test_a_friday_that_was_missed_is_not_made_up_on_a_saturday() -> None:
    rule = SlotRule(crons=("30 15 * * *",), school_days_only=True)

    decision = decide(rule, MOSCOW, next_at=local(MOSCOW, "2026-11-20 15:30"), now=local(MOSCOW, "2026-11-21 10:00"))

    assert decision.verdict == "skip"
    assert decision.next_at == local(MOSCOW, "2026-11-23 15:30")


def test_what_was_missed_before_silent_days_does_not_break_their_silence() -> None:
    calendar = SchoolCalendar(
        zone="Europe/Moscow", weekdays=WEEK, silent=(DayRange(date(2026, 8, 25), date(2026, 9, 5)),)
    )

    decision = decide(
        SlotRule(crons=("0 2 * * *",)),
        calendar,
        next_at=local(calendar, "2026-08-24 02:00"),
        now=local(calendar, "2026-08-26 10:00"),
    )

    assert decision.verdict == "skip"
    assert decision.next_at == local(calendar, "2026-09-06 02:00")


@given(
    looks=st.lists(st.integers(min_value=1, max_value=3 * 24 * 60), min_size=1, max_size=30),
    cron=st.sampled_from(["0 2 * * *", "30 15 * * *", "*/15 * * * *", "0 8-20 * * *", "30 2 * * 0"]),
    zone=st.sampled_from(["Europe/Moscow", "Europe/Berlin", "America/New_York"]),
    start_day=st.integers(min_value=0, max_value=364),
)
def test_whenever_somebody_looks_each_slot_is_accounted_for_once(
    looks: list[int], cron: str, zone: str, start_day: int
) -> None:
    """The numbers of passed slots of all looks sum to the slots that there were, and the next is always ahead."""
    calendar = SchoolCalendar(zone=zone, weekdays=WEEK)
    rule = SlotRule(crons=(cron,))
    begin = datetime(2026, 1, 1, 7, 11, tzinfo=UTC) + timedelta(days=start_day)
    now, next_at, passed = begin, next_slot(rule, calendar, begin), 0

    for minutes in looks:
        now += timedelta(minutes=minutes)
        decision = decide(rule, calendar, next_at=next_at, now=now)
        passed += decision.passed_count
        next_at = decision.next_at
        assert next_at is not None
        assert next_at > now

    there_were = 0
    for slot in iter_slots(rule, calendar, begin):
        if slot > now:
            break
        there_were += 1
    assert passed == there_were
