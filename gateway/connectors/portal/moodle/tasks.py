"""Homework and test attempts, turned into canonical records. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.dates import day_of, from_unix
from gateway.connectors.portal.moodle.directory import CourseDirectory, user_ref
from gateway.domain.clock import moscow_day
from gateway.domain.errors import RecordError
from gateway.domain.records import Attempt, Homework, Lesson

COUNTING: Mapping[int, Literal["highest", "average", "first", "last"]] = {
    1: "highest",
    2: "average",
    3: "first",
    4: "last",
}
"""`grademethod` of a quiz."""

FINISHED = frozenset({"finished"})
"""All other states (in progress, overdue, abandoned, since 5.0 also not started and submitted) aren't a result yet."""


def homework_ref(directory: CourseDirectory, assignmentid: int, groupid: int) -> str:
    return f"homework:{assignmentid}:{directory.group_ref(groupid).removeprefix('group:')}"


def to_homework(
    portal: str,
    directory: CourseDirectory,
    groupid: int,
    assignment: wire.Assignment,
    *,
    lessons: Sequence[Lesson],
) -> Homework:
    """Build the homework that an assignment is for one group.

    It is prepared for the day it is due and assigned on the day it opens. An assignment that is open from the start has
    no such day; then it was assigned at the group's last lesson before the due day, and the origin says so.

    Raises:
        RecordError: No due date, or nothing tells when it was assigned, or it opens after it is due.
    """
    ref = homework_ref(directory, assignment.id, groupid)
    prepared_for = day_of(assignment.duedate)
    if prepared_for is None:
        raise RecordError("У задания нет срока сдачи: не к какому уроку", where=ref)
    origins = {"*": f"{portal}/assign/{assignment.id}"}
    assigned_on = day_of(assignment.allowsubmissionsfromdate)
    if assigned_on is None:
        lesson = _last_before(lessons, prepared_for)
        if lesson is None:
            raise RecordError("Неизвестно, когда задано: нет даты открытия и урока до срока", where=ref)
        assigned_on = moscow_day(lesson.starts_at)
        origins["assigned_on"] = f"{portal}/{lesson.ref.replace(':', '/', 1)}"
    if assigned_on > prepared_for:
        raise RecordError("Задание открывается позже срока сдачи", where=ref)
    title = wire.to_plain(assignment.name)
    return Homework(
        ref=ref,
        origins=origins,
        group=directory.group_ref(groupid),
        programme=directory.ref,
        title=title,
        text=wire.to_plain(assignment.intro) or title,
        assigned_on=assigned_on,
        prepared_for=prepared_for,
    )


def _last_before(lessons: Sequence[Lesson], day: date) -> Lesson | None:
    earlier = [lesson for lesson in lessons if moscow_day(lesson.starts_at) < day]
    return max(earlier, key=lambda lesson: (lesson.starts_at, lesson.ref), default=None)


def to_attempt(portal: str, directory: CourseDirectory, quiz: wire.Quiz, attempt: wire.QuizAttempt) -> Attempt:
    """Build an attempt; question points are brought to the quiz's own scale.

    Raises:
        RecordError: The quiz counts attempts in a way that is not known.
    """
    ref = f"attempt:{attempt.id}"
    counting = COUNTING.get(quiz.grademethod or 0)
    if counting is None:
        raise RecordError("Неизвестно, какую попытку засчитывает тест", where=ref)
    points = None
    if attempt.sumgrades is not None and quiz.sumgrades and quiz.grade is not None:
        points = attempt.sumgrades / quiz.sumgrades * quiz.grade
    return Attempt(
        ref=ref,
        origins={"*": f"{portal}/attempt/{attempt.id}"},
        activity=f"quiz:{quiz.id}",
        programme=directory.ref,
        pupil=user_ref(attempt.userid),
        number=attempt.attempt,
        state="finished" if attempt.state in FINISHED else "unfinished",
        counting=counting,
        started_at=from_unix(attempt.timestart),
        finished_at=from_unix(attempt.timefinish),
        points=points,
        maximum=quiz.grade,
    )
