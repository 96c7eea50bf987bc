"""The web-service functions of the sandbox portal, answered from a book's rows.

Shapes, types and quirks are those of Moodle 4.5.6 (portal-and-planner.md §a.4); unknown ids behave as there: silently
absent in lists of users and assignments, a warning for courses of modules, `invalidrecord` elsewhere. Everything asked
for and not known is also noted as a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.portal.arguments import Spec, checked, missing_record, options_of
from gateway.sandbox.portal.book import Book, CourseRows, Row

Note = Callable[[str], None]
"""Told what was asked for and isn't known, as `table:id`."""


@dataclass(frozen=True)
class Function:
    """One web-service function: its arguments and its answer."""

    spec: Spec
    answer: Callable[[Book, Row, Note], Any]


NOW = "__now__"
"""The portal's own moment (Unix seconds), beside the arguments of a call."""


def answer(name: str, arguments: dict[str, Any], *, book: Book, note: Note, now: int | None = None) -> Any:
    """Answer one call.

    Args:
        now: Unix seconds; None = the moment of the book's content.

    Raises:
        PortalRefusalError: As the portal would.
    """
    function = FUNCTIONS.get(name)
    if function is None:
        note(f"external_functions:{name}")
        raise missing_record("external_functions")
    args = checked(arguments, function.spec)
    return function.answer(book, {**args, NOW: book.latest_moment() if now is None else now}, note)


def _course(book: Book, courseid: int, note: Note) -> CourseRows:
    rows = book.course(courseid)
    if rows is None:
        note(f"course:{courseid}")
        raise missing_record("course")
    return rows


def _owner(book: Book, kind: str, instance: int, note: Note, table: str) -> CourseRows:
    courseid = book.course_of(kind, instance)
    rows = None if courseid is None else book.course(courseid)
    if rows is None:
        note(f"{table}:{instance}")
        raise missing_record(table)
    return rows


def _site_info(book: Book, _args: Row, _note: Note) -> Row:
    return book.site


def _courses(book: Book, args: Row, note: Note) -> list[Row]:
    ids = args.get("options", {}).get("ids")
    rows = book.course_rows()
    if ids is None:
        return rows
    for courseid in ids:
        if all(row["id"] != courseid for row in rows):
            note(f"course:{courseid}")
            raise missing_record("course")
    return [row for row in rows if row["id"] in ids]


def _cohorts(book: Book, args: Row, _note: Note) -> list[Row]:
    ids = args.get("cohortids") or None
    return [row for row in book.cohorts if ids is None or row["id"] in ids]


def _cohort_members(book: Book, args: Row, note: Note) -> list[Row]:
    answered = []
    for cohortid in args["cohortids"]:
        userids = book.cohort_members(cohortid)
        if userids is None:
            note(f"cohort:{cohortid}")
            raise missing_record("cohort")
        answered.append({"cohortid": cohortid, "userids": userids})
    return answered


def _groups(book: Book, args: Row, note: Note) -> list[Row]:
    return _course(book, args["courseid"], note).groups


def _group_members(book: Book, args: Row, note: Note) -> list[Row]:
    answered = []
    for groupid in args["groupids"]:
        rows = _owner(book, "group", groupid, note, "groups")
        if groupid not in rows.members:
            note(f"groups_members:{groupid}")
            raise missing_record("groups")
        answered.append({"groupid": groupid, "userids": rows.members[groupid]})
    return answered


_ALWAYS = frozenset({"id", "fullname"})


def _enrolled(book: Book, args: Row, note: Note) -> list[Row]:
    options = options_of(args.get("options", []))
    rows = sorted(_course(book, args["courseid"], note).enrolled, key=lambda row: row["id"])
    if options.get("sortdirection", "ASC").upper() == "DESC":
        rows.reverse()
    if "groupid" in options and options["groupid"] != "0":
        members = set(_owner(book, "group", int(options["groupid"]), note, "groups").members[int(options["groupid"])])
        rows = [row for row in rows if row["id"] in members]
    if options.get("onlysuspended") == "1" or options.get("onlyactive") == "1":
        suspended = {row["id"] for row in book.users(row["id"] for row in rows) if row["suspended"]}
        wants_suspended = options.get("onlysuspended") == "1"
        rows = [row for row in rows if (row["id"] in suspended) is wants_suspended]
    start = int(options.get("limitfrom", "0"))
    count = int(options.get("limitnumber", "0"))
    rows = rows[start : start + count] if count else rows[start:]
    if "userfields" not in options:
        return rows
    # The real portal trims names of fields it doesn't know silently, and so do we.
    wanted = _ALWAYS | {name.strip() for name in options["userfields"].split(",")}
    return [{key: value for key, value in row.items() if key in wanted} for row in rows]


def _users_by_field(book: Book, args: Row, note: Note) -> list[Row]:
    if args["field"] == "id":
        wanted = [int(value) for value in args["values"] if value.isdigit()]
        found = book.users(wanted)
        for userid in set(wanted) - {row["id"] for row in found}:
            note(f"user:{userid}")
        return found
    if args["field"] == "idnumber":
        found = book.users_by_idnumber(args["values"])
        for value in set(args["values"]) - {row["idnumber"] for row in found}:
            note(f"user_idnumber:{value}")
        return found
    note(f"user_field:{args['field']}")
    raise missing_record("user")


def _grade_items(book: Book, args: Row, note: Note) -> Row:
    rows = _course(book, args["courseid"], note)
    members: Iterable[int] | None = None
    if args.get("groupid"):
        groupid = args["groupid"]
        if groupid not in rows.members:
            note(f"groups:{groupid}")
            raise missing_record("groups")
        members = set(rows.members[groupid])
    graded = [
        row
        for userid, row in rows.grades.items()
        if (members is None or userid in members) and (not args.get("userid") or userid == args["userid"])
    ]
    return {"usergrades": graded, "warnings": []}


def _contents(book: Book, args: Row, note: Note) -> list[Row]:
    return _course(book, args["courseid"], note).contents


def _sessions(book: Book, args: Row, note: Note) -> list[Row]:
    rows = _owner(book, "attendance", args["attendanceid"], note, "attendance")
    if args["attendanceid"] not in rows.sessions:
        note(f"attendance_sessions:{args['attendanceid']}")
        raise missing_record("attendance")
    return rows.sessions[args["attendanceid"]]


def _events(book: Book, args: Row, note: Note) -> Row:
    asked = args.get("events", {})
    options = args.get("options", {})
    courseids, groupids = asked.get("courseids", []), asked.get("groupids", [])
    found = list(book.site_events) if options.get("siteevents") else []
    for courseid in courseids:
        found += [event for event in _course(book, courseid, note).events if event["groupid"] is None]
    # With both id lists the real portal drops all group events without a word (§a.4, "Trap").
    for groupid in [] if courseids else groupids:
        events = _owner(book, "group", groupid, note, "groups").events
        found += [event for event in events if event["groupid"] == groupid]
    start, end = options.get("timestart", 0), options.get("timeend", 0)
    found = [
        event
        for event in found
        if event["timestart"] + event["timeduration"] >= start and (not end or event["timestart"] <= end)
    ]
    found.sort(key=lambda event: (event["timestart"], event["id"]))
    return {"events": found, "warnings": []}


def _warning(item: str, itemid: int, code: str, message: str) -> Row:
    return {"item": item, "itemid": itemid, "warningcode": code, "message": message}


def _assignments(book: Book, args: Row, note: Note) -> Row:
    courses, warnings = [], []
    for courseid in args.get("courseids", []):
        rows = book.course(courseid)
        if rows is None or rows.assignments is None:
            note(f"course_assignments:{courseid}")
            warnings.append(_warning("course", courseid, "1", "No access rights in course context"))
        elif not args.get("includenotenrolledcourses"):
            text = "User is not enrolled or does not have requested capability"
            warnings.append(_warning("course", courseid, "2", text))
        else:
            courses.append(rows.assignments)
    return {"courses": courses, "warnings": warnings}


def _per_assignment(kind: str, key: str) -> Callable[[Book, Row, Note], Row]:
    def rows_since(book: Book, args: Row, note: Note) -> Row:
        answered = []
        for assignmentid in sorted(args["assignmentids"]):
            courseid = book.course_of("assign", assignmentid)
            rows = None if courseid is None else book.course(courseid)
            held = None if rows is None else getattr(rows, kind).get(assignmentid)
            if held is None:
                note(f"{kind}:{assignmentid}")
                continue  # not even a warning: errors.warning_instead_of_error
            since, before = args.get("since", 0), args.get("before", 0)
            wanted = [
                row for row in held if row["timemodified"] >= since and (not before or row["timemodified"] <= before)
            ]
            if args.get("status"):
                wanted = [row for row in wanted if row["status"] == args["status"]]
            answered.append({"assignmentid": assignmentid, key: wanted})
        return {"assignments": answered, "warnings": []}

    return rows_since


def _is_closed(quiz: Row, now: int) -> bool:
    return bool(quiz["timeclose"]) and quiz["timeclose"] <= now


def _as_listed(quiz: Row, now: int) -> Row:
    """A closed quiz keeps everybody out, and then the portal leaves its review settings out, whoever asks."""
    if not _is_closed(quiz, now):
        return quiz
    return {name: value for name, value in quiz.items() if not name.startswith("review")}


def _quizzes(book: Book, args: Row, note: Note) -> Row:
    quizzes: list[Row] = []
    warnings = []
    for courseid in args.get("courseids", []):
        rows = book.course(courseid)
        if rows is None:
            note(f"course_quizzes:{courseid}")
            warnings.append(_warning("course", courseid, "1", "No access rights in course context"))
        else:
            quizzes += [_as_listed(quiz, args[NOW]) for quiz in rows.quizzes]
    return {"quizzes": quizzes, "warnings": warnings}


def _attempts(book: Book, args: Row, note: Note) -> Row:
    quizid, userid = args["quizid"], args.get("userid") or book.site["userid"]
    rows = _owner(book, "quiz", quizid, note, "quiz")
    attempts = rows.attempts.get((quizid, userid))
    if attempts is None:
        if userid == book.site["userid"]:
            return {"attempts": [], "warnings": []}
        note(f"quiz_attempts:{quizid}:{userid}")
        raise missing_record("user")
    status = args.get("status", "finished")
    is_finished = {"finished": True, "unfinished": False}.get(status)
    wanted = [row for row in attempts if is_finished is None or (row["state"] == "finished") is is_finished]
    return {"attempts": wanted, "warnings": []}


def _review(book: Book, args: Row, note: Note) -> Row:
    rows = _owner(book, "attempt", args["attemptid"], note, "quiz_attempts")
    review = rows.find_review(args["attemptid"])
    if review is None:
        note(f"quiz_attempt_review:{args['attemptid']}")
        raise missing_record("quiz_attempts")
    return review


_BIT_OPEN, _BIT_CLOSED = 0x00100, 0x00010


def _review_options(book: Book, args: Row, note: Note) -> Row:
    """What a pupil is shown of a quiz now; the attempt itself and right or wrong are not among it, as at the real one."""
    rows = _owner(book, "quiz", args["quizid"], note, "quiz")
    quiz = next((row for row in rows.quizzes if row["id"] == args["quizid"]), None)
    if quiz is None:
        note(f"quiz:{args['quizid']}")
        raise missing_record("quiz")
    bit = _BIT_CLOSED if _is_closed(quiz, args[NOW]) else _BIT_OPEN
    marks = 0
    if quiz["reviewmaxmarks"] & bit:
        marks = 2 if quiz["reviewmarks"] & bit else 1
    options = [
        {"name": name, "value": int(bool(quiz[field] & bit))}
        for name, field in (
            ("feedback", "reviewspecificfeedback"),
            ("generalfeedback", "reviewgeneralfeedback"),
            ("rightanswer", "reviewrightanswer"),
            ("overallfeedback", "reviewoverallfeedback"),
        )
    ]
    options.append({"name": "marks", "value": marks})
    return {"someoptions": options, "alloptions": options, "warnings": []}


_OPTIONS = [{"name": "text", "value": "text"}]

FUNCTIONS: dict[str, Function] = {
    "core_webservice_get_site_info": Function({}, _site_info),
    "core_course_get_categories": Function({}, lambda book, _args, _note: book.categories),
    "core_course_get_courses": Function({"options?": {"ids?": ["int"]}}, _courses),
    "core_cohort_get_cohorts": Function({"cohortids?": ["int"]}, _cohorts),
    "core_cohort_get_cohort_members": Function({"cohortids": ["int"]}, _cohort_members),
    "core_group_get_course_groups": Function({"courseid": "int"}, _groups),
    "core_group_get_group_members": Function({"groupids": ["int"]}, _group_members),
    "core_enrol_get_enrolled_users": Function({"courseid": "int", "options?": _OPTIONS}, _enrolled),
    "core_user_get_users_by_field": Function({"field": "text", "values": ["text"]}, _users_by_field),
    "gradereport_user_get_grade_items": Function(
        {"courseid": "int", "userid?": "int", "groupid?": "int"}, _grade_items
    ),
    "core_course_get_contents": Function({"courseid": "int", "options?": _OPTIONS}, _contents),
    "mod_attendance_get_sessions": Function({"attendanceid": "int"}, _sessions),
    "core_calendar_get_calendar_events": Function(
        {
            "events?": {"eventids?": ["int"], "courseids?": ["int"], "groupids?": ["int"], "categoryids?": ["int"]},
            "options?": {
                "userevents?": "bool",
                "siteevents?": "bool",
                "timestart?": "int",
                "timeend?": "int",
                "ignorehidden?": "bool",
            },
        },
        _events,
    ),
    "mod_assign_get_assignments": Function(
        {"courseids?": ["int"], "capabilities?": ["text"], "includenotenrolledcourses?": "bool"}, _assignments
    ),
    "mod_assign_get_submissions": Function(
        {"assignmentids": ["int"], "status?": "text", "since?": "int", "before?": "int"},
        _per_assignment("submissions", "submissions"),
    ),
    "mod_assign_get_grades": Function(
        {"assignmentids": ["int"], "since?": "int"}, _per_assignment("assign_grades", "grades")
    ),
    "mod_quiz_get_quizzes_by_courses": Function({"courseids?": ["int"]}, _quizzes),
    "mod_quiz_get_user_attempts": Function(
        {"quizid": "int", "userid?": "int", "status?": "text", "includepreviews?": "bool"}, _attempts
    ),
    "mod_quiz_get_combined_review_options": Function({"quizid": "int", "userid?": "int"}, _review_options),
    "mod_quiz_get_attempt_review": Function({"attemptid": "int", "page?": "int"}, _review),
}
