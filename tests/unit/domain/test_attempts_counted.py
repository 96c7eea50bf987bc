"""Best, last, average, first: the test's own rule, and what explains a cell that differs."""

from __future__ import annotations

from typing import Literal

import pytest

from gateway.domain.attempts import VERDICT_TEXTS, Verdict, count_attempts, judge_cell
from gateway.domain.records import Attempt

Rule = Literal["highest", "average", "first", "last"]


def attempt(number: int, points: float | None, rule: Rule = "highest", state: str = "finished") -> Attempt:
    return Attempt(
        ref=f"attempt:{number}",
        activity="quiz:1",
        programme="course:2",
        pupil="user:3",
        number=number,
        state="finished" if state == "finished" else "unfinished",
        counting=rule,
        points=points,
        maximum=10.0,
    )


@pytest.mark.parametrize(
    ("rule", "points", "ref"),
    [("highest", 9.0, "attempt:2"), ("average", 6.0, None), ("first", 4.0, "attempt:1"), ("last", 5.0, "attempt:3")],
)
def test_each_rule_counts_its_attempt(rule: Rule, points: float, ref: str | None) -> None:
    attempts = [attempt(3, 5.0, rule), attempt(1, 4.0, rule), attempt(2, 9.0, rule), attempt(4, None, rule, "open")]

    best = count_attempts(attempts)

    assert (best.points, best.attempt) == (points, ref)


def test_attempts_without_points_are_left_out_of_highest_and_average_only() -> None:
    def points(rule: Rule) -> float | None:
        return count_attempts([attempt(1, None, rule), attempt(2, 8.0, rule)]).points

    assert (points("highest"), points("average"), points("first"), points("last")) == (8.0, 8.0, None, 8.0)


def test_no_finished_attempt_comes_to_nothing() -> None:
    assert count_attempts([attempt(1, None, state="open")]).points is None


@pytest.mark.parametrize(
    ("attempts", "more", "expected"),
    [
        ([attempt(1, 7.5)], {}, Verdict.AGREES),
        ([attempt(1, 7.503)], {}, Verdict.AGREES),
        ([attempt(1, 4.0)], {"is_overridden": True}, Verdict.OVERRIDDEN),
        ([attempt(1, 4.0)], {"is_stale": True}, Verdict.STALE),
        ([], {}, Verdict.NO_ATTEMPTS),
        ([attempt(1, 4.0), attempt(2, None)], {}, Verdict.UNGRADED),
        ([attempt(1, 4.0)], {"maximum": 20.0}, Verdict.RESCALED),
        ([attempt(1, 4.0), attempt(2, 7.5, state="abandoned")], {}, Verdict.UNFINISHED),
        ([attempt(1, 4.0)], {}, Verdict.UNEXPLAINED),
    ],
)
def test_a_cell_that_differs_is_explained(
    attempts: list[Attempt], more: dict[str, float | bool], expected: Verdict
) -> None:
    found = judge_cell(
        attempts,
        points=7.5,
        maximum=float(more.get("maximum", 10.0)),
        is_overridden=bool(more.get("is_overridden", False)),
        is_stale=bool(more.get("is_stale", False)),
    )

    assert found is expected


def test_every_verdict_has_its_words() -> None:
    assert set(VERDICT_TEXTS) == set(Verdict)
