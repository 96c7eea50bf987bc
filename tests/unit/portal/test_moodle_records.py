"""Wire models into records: the quirks and the corner cases that the recording doesn't hold."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.dates import day_of, from_unix, year_bounds
from gateway.connectors.portal.moodle.directory import Classes, CourseDirectory, to_person
from gateway.connectors.portal.moodle.lessons import build_group_lessons
from gateway.connectors.portal.moodle.marks import Activities, find_word, require_whole_report, to_mark
from gateway.connectors.portal.moodle.tasks import to_attempt, to_homework
from gateway.domain.errors import IncompleteReadError, RecordError
from gateway.settings import AttendanceStatuses

TUESDAY = 1794290400  # 2026-11-10 09:00 in Moscow
YEAR = year_bounds(date(2026, 11, 23))
COURSE = wire.Course(id=2, shortname="ALG-7", fullname="Алгебра, 7 класс", categoryid=2)


def directory(groups: dict[int, tuple[str, tuple[int, ...], tuple[int, ...]]] | None = None) -> CourseDirectory:
    placed = groups or {1: ("7А", (3, 4), (35,)), 2: ("7Б", (5,), (35,))}
    home: dict[int, int] = {}
    for groupid, (_name, pupils, _teachers) in placed.items():
        for userid in pupils:
            home.setdefault(userid, groupid)
    people = dict.fromkeys(home, False) | {35: True}
    return CourseDirectory(course=COURSE, subject="Алгебра", groups=placed, home=home, ungrouped=(), people=people)


def session(sessionid: int, groupid: int, at: int = TUESDAY, **fields: Any) -> wire.Session:
    statuses = [wire.Status(id=5, acronym="P"), wire.Status(id=6, acronym="A")]
    base = {"id": sessionid, "attendanceid": 1, "groupid": groupid, "sessdate": at, "duration": 2700}
    return wire.Session(**base, statuses=statuses, **{"attendance_log": [], **fields})


def event(eventid: int, groupid: int | None, at: int = TUESDAY, **fields: Any) -> wire.Event:
    base = {"id": eventid, "name": "урок", "courseid": 2, "groupid": groupid, "modulename": None}
    return wire.Event(**{**base, "eventtype": "group", "timestart": at, "timeduration": 2700, **fields})


def lessons(sessions: list[wire.Session], events: list[wire.Event], groupid: int = 1, **changes: Any) -> Any:
    return build_group_lessons(
        "portal",
        changes.get("directory", directory()),
        groupid,
        sessions=sessions,
        events=events,
        statuses=AttendanceStatuses(),
        bounds=YEAR,
    )


def item(**fields: Any) -> wire.GradeItem:
    base: dict[str, Any] = {
        "id": 5,
        "itemname": "Урок 10.11.2026",
        "itemtype": "manual",
        "graderaw": 4.37,
        "gradedategraded": TUESDAY,
        "gradeformatted": "4.37",
        "grademin": 0.0,
        "grademax": 5.0,
    }
    return wire.GradeItem(**{**base, **fields})


def report(userid: int, *items: wire.GradeItem) -> wire.UserGrades:
    return wire.UserGrades(courseid=2, userid=userid, gradeitems=list(items))


def assignment(**fields: Any) -> wire.Assignment:
    base = {"id": 1, "name": "ДЗ №1", "duedate": TUESDAY, "allowsubmissionsfromdate": 0, "grade": 5.0}
    return wire.Assignment(**{**base, **fields})


def test_numbers_as_text_are_read_where_moodle_is_known_to_send_them() -> None:
    row = wire.LogRow.model_validate({"studentid": "3", "statusid": "5"})

    assert (row.studentid, row.statusid) == (3, 5)
    with pytest.raises(ValidationError):
        wire.Course.model_validate({"id": "2", "shortname": "a", "fullname": "b", "categoryid": 2})


@pytest.mark.parametrize(("sent", "read"), [(1, True), ("0", False), (False, False)])
def test_flags_are_read_in_each_of_their_spellings(sent: Any, read: bool) -> None:
    module = wire.Module.model_validate({"id": 1, "instance": 1, "modname": "quiz", "visible": sent})

    assert module.visible is read


def test_float_ids_are_a_broken_contract() -> None:
    with pytest.raises(ValidationError):
        wire.GroupMembers.model_validate({"groupid": 1.0, "userids": [3]})


def test_markup_and_entities_are_taken_off_shown_values() -> None:
    assert wire.to_plain('<i class="icon" title="Pass"></i>10.00') == "10.00"
    assert wire.to_plain("Если 5 < x и y > 3") == "Если 5 < x и y > 3"
    assert wire.to_plain("<p>Стр. 5&ndash;7,&nbsp;№&nbsp;12</p>") == "Стр. 5–7, № 12"


def test_zero_and_null_are_no_moment_and_days_are_moscows() -> None:
    assert from_unix(0) is from_unix(None) is day_of(0) is None
    assert day_of(int(datetime(2026, 11, 9, 22, 30, tzinfo=UTC).timestamp())) == date(2026, 11, 10)


def test_a_session_common_to_all_groups_is_one_lesson_a_group() -> None:
    log = [wire.LogRow(studentid=each, statusid=6) for each in (3, 5)]

    first = lessons([session(7, 0, attendance_log=log)], [], groupid=1)
    second = lessons([session(7, 0, attendance_log=log)], [], groupid=2)

    assert [lesson.ref for lesson in first.lessons + second.lessons] == ["session:7@group:1", "session:7@group:2"]
    assert [(each.ref, each.lesson) for each in first.absences + second.absences] == [
        ("absence:7:3", "session:7@group:1"),
        ("absence:7:5", "session:7@group:2"),
    ]


def test_a_session_and_an_event_at_one_moment_are_one_lesson_named_by_the_session() -> None:
    built = lessons([session(7, 1)], [event(14, 1), event(15, 1, TUESDAY + 3600), event(16, 2)])

    assert [(lesson.ref, lesson.ordinal) for lesson in built.lessons] == [("session:7", 1), ("event:15", 2)]


def test_attendance_events_repeat_sessions_and_are_no_lessons() -> None:
    assert lessons([], [event(14, 1, eventtype="attendance", modulename="attendance")]).lessons == []


def test_lessons_of_another_school_year_are_left_out_with_their_absences() -> None:
    log = [wire.LogRow(studentid=3, statusid=6)]
    built = lessons([session(7, 1, int(datetime(2026, 5, 20, 6, tzinfo=UTC).timestamp()), attendance_log=log)], [])

    assert (built.lessons, built.absences) == ([], [])


def test_a_course_that_is_its_own_group_takes_the_courses_events() -> None:
    whole = directory({0: ("Алгебра, 7 класс", (3, 4), (35,))})

    built = lessons([], [event(14, None, eventtype="course")], groupid=0, directory=whole)

    assert [(lesson.ref, lesson.group) for lesson in built.lessons] == [("event:14", "group:course:2")]


def test_an_online_lesson_is_told_by_its_text() -> None:
    assert lessons([session(7, 1, description="Урок (онлайн)")], []).lessons[0].form == "online"


def test_a_pupil_not_marked_yet_is_neither_absent_nor_a_fault() -> None:
    built = lessons([session(7, 1, attendance_log=[wire.LogRow(studentid=3, statusid=None)])], [])

    assert (built.absences, built.faults) == ([], [])


def test_raw_points_are_kept_to_the_last_digit() -> None:
    mark = to_mark(
        "portal", report(3), item(feedback="<p>Ответ у доски</p>"), group="group:1", activities=Activities({}, {})
    )

    assert mark is not None
    assert (mark.raw_points, mark.comment, mark.weight, mark.word) == (4.37, "Ответ у доски", None, None)


@pytest.mark.parametrize(
    "fields", [{"graderaw": None, "gradeformatted": "-"}, {"itemtype": "course"}, {"itemtype": "category"}]
)
def test_cells_without_a_value_and_totals_are_no_marks(fields: dict[str, Any]) -> None:
    assert to_mark("portal", report(3), item(**fields), group=None, activities=Activities({}, {})) is None


@pytest.mark.parametrize(
    ("shown", "minimum", "raw", "is_word_scale", "word"),
    [
        ("зачтено", 1.0, 2.0, False, "зачтено"),
        ("5", 1.0, 5.0, True, "5"),
        ("5", 1.0, 5.0, False, None),
        ("4.37", 0.0, 4.37, False, None),
        ("1 234,50", 1.0, 1234.5, False, None),
        ("87.50 %", 1.0, 4.0, False, None),
        ("B+", 0.0, 87.0, False, None),
    ],
)
def test_words_are_told_from_numbers_and_from_letters_shown_for_points(
    shown: str, minimum: float, raw: float, is_word_scale: bool, word: str | None
) -> None:
    cell = item(gradeformatted=shown, grademin=minimum, graderaw=raw)

    assert find_word(cell, is_word_scale=is_word_scale) == word


def test_a_report_is_held_against_people_and_activities() -> None:
    activities = Activities({1: assignment()}, {})
    hw = item(id=2, itemtype="mod", itemmodule="assign", iteminstance=1)

    def check(rows: list[wire.UserGrades], expected: set[int]) -> None:
        require_whole_report(rows, courseid=2, expected=expected, known={3, 4}, activities=activities)

    check([report(3, hw)], {3})
    for rows, expected in (
        ([report(3, hw)], {3, 4}),  # a member is missing
        ([report(3, hw), report(9, hw)], {3}),  # a stranger
        ([report(3, item())], {3}),  # the assignment's item left silently
        ([wire.UserGrades(courseid=5, userid=3, gradeitems=[hw])], {3}),  # another course
    ):
        with pytest.raises(IncompleteReadError):
            check(rows, expected)


def test_homework_without_a_due_day_or_a_day_of_assigning_waits_with_its_reason() -> None:
    with pytest.raises(RecordError) as no_due:
        to_homework("portal", directory(), 1, assignment(duedate=0), lessons=[])
    with pytest.raises(RecordError) as no_start:
        to_homework("portal", directory(), 1, assignment(), lessons=[])
    with pytest.raises(RecordError):
        to_homework("portal", directory(), 1, assignment(allowsubmissionsfromdate=TUESDAY + 86400), lessons=[])

    assert no_due.value.where == no_start.value.where == "homework:1:1"


def test_an_attempt_counted_in_an_unknown_way_waits_with_its_reason() -> None:
    attempt = wire.QuizAttempt(
        id=9, quiz=1, userid=3, attempt=1, state="finished", timestart=TUESDAY, timefinish=TUESDAY, sumgrades=3.0
    )
    with pytest.raises(RecordError):
        to_attempt("portal", directory(), wire.Quiz(id=1, course=2, grademethod=9, sumgrades=4.0, grade=10.0), attempt)


def test_a_pupil_in_two_classes_is_in_none() -> None:
    classes = Classes({"7А": [3, 4], "7Б": [3, 5], "Кружок": [3]})

    assert [classes.of_pupil(each) for each in (3, 4, 5)] == [None, "7А", "7Б"]
    assert classes.of_group("подгруппа 1", [4]) == "7А"
    assert classes.of_group("подгруппа 1", [4, 5]) is None


def test_a_blank_external_id_is_none() -> None:
    field = wire.CustomField(shortname="externalid", value="  ")
    user = wire.User(id=3, firstname="Алёна", lastname="Иванова", customfields=[field])

    person = to_person("portal", user, is_teacher=False, class_name="7А", field="externalid")

    assert (person.person_id, person.school_id) == (None, None)
