"""Protocols of tests: a quiz's review settings and an attempt's review, turned into canonical form. Pure.

The service account may see everything, so a review comes whole whatever the quiz hides from its pupils; what may be kept
of it is decided by `gateway.domain.protocols` from the settings.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.dates import from_unix
from gateway.connectors.portal.moodle.directory import user_ref
from gateway.connectors.portal.moodle.question_html import read_question
from gateway.connectors.portal.moodle.tasks import FINISHED
from gateway.domain.errors import RecordError
from gateway.domain.protocols import Moment, Outcome, Protocol, Question, Review, Why

OPEN_BIT, CLOSED_BIT = 0x00100, 0x00010
"""Bits of the moments «later, while open» and «after the quiz is closed»; «during» and «immediately after» are not kept by."""
BOTH: tuple[Moment, ...] = ("open", "closed")

OUTCOMES: Mapping[str, Outcome] = {
    "gradedright": "right",
    "mangrright": "right",
    "gradedpartial": "partial",
    "mangrpartial": "partial",
    "gradedwrong": "wrong",
    "mangrwrong": "wrong",
    "gaveup": "given_up",
    "mangaveup": "given_up",
    "needsgrading": "waiting",
}
"""States of a question in a finished attempt; any other (a text without a question, one not answered) has no outcome."""
NOT_QUESTIONS = frozenset({"description"})
MARKS_HIDDEN, MAXIMUM_ONLY = 0, 1


def quiz_ref(quizid: int) -> str:
    return f"quiz:{quizid}"


def to_review(quiz: wire.Quiz) -> Review | None:
    """A quiz's settings, or None where the portal does not show them: its access rules keep the account out.

    A quiz that is hidden from the course's page shows its pupils nothing, whatever its settings say.
    """
    if not quiz.visible:
        return Review(activity=quiz_ref(quiz.id))
    if quiz.reviewattempt is None or quiz.reviewcorrectness is None or quiz.reviewmarks is None:
        return None
    return Review(
        activity=quiz_ref(quiz.id),
        closes_at=from_unix(quiz.timeclose),
        attempt=_moments(quiz.reviewattempt),
        correctness=_moments(quiz.reviewcorrectness),
        marks=_moments(quiz.reviewmarks),
        # before 4.3 there was no such setting, and it was always shown
        maximum=BOTH if quiz.reviewmaxmarks is None else _moments(quiz.reviewmaxmarks),
    )


def _moments(bits: int) -> tuple[Moment, ...]:
    found: list[Moment] = []
    if bits & OPEN_BIT:
        found.append("open")
    if bits & CLOSED_BIT:
        found.append("closed")
    return tuple(found)


def agrees_when_closed(review: Review, options: wire.ReviewOptions) -> bool:
    """Whether what a pupil is shown of a closed quiz is what its settings said when they could last be read.

    Only marks can be compared: the portal's answer says nothing of the attempt itself.
    """
    shown = {option.name: option.value for option in options.alloptions}.get("marks")
    if "closed" not in review.maximum:
        return shown == MARKS_HIDDEN
    return shown == (2 if "closed" in review.marks else MAXIMUM_ONLY)


def to_protocol(quiz: wire.Quiz, programme: str, review: wire.AttemptReview) -> Protocol:
    """Build the whole protocol of a finished attempt.

    Raises:
        RecordError: The attempt is not finished, or is another quiz's.
    """
    attempt = review.attempt
    ref = f"attempt:{attempt.id}"
    if attempt.state not in FINISHED or attempt.preview or attempt.quiz != quiz.id:
        raise RecordError("Попытка не закончена или не этого теста", where=ref)
    points = None
    if attempt.sumgrades is not None and quiz.sumgrades and quiz.grade is not None:
        points = attempt.sumgrades / quiz.sumgrades * quiz.grade
    asked = [row for row in review.questions if row.type not in NOT_QUESTIONS]
    return Protocol(
        ref=ref,
        activity=quiz_ref(quiz.id),
        programme=programme,
        pupil=user_ref(attempt.userid),
        number=attempt.attempt,
        started_at=from_unix(attempt.timestart),
        finished_at=from_unix(attempt.timefinish),
        points=points,
        maximum=quiz.grade,
        questions=tuple(_to_question(row, place) for place, row in enumerate(asked, start=1)),
    )


def _to_question(row: wire.ReviewQuestion, place: int) -> Question:
    shown = read_question(row.html)
    result = OUTCOMES.get(row.state or "")
    points = _to_number(row.mark)
    absent: dict[str, Why] = {}
    if not shown.answer:
        is_empty = shown.has_controls or result == "given_up"
        absent["answer"] = Why.NOT_ANSWERED if is_empty else Why.NOT_TEXT
    if not shown.text:
        absent["text"] = Why.NOT_TEXT
    if points is None:
        absent["points"] = Why.NOT_GRADED
    return Question(
        number=(row.questionnumber or str(row.number or "")).strip() or str(place),
        form=row.type,
        text=shown.text or None,
        answer=shown.answer or None,
        result=result,
        points=points,
        maximum=row.maxmark,
        absent=absent,
    )


def _to_number(mark: str | float | None) -> float | None:
    """A formatted number: a Russian site writes «1,00»."""
    if mark is None or isinstance(mark, float | int):
        return mark
    try:
        return float(mark.replace("\xa0", "").replace(" ", "").replace(",", "."))
    except ValueError:
        return None
