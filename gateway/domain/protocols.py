"""The protocol of a test's attempt: question, answer, result, points and time, as far as the test lets its pupil see them.

Pure. Kept at the school and never sent. What the test's review settings hide from the pupil is never kept, whoever reads
it for us: the portal shows a service account everything. Settings and moments change, so that what may be kept is asked
anew at every run, and what has become hidden is taken out.

Source: Moodle 4.5.6, mod_quiz display options (times a part is shown at; marks need the most points to be shown) [S].
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

import msgspec

SOON = timedelta(minutes=2)
"""For so long after its end an attempt is «just finished» and has settings of its own; nothing is kept of it yet."""

Moment = Literal["open", "closed"]
"""When a part is shown: while the test is still open, after it has closed."""
Outcome = Literal["right", "partial", "wrong", "given_up", "waiting"]


class Part(StrEnum):
    """What of a protocol may be hidden. Beginning, end and the number of the attempt always stand on the pupil's page."""

    QUESTIONS = "questions"  # the texts and the answers given
    RESULT = "result"  # right or wrong, question by question
    POINTS = "points"  # question by question
    MAXIMUM = "maximum"
    GRADE = "grade"  # points of the whole attempt


class Why(StrEnum):
    """Why something is not in a protocol."""

    HIDDEN = "hidden"
    LATER = "later"
    UNKNOWN = "settings_unknown"
    GRADE_HIDDEN = "grade_hidden"
    NOT_ANSWERED = "not_answered"
    NOT_TEXT = "not_text"
    NOT_GRADED = "not_graded"


WHY_TEXTS: dict[Why, str] = {
    Why.HIDDEN: "настройки просмотра теста это не показывают",
    Why.LATER: "настройки просмотра покажут это после закрытия теста",
    Why.UNKNOWN: "портал не показал настройки просмотра теста",
    Why.GRADE_HIDDEN: "оценка за тест скрыта в журнале портала",
    Why.NOT_ANSWERED: "ответа не было",
    Why.NOT_TEXT: "ответ дан не текстом (рисунок, файл, перетаскивание)",
    Why.NOT_GRADED: "ждёт проверки учителем",
}


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A test's review settings: at which moments a pupil is shown what.

    Attributes:
        activity: The test, `quiz:1`.
        maximum: Moments of the most points of a question; without them no points are shown either.
    """

    activity: str
    closes_at: datetime | None = None
    attempt: tuple[Moment, ...] = ()
    correctness: tuple[Moment, ...] = ()
    marks: tuple[Moment, ...] = ()
    maximum: tuple[Moment, ...] = ()


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question of an attempt.

    Attributes:
        number: As the page counts it.
        form: The portal's word for its type, e.g. `multichoice`.
        points: Of `maximum`, in question points.
        absent: Field → why it is not here.
    """

    number: str
    form: str
    text: str | None = None
    answer: str | None = None
    result: Outcome | None = None
    points: float | None = None
    maximum: float | None = None
    absent: dict[str, Why] = {}


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """One finished attempt.

    Attributes:
        ref: The attempt, `attempt:12`.
        points: Of `maximum`, on the test's own scale.
        absent: Part → why it is not here.
    """

    ref: str
    activity: str
    programme: str
    pupil: str
    number: int
    started_at: datetime | None = None
    finished_at: datetime | None = None
    points: float | None = None
    maximum: float | None = None
    questions: tuple[Question, ...] = ()
    absent: dict[Part, Why] = {}


def hidden_parts(review: Review | None, *, now: datetime, is_grade_hidden: bool) -> dict[Part, Why]:
    """Say which parts of a test's attempts may not be kept at a moment, and why.

    Args:
        review: The test's settings; None = the portal does not show them, and then nothing may be kept.
        now: Aware UTC.
        is_grade_hidden: The teacher has hidden the pupil's cell in the gradebook.
    """
    if review is None:
        return dict.fromkeys(Part, Why.UNKNOWN)
    is_closed = review.closes_at is not None and now >= review.closes_at
    found: dict[Part, Why] = {}
    needs: Mapping[Part, tuple[tuple[Moment, ...], ...]] = {
        Part.QUESTIONS: (review.attempt,),
        Part.RESULT: (review.attempt, review.correctness),
        Part.POINTS: (review.attempt, review.maximum, review.marks),
        Part.MAXIMUM: (review.attempt, review.maximum),
        Part.GRADE: (review.maximum, review.marks),
    }
    for part, settings in needs.items():
        if all(("closed" if is_closed else "open") in moments for moments in settings):
            continue
        opens = review.closes_at is not None and not is_closed and all("closed" in moments for moments in settings)
        found[part] = Why.LATER if opens else Why.HIDDEN
    if is_grade_hidden:
        found |= {part: Why.GRADE_HIDDEN for part in (Part.RESULT, Part.POINTS, Part.GRADE) if part not in found}
    return found


def limited(protocol: Protocol, hidden: Mapping[Part, Why]) -> Protocol:
    """Take out of a protocol what may not be kept; what was taken out before stays out.

    Args:
        hidden: As `hidden_parts` says it now.
    """
    out = set(hidden) | set(protocol.absent)
    absent = {part: hidden[part] if part in hidden else protocol.absent[part] for part in Part if part in out}
    questions = () if Part.QUESTIONS in out else tuple(_limited(one, out) for one in protocol.questions)
    return msgspec.structs.replace(
        protocol,
        points=None if Part.GRADE in out else protocol.points,
        maximum=None if Part.GRADE in out else protocol.maximum,
        questions=questions,
        absent=absent,
    )


def _limited(question: Question, out: Collection[Part]) -> Question:
    absent = dict(question.absent)
    if Part.RESULT in out:
        # that it waits for the teacher, or that nothing was answered, tells the result too
        absent = {field: why for field, why in absent.items() if field not in ("result", "points")}
    if Part.POINTS in out:
        absent.pop("points", None)
    return msgspec.structs.replace(
        question,
        result=None if Part.RESULT in out else question.result,
        points=None if Part.POINTS in out else question.points,
        maximum=None if Part.MAXIMUM in out else question.maximum,
        absent=absent,
    )


class Step(StrEnum):
    """What a run does about one attempt."""

    KEEP = "keep"
    LIMIT = "limit"  # something stored has become hidden, or is hidden for another reason
    READ = "read"  # new, changed, or something has become visible


def next_steps(
    stored: Mapping[Part, Why] | None, hidden: Mapping[Part, Why], *, is_same_attempt: bool
) -> tuple[Step, ...]:
    """Decide about one attempt; what has become hidden is taken out before anything is read.

    Args:
        stored: What the stored protocol lacks; None = there is none.
        hidden: What may not be kept now.
        is_same_attempt: The attempt has not changed since its protocol was read.
    """
    if stored is None:
        return (Step.READ,)
    steps: list[Step] = []
    if any(stored.get(part) != why for part, why in hidden.items()):
        steps.append(Step.LIMIT)
    if not is_same_attempt or set(stored) - set(hidden):
        steps.append(Step.READ)
    return tuple(steps) or (Step.KEEP,)


__all__ = [
    "SOON",
    "WHY_TEXTS",
    "Moment",
    "Outcome",
    "Part",
    "Protocol",
    "Question",
    "Review",
    "Step",
    "Why",
    "hidden_parts",
    "limited",
    "next_steps",
]
