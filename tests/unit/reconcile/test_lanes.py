"""The guards over a whole plan: shares and counts, lanes that do not touch one another, and what a plan means for averages."""

from __future__ import annotations

from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityGroup, CityPeriod, CityYear, MarkIntent
from gateway.mapping.tables import place
from gateway.reconcile.impact import (
    NOTHING,
    Impact,
    MarkCell,
    build_impact,
    judge_impact,
    mean_of,
    round_mean,
    tell_impact,
)
from gateway.reconcile.lanes import LaneLimits, LaneShare, judge_lanes
from gateway.reconcile.plan_lanes import load_impacts, load_lane_shares
from gateway.reconcile.tables import base, city_directory, decision, decision_scope, plan
from gateway.report.guards import iter_trials
from gateway.store.transaction import Store

AT = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
LIMITS = LaneLimits(
    minimum_count=5,
    create_ratio=1.0,
    first_count=100,
    change_ratio=0.75,
    change_count=500,
    delete_ratio=0.1,
    delete_count=50,
    past_count=0,
    average_shift=0.3,
    period_mark_count=0,
    average_marks=10,
    round_up_from=0.5,
)
shares = st.builds(
    LaneShare,
    kind=st.sampled_from(["mark", "absence"]),
    class_name=st.sampled_from(["*", "7А", "7Б"]),
    base=st.integers(0, 300),
    creates=st.integers(0, 700),
    changes=st.integers(0, 700),
    deletes=st.integers(0, 100),
    past=st.integers(0, 3),
)


def held(found: list[LaneShare], limits: LaneLimits = LIMITS) -> set[str]:
    return {f"{row.guard} {row.scope}" for row in judge_lanes(found, limits) if row.verdict == "hold"}


def share(**counts: int) -> LaneShare:
    return LaneShare(
        **{"kind": "mark", "class_name": "7А", "base": 100, "creates": 0, "changes": 0, "deletes": 0, **counts}
    )


@pytest.mark.parametrize(
    ("counts", "guards"),
    [
        ({"changes": 75}, set()),
        ({"changes": 76}, {"lane_changes"}),
        ({"base": 4, "changes": 5}, set()),
        ({"base": 10_000, "changes": 501}, {"lane_changes"}),
        ({"deletes": 10}, set()),
        ({"deletes": 11}, {"lane_deletes"}),
        ({"base": 10_000, "deletes": 51}, {"lane_deletes"}),
        ({"creates": 100}, set()),
        ({"creates": 101}, {"lane_creates"}),
        ({"base": 0, "creates": 100}, set()),
        ({"base": 0, "creates": 101}, {"first_size"}),
        ({"changes": 1, "past": 1}, {"past_period"}),
        ({"changes": 76, "deletes": 11}, {"lane_changes", "lane_deletes"}),
    ],
)
def test_a_share_bites_above_the_minimum_and_a_count_always(counts: dict[str, int], guards: set[str]) -> None:
    assert {name.partition(" ")[0] for name in held([share(**counts)])} == guards


def test_with_a_threshold_of_three_four_removals_are_held_and_three_are_not() -> None:
    limits = msgspec.structs.replace(LIMITS, delete_count=3)

    assert held([share(base=10_000, deletes=3)], limits) == set()
    assert held([share(base=10_000, deletes=4)], limits) == {"lane_deletes mark|7А"}


@given(st.lists(shares, max_size=6), st.integers(0, 400))
def test_a_wider_limit_never_holds_more(found: list[LaneShare], more: int) -> None:
    wider = msgspec.structs.replace(
        LIMITS, change_count=LIMITS.change_count + more, delete_count=LIMITS.delete_count + more, change_ratio=1.0
    )

    assert held(found, wider) <= held(found)


@given(st.lists(shares, max_size=6))
def test_a_lane_is_held_by_its_own_numbers_and_never_by_anothers(found: list[LaneShare]) -> None:
    assert held(found) == set().union(*(held([one]) for one in found))


@given(st.lists(shares, max_size=6))
def test_a_guard_that_passes_has_its_row_too(found: list[LaneShare]) -> None:
    rows = judge_lanes(found, LIMITS)

    assert len([row for row in rows if row.guard in ("lane_changes", "lane_deletes")]) == 2 * len(found)


cells = st.builds(MarkCell, pupil=st.integers(1, 4), value=st.integers(2, 5).map(float), weight=st.integers(1, 3))


@given(st.dictionaries(st.text("ab", min_size=1, max_size=3), cells, max_size=20))
def test_marks_that_are_new_or_the_same_move_nothing(before: dict[str, MarkCell]) -> None:
    impact = build_impact("7А", "Алгебра", before, {**before, "new": MarkCell(1, 2.0, 3)}, round_up_from=0.5)

    assert impact.before == impact.after
    assert impact.pupils_moved == 0


def test_a_class_average_that_falls_by_more_than_the_limit_is_held_and_a_small_class_is_not_judged() -> None:
    before = {f"m{number}": MarkCell(number % 5, 5.0, 1) for number in range(10)}
    changes: dict[str, MarkCell | None] = {"m0": MarkCell(0, 2.0, 1), "m5": None}

    impact = build_impact("7А", "Алгебра", before, changes, round_up_from=0.5)

    assert (impact.before, impact.after, impact.pupils_moved) == (5.0, 4.67, 1)
    assert [(row.guard, row.verdict) for row in judge_impact([impact], LIMITS)] == [
        ("average", "hold"),
        ("period_mark", "hold"),
    ]
    few = msgspec.structs.replace(impact, marks=9)
    assert judge_impact([few], LIMITS) == []


def test_a_period_mark_is_of_its_period_and_a_pupil_whose_mean_moves_within_a_mark_is_none() -> None:
    before = {
        "a": MarkCell(1, 5.0, 1, period=1),
        "b": MarkCell(1, 4.0, 1, period=1),
        "c": MarkCell(1, 3.0, 2, period=2),
        "d": MarkCell(2, 4.0, 1, period=1),
    }
    changes: dict[str, MarkCell | None] = {"b": MarkCell(1, 3.0, 1, period=1), "d": None}
    impact = build_impact("7А", "Алгебра", before, changes, round_up_from=0.5)
    still = build_impact("7А", "Алгебра", before, {"a": MarkCell(1, 5.0, 2, period=1)}, round_up_from=0.5)

    assert (impact.changed, impact.deleted, impact.pupils_moved, impact.moves) == (1, 1, 2, {"4→–": 1, "5→4": 1})
    assert (still.pupils_moved, still.moves) == (0, {})
    wide = msgspec.structs.replace(LIMITS, average_marks=1, period_mark_count=2, average_shift=5.0)
    assert [row.verdict for row in judge_impact([impact], wide)] == ["pass", "pass"]
    narrow = msgspec.structs.replace(wide, period_mark_count=1)
    assert [row.verdict for row in judge_impact([impact], narrow)] == ["pass", "hold"]


def test_the_sentence_names_the_classes_a_plan_means_most_for_and_counts_the_rest() -> None:
    def of(number: int, moved: int) -> Impact:
        return Impact(
            class_name=f"{number}А", subject="Алгебра", marks=1, changed=1, before=4.0, after=3.5, pupils_moved=moved
        )

    told = tell_impact([of(number, moved=int(number == 9)) for number in range(1, 10)])

    assert told.startswith("9А Алгебра: исправить 1, средний 4.00 → 3.50, итог периода у 1")
    assert told.endswith("; и ещё классов и предметов: 4")
    assert tell_impact([]) == NOTHING
    assert tell_impact([], new_count=3) == f"{NOTHING}; новые отметки (3) здесь не считаются"
    assert tell_impact([of(1, moved=1)], has_held=True).startswith("если отправить и удержанное, ")


def test_the_last_marks_of_a_class_that_would_go_are_a_move_of_the_whole_average() -> None:
    gone = Impact(class_name="7А", subject="Алгебра", marks=12, before=4.0, after=None, pupils_moved=5)

    assert judge_impact([gone], LIMITS)[0].verdict == "hold"


@pytest.mark.parametrize(
    ("mean", "limit", "mark"), [(3.5, 0.5, 4), (3.5, 0.51, 3), (3.51, 0.51, 4), (4.0, 0.5, 4), (2.49, 0.5, 2)]
)
def test_a_mean_is_rounded_as_the_school_says(mean: float, limit: float, mark: int) -> None:
    assert round_mean(mean, limit) == mark


def test_a_mean_is_weighted_and_has_two_decimals() -> None:
    assert mean_of([MarkCell(1, 5.0, 2), MarkCell(1, 4.0, 1)]) == 4.67
    assert mean_of([]) is None


def build_group(number: int, class_name: str) -> CityGroup:
    return CityGroup(
        id=number, name=class_name, subject_id=1, subject_name="Алгебра", class_ids=(1,), class_name=class_name,
        level=7, schedule_id=9, teacher_ids=(),
    )  # fmt: skip


def intent(value: str, pupil: int) -> bytes:
    return msgspec.json.encode(
        MarkIntent(
            pupil_id=pupil, lesson_id=1, group_id=1, subject_id=1, teacher_id=1, on=date(2026, 10, 1), value=value,
            weight=1, form_id=1, grade_system_id=1,
        )
    )  # fmt: skip


def store_plan(conn: Connection, number: int, *, changes: int, creates: int, untouched: int) -> None:
    """A plan over group 1 (7А) with changes of October, and over group 2 (7Б) with new marks."""
    conn.execute(
        insert(plan).values(
            id=number, place_id=1, run_id=number, state="used", hash=str(number) * 64, created_at=AT, expires_at=AT,
            rule_version="r", epoch=1, counters={"update": changes, "create": creates}, by_reason={}, guards=[],
            is_dry_run=False, needs_approval=False, open_gates=["none"],
        )
    )  # fmt: skip
    rows = [("mark|city-group:1", "change", b"b" * 16, n) for n in range(changes)]
    rows += [("mark|city-group:2", "create", None, n) for n in range(creates)]
    for seq, (scope, op, before, pupil) in enumerate(rows, 1):
        conn.execute(
            insert(decision).values(
                plan_id=number, seq=seq, kind="mark", ref=f"{scope}/{pupil}", scope=scope, category=op, op=op,
                reason="CHANGE", base=before, intent=intent("2", pupil), on_date=date(2026, 10, 1), gate="none",
            )
        )  # fmt: skip
    for scope in ("mark|city-group:1", "mark|city-group:2"):
        conn.execute(
            insert(decision_scope).values(
                plan_id=number, scope=scope, reason="NO_CHANGE", count=untouched, digest=bytes(16)
            )
        )


@pytest.fixture
def planned(store: Store) -> Store:
    period = CityPeriod(id=1, schedule_id=9, name="I четверть", begins_on=date(2026, 9, 1), ends_on=date(2026, 10, 31))
    directory = CityDirectory(
        year=CityYear(id=1, name="2026/27", is_current=True, begins_on=date(2026, 9, 1), ends_on=date(2027, 8, 31)),
        periods=(period,), classes=(), subjects=(), groups=(build_group(1, "7А"), build_group(2, "7Б")), teachers=(),
        pupils=(), forms=(),
    )  # fmt: skip
    with store.write() as conn:
        conn.execute(insert(place).values(id=1, city="c", portal="p", year="2026/27"))
        conn.execute(insert(city_directory).values(place_id=1, body=msgspec.json.encode(directory), read_at=AT))
        store_plan(conn, 1, changes=8, creates=6, untouched=4)
        store_plan(conn, 2, changes=2, creates=0, untouched=12)
        for pupil in range(12):
            conn.execute(
                insert(base).values(
                    place_id=1, kind="mark", ref=f"mark|city-group:1/{pupil}", scope="mark|city-group:1", city_id=pupil,
                    object_key=f"mark/{pupil}", digest=bytes(16), intent=intent("5", pupil), verified_at=AT, how="sent",
                )
            )  # fmt: skip
    return store


def test_a_stored_plan_tells_its_lanes_by_itself_as_they_were_that_night(planned: Store) -> None:
    with planned.read() as conn:
        found = {one.lane: one for one in load_lane_shares(conn, 1, 1, today=date(2026, 11, 25))}

    assert found["mark|7А"] == share(base=12, changes=8, past=8)
    assert found["mark|7Б"] == share(class_name="7Б", base=4, creates=6)  # type: ignore[arg-type]  # the builder takes counts by name
    assert found["mark|*"] == share(class_name="*", base=16, changes=8, creates=6, past=8)  # type: ignore[arg-type]  # the builder takes counts by name


def test_a_stored_plan_tells_what_it_means_for_the_average_of_a_class(planned: Store) -> None:
    with planned.read() as conn:
        impacts = load_impacts(conn, 1, 1, LIMITS)

    assert impacts == [
        Impact(
            class_name="7А",
            subject="Алгебра",
            marks=12,
            changed=8,
            before=5.0,
            after=3.0,
            pupils_moved=8,
            moves={"5→2": 8},
        )
    ]
    assert tell_impact(impacts) == "7А Алгебра: исправить 8, средний 5.00 → 3.00, итог периода у 8 (5→2: 8)"


def test_other_limits_are_tried_on_the_plans_of_past_nights_and_change_nothing(planned: Store) -> None:
    tried = msgspec.structs.replace(LIMITS, change_count=1, past_count=100)
    with planned.read() as conn:
        first, second = iter_trials(conn, 1, since=AT, limits=LIMITS, tried=tried)

    assert first.items == 14
    assert first.newly_held == ["lane_changes mark|*", "lane_changes mark|7А"]
    assert first.newly_free == ["past_period mark|*", "past_period mark|7А"]
    assert "lane_creates mark|7Б" in set(first.held) & set(first.held_then)
    assert second.held == [
        "past_period mark|*",
        "past_period mark|7А",
        "average mark|7А|Алгебра",
        "period_mark mark|7А|Алгебра",
    ]
    assert second.newly_held == ["lane_changes mark|*", "lane_changes mark|7А"]
