"""Cut a recorded whole read of a Moodle portal down to what ships with the package.

Works on a JSON-lines recording (a line a call: `{wsfunction, params, status, body}`) and keeps only the fields named in
`KEPT`: no HTML but that of a test's question as the pupil saw it, no tokens or private keys, no addresses of a machine, no remarks of attendance (health). A third of the
pupils lose their external id on purpose, so that people have to be correlated by a confirmed link as well.

Run as `python -m gateway.sandbox.portal.trim IN.jsonl OUT.jsonl.gz`.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.sandbox.portal.questions import REVIEW_FIELDS

Json = Any  # a decoded JSON value has no narrower honest type
Shape = Mapping[str, Any]  # field → nested shape, or None for "keep the value whole"

_PERSON: Shape = {
    "id": None,
    "firstname": None,
    "lastname": None,
    "fullname": None,
    "email": None,
    "idnumber": None,
    "customfields": {"type": None, "value": None, "name": None, "shortname": None},
}
_STATUS: Shape = {
    "id": None,
    "attendanceid": None,
    "acronym": None,
    "description": None,
    "grade": None,
    "visible": None,
    "deleted": None,
    "setnumber": None,
}
_ATTEMPT: Shape = {
    "id": None,
    "quiz": None,
    "userid": None,
    "attempt": None,
    "uniqueid": None,
    "preview": None,
    "state": None,
    "timestart": None,
    "timefinish": None,
    "timemodified": None,
    "sumgrades": None,
}
_GRADE_ITEM: Shape = dict.fromkeys(
    (
        *("id", "itemname", "itemtype", "itemmodule", "iteminstance", "itemnumber", "idnumber", "categoryid", "cmid"),
        *("outcomeid", "scaleid", "locked", "weightraw", "status", "graderaw", "gradedatesubmitted", "gradedategraded"),
        *("gradehiddenbydate", "gradeneedsupdate", "gradeishidden", "gradeislocked", "gradeisoverridden"),
        *("gradeformatted", "grademin", "grademax", "percentageformatted", "feedback", "feedbackformat"),
    )
)
_WARNINGS: Shape = {"item": None, "itemid": None, "warningcode": None, "message": None}

KEPT: Mapping[str, Shape] = {
    "core_webservice_get_site_info": {
        "sitename": None,
        "release": None,
        "version": None,
        "userid": None,
        "functions": {"name": None, "version": None},
    },
    "core_course_get_categories": {"id": None, "name": None, "idnumber": None, "parent": None, "path": None},
    "core_course_get_courses": {
        "id": None,
        "shortname": None,
        "categoryid": None,
        "fullname": None,
        "format": None,
        "startdate": None,
        "enddate": None,
    },
    "core_cohort_get_cohorts": {"id": None, "name": None, "idnumber": None, "visible": None},
    "core_cohort_get_cohort_members": {"cohortid": None, "userids": None},
    "core_group_get_course_groups": {"id": None, "courseid": None, "name": None, "idnumber": None},
    "core_group_get_group_members": {"groupid": None, "userids": None},
    "core_enrol_get_enrolled_users": {
        **_PERSON,
        "groups": {"id": None, "name": None},
        "roles": {"roleid": None, "name": None, "shortname": None, "sortorder": None},
    },
    "gradereport_user_get_grade_items": {
        "usergrades": {
            "courseid": None,
            "courseidnumber": None,
            "userid": None,
            "userfullname": None,
            "useridnumber": None,
            "maxdepth": None,
            "gradeitems": _GRADE_ITEM,
        },
        "warnings": _WARNINGS,
    },
    "core_course_get_contents": {
        "id": None,
        "name": None,
        "visible": None,
        "section": None,
        "modules": {
            "id": None,
            "instance": None,
            "modname": None,
            "name": None,
            "visible": None,
            "dates": {"label": None, "timestamp": None, "dataid": None},
        },
    },
    "mod_attendance_get_sessions": {
        "id": None,
        "attendanceid": None,
        "groupid": None,
        "sessdate": None,
        "duration": None,
        "lasttaken": None,
        "lasttakenby": None,
        "timemodified": None,
        "description": None,
        "statusset": None,
        "courseid": None,
        "statuses": _STATUS,
        "attendance_log": {"id": None, "studentid": None, "statusid": None},
        "users": {"id": None},
    },
    "core_calendar_get_calendar_events": {
        "events": {
            "id": None,
            "name": None,
            "courseid": None,
            "categoryid": None,
            "groupid": None,
            "userid": None,
            "modulename": None,
            "instance": None,
            "eventtype": None,
            "timestart": None,
            "timeduration": None,
            "visible": None,
            "timemodified": None,
        },
        "warnings": _WARNINGS,
    },
    "core_user_get_users_by_field": {**_PERSON, "username": None, "department": None, "auth": None, "suspended": None},
    "mod_assign_get_assignments": {
        "courses": {
            "id": None,
            "fullname": None,
            "shortname": None,
            "timemodified": None,
            "assignments": {
                "id": None,
                "cmid": None,
                "course": None,
                "name": None,
                "intro": None,
                "introformat": None,
                "duedate": None,
                "allowsubmissionsfromdate": None,
                "cutoffdate": None,
                "gradingduedate": None,
                "grade": None,
                "timemodified": None,
            },
        },
        "warnings": _WARNINGS,
    },
    "mod_assign_get_submissions": {
        "assignments": {
            "assignmentid": None,
            "submissions": {
                "id": None,
                "userid": None,
                "attemptnumber": None,
                "timecreated": None,
                "timemodified": None,
                "status": None,
                "groupid": None,
                "gradingstatus": None,
            },
        },
        "warnings": _WARNINGS,
    },
    "mod_assign_get_grades": {
        "assignments": {
            "assignmentid": None,
            "grades": {
                "id": None,
                "userid": None,
                "attemptnumber": None,
                "timecreated": None,
                "timemodified": None,
                "grader": None,
                "grade": None,
            },
        },
        "warnings": _WARNINGS,
    },
    "mod_quiz_get_quizzes_by_courses": {
        "quizzes": {
            "id": None,
            "coursemodule": None,
            "course": None,
            "name": None,
            "visible": None,
            "timeopen": None,
            "timeclose": None,
            "timelimit": None,
            "attempts": None,
            "grademethod": None,
            "sumgrades": None,
            "grade": None,
            **dict.fromkeys(REVIEW_FIELDS),
        },
        "warnings": _WARNINGS,
    },
    "mod_quiz_get_user_attempts": {"attempts": _ATTEMPT, "warnings": _WARNINGS},
    "mod_quiz_get_attempt_review": {
        "grade": None,
        "attempt": _ATTEMPT,
        "questions": dict.fromkeys(("slot", "type", "questionnumber", "html", "state", "mark", "maxmark")),
        "warnings": _WARNINGS,
    },
}
"""Function → fields kept, nested; None keeps a value whole."""

_TAG = re.compile(r"<[^>]*>")


def to_text(value: Json) -> Json:
    """Take the markup out of a formatted string; anything else stays."""
    return _TAG.sub("", value) if isinstance(value, str) else value


def question_block(html: str) -> str:
    """What stands before the pupil in a question's page: from `formulation` to the feedback, without addresses."""
    start = html.find('<div class="formulation')
    ends = [end for name in ("outcome", "comment", "history") if (end := html.find(f'<div class="{name}', start)) > 0]
    return html[start : min(ends, default=len(html))] if start >= 0 else ""


def _cut(value: Json, shape: Shape) -> Json:
    if isinstance(value, list):
        return [_cut(each, shape) for each in value]
    if not isinstance(value, dict):
        return to_text(value)
    return {
        key: _cut(value[key], inner) if inner is not None else _leaf(value[key])
        for key, inner in shape.items()
        if key in value
    }


def _leaf(value: Json) -> Json:
    if isinstance(value, list):
        return [_leaf(each) for each in value]
    return to_text(value)


def loses_external_id(userid: int) -> bool:
    """Every third account by id has no external id at the made-up portal."""
    return userid % 3 == 0


def trim_line(line: dict[str, Json], called: frozenset[str]) -> dict[str, Json]:
    """Reduce one recorded call.

    Args:
        line: `{wsfunction, params, status, body}`.
        called: Functions that occur in the recording; only these stay in the site's list.

    Raises:
        KeyError: The function has no entry in `KEPT`: decide what to keep before shipping it.
    """
    function = line["wsfunction"]
    body = _cut(line["body"], KEPT[function])
    if function == "core_webservice_get_site_info":
        body["functions"] = [each for each in body["functions"] if each["name"] in called]
    if function == "mod_quiz_get_attempt_review":
        for place, question in enumerate(line["body"]["questions"]):
            body["questions"][place]["html"] = question_block(question["html"])
    if function in {"core_user_get_users_by_field", "core_enrol_get_enrolled_users"}:
        for person in body:
            if loses_external_id(person["id"]):
                person["customfields"] = []
    return {"wsfunction": function, "params": line["params"], "status": line["status"], "body": body}


def iter_trimmed(lines: list[dict[str, Json]]) -> Iterator[dict[str, Json]]:
    """Reduce a whole recording, line by line."""
    called = frozenset(line["wsfunction"] for line in lines)
    for line in lines:
        yield trim_line(line, called)


def main(arguments: list[str]) -> int:
    """Read the raw recording, write the trimmed one gzipped; the same input gives the same bytes."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m gateway.sandbox.portal.trim IN.jsonl OUT.jsonl.gz\n")
        return 2
    source, target = map(Path, arguments)
    lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines() if line]
    text = "\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in iter_trimmed(lines))
    # mtime=0: the archive is committed and must not differ between two runs.
    target.write_bytes(gzip.compress((text + "\n").encode(), compresslevel=9, mtime=0))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
