"""Which gradebook items hold final marks, and what becomes of them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.dates import year_bounds
from gateway.connectors.portal.moodle.directory import CourseDirectory
from gateway.connectors.portal.moodle.finals import find_final_item, to_final, to_late_comments
from gateway.connectors.portal.moodle.lessons import build_group_lessons
from gateway.domain.records import Absence
from gateway.settings import AttendanceStatuses, FinalItem

QUARTER = FinalItem(match="name", pattern=r"^1\s*четверть", form="period", period="1")
BY_NUMBER = FinalItem(match="number", pattern="^q2$", form="period", period="2")
CATEGORY = FinalItem(match="category_total", pattern="зачёт|^att$", form="intermediate")
COURSE = FinalItem(match="course_total", form="year")
ALL = (QUARTER, BY_NUMBER, CATEGORY, COURSE)


def item(itemtype: str = "manual", **fields: Any) -> wire.GradeItem:
    base: dict[str, Any] = {
        "id": 5,
        "itemname": None,
        "itemtype": itemtype,
        "graderaw": 4.0,
        "gradedategraded": 1795000000,
        "grademin": 0.0,
        "grademax": 5.0,
    }
    return wire.GradeItem(**{**base, **fields})


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (item(itemname="1 Четверть (итог)"), QUARTER),
        (item(itemname="Урок: 1 четверть года"), None),
        (item(itemname="Итог", idnumber="q2"), BY_NUMBER),
        (item("mod", itemname="1 четверть"), QUARTER),
        (item("category", itemname="Зачёт за курс"), CATEGORY),
        (item("category", idnumber="att"), CATEGORY),
        (item("category", itemname="1 четверть"), None),
        (item("course"), COURSE),
        (item(itemname="Контрольная работа"), None),
    ],
)
def test_the_first_row_that_speaks_of_an_item_says_what_it_holds(
    cell: wire.GradeItem, expected: FinalItem | None
) -> None:
    assert find_final_item(cell, ALL) == expected


def test_a_total_is_no_final_mark_unless_the_school_says_so() -> None:
    assert find_final_item(item("course"), ()) is None


def test_a_cell_without_a_value_and_a_hidden_one() -> None:
    row = wire.UserGrades(courseid=2, userid=3, gradeitems=[])
    empty = item("course", graderaw=None)
    hidden = item("course", gradeishidden=True)

    assert to_final("portal", row, empty, group="group:1", finals=ALL) is None
    final = to_final("portal", row, hidden, group="group:1", finals=ALL)
    assert final is not None
    assert (final.ref, final.pupil, final.form, final.period, final.is_hidden) == (
        "final:5:3",
        "user:3",
        "year",
        None,
        True,
    )


def test_a_word_stays_a_word() -> None:
    row = wire.UserGrades(courseid=2, userid=3, gradeitems=[])
    cell = item("category", idnumber="att", graderaw=2.0, grademin=1.0, grademax=2.0, gradeformatted="Зачёт")

    final = to_final("portal", row, cell, group="group:1", finals=ALL)

    assert final is not None
    assert (final.word, final.scale.form) == ("Зачёт", "words")


def test_lateness_alone_becomes_a_remark_under_a_ref_of_its_own() -> None:
    absences = [
        Absence(ref=f"absence:7:{n}", pupil=f"user:{n}", lesson="session:7", group="group:1", form=form)
        for n, form in enumerate(("absent", "late", "excused"))
    ]

    (comment,) = to_late_comments(absences)

    assert (comment.ref, comment.pupil, comment.lesson, comment.text) == ("late:7:1", "user:1", "session:7", "")


@pytest.mark.parametrize(
    "fields",
    [{"form": "period"}, {"form": "year", "period": "1"}, {"pattern": "(", "period": "1"}],
)
def test_a_row_that_contradicts_itself_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FinalItem(**fields)


TUESDAY = 1794290400  # 2026-11-10 09:00 in Moscow


@pytest.mark.parametrize(
    ("description", "has_topics", "topic"),
    [
        ("<p>Степень числа</p>", True, "Степень числа"),
        ("Regular class session", True, None),
        ("", True, None),
        ("Степень числа", False, None),
    ],
)
def test_a_sessions_description_is_a_topic_where_the_school_says_so(
    description: str, has_topics: bool, topic: str | None
) -> None:
    course = wire.Course(id=2, shortname="ALG-7", fullname="Алгебра, 7 класс", categoryid=2)
    people = {3: False, 35: True}
    directory = CourseDirectory(
        course=course, subject="Алгебра", groups={1: ("7А", (3,), (35,))}, home={3: 1}, ungrouped=(), people=people
    )
    fields = {"attendanceid": 1, "groupid": 1, "sessdate": TUESDAY, "duration": 2700, "statuses": []}
    session = wire.Session(id=7, description=description, attendance_log=[], **fields)

    built = build_group_lessons(
        "portal",
        directory,
        1,
        sessions=[session],
        events=[],
        statuses=AttendanceStatuses(),
        bounds=year_bounds(date(2026, 11, 23)),
        has_topics=has_topics,
    )

    assert [one.topic for one in built.lessons] == [topic]
