"""What the sandbox portal knows: rows in Moodle's spelling, a course at a time.

Two books exist: a recorded one (`recording.py`) and a made-up school (`gateway.sandbox.school`). Functions
(`answers.py`) read them, edits (`edits.py`) change them as the real portal would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = dict[str, Any]
"""One row of an answer, in the portal's spelling."""


@dataclass
class CourseRows:
    """All rows that hang on one course.

    Attributes:
        members: Group id → user ids, teachers included, as the portal lists them.
        grades: User id → the row of the user report, `gradeitems` inside, in the report's order.
        sessions: Attendance instance id → its sessions.
        attempts: (quiz id, user id) → attempts; a pair that was never asked for is absent.
        reviews: Attempt id → its review.
        make_review: Makes the review of an attempt that has none in `reviews`; None where only recorded ones exist.
    """

    course: Row
    groups: list[Row] = field(default_factory=list)
    members: dict[int, list[int]] = field(default_factory=dict)
    enrolled: list[Row] = field(default_factory=list)
    grades: dict[int, Row] = field(default_factory=dict)
    contents: list[Row] = field(default_factory=list)
    sessions: dict[int, list[Row]] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    assignments: Row | None = None
    submissions: dict[int, list[Row]] = field(default_factory=dict)
    assign_grades: dict[int, list[Row]] = field(default_factory=dict)
    quizzes: list[Row] = field(default_factory=list)
    attempts: dict[tuple[int, int], list[Row]] = field(default_factory=dict)
    reviews: dict[int, Row] = field(default_factory=dict)
    make_review: Callable[[Row], Row] | None = field(default=None, compare=False)

    def find_review(self, attemptid: int) -> Row | None:
        """The review of an attempt that is there; None where it is not known."""
        if attemptid in self.reviews or self.make_review is None:
            return self.reviews.get(attemptid)
        for attempts in self.attempts.values():
            for attempt in attempts:
                if attempt["id"] == attemptid:
                    return self.make_review(attempt)
        return None


class Book(Protocol):
    """A portal's content. Getters of one thing return None where the portal has no such record."""

    site: Row
    categories: list[Row]
    cohorts: list[Row]
    site_events: list[Row]

    def course_rows(self) -> list[Row]:
        """Rows of `core_course_get_courses`, the site's own course included."""
        ...

    def cohort_members(self, cohortid: int) -> list[int] | None:
        """User ids of a cohort."""
        ...

    def users(self, ids: Iterable[int]) -> list[Row]:
        """Accounts that exist, in the order asked."""
        ...

    def users_by_idnumber(self, values: Iterable[str]) -> list[Row]:
        """Accounts with one of these idnumbers."""
        ...

    def course(self, courseid: int) -> CourseRows | None:
        """All rows of a course; a change made to them must be announced by `keep`."""
        ...

    def course_of(self, kind: str, instance: int) -> int | None:
        """The course of a group, attendance, assign, quiz or attempt."""
        ...

    def keep(self, courseid: int) -> None:
        """Hold this course's rows from now on: somebody changed them."""
        ...

    def rename(self, userid: int, changes: Row) -> bool:
        """Change fields of an account; False where there is none."""
        ...

    def latest_moment(self) -> int:
        """Unix seconds at which the content was true; the sandbox's clock starts there."""
        ...
