"""The sandbox portal over a made-up school: the same protocol and edits as the replay, any number of pupils.

A course's rows are computed when asked for; a few stay cached, and those that were edited stay for good.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime

from starlette.applications import Starlette

from gateway.sandbox.portal.answers import FUNCTIONS
from gateway.sandbox.portal.app import DEFAULT_TOKEN, build_portal_app
from gateway.sandbox.portal.book import CourseRows, Row
from gateway.sandbox.portal.school_course import (
    ATTEMPTS_A_PUPIL,
    FIRST_COURSE,
    FIRST_PUPIL,
    FIRST_TEACHER,
    GROUP_STRIDE,
    CourseBuilder,
    unix_at,
    unix_of,
)
from gateway.sandbox.school import LEVELS, SUBJECTS, School

DEFAULT_NOW = datetime(2026, 11, 23, 15, 50, tzinfo=UTC)
"""The made-up school stands at the recording's moment, in the second quarter of 2026/27."""
CACHED_COURSES = 3
"""Courses whose computed rows are kept: a reader asks several questions about one before the next."""

_SERVICE_USER = 2


class SchoolBook:
    """A made-up school's rows in Moodle's spelling."""

    def __init__(self, school: School) -> None:
        self._school = school
        self._kept: dict[int, CourseRows] = {}
        self._cached: OrderedDict[int, CourseRows] = OrderedDict()
        self._renamed: dict[int, Row] = {}
        levels = [index for index in range(len(LEVELS)) if school.classes_of_level(index)]
        self._course_ids = [FIRST_COURSE + index * len(SUBJECTS) + s for index in levels for s in range(len(SUBJECTS))]
        year = school.year_starts_on.year
        self.site: Row = {
            "sitename": "Портал школы",
            "release": "4.5.6 (Build: 20250811)",
            "version": "2024100706",
            "userid": _SERVICE_USER,
            "functions": [{"name": name, "version": "2024100700"} for name in sorted(FUNCTIONS)],
        }
        title = f"{year}/{(year + 1) % 100:02d} учебный год"
        self.categories: list[Row] = [{"id": 2, "name": title, "parent": 0, "path": "/2"}]
        self.cohorts: list[Row] = [
            {
                "id": number + 1,
                "name": school.class_name(number),
                "idnumber": f"class-{year}-{school.class_name(number)}",
                "visible": True,
            }
            for number in range(school.class_count)
        ]
        self.site_events: list[Row] = []

    def course_rows(self) -> list[Row]:
        site = {"id": 1, "shortname": "portal", "categoryid": 0, "fullname": "Портал школы", "format": "site"}
        return [{**site, "startdate": 0, "enddate": 0}, *(self._course_row(each) for each in self._course_ids)]

    def cohort_members(self, cohortid: int) -> list[int] | None:
        if not 1 <= cohortid <= self._school.class_count:
            return None
        return [FIRST_PUPIL + number for number in self._school.pupils_of(cohortid - 1)]

    def users(self, ids: Iterable[int]) -> list[Row]:
        return [row for row in (self._user(userid) for userid in ids) if row is not None]

    def users_by_idnumber(self, values: Iterable[str]) -> list[Row]:
        ids = []
        for value in values:
            prefix, _, digits = value.partition("-")
            if digits.isdigit() and prefix in {"S", "T"}:
                ids.append(int(digits) + (FIRST_PUPIL if prefix == "S" else FIRST_TEACHER))
        return [row for row in self.users(ids) if row["idnumber"] in set(values)]

    def course(self, courseid: int) -> CourseRows | None:
        if courseid in self._kept:
            return self._kept[courseid]
        if courseid in self._cached:
            self._cached.move_to_end(courseid)
            return self._cached[courseid]
        if courseid not in self._course_ids:
            return None
        rows = self._cached[courseid] = self._build_course(courseid)
        while len(self._cached) > CACHED_COURSES:
            self._cached.popitem(last=False)
        return rows

    def course_of(self, kind: str, instance: int) -> int | None:
        if kind == "group":
            class_number, subject = divmod(instance - 1, GROUP_STRIDE)
            courseid = FIRST_COURSE + (class_number % len(LEVELS)) * len(SUBJECTS) + subject
            return courseid if 0 <= class_number < self._school.class_count else None
        if kind == "assign":
            courseid = FIRST_COURSE + (instance - 1) // 2
        elif kind == "attempt":
            courseid = FIRST_COURSE + instance // (ATTEMPTS_A_PUPIL * 10**6)
        else:
            courseid = FIRST_COURSE + instance - 1
        return courseid if courseid in self._course_ids else None

    def keep(self, courseid: int) -> None:
        rows = self.course(courseid)
        if rows is not None:
            self._kept[courseid] = rows
            self._cached.pop(courseid, None)

    def rename(self, userid: int, changes: Row) -> bool:
        if self._user(userid) is None:
            return False
        self._renamed.setdefault(userid, {}).update(changes)
        return True

    def latest_moment(self) -> int:
        return unix_of(self._school.now)

    def _course_row(self, courseid: int) -> Row:
        level_index, subject = divmod(courseid - FIRST_COURSE, len(SUBJECTS))
        short, name = SUBJECTS[subject]
        level = LEVELS[level_index]
        return {
            "id": courseid,
            "shortname": f"{short}-{level}",
            "categoryid": 2,
            "fullname": f"{name}, {level} класс",
            "format": "topics",
            "startdate": unix_at(self._school.year_starts_on, 0),
            "enddate": unix_at(date(self._school.year_starts_on.year + 1, 5, 26), 0),
        }

    def _user(self, userid: int) -> Row | None:
        person_id = None
        if userid >= FIRST_PUPIL:
            number = userid - FIRST_PUPIL
            if number >= self._school.pupils:
                return None
            pupil = self._school.pupil(number)
            last, first, person_id = pupil.last_name, pupil.first_name, pupil.person_id
            idnumber, username = f"S-{number:05d}", f"pupil{number:05d}"
        else:
            courseid = userid - FIRST_TEACHER + FIRST_COURSE
            if courseid not in self._course_ids:
                return None
            last, first = self._school.teacher_name(*divmod(courseid - FIRST_COURSE, len(SUBJECTS)))
            idnumber, username = f"T-{userid - FIRST_TEACHER:02d}", f"teacher{userid}"
        external = {"type": "text", "value": person_id, "name": "Внешний идентификатор", "shortname": "externalid"}
        row: Row = {
            "id": userid,
            "firstname": first,
            "lastname": last,
            "fullname": f"{first} {last}",
            "email": f"{username}@school.invalid",
            "idnumber": idnumber,
            "customfields": [] if person_id is None else [external],
            "username": username,
            "department": "",
            "auth": "manual",
            "suspended": False,
        }
        row.update(self._renamed.get(userid, {}))
        return row

    def _build_course(self, courseid: int) -> CourseRows:
        return CourseBuilder(self._school, courseid, self._course_row(courseid), self.users).build()


def build_school_app(
    pupils: int,
    *,
    seed: int = 1,
    token: str = DEFAULT_TOKEN,
    now: Callable[[], datetime] | None = None,
) -> Starlette:
    """Serve a made-up school of `pupils` pupils; `now` is asked once for the school's content and then as the clock."""
    moment = DEFAULT_NOW if now is None else now()
    return build_portal_app(SchoolBook(School(pupils=pupils, seed=seed, now=moment)), token=token, now=now)
