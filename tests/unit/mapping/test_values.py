"""The value that the city's journal takes."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gateway.domain.errors import RecordError
from gateway.domain.records import Scale
from gateway.mapping.rules import Rules, build_rules, load_rules
from gateway.mapping.values import allowed_values, city_value

ON = date(2026, 11, 10)
POINTS = Scale("points", 0, 5)
WORDS = Scale("words", 1, 5)


def value(make: Any, *, rules: Rules | None = None, system: str = "five", on: date = ON, **mark: Any) -> str:
    form = make.form("Тест", grade_system=system)
    return city_value(make.mark(**mark), form, rules or load_rules(None), on)


@pytest.mark.parametrize(("points", "shown"), [(5, "5"), (4.5, "5"), (4.49, "4"), (2, "2"), (1.5, "2")])
def test_points_of_five_are_marks_rounded_half_up(make: Any, points: float, shown: str) -> None:
    assert value(make, raw_points=points) == shown


@pytest.mark.parametrize(
    ("rounding", "shown"), [("half_up", ["3", "4", "5"]), ("half_even", ["2", "4", "4"]), ("down", ["2", "3", "4"])]
)
def test_the_rounding_is_the_schools(make: Any, rounding: str, shown: list[str]) -> None:
    rules = build_rules({"rounding": rounding})

    assert [value(make, rules=rules, raw_points=points) for points in (2.5, 3.5, 4.5)] == shown


@pytest.mark.parametrize(
    ("points", "shown"), [(17, "5"), (16.99999, "4"), (14, "4"), (13.99999, "3"), (10, "3"), (9.99999, "2"), (0, "2")]
)
def test_other_maxima_go_by_percent_with_the_edges_included(make: Any, points: float, shown: str) -> None:
    assert value(make, raw_points=points, scale=Scale("points", 0, 20)) == shown


def test_an_edge_is_met_exactly_where_binary_fractions_would_miss_it(make: Any) -> None:
    rules = build_rules({"percent": [{"from_on": "2026-09-01", "edges": {"5": 29}}]})

    assert value(make, rules=rules, raw_points=0.29, scale=Scale("points", 0, 1)) == "5"


def test_percent_counts_between_the_items_minimum_and_maximum(make: Any) -> None:
    assert value(make, raw_points=6, scale=Scale("points", 2, 10)) == "3"


def test_the_row_of_the_lessons_day_counts(make: Any) -> None:
    rules = build_rules(
        {
            "percent": [
                {"from_on": "2026-11-10", "edges": {"5": 95, "4": 80}, "below": 3},
                {"from_on": "2026-09-01", "edges": {"5": 60}},
            ]
        }
    )
    of_day = [
        value(make, rules=rules, on=on, raw_points=7, scale=Scale("points", 0, 10))
        for on in (date(2026, 9, 1), date(2026, 11, 9), date(2026, 11, 10))
    ]

    assert of_day == ["5", "5", "3"]
    with pytest.raises(RecordError):
        value(make, rules=rules, on=date(2026, 8, 31), raw_points=7, scale=Scale("points", 0, 10))


@pytest.mark.parametrize(
    ("word", "points", "shown"),
    [("5", 5, "5"), ("4", 3, "4"), (" Отлично ", 4, "5"), ("хорошо", 3, "4"), (None, 3, "3"), ("", 4, "4")],
)
def test_a_word_of_a_scale_is_a_mark(make: Any, word: str | None, points: float, shown: str) -> None:
    assert value(make, word=word, raw_points=points, scale=WORDS) == shown


@pytest.mark.parametrize(
    ("word", "scale"), [("зачёт", WORDS), (None, Scale("words", 1, 4)), ("7", WORDS), ("0", WORDS)]
)
def test_a_word_that_stands_for_no_mark_is_refused_and_not_guessed(make: Any, word: str | None, scale: Scale) -> None:
    with pytest.raises(RecordError) as caught:
        value(make, word=word, raw_points=3, scale=scale)

    assert caught.value.reason_code == "VALUE_OUT_OF_RANGE"


def test_the_schools_own_word_counts(make: Any) -> None:
    rules = build_rules({"words": {"зачёт": "5"}})

    assert value(make, rules=rules, word="Зачёт", raw_points=2, scale=Scale("words", 1, 2)) == "5"


@pytest.mark.parametrize("points", [0, 1, 1.49, 6, -1])
def test_a_mark_outside_2_to_5_is_refused(make: Any, points: float) -> None:
    with pytest.raises(RecordError) as caught:
        value(make, raw_points=points)

    assert caught.value.reason_code == "VALUE_OUT_OF_RANGE"
    assert str(points) not in str(caught.value)


def test_a_one_is_sent_only_where_the_rules_allow_it(make: Any) -> None:
    assert value(make, rules=build_rules({"allow_one": True}), raw_points=1) == "1"


@pytest.mark.parametrize(
    ("system", "mark", "shown"),
    [
        ("ten", {"raw_points": 7.5, "scale": Scale("points", 0, 10)}, "8"),
        ("ten", {"raw_points": 4.0}, "8"),
        ("hundred", {"raw_points": 4.5}, "90"),
        ("hundred", {"raw_points": 17, "scale": Scale("points", 0, 20)}, "85"),
        ("hundred", {"raw_points": 5, "word": "4", "scale": WORDS}, "80"),
        ("hundred", {"raw_points": 0}, "0"),
    ],
)
def test_a_form_of_ten_or_a_hundred_gets_that_axis(make: Any, system: str, mark: dict[str, Any], shown: str) -> None:
    assert value(make, system=system, **mark) == shown


@pytest.mark.parametrize(
    ("system", "mark"),
    [
        ("ten", {"raw_points": 0}),
        ("hundred", {"raw_points": 21, "scale": Scale("points", 0, 20)}),
        ("hundred", {"raw_points": 1, "scale": Scale("points", 3, 3)}),
        ("approve", {"raw_points": 5}),
        ("", {"raw_points": 5}),
    ],
)
def test_what_an_axis_can_not_hold_is_refused(make: Any, system: str, mark: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        value(make, system=system, **mark)


@pytest.mark.parametrize(
    ("system", "lowest", "highest"), [("five", 2, 5), ("Five", 2, 5), ("ten", 1, 10), ("hundred", 0, 100)]
)
def test_each_scale_says_what_may_stand_there(system: str, lowest: int, highest: int) -> None:
    assert (min(allowed_values(system, load_rules(None))), max(allowed_values(system, load_rules(None)))) == (
        lowest,
        highest,
    )


def test_a_one_is_on_the_scale_by_the_rules_and_a_pass_is_no_number() -> None:
    assert 1 in allowed_values("five", build_rules({"allow_one": True}))
    assert not allowed_values("approve", load_rules(None))
