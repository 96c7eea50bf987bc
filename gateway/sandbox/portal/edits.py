"""What people do at the portal between two reads, done to a book's rows as the real Moodle does it.

A manual change moves `graderaw` and `gradedategraded`; a cleared value leaves both null and no tombstone; an override of
a module's grade sets `gradeisoverridden`; unenrolment drops all rows of the pupil at once, marks included.
Source: portal-and-planner.md §a.4 "What corrections look like" [M].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gateway.sandbox.portal.book import Book, CourseRows, Row
from gateway.sandbox.portal.questions import REVIEW_FIELDS


class EditError(Exception):
    """The edit names something that isn't there; the text says what."""


def apply_edit(book: Book, edit: Row, *, now: int) -> Row:
    """Apply one edit.

    Args:
        book: Changed in place.
        edit: `{op, ...}`; see `EDITS` for the operations and their fields.
        now: Unix seconds.

    Returns:
        `{"op", "changed"}`, the number of rows touched.

    Raises:
        EditError: Unknown operation, missing field or unknown id.
    """
    operation = EDITS.get(str(edit.get("op")))
    if operation is None:
        raise EditError(f"unknown op; known: {', '.join(sorted(EDITS))}")
    try:
        changed = operation(book, edit, now)
    except KeyError as missing:
        raise EditError(f"field {missing} is missing") from missing
    if not changed:
        raise EditError("nothing to change: no such row")
    return {"op": edit["op"], "changed": changed}


def _rows(book: Book, courseid: int) -> CourseRows:
    rows = book.course(courseid)
    if rows is None:
        raise EditError(f"no course {courseid}")
    book.keep(courseid)
    return rows


def _cells(rows: CourseRows, edit: Row) -> Iterator[Row]:
    wanted = edit.get("userid")
    for userid, row in rows.grades.items():
        if wanted is None or userid == wanted:
            yield from (item for item in row["gradeitems"] if item["id"] == edit["itemid"])


def _number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _write(item: Row, grade: float | None, feedback: str | None, now: int) -> None:
    """Put a value, or null, into a gradebook cell."""
    if item["itemtype"] == "mod":
        item["gradeisoverridden"] = True
    if grade is None:
        item.update(graderaw=None, gradedategraded=None, gradeformatted="-", percentageformatted="-", feedback="")
        item["status"] = "novalue"
        return
    percent = 100 * (grade - item["grademin"]) / (item["grademax"] - item["grademin"])
    item.update(graderaw=_number(grade), gradedategraded=now, percentageformatted=f"{percent:.2f} %")
    item["gradeformatted"] = str(_number(grade)) if item["grademin"] == 1 else f"{grade:.2f}"
    item.pop("status", None)
    if feedback is not None:
        item["feedback"] = feedback


def _set_grade(book: Book, edit: Row, now: int) -> int:
    edit["userid"]
    count = 0
    for item in _cells(_rows(book, edit["courseid"]), edit):
        _write(item, float(edit["grade"]), edit.get("feedback"), now)
        count += 1
    return count


def _clear_grade(book: Book, edit: Row, now: int) -> int:
    edit["userid"]
    count = 0
    for item in _cells(_rows(book, edit["courseid"]), edit):
        _write(item, None, None, now)
        count += 1
    return count


def _hide_grade(book: Book, edit: Row, _now: int) -> int:
    count = 0
    for item in _cells(_rows(book, edit["courseid"]), edit):
        item["gradeishidden"] = bool(edit.get("hidden", True))
        count += 1
    return count


def _hide_module(book: Book, edit: Row, _now: int) -> int:
    count = 0
    for section in _rows(book, edit["courseid"]).contents:
        for module in section["modules"]:
            if (module["modname"], module["instance"]) == (edit["modname"], edit["instance"]):
                module["visible"] = 0 if edit.get("hidden", True) else 1
                count += 1
    for quiz in _rows(book, edit["courseid"]).quizzes if edit["modname"] == "quiz" else ():
        if quiz["id"] == edit["instance"]:
            quiz["visible"] = not edit.get("hidden", True)
    return count


def _remove_item(book: Book, edit: Row, _now: int) -> int:
    rows = _rows(book, edit["courseid"])
    count = 0
    module: tuple[str, int] | None = None
    for row in rows.grades.values():
        for item in [each for each in row["gradeitems"] if each["id"] == edit["itemid"]]:
            row["gradeitems"].remove(item)
            count += 1
            if item["itemtype"] == "mod":
                module = (item["itemmodule"], item["iteminstance"])
    if module is not None:
        _remove_module(rows, *module)
    return count


def _remove_module(rows: CourseRows, modname: str, instance: int) -> None:
    for section in rows.contents:
        section["modules"] = [
            each for each in section["modules"] if (each["modname"], each["instance"]) != (modname, instance)
        ]
    rows.events = [each for each in rows.events if (each["modulename"], each["instance"]) != (modname, instance)]
    if modname == "assign" and rows.assignments is not None:
        kept = [each for each in rows.assignments["assignments"] if each["id"] != instance]
        rows.assignments["assignments"] = kept
        rows.submissions.pop(instance, None)
        rows.assign_grades.pop(instance, None)
    elif modname == "quiz":
        rows.quizzes = [each for each in rows.quizzes if each["id"] != instance]
        rows.attempts = {key: value for key, value in rows.attempts.items() if key[0] != instance}


def _unenrol(book: Book, edit: Row, _now: int) -> int:
    rows, userid = _rows(book, edit["courseid"]), edit["userid"]
    before = len(rows.enrolled)
    rows.enrolled = [row for row in rows.enrolled if row["id"] != userid]
    rows.grades.pop(userid, None)
    for members in rows.members.values():
        if userid in members:
            members.remove(userid)
    for sessions in rows.sessions.values():
        for session in sessions:
            # The log keeps its rows; only the list of those to be marked is made from today's enrolments.
            session["users"] = [user for user in session["users"] if user["id"] != userid]
    return before - len(rows.enrolled)


def _reset_course(book: Book, edit: Row, now: int) -> int:
    """Take all marks, submissions, attempts and attendance away; with `unenrol` the pupils too."""
    rows = _rows(book, edit["courseid"])
    count = 1
    for row in rows.grades.values():
        for item in row["gradeitems"]:
            if item["graderaw"] is not None:
                _write(item, None, None, now)
                item["gradeisoverridden"] = False
                count += 1
    rows.submissions = {key: [] for key in rows.submissions}
    rows.assign_grades = {key: [] for key in rows.assign_grades}
    rows.attempts = {key: [] for key in rows.attempts}
    rows.reviews = {}
    for sessions in rows.sessions.values():
        for session in sessions:
            session.update(attendance_log=[], lasttaken=None, timemodified=now)
    if edit.get("unenrol"):
        pupils = [row["id"] for row in rows.enrolled if any(role["shortname"] == "student" for role in row["roles"])]
        for userid in pupils:
            count += _unenrol(book, {"courseid": edit["courseid"], "userid": userid}, now)
    return count


def _move_group(book: Book, edit: Row, _now: int) -> int:
    """Move a pupil to another group of the course: marks stay, as they hang on the course."""
    rows, userid = _rows(book, edit["courseid"]), edit["userid"]
    target = next((group for group in rows.groups if group["id"] == edit["groupid"]), None)
    if target is None:
        raise EditError(f"no group {edit['groupid']}")
    count = 0
    for members in rows.members.values():
        if userid in members:
            members.remove(userid)
            count += 1
    rows.members[edit["groupid"]].append(userid)
    for row in rows.enrolled:
        if row["id"] == userid:
            row["groups"] = [{"id": target["id"], "name": target["name"]}]
            count += 1
    return count


def _leave_groups(book: Book, edit: Row, _now: int) -> int:
    """Take a pupil out of all groups of the course; he stays enrolled, marks and all."""
    rows, userid = _rows(book, edit["courseid"]), edit["userid"]
    count = 0
    for members in rows.members.values():
        if userid in members:
            members.remove(userid)
            count += 1
    for row in rows.enrolled:
        if row["id"] == userid:
            row["groups"] = []
    return count


def _remove_groups(book: Book, edit: Row, _now: int) -> int:
    """Delete all groups of a course; sessions of a deleted group stay as they are."""
    rows = _rows(book, edit["courseid"])
    count = len(rows.groups)
    rows.groups, rows.members = [], {}
    for row in rows.enrolled:
        row["groups"] = []
    return count


def _set_attendance(book: Book, edit: Row, now: int) -> int:
    rows, userid = _rows(book, edit["courseid"]), edit["userid"]
    for sessions in rows.sessions.values():
        for session in (each for each in sessions if each["id"] == edit["sessionid"]):
            status = next((each for each in session["statuses"] if each["acronym"] == edit["acronym"]), None)
            if status is None:
                raise EditError("no such acronym in this instance")
            newest = max((int(row["id"]) for each in sessions for row in each["attendance_log"]), default=0)
            log = [row for row in session["attendance_log"] if row["studentid"] != userid]
            # Ids and statuses come as strings here: the plugin hands its database rows through.
            log.append({"studentid": userid, "statusid": str(status["id"]), "id": str(newest + 1)})
            session.update(attendance_log=log, lasttaken=now, timemodified=now)
            return 1
    return 0


def _set_duedate(book: Book, edit: Row, now: int) -> int:
    courseid = book.course_of("assign", edit["assignid"])
    if courseid is None:
        return 0
    rows = _rows(book, courseid)
    count = 0
    for assignment in [] if rows.assignments is None else rows.assignments["assignments"]:
        if assignment["id"] == edit["assignid"]:
            assignment.update(duedate=int(edit["duedate"]), timemodified=now)
            count += 1
    for event in rows.events:
        if (event["modulename"], event["instance"], event["eventtype"]) == ("assign", edit["assignid"], "due"):
            event.update(timestart=int(edit["duedate"]), timemodified=now)
    return count


QUIZ_FIELDS = ("grademethod", "timeclose", *REVIEW_FIELDS)


def _quiz_of(rows: CourseRows, quizid: int) -> Row:
    quiz = next((row for row in rows.quizzes if row["id"] == quizid), None)
    if quiz is None:
        raise EditError(f"no quiz {quizid}")
    return quiz


def _set_quiz(book: Book, edit: Row, now: int) -> int:
    """Change a quiz's settings; with another way of counting all its grades are worked out anew, as Moodle does."""
    courseid = book.course_of("quiz", edit["quizid"])
    if courseid is None:
        return 0
    rows = _rows(book, courseid)
    quiz = _quiz_of(rows, edit["quizid"])
    changes = {name: int(edit[name]) for name in QUIZ_FIELDS if name in edit}
    if not changes:
        raise EditError(f"give one of {', '.join(QUIZ_FIELDS)}")
    quiz.update(changes)
    if "grademethod" in changes:
        for userid in [user for asked, user in rows.attempts if asked == quiz["id"]]:
            _regrade(rows, quiz, userid, now)
    return 1


def _add_attempt(book: Book, edit: Row, now: int) -> int:
    """Let a pupil, who has tried a quiz before, try once more; the grade follows by the quiz's own rule."""
    courseid = book.course_of("quiz", edit["quizid"])
    if courseid is None:
        return 0
    rows = _rows(book, courseid)
    quiz = _quiz_of(rows, edit["quizid"])
    attempts = rows.attempts.get((quiz["id"], edit["userid"]), [])
    if not attempts:
        raise EditError("this pupil has not tried before")
    newest = attempts[-1]["id"] + 1
    if book.course_of("attempt", newest) != courseid or any(
        row["id"] == newest for each in rows.attempts.values() for row in each
    ):
        raise EditError("no number is left for another attempt")
    started = now - 900
    attempts.append(
        {
            **attempts[-1],
            "id": newest,
            "uniqueid": newest,
            "attempt": attempts[-1]["attempt"] + 1,
            "state": edit.get("state", "finished"),
            "timestart": started,
            "timefinish": now if edit.get("state", "finished") == "finished" else 0,
            "timemodified": now,
            "sumgrades": None if edit.get("sumgrades") is None else _number(float(edit["sumgrades"])),
        }
    )
    _regrade(rows, quiz, edit["userid"], now)
    return 1


def _remove_attempt(book: Book, edit: Row, now: int) -> int:
    courseid = book.course_of("attempt", edit["attemptid"])
    if courseid is None:
        return 0
    rows = _rows(book, courseid)
    for (quizid, userid), attempts in rows.attempts.items():
        for attempt in [each for each in attempts if each["id"] == edit["attemptid"]]:
            attempts.remove(attempt)
            _regrade(rows, _quiz_of(rows, quizid), userid, now)
            return 1
    return 0


def _regrade(rows: CourseRows, quiz: Row, userid: int, now: int) -> None:
    """Work a pupil's grade out of his attempts: 1 highest, 2 average, 3 first, 4 last; abandoned ones count too."""
    closed = [row for row in rows.attempts[quiz["id"], userid] if row["state"] in ("finished", "abandoned")]
    graded = [row["sumgrades"] for row in closed if row["sumgrades"] is not None]
    raw: float | None = None
    if quiz["grademethod"] == 1 and graded:
        raw = max(graded)
    elif quiz["grademethod"] == 2 and graded:
        raw = sum(graded) / len(graded)
    elif quiz["grademethod"] in (3, 4) and closed:
        raw = closed[0 if quiz["grademethod"] == 3 else -1]["sumgrades"]
    for item in rows.grades[userid]["gradeitems"]:
        is_quiz = (item["itemmodule"], item["iteminstance"]) == ("quiz", quiz["id"])
        if not is_quiz or item["gradeisoverridden"]:
            continue
        grade = None if raw is None else round(raw / quiz["sumgrades"] * quiz["grade"], 5)
        if grade != item["graderaw"]:
            _write(item, grade, None, now)
            item["gradeisoverridden"] = False


def _set_name(book: Book, edit: Row, _now: int) -> int:
    changes: Row = {key: edit[key] for key in ("firstname", "lastname") if key in edit}
    if not changes:
        raise EditError("give firstname or lastname")
    userid = edit["userid"]
    current = book.users([userid])
    if not current:
        return 0
    merged = {**current[0], **changes}
    changes["fullname"] = f"{merged['firstname']} {merged['lastname']}"
    book.rename(userid, changes)
    count = 1
    for course in book.course_rows():
        rows = book.course(course["id"])
        if rows is None or all(row["id"] != userid for row in rows.enrolled):
            continue
        book.keep(course["id"])
        for row in rows.enrolled:
            if row["id"] == userid:
                row.update({key: value for key, value in changes.items() if key in row})
                count += 1
        if userid in rows.grades:
            rows.grades[userid]["userfullname"] = changes["fullname"]
    return count


EDITS: dict[str, Callable[[Book, dict[str, Any], int], int]] = {
    "set_grade": _set_grade,  # courseid, itemid, userid, grade, feedback?
    "clear_grade": _clear_grade,  # courseid, itemid, userid
    "hide_grade": _hide_grade,  # courseid, itemid, userid?, hidden?
    "hide_module": _hide_module,  # courseid, modname, instance, hidden?
    "remove_item": _remove_item,  # courseid, itemid
    "unenrol": _unenrol,  # courseid, userid
    "reset_course": _reset_course,  # courseid, unenrol?
    "move_group": _move_group,  # courseid, userid, groupid
    "leave_groups": _leave_groups,  # courseid, userid
    "remove_groups": _remove_groups,  # courseid
    "set_attendance": _set_attendance,  # courseid, sessionid, userid, acronym
    "set_duedate": _set_duedate,  # assignid, duedate (Unix seconds)
    "set_quiz": _set_quiz,  # quizid, grademethod?, timeclose?, reviewattempt?, reviewmarks?, … (bits)
    "add_attempt": _add_attempt,  # quizid, userid, sumgrades?, state?
    "remove_attempt": _remove_attempt,  # attemptid
    "set_name": _set_name,  # userid, firstname?, lastname?
}
