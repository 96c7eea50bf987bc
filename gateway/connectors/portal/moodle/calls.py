"""The questions the connector asks, one function each, with the completeness checks that belong to the question.

Between the client and the builders of records. Most losses of Moodle are silent (portal-and-planner.md §a.3), so each
answer is held against what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from gateway.connectors.paging import Page, iter_pages
from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.client import SYSTEM, MoodleClient
from gateway.connectors.portal.moodle.errors import incomplete, require_answered, require_unique
from gateway.connectors.portal.moodle.form import Argument
from gateway.domain.errors import IncompleteReadError

ENROLLED_PAGE_SIZE = 200
"""Rows of a page: each row carries its groups' descriptions, about 5 KB."""
IDS_AT_ONCE = 200
"""Ids of one call: PHP's max_input_vars is 1000 by default and every id is one variable."""

SITE_INFO = "core_webservice_get_site_info"
COURSES = "core_course_get_courses"
CATEGORIES = "core_course_get_categories"
COHORTS = "core_cohort_get_cohorts"
COHORT_MEMBERS = "core_cohort_get_cohort_members"
GROUPS = "core_group_get_course_groups"
GROUP_MEMBERS = "core_group_get_group_members"
ENROLLED = "core_enrol_get_enrolled_users"
USERS = "core_user_get_users_by_field"
GRADES = "gradereport_user_get_grade_items"
CONTENTS = "core_course_get_contents"
SESSIONS = "mod_attendance_get_sessions"
EVENTS = "core_calendar_get_calendar_events"
ASSIGNMENTS = "mod_assign_get_assignments"
QUIZZES = "mod_quiz_get_quizzes_by_courses"
ATTEMPTS = "mod_quiz_get_user_attempts"
ATTEMPTS_SINCE_5 = "mod_quiz_get_user_quiz_attempts"
REVIEW = "mod_quiz_get_attempt_review"
REVIEW_OPTIONS = "mod_quiz_get_combined_review_options"

REQUIRED = (
    *(SITE_INFO, COURSES, CATEGORIES, COHORTS, COHORT_MEMBERS, GROUPS, GROUP_MEMBERS, ENROLLED, USERS, GRADES),
    *(CONTENTS, EVENTS, ASSIGNMENTS, QUIZZES),
)


class MoodleCalls:
    """All questions over one client."""

    def __init__(self, client: MoodleClient) -> None:
        self._client = client

    def fetch_site(self) -> wire.SiteInfo:
        return self._client.fetch(SITE_INFO, {}, wire.SITE_INFO)

    def fetch_courses(self) -> list[wire.Course]:
        """Courses without the site's own one; never none, for then a right was taken away silently."""
        rows = self._client.fetch(COURSES, {}, wire.COURSES)
        require_unique([row.id for row in rows], system=SYSTEM, function=COURSES)
        courses = [row for row in rows if row.format != "site" and row.id != 1]
        if not courses:
            raise incomplete("Портал не показал ни одного курса", system=SYSTEM, function=COURSES)
        return courses

    def fetch_categories(self) -> list[wire.Category]:
        return self._client.fetch(CATEGORIES, {}, wire.CATEGORIES)

    def fetch_cohorts(self) -> dict[str, list[int]]:
        """Members of every cohort by its name."""
        cohorts = self._client.fetch(COHORTS, {}, wire.COHORTS)
        members: dict[int, list[int]] = {}
        for start in range(0, len(cohorts), IDS_AT_ONCE):
            ids = [cohort.id for cohort in cohorts[start : start + IDS_AT_ONCE]]
            rows = self._client.fetch(COHORT_MEMBERS, {"cohortids": ids}, wire.COHORT_MEMBERS)
            require_answered(ids, [row.cohortid for row in rows], system=SYSTEM, function=COHORT_MEMBERS)
            members.update({row.cohortid: row.userids for row in rows})
        named: dict[str, list[int]] = {}
        for cohort in cohorts:
            # Cohorts of different contexts may share a name; then they are one class.
            named.setdefault(cohort.name.strip(), []).extend(members[cohort.id])
        return {name: sorted(set(userids)) for name, userids in named.items()}

    def fetch_groups(self, courseid: int) -> list[wire.CourseGroup]:
        rows = self._client.fetch(GROUPS, {"courseid": courseid}, wire.GROUPS)
        require_unique([row.id for row in rows], system=SYSTEM, function=GROUPS)
        return rows

    def fetch_members(self, groupids: Sequence[int]) -> dict[int, list[int]]:
        if not groupids:
            return {}
        rows = self._client.fetch(GROUP_MEMBERS, {"groupids": list(groupids)}, wire.GROUP_MEMBERS)
        require_answered(groupids, [row.groupid for row in rows], system=SYSTEM, function=GROUP_MEMBERS)
        return {row.groupid: row.userids for row in rows}

    def fetch_enrolled(self, courseid: int, *, only_suspended: bool = False) -> list[wire.Enrolled]:
        """All enrolled people of a course, page by page until an empty page."""

        def fetch_page(number: int) -> Page[wire.Enrolled]:
            options: list[Mapping[str, Argument]] = [
                {"name": "limitfrom", "value": (number - 1) * ENROLLED_PAGE_SIZE},
                {"name": "limitnumber", "value": ENROLLED_PAGE_SIZE},
                {"name": "sortby", "value": "id"},
                {"name": "sortdirection", "value": "ASC"},
                {"name": "userfields", "value": "roles,groups"},
            ]
            if only_suspended:
                options.append({"name": "onlysuspended", "value": 1})
            rows = self._client.fetch(ENROLLED, {"courseid": courseid, "options": options}, wire.ENROLLED)
            return Page(rows)

        pages = iter_pages(fetch_page, row_id=lambda row: row.id, system=SYSTEM)
        return [row for page in pages for row in page]

    def fetch_users(self, ids: Sequence[int]) -> list[wire.User]:
        """Accounts of these ids.

        Raises:
            IncompleteReadError: Some are missing: without `viewdetails` accounts vanish silently.
        """
        users: list[wire.User] = []
        for start in range(0, len(ids), IDS_AT_ONCE):
            part = list(ids[start : start + IDS_AT_ONCE])
            rows = self._client.fetch(USERS, {"field": "id", "values": part}, wire.USERS)
            require_answered(part, [row.id for row in rows], system=SYSTEM, function=USERS)
            users += rows
        return users

    def fetch_users_by_idnumber(self, idnumbers: Sequence[str]) -> list[wire.User]:
        """Accounts with these idnumbers; unknown ones are absent."""
        return self._client.fetch(USERS, {"field": "idnumber", "values": list(idnumbers)}, wire.USERS)

    def fetch_grades(self, courseid: int, groupid: int) -> list[wire.UserGrades]:
        """The user report of a group, or of the whole course where `groupid` is 0."""
        arguments = {"courseid": courseid, "groupid": groupid} if groupid else {"courseid": courseid}
        rows = self._client.fetch(GRADES, arguments, wire.GRADE_REPORT).usergrades
        require_unique([row.userid for row in rows], system=SYSTEM, function=GRADES)
        return rows

    def fetch_modules(self, courseid: int) -> list[wire.Module]:
        sections = self._client.fetch(CONTENTS, {"courseid": courseid}, wire.CONTENTS)
        modules = [module for section in sections for module in section.modules]
        require_unique([module.id for module in modules], system=SYSTEM, function=CONTENTS)
        return modules

    def fetch_sessions(self, attendanceid: int) -> list[wire.Session]:
        rows = self._client.fetch(SESSIONS, {"attendanceid": attendanceid}, wire.SESSIONS)
        require_unique([row.id for row in rows], system=SYSTEM, function=SESSIONS)
        return rows

    def fetch_group_events(self, groupids: Sequence[int], start_at: datetime, end_at: datetime) -> list[wire.Event]:
        """Calendar events of groups. Asked without courses: with both id lists Moodle drops these silently."""
        return self._fetch_events({"groupids": list(groupids)}, start_at, end_at) if groupids else []

    def fetch_course_events(self, courseids: Sequence[int], start_at: datetime, end_at: datetime) -> list[wire.Event]:
        """Calendar events of courses and of the site."""
        return self._fetch_events({"courseids": list(courseids)}, start_at, end_at)

    def _fetch_events(self, ids: dict[str, list[int]], start_at: datetime, end_at: datetime) -> list[wire.Event]:
        options: Mapping[str, Argument] = {
            "userevents": False,
            "siteevents": "courseids" in ids,
            "timestart": int(start_at.timestamp()),
            "timeend": int(end_at.timestamp()),
            "ignorehidden": False,
        }
        arguments: Mapping[str, Argument] = {"events": ids, "options": options}
        rows = self._client.fetch(EVENTS, arguments, wire.EVENTS).events
        require_unique([row.id for row in rows], system=SYSTEM, function=EVENTS)
        return rows

    def fetch_assignments(self, courseid: int) -> list[wire.Assignment]:
        # A service account is enrolled nowhere and gets nothing without this flag.
        arguments: Mapping[str, Argument] = {"courseids": [courseid], "includenotenrolledcourses": True}
        courses = self._client.fetch(ASSIGNMENTS, arguments, wire.ASSIGNMENTS).courses
        require_answered([courseid], [row.id for row in courses], system=SYSTEM, function=ASSIGNMENTS)
        rows = [row for course in courses for row in course.assignments]
        require_unique([row.id for row in rows], system=SYSTEM, function=ASSIGNMENTS)
        return rows

    def fetch_quizzes(self, courseid: int) -> list[wire.Quiz]:
        rows = self._client.fetch(QUIZZES, {"courseids": [courseid]}, wire.QUIZZES).quizzes
        require_unique([row.id for row in rows], system=SYSTEM, function=QUIZZES)
        return rows

    def fetch_quizzes_of(self, courseids: Sequence[int]) -> list[wire.Quiz]:
        """Quizzes of many courses in a few calls; a course that is not there, or not to be seen, has none."""
        found: list[wire.Quiz] = []
        for start in range(0, len(courseids), IDS_AT_ONCE):
            part = list(courseids[start : start + IDS_AT_ONCE])
            try:
                found += self._client.fetch(QUIZZES, {"courseids": part}, wire.QUIZZES).quizzes
            except IncompleteReadError:
                # one lost course spoils the answer about all
                for courseid in part:
                    with suppress(IncompleteReadError):
                        found += self.fetch_quizzes(courseid)
        require_unique([row.id for row in found], system=SYSTEM, function=QUIZZES)
        return found

    def fetch_review(self, attemptid: int) -> wire.AttemptReview:
        """All questions of an attempt, as a teacher sees them."""
        review = self._client.fetch(REVIEW, {"attemptid": attemptid, "page": -1}, wire.REVIEW)
        if review.attempt.id != attemptid:
            raise incomplete("Просмотр чужой попытки", system=SYSTEM, function=REVIEW)
        require_unique([row.slot for row in review.questions], system=SYSTEM, function=REVIEW)
        return review

    def fetch_review_options(self, quizid: int, userid: int) -> wire.ReviewOptions:
        """What a pupil is shown of his attempts at a quiz just now."""
        return self._client.fetch(REVIEW_OPTIONS, {"quizid": quizid, "userid": userid}, wire.REVIEW_OPTIONS)

    def fetch_attempts(self, quizid: int, userid: int, *, function: str = ATTEMPTS) -> list[wire.QuizAttempt]:
        """Attempts of one pupil at one quiz, unfinished ones too; there is no bulk form."""
        arguments: Mapping[str, Argument] = {
            "quizid": quizid,
            "userid": userid,
            "status": "all",
            "includepreviews": False,
        }
        rows = self._client.fetch(function, arguments, wire.ATTEMPTS).attempts
        require_unique([row.id for row in rows], system=SYSTEM, function=function)
        return rows
