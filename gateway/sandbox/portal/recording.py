"""A recorded whole read of a real portal, sorted back into rows.

The recording answers more questions than it holds literally: id lists, pages and time windows are answered by
filtering and joining the rows. What no recorded line covers stays unknown and is reported as a miss.
"""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from gateway.sandbox.portal.book import CourseRows, Row

SHIPPED = "moodle-4.5.6.jsonl.gz"


def read_recording(path: Path | None = None) -> list[Row]:
    """Read a recording, gzipped or plain; without a path the one that ships with the package."""
    if path is None:
        packed = resources.files("gateway.sandbox").joinpath("recordings", SHIPPED).read_bytes()
    else:
        packed = path.read_bytes()
    text = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
    return [json.loads(line) for line in text.decode("utf-8").splitlines() if line]


class RecordedBook:
    """Rows of one recording; edits change this copy, never the recording."""

    def __init__(self, lines: Iterable[Mapping[str, Any]]) -> None:
        self.site: Row = {}
        self.categories: list[Row] = []
        self.cohorts: list[Row] = []
        self.site_events: list[Row] = []
        self._courses: list[Row] = []
        self._cohort_members: dict[int, list[int]] = {}
        self._users: dict[int, Row] = {}
        self._by_course: dict[int, CourseRows] = {}
        self._owner: dict[tuple[str, int], int] = {}
        recorded = [copy.deepcopy(dict(line)) for line in lines]
        # Rows hang on courses, groups and quizzes, so those are sorted in first.
        for function in _ORDER:
            for line in recorded:
                if line["wsfunction"] == function:
                    getattr(self, f"_take_{_ORDER[function]}")(line["params"], line["body"])

    def course_rows(self) -> list[Row]:
        return self._courses

    def cohort_members(self, cohortid: int) -> list[int] | None:
        return self._cohort_members.get(cohortid)

    def users(self, ids: Iterable[int]) -> list[Row]:
        return [self._users[each] for each in ids if each in self._users]

    def users_by_idnumber(self, values: Iterable[str]) -> list[Row]:
        wanted = set(values)
        return [each for each in self._users.values() if each["idnumber"] in wanted]

    def course(self, courseid: int) -> CourseRows | None:
        return self._by_course.get(courseid)

    def course_of(self, kind: str, instance: int) -> int | None:
        return self._owner.get((kind, instance))

    def keep(self, courseid: int) -> None:
        """Nothing to do: recorded rows are held anyway."""

    def rename(self, userid: int, changes: Row) -> bool:
        if userid not in self._users:
            return False
        self._users[userid].update(changes)
        return True

    def latest_moment(self) -> int:
        moments = [
            attempt["timemodified"]
            for course in self._by_course.values()
            for attempts in course.attempts.values()
            for attempt in attempts
        ]
        moments += [
            item["gradedategraded"] or 0
            for course in self._by_course.values()
            for row in course.grades.values()
            for item in row["gradeitems"]
        ]
        return max(moments, default=0)

    def _take_site(self, _params: Row, body: Row) -> None:
        self.site = body

    def _take_categories(self, _params: Row, body: list[Row]) -> None:
        self.categories = body

    def _take_courses(self, _params: Row, body: list[Row]) -> None:
        self._courses = body
        for row in body:
            if row["format"] != "site":
                self._by_course[row["id"]] = CourseRows(course=row)

    def _take_cohorts(self, _params: Row, body: list[Row]) -> None:
        self.cohorts = body

    def _take_cohort_members(self, _params: Row, body: list[Row]) -> None:
        self._cohort_members.update({row["cohortid"]: row["userids"] for row in body})

    def _take_groups(self, params: Row, body: list[Row]) -> None:
        self._by_course[params["courseid"]].groups = body
        self._owner.update({("group", row["id"]): params["courseid"] for row in body})

    def _take_members(self, _params: Row, body: list[Row]) -> None:
        for row in body:
            self._by_course[self._owner["group", row["groupid"]]].members[row["groupid"]] = row["userids"]

    def _take_enrolled(self, params: Row, body: list[Row]) -> None:
        self._by_course[params["courseid"]].enrolled = body

    def _take_grades(self, params: Row, body: Row) -> None:
        # The answer for a group is part of the course's answer; the union covers both, the fuller one first.
        rows = self._by_course[params["courseid"]].grades
        for row in body["usergrades"]:
            rows.setdefault(row["userid"], row)

    def _take_contents(self, params: Row, body: list[Row]) -> None:
        self._by_course[params["courseid"]].contents = body
        for section in body:
            for module in section["modules"]:
                self._owner[module["modname"], module["instance"]] = params["courseid"]

    def _take_sessions(self, params: Row, body: list[Row]) -> None:
        courseid = self._owner["attendance", params["attendanceid"]]
        self._by_course[courseid].sessions[params["attendanceid"]] = body

    def _take_events(self, _params: Row, body: Row) -> None:
        for event in body["events"]:
            course = self._by_course.get(event["courseid"])
            held = self.site_events if event["eventtype"] == "site" or course is None else course.events
            if all(each["id"] != event["id"] for each in held):
                held.append(event)

    def _take_users(self, _params: Row, body: list[Row]) -> None:
        self._users.update({row["id"]: row for row in body})

    def _take_assignments(self, _params: Row, body: Row) -> None:
        for row in body["courses"]:
            self._by_course[row["id"]].assignments = row

    def _take_submissions(self, _params: Row, body: Row) -> None:
        for row in body["assignments"]:
            courseid = self._owner["assign", row["assignmentid"]]
            self._by_course[courseid].submissions[row["assignmentid"]] = row["submissions"]

    def _take_assign_grades(self, _params: Row, body: Row) -> None:
        for row in body["assignments"]:
            courseid = self._owner["assign", row["assignmentid"]]
            self._by_course[courseid].assign_grades[row["assignmentid"]] = row["grades"]

    def _take_quizzes(self, _params: Row, body: Row) -> None:
        for row in body["quizzes"]:
            self._by_course[row["course"]].quizzes.append(row)

    def _take_attempts(self, params: Row, body: Row) -> None:
        courseid = self._owner["quiz", params["quizid"]]
        self._by_course[courseid].attempts[params["quizid"], params["userid"]] = body["attempts"]
        self._owner.update({("attempt", row["id"]): courseid for row in body["attempts"]})

    def _take_review(self, params: Row, body: Row) -> None:
        self._by_course[self._owner["attempt", params["attemptid"]]].reviews[params["attemptid"]] = body


_ORDER = {
    "core_webservice_get_site_info": "site",
    "core_course_get_categories": "categories",
    "core_course_get_courses": "courses",
    "core_cohort_get_cohorts": "cohorts",
    "core_cohort_get_cohort_members": "cohort_members",
    "core_group_get_course_groups": "groups",
    "core_group_get_group_members": "members",
    "core_enrol_get_enrolled_users": "enrolled",
    "core_user_get_users_by_field": "users",
    "gradereport_user_get_grade_items": "grades",
    "core_course_get_contents": "contents",
    "mod_attendance_get_sessions": "sessions",
    "core_calendar_get_calendar_events": "events",
    "mod_assign_get_assignments": "assignments",
    "mod_assign_get_submissions": "submissions",
    "mod_assign_get_grades": "assign_grades",
    "mod_quiz_get_quizzes_by_courses": "quizzes",
    "mod_quiz_get_user_attempts": "attempts",
    "mod_quiz_get_attempt_review": "review",
}
