"""What leaves the portal is told apart: only a cleared value and a removed item may ever become a delete."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gateway.connectors.port import ScopeRead
from gateway.domain.identifiers import Kind
from gateway.domain.records import Absence, Attempt, Homework, Mark, Record
from gateway.reconcile.gone import DELETABLE, Gone, gone_kind

SENT = frozenset({Kind.MARK, Kind.ABSENCE, Kind.HOMEWORK})


def whose(record: Record) -> tuple[str | None, str | None]:
    match record:
        case Mark():
            return record.pupil, record.item
        case Absence():
            return record.pupil, record.lesson
        case Attempt():
            return record.pupil, record.activity
        case Homework():
            return None, record.ref
    return None, None


def gone(before: dict[str, ScopeRead], after: dict[str, ScopeRead]) -> Counter[tuple[Kind, Gone]]:
    """Kinds of absence of all records that are sent, as the store judges them."""
    found: Counter[tuple[Kind, Gone]] = Counter()
    alive = {(scope.kind, record.ref) for scope in after.values() for record in scope.records}
    for name, scope in before.items():
        if scope.kind not in SENT:
            continue
        now = after.get(name)
        for record in scope.records:
            if (scope.kind, record.ref) in alive:
                continue
            if now is None:
                found[scope.kind, Gone.SCOPE_RESET] += 1
            elif not now.is_complete:
                found[scope.kind, Gone.UNREADABLE] += 1
            else:
                pupil, item = whose(record)
                kind = gone_kind(
                    pupil=pupil,
                    item=item,
                    pupils_present=now.pupils_present,
                    items_present=now.items_present,
                    known_count=len(scope.records),
                    remaining_count=len(now.records),
                )
                found[scope.kind, kind] += 1
    return found


def test_a_cleared_value_is_cleared(portal: Any, reader: Any) -> None:
    before = reader.read({"kinds": SENT})
    portal.edit("clear_grade", courseid=2, userid=16, itemid=5)

    assert gone(before, reader.read({"kinds": SENT})) == {(Kind.MARK, Gone.CLEARED): 1}


def test_an_attendance_mended_to_present_is_cleared(portal: Any, reader: Any) -> None:
    before = reader.read({"kinds": SENT})
    absence = next(record for record in before["absence|course:2|group:1"].records)
    portal.edit(
        "set_attendance",
        courseid=2,
        sessionid=int(absence.lesson.partition(":")[2]),
        userid=int(absence.pupil.partition(":")[2]),
        acronym="P",
    )

    assert gone(before, reader.read({"kinds": SENT})) == {(Kind.ABSENCE, Gone.CLEARED): 1}


def test_a_removed_item_is_removed_with_its_homework(portal: Any, reader: Any) -> None:
    before = reader.read({"kinds": SENT})
    portal.edit("remove_item", courseid=2, itemid=2)

    found = gone(before, reader.read({"kinds": SENT}))

    assert set(found) == {(Kind.MARK, Gone.ITEM_REMOVED), (Kind.HOMEWORK, Gone.ITEM_REMOVED)}
    assert found[Kind.HOMEWORK, Gone.ITEM_REMOVED] == 2


def test_an_unenrolled_pupil_left_and_nothing_of_his_may_be_deleted(portal: Any, reader: Any) -> None:
    before = reader.read({"kinds": SENT})
    portal.edit("unenrol", courseid=2, userid=16)

    found = gone(before, reader.read({"kinds": SENT}))

    assert found[Kind.MARK, Gone.PUPIL_LEFT] > 0
    assert not {kind for _record, kind in found} & DELETABLE


@pytest.mark.row("E6")
def test_a_pupil_moved_to_another_group_takes_his_marks_along(portal: Any, reader: Any) -> None:
    before = reader.read({"kinds": SENT})
    portal.edit("move_group", courseid=2, userid=16, groupid=2)

    assert gone(before, reader.read({"kinds": SENT})) == {}


@pytest.mark.parametrize("unenrol", [False, True])
def test_a_course_reset_gives_no_deletes(portal: Any, reader: Any, unenrol: bool) -> None:
    before = reader.read({"kinds": SENT})
    portal.edit("reset_course", courseid=3, unenrol=unenrol)

    found = gone(before, reader.read({"kinds": SENT}))

    assert found[Kind.MARK, Gone.SCOPE_RESET] == 47
    assert not {kind for _record, kind in found} & DELETABLE


def test_groups_removed_give_no_deletes(portal: Any, reader: Any) -> None:
    before = reader.read({"kinds": SENT})
    portal.edit("remove_groups", courseid=3)

    assert not {kind for _record, kind in gone(before, reader.read({"kinds": SENT}))} & DELETABLE


@pytest.mark.row("E2")
@pytest.mark.parametrize(
    "function",
    [
        "gradereport_user_get_grade_items",
        "mod_attendance_get_sessions",
        "mod_assign_get_assignments",
        "mod_quiz_get_quizzes_by_courses",
        "core_enrol_get_enrolled_users",
        "core_group_get_course_groups",
        "core_group_get_group_members",
        "core_course_get_contents",
        "core_calendar_get_calendar_events",
        "core_cohort_get_cohorts",
        "core_user_get_users_by_field",
    ],
)
def test_a_right_that_is_lost_silently_gives_no_deletes(portal: Any, reader: Any, function: str) -> None:
    before = reader.read({"kinds": SENT})
    portal.fault("empty", function)

    assert not {kind for _record, kind in gone(before, reader.read({"kinds": SENT}))} & DELETABLE
