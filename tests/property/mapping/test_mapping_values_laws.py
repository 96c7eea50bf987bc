"""Laws of the conversion: more points never give a lower mark, and an edge belongs to the better one."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.city import CityForm
from gateway.domain.errors import RecordError
from gateway.domain.records import Mark, Scale
from gateway.mapping.rules import Rules, build_rules
from gateway.mapping.values import city_value, exact, five_by_percent

ON = date(2026, 11, 10)
MAXIMA = st.one_of(st.integers(1, 200).map(float), st.sampled_from([5.0, 10.0, 100.0, 2.5]))
ROUNDINGS = st.sampled_from(["half_up", "half_even", "down"])


@st.composite
def tables(draw: st.DrawFn) -> Rules:
    edges = sorted(draw(st.lists(st.integers(0, 10_000), min_size=3, max_size=3, unique=True)))
    step = {
        "from_on": "2026-09-01",
        "edges": {str(mark): edge / 100 for mark, edge in zip((3, 4, 5), edges, strict=True)},
    }
    return build_rules({"percent": [step], "rounding": draw(ROUNDINGS), "allow_one": draw(st.booleans())})


def sent(points: float, maximum: float, rules: Rules, system: str) -> int | None:
    mark = Mark(
        ref="cell:1/1",
        pupil="user:1",
        programme="course:1",
        group=None,
        item="item:1",
        item_name="x",
        item_form="manual",
        scale=Scale("points", 0, maximum),
        raw_points=points,
    )
    form = CityForm(id=1, name="x", weight=1, grade_system_id=1, grade_system=system, subject_id=1, level=2)
    try:
        return int(city_value(mark, form, rules, ON))
    except RecordError:
        return None


@given(
    tables(),
    MAXIMA,
    st.lists(st.integers(0, 1000), min_size=2, max_size=2),
    st.sampled_from(["five", "ten", "hundred"]),
)
def test_more_points_never_give_a_lower_mark(rules: Rules, maximum: float, shares: list[int], system: str) -> None:
    low, high = (sent(round(maximum * share / 1000, 5), maximum, rules, system) for share in sorted(shares))

    assert low is None or (high is not None and low <= high)


@given(tables(), MAXIMA, st.integers(0, 1000), st.sampled_from(["five", "ten", "hundred"]))
def test_a_value_is_within_its_axis_or_refused(rules: Rules, maximum: float, share: int, system: str) -> None:
    value = sent(round(maximum * share / 1000, 5), maximum, rules, system)
    low, high = {"five": (1 if rules.allow_one else 2, 5), "ten": (1, 10), "hundred": (0, 100)}[system]

    assert value is None or low <= value <= high


@given(tables())
def test_an_edge_belongs_to_its_mark_and_a_hair_below_does_not(rules: Rules) -> None:
    for mark, edge in rules.percent[0].edges.items():
        assert five_by_percent(exact(edge), rules, ON) == mark
        below = five_by_percent(exact(edge) - Fraction(1, 10**9), rules, ON)
        assert below is not None
        assert below < mark


@given(tables(), st.integers(0, 500))
def test_a_five_point_item_does_not_look_at_the_percent_table(rules: Rules, hundredths: int) -> None:
    other = rules.model_copy(update={"percent": Rules().percent})

    assert sent(hundredths / 100, 5.0, rules, "five") == sent(hundredths / 100, 5.0, other, "five")
