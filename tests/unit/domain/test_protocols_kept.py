"""What of a protocol may be kept: the test's settings decide, moment by moment, and nothing hidden survives."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.protocols import Part, Protocol, Question, Review, Step, Why, hidden_parts, limited, next_steps

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLOSE = datetime(2026, 11, 24, tzinfo=UTC)
LATER = datetime(2026, 11, 25, tzinfo=UTC)
MOMENTS = st.sampled_from([(), ("open",), ("closed",), ("open", "closed")])
HIDDEN = st.dictionaries(st.sampled_from(list(Part)), st.sampled_from([Why.HIDDEN, Why.LATER, Why.UNKNOWN]))

WHOLE = Protocol(
    ref="attempt:1",
    activity="quiz:1",
    programme="course:2",
    pupil="user:3",
    number=1,
    started_at=NOW,
    finished_at=NOW,
    points=7.5,
    maximum=10.0,
    questions=(
        Question(number="1", form="truefalse", text="Верно?", answer="Да", result="right", points=1.0, maximum=1.0),
        Question(
            number="2",
            form="essay",
            text="Почему?",
            result="waiting",
            maximum=3.0,
            absent={"answer": Why.NOT_ANSWERED, "points": Why.NOT_GRADED},
        ),
    ),
)


def review(**moments: tuple[str, ...]) -> Review:
    everything = dict.fromkeys(("attempt", "correctness", "marks", "maximum"), ("open", "closed"))
    return msgspec.convert({"activity": "quiz:1", **everything, **moments}, Review)


def test_a_test_that_shows_everything_hides_nothing() -> None:
    assert hidden_parts(review(), now=NOW, is_grade_hidden=False) == {}


def test_settings_that_nobody_shows_keep_everything_back() -> None:
    assert hidden_parts(None, now=NOW, is_grade_hidden=False) == dict.fromkeys(Part, Why.UNKNOWN)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ({"attempt": ()}, {Part.QUESTIONS, Part.RESULT, Part.POINTS, Part.MAXIMUM}),
        ({"correctness": ()}, {Part.RESULT}),
        ({"marks": ()}, {Part.POINTS, Part.GRADE}),
        ({"maximum": ()}, {Part.POINTS, Part.MAXIMUM, Part.GRADE}),
    ],
)
def test_each_setting_hides_its_parts(moments: dict[str, tuple[str, ...]], expected: set[Part]) -> None:
    assert hidden_parts(review(**moments), now=NOW, is_grade_hidden=False) == dict.fromkeys(expected, Why.HIDDEN)


def test_what_opens_after_the_close_says_so_and_opens_then() -> None:
    shown = msgspec.structs.replace(review(correctness=("closed",)), closes_at=CLOSE)

    assert hidden_parts(shown, now=NOW, is_grade_hidden=False) == {Part.RESULT: Why.LATER}
    assert hidden_parts(shown, now=LATER, is_grade_hidden=False) == {}


def test_what_closes_with_the_test_is_hidden_afterwards() -> None:
    shown = msgspec.structs.replace(review(attempt=("open",)), closes_at=CLOSE)

    assert Part.QUESTIONS not in hidden_parts(shown, now=NOW, is_grade_hidden=False)
    assert hidden_parts(shown, now=CLOSE, is_grade_hidden=False)[Part.QUESTIONS] is Why.HIDDEN


def test_a_grade_hidden_in_the_gradebook_hides_what_tells_it() -> None:
    found = hidden_parts(review(), now=NOW, is_grade_hidden=True)

    assert found == dict.fromkeys((Part.RESULT, Part.POINTS, Part.GRADE), Why.GRADE_HIDDEN)


@given(HIDDEN, HIDDEN)
def test_nothing_hidden_is_left_and_limiting_twice_is_limiting_by_both(
    first: dict[Part, Why], second: dict[Part, Why]
) -> None:
    once = limited(WHOLE, first)
    both = limited(once, second)

    for one, out in ((once, set(first)), (both, set(first) | set(second))):
        assert set(one.absent) == out
        assert (one.points is None) is (Part.GRADE in out)
        assert bool(one.questions) is (Part.QUESTIONS not in out)
        for asked in one.questions:
            assert Part.RESULT not in out or (asked.result is None and "points" not in asked.absent)
            assert Part.POINTS not in out or asked.points is None
            assert Part.MAXIMUM not in out or asked.maximum is None
    assert limited(once, first) == once


def test_times_and_number_stay_whatever_is_hidden() -> None:
    bare = limited(WHOLE, dict.fromkeys(Part, Why.HIDDEN))

    assert (bare.number, bare.started_at, bare.finished_at) == (1, NOW, NOW)
    assert bare.questions == ()


@given(HIDDEN, HIDDEN, st.booleans())
def test_what_became_hidden_is_taken_out_before_anything_is_read(
    stored: dict[Part, Why], hidden: dict[Part, Why], is_same: bool
) -> None:
    steps = next_steps(stored, hidden, is_same_attempt=is_same)

    assert steps
    if set(hidden) - set(stored):
        assert steps[0] is Step.LIMIT
    assert (Step.READ in steps) is (not is_same or bool(set(stored) - set(hidden)))
    assert (steps == (Step.KEEP,)) is (is_same and stored == hidden)


def test_every_reason_has_its_words() -> None:
    from gateway.domain.protocols import WHY_TEXTS

    assert set(WHY_TEXTS) == set(Why)
