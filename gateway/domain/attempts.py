"""What the attempts of a test come to by the test's own rule, held against the gradebook's value. Pure.

The gradebook stays the authority for a mark; this says whether the attempts explain it, and if not, what does.

Source: Moodle 4.5.6 mod_quiz: highest and average leave out attempts without points, first and last take theirs as it is [S].
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from gateway.domain.records import Attempt

NEAR = 0.005
"""Two values so near are one: the gradebook keeps five decimals of points, people read two."""


class Verdict(StrEnum):
    """How a test's cell and its attempts stand to each other."""

    AGREES = "agrees"
    OVERRIDDEN = "overridden"
    NO_ATTEMPTS = "no_attempts"
    STALE = "stale"
    UNGRADED = "ungraded"
    UNFINISHED = "unfinished"
    RESCALED = "rescaled"
    UNEXPLAINED = "unexplained"


VERDICT_TEXTS: dict[Verdict, str] = {
    Verdict.AGREES: "попытки дают ту же оценку",
    Verdict.OVERRIDDEN: "учитель поставил оценку поверх попыток",
    Verdict.NO_ATTEMPTS: "оценка есть, законченных попыток нет",
    Verdict.STALE: "оценка изменилась после того, как читали попытки; следующий запуск дочитает",
    Verdict.UNGRADED: "часть попыток ждёт проверки учителем",
    Verdict.UNFINISHED: "портал засчитывает и брошенную попытку",
    Verdict.RESCALED: "шкала теста менялась после попыток",
    Verdict.UNEXPLAINED: "оценка не выводится из попыток: пересчитайте итоги теста на портале",
}


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts come to.

    Attributes:
        points: On the test's own scale up to `maximum`; None where the rule gives none.
        attempt: Ref of the attempt that counts; None for an average, or where none does.
    """

    points: float | None = None
    maximum: float | None = None
    attempt: str | None = None


def count_attempts(attempts: Sequence[Attempt]) -> Best:
    """Apply the test's own rule to the attempts of one pupil at one test; unfinished ones don't count."""
    finished = sorted((one for one in attempts if one.state == "finished"), key=lambda one: one.number)
    if not finished:
        return Best()
    newest = finished[-1]
    graded = [one for one in finished if one.points is not None]
    match newest.counting:
        case "first":
            chosen: Attempt | None = finished[0]
        case "last":
            chosen = newest
        case "highest":
            # of two equal ones the earlier: the later has changed nothing
            chosen = max(graded, key=lambda one: (one.points or 0.0, -one.number), default=None)
        case "average":
            if not graded:
                return Best(maximum=newest.maximum)
            mean = sum(one.points or 0.0 for one in graded) / len(graded)
            return Best(points=mean, maximum=newest.maximum, attempt=graded[0].ref if len(graded) == 1 else None)
    if chosen is None:
        return Best(maximum=newest.maximum)
    return Best(points=chosen.points, maximum=chosen.maximum, attempt=chosen.ref)


def judge_cell(
    attempts: Sequence[Attempt], *, points: float, maximum: float, is_overridden: bool, is_stale: bool
) -> Verdict:
    """Say whether the attempts explain a test's cell in the gradebook, and what does where they do not.

    Args:
        attempts: Of that pupil at that test, unfinished ones too.
        points: The cell's value, on a scale up to `maximum`.
        is_overridden: A person typed it over the test's.
        is_stale: The cell changed after the attempts were read.
    """
    best = count_attempts(attempts)
    if best.points is not None and abs(best.points - points) < NEAR:
        return Verdict.AGREES
    finished = [one for one in attempts if one.state == "finished"]
    if is_overridden:
        return Verdict.OVERRIDDEN
    if is_stale:
        return Verdict.STALE
    if not finished:
        return Verdict.NO_ATTEMPTS
    if any(one.points is None for one in finished):
        return Verdict.UNGRADED
    if best.maximum is not None and abs(best.maximum - maximum) >= NEAR:
        return Verdict.RESCALED
    if len(finished) < len(attempts):
        return Verdict.UNFINISHED
    return Verdict.UNEXPLAINED


__all__ = ["NEAR", "VERDICT_TEXTS", "Best", "Verdict", "count_attempts", "judge_cell"]
