"""Marks: cells of the user report turned into canonical records, raw as the gradebook holds them.

Pure. Course and category totals are dropped: they move with every other change. `weightraw` isn't read: it is the share
of the cell in the total and moves when a neighbouring cell does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.calls import GRADES
from gateway.connectors.portal.moodle.client import SYSTEM
from gateway.connectors.portal.moodle.dates import from_unix
from gateway.connectors.portal.moodle.directory import user_ref
from gateway.connectors.portal.moodle.errors import incomplete
from gateway.domain.records import Mark, Scale

MARKED_TYPES = frozenset({"mod", "manual"})
NO_VALUE = "-"
_NUMBER = re.compile(r"-?[\d ]+([.,]\d+)?( ?%)?")


@dataclass(frozen=True)
class Activities:
    """Assignments and quizzes of a course by id."""

    assignments: Mapping[int, wire.Assignment]
    quizzes: Mapping[int, wire.Quiz]

    def all(self) -> set[tuple[str, int]]:
        """Everything listed, as (module, instance)."""
        return {("assign", each) for each in self.assignments} | {("quiz", each) for each in self.quizzes}

    def graded(self) -> set[tuple[str, int]]:
        """Activities that must have an item in the gradebook."""
        assigns = {("assign", each.id) for each in self.assignments.values() if each.grade}
        return assigns | {("quiz", each.id) for each in self.quizzes.values() if each.grade}


def item_ref(itemid: int) -> str:
    return f"item:{itemid}"


def require_whole_report(
    rows: Iterable[wire.UserGrades],
    *,
    courseid: int,
    expected: Iterable[int],
    known: Iterable[int],
    activities: Activities,
) -> None:
    """Hold a report against the course's people and activities.

    Args:
        rows: The report of a group.
        courseid: The course asked for.
        expected: Pupils who must be in it (active members).
        known: Everybody enrolled in the course.
        activities: The course's assignments and quizzes.

    Raises:
        IncompleteReadError: Somebody or some item is missing: a person is being moved just now, or a right was taken
            away, and Moodle says neither.
    """
    listed = list(rows)
    if any(row.courseid != courseid for row in listed):
        raise incomplete("Отчёт об оценках по другому курсу", system=SYSTEM, function=GRADES)
    users = {row.userid for row in listed}
    if set(expected) - users:
        raise incomplete("В отчёте об оценках есть не все ученики группы", system=SYSTEM, function=GRADES)
    if users - set(known):
        raise incomplete("В отчёте об оценках есть не записанные на курс", system=SYSTEM, function=GRADES)
    for row in listed:
        modules = {
            (item.itemmodule, item.iteminstance)
            for item in row.gradeitems
            if item.itemtype == "mod" and item.itemmodule in {"assign", "quiz"}
        }
        if modules ^ activities.graded():
            # Without mod/assign:view the items leave the report and the contents silently (§a.3).
            raise incomplete("Журнал оценок и список заданий курса расходятся", system=SYSTEM, function=GRADES)


def items_of(row: wire.UserGrades) -> list[wire.GradeItem]:
    """Cells that can hold a mark."""
    return [item for item in row.gradeitems if item.itemtype in MARKED_TYPES]


def to_mark(
    portal: str,
    row: wire.UserGrades,
    item: wire.GradeItem,
    *,
    group: str | None,
    activities: Activities,
) -> Mark | None:
    """Build the mark of a cell, or None where the cell has no value."""
    if item.graderaw is None or item.itemtype not in MARKED_TYPES:
        return None
    instance = item.iteminstance if item.iteminstance is not None else 0
    assignment = activities.assignments.get(instance) if item.itemmodule == "assign" else None
    quiz = activities.quizzes.get(instance) if item.itemmodule == "quiz" else None
    word = find_word(item, is_word_scale=assignment is not None and assignment.grade < 0)
    origins = {"*": f"{portal}/grade/{item.id}:{row.userid}"}
    if assignment is not None:
        origins["due_at"] = f"{portal}/assign/{instance}"
    if quiz is not None:
        origins["closes_at"] = f"{portal}/quiz/{instance}"
    return Mark(
        ref=f"mark:{item.id}:{row.userid}",
        origins=origins,
        pupil=user_ref(row.userid),
        programme=f"course:{row.courseid}",
        group=group,
        item=item_ref(item.id),
        item_name=wire.to_plain(item.itemname or ""),
        item_number=item.idnumber or "",
        item_form="manual" if item.itemtype == "manual" else "mod",
        module=item.itemmodule,
        activity=f"{item.itemmodule}:{instance}" if item.itemmodule else None,
        scale=Scale(form="points" if word is None else "words", minimum=item.grademin, maximum=item.grademax),
        raw_points=item.graderaw,
        word=word,
        due_at=from_unix(assignment.duedate) if assignment is not None else None,
        closes_at=from_unix(quiz.timeclose) if quiz is not None else None,
        graded_at=from_unix(item.gradedategraded),
        comment=wire.to_plain(item.feedback or "") or None,
        category=str(item.categoryid) if item.categoryid is not None else None,
        is_hidden=item.gradeishidden or item.gradehiddenbydate,
        is_overridden=item.gradeisoverridden,
    )


def find_word(item: wire.GradeItem, *, is_word_scale: bool) -> str | None:
    """The shown word where the item counts in words; None where it counts points.

    `scaleid` can't tell (it repeats `outcomeid`), so the assignment's negative `grade` does; elsewhere a shown value that
    is no number, but only where the cell counts 1, 2, 3… as word scales do: points may be displayed as letters.
    """
    shown = wire.to_plain(item.gradeformatted)
    if is_word_scale:
        return shown
    counts_words = item.grademin == 1 and item.graderaw is not None and item.graderaw.is_integer()
    return shown if counts_words and shown not in {"", NO_VALUE} and not _NUMBER.fullmatch(shown) else None
