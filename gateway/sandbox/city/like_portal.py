"""The city's side of a portal's school: same classes, pupils and timetable, read by a small reader of its own.

It asks the portal (Moodle, reference "portal-and-planner" §a) the few questions it needs and shares no code with the
gateway's connector, so that both can't misread the portal in the same way.
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx

from gateway.sandbox.city.city import LikeSchool
from gateway.sandbox.city.codecs import MOSCOW
from gateway.sandbox.city.school import School
from gateway.sandbox.city.state import Row
from gateway.sandbox.city.wire import to_axes

TIMEOUT_S = 30.0
IDS_PER_CALL = 100
EXTERNAL_ID_FIELD = "externalid"
PERSON_NAMESPACE = uuid.UUID("6f9d2c1e-1c4b-4b1f-9a53-0d5f3c2b7a10")
SCHOOL_YEAR_S = (1788220800, 1819756799)  # 01.09.2026 … 31.08.2027, Moscow
FORMS = [
    ("Работа на уроке", "РУ", 1, "five", False),
    ("Домашнее задание", "ДЗ", 1, "five", False),
    ("Проект", "ПР", 2, "five", False),
    ("Тест", "Т", 1, "five", False),
    ("Контрольная работа", "КР", 2, "five", False),
    ("Практическая работа", "ПРР", 1, "five", False),
    ("Ответ на уроке", "ОУ", 1, "five", False),
    ("Срез знаний", "СР", 1, "five", True),
]
HAND_FORM = "Ответ на уроке"
_LEVEL = re.compile(r"\d+")
_DAY_IN_NAME = re.compile(r"(\d{2})\.(\d{2})\.(\d{4})")


class LikeError(ValueError):
    """The portal did not answer as a portal does; the text names the function, never a token or a body."""


class PortalReader:
    """The questions, one method each."""

    def __init__(self, client: httpx.Client, base_url: str, token: str) -> None:
        self._client = client
        self._url = f"{base_url.rstrip('/')}/webservice/rest/server.php"
        self._token = token

    def fetch(self, function: str, params: Row) -> Any:
        """Ask one function.

        Raises:
            LikeError: No answer, not JSON, or an error body.
        """
        form = {"wstoken": self._token, "moodlewsrestformat": "json", "wsfunction": function, **_flatten(params)}
        try:
            response = self._client.post(self._url, data=form)
            answer = response.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as exc:
            msg = f"{function}: {type(exc).__name__}"
            raise LikeError(msg) from exc
        if isinstance(answer, dict) and ("exception" in answer or "errorcode" in answer):
            msg = f"{function}: {answer.get('errorcode') or answer.get('exception')}"
            raise LikeError(msg)
        return answer

    def fetch_by_ids(self, function: str, name: str, ids: list[int]) -> list[Row]:
        """Ask with an id list, a hundred at once (PHP bounds the number of inputs)."""
        rows: list[Row] = []
        for at in range(0, len(ids), IDS_PER_CALL):
            rows += self.fetch(function, {name: ids[at : at + IDS_PER_CALL]})
        return rows

    def fetch_users(self, ids: list[int]) -> list[Row]:
        rows: list[Row] = []
        for at in range(0, len(ids), IDS_PER_CALL):
            wanted = {"field": "id", "values": ids[at : at + IDS_PER_CALL]}
            rows += self.fetch("core_user_get_users_by_field", wanted)
        return rows

    def iter_sessions(self, course_id: int) -> Iterator[Row]:
        """Yield the attendance sessions of a course; its attendance instances stand in its contents."""
        for section in self.fetch("core_course_get_contents", {"courseid": course_id}):
            for module in section["modules"]:
                if module["modname"] == "attendance":
                    yield from self.fetch("mod_attendance_get_sessions", {"attendanceid": module["instance"]})

    def fetch_due_days(self, course_ids: list[int]) -> dict[int, str]:
        """Give the due day of every assignment that has one, by the assignment's id."""
        # Without the flag an account that is enrolled nowhere gets a warning and no courses.
        wanted = {"courseids": course_ids, "includenotenrolledcourses": 1}
        courses = self.fetch("mod_assign_get_assignments", wanted)["courses"]
        assignments = [one for course in courses for one in course["assignments"]]
        return {int(one["id"]): _to_day(int(one["duedate"])) for one in assignments if one["duedate"]}

    def fetch_group_events(self, group_ids: list[int]) -> list[Row]:
        """Ask groups alone: together with courses the portal drops them silently."""
        begin_s, end_s = SCHOOL_YEAR_S
        options = {"userevents": 0, "siteevents": 0, "timestart": begin_s, "timeend": end_s, "ignorehidden": 0}
        answer = self.fetch(
            "core_calendar_get_calendar_events", {"events": {"groupids": group_ids}, "options": options}
        )
        return [event for event in answer["events"] if event["eventtype"] == "group"]


def _flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """`{"a": [1]}` → `{"a[0]": "1"}`, PHP-style."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return {prefix: str(int(value) if isinstance(value, bool) else value)}
    flat: dict[str, str] = {}
    for key, inner in items:
        flat |= _flatten(inner, f"{prefix}[{key}]" if prefix else str(key))
    return flat


def build_like(base_url: str, token: str, *, traps: bool = False) -> LikeSchool:
    """Read a portal and build the city's side of it.

    Args:
        base_url: The portal, scheme and host and port.
        token: A web-service token of it.
        traps: Also type all marks of the portal by hand, under another control form, as teachers do.

    Raises:
        LikeError: The portal could not be read.
    """
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
        return _Likeness(PortalReader(client, base_url, token)).build(traps=traps)


def to_person_id(user: Row) -> str:
    """The «Контингент» id: the portal's custom field, else made up from the portal's id."""
    for field in user.get("customfields") or []:
        if field["shortname"] == EXTERNAL_ID_FIELD and field["value"]:
            return str(field["value"])
    return str(uuid.uuid5(PERSON_NAMESPACE, f"portal-user-{user['id']}"))


def to_birth_date(user_id: int, level: int) -> str:
    """A made-up birth date, the same for the same id; the pupil is of the class's age."""
    born_on = date(2026 - level - 7, 9, 1) + timedelta(days=user_id * 37 % 365)
    return born_on.isoformat()


class _Likeness:
    """One reading of a portal."""

    def __init__(self, portal: PortalReader) -> None:
        self._portal = portal
        self._school = School()
        self._classes: dict[str, Row] = {}
        self._teachers: dict[int, Row] = {}
        self._pupils: dict[int, Row] = {}
        self._users: dict[int, Row] = {}
        self._groups: dict[int, Row] = {}  # by the portal's group id
        self._course_of: dict[int, int] = {}
        self._lessons: dict[int, list[Row]] = {}

    def build(self, *, traps: bool) -> LikeSchool:
        self._school.add_teacher("Администратор", "Школы", None, kind="school_admin")
        courses = [one for one in self._portal.fetch("core_course_get_courses", {}) if one["format"] != "site"]
        courses.sort(key=lambda one: int(one["id"]))
        class_of = self._read_cohorts()
        starts: dict[int, dict[int, int]] = {}
        for course in courses:
            self._add_course(course, class_of, starts)
        self._add_lessons(starts)
        self._add_traps()
        if traps:
            self._type_marks([int(course["id"]) for course in courses])
        return LikeSchool(self._school, [self._to_listed(user_id) for user_id in sorted(self._pupils)])

    def _to_listed(self, user_id: int) -> Row:
        user, pupil = self._users[user_id], self._pupils[user_id]
        names = {row["id"]: row["name"] for row in self._classes.values()}
        return {
            "portal_id": user_id,
            "person_id": pupil["person_id"],
            "last_name": user["lastname"],
            "first_name": user["firstname"],
            "birth_date": pupil["birth_date"],
            "class": names[pupil["class_unit_id"]],
        }

    def _read_cohorts(self) -> dict[int, str]:
        """Give the class name of every pupil who is in a cohort."""
        cohorts = {int(one["id"]): str(one["name"]) for one in self._portal.fetch("core_cohort_get_cohorts", {})}
        if not cohorts:
            return {}
        rows = self._portal.fetch_by_ids("core_cohort_get_cohort_members", "cohortids", sorted(cohorts))
        for name in sorted(cohorts.values()):
            self._get_class(name)
        return {int(user_id): cohorts[row["cohortid"]] for row in rows for user_id in row["userids"]}

    def _get_class(self, name: str) -> Row:
        if name not in self._classes:
            found = _LEVEL.match(name)
            level = min(max(int(found[0]), 1), 11) if found else 1
            self._classes[name] = self._school.add_class(name, level)
        return self._classes[name]

    def _add_course(self, course: Row, class_of: dict[int, str], starts: dict[int, dict[int, int]]) -> None:
        course_id = int(course["id"])
        groups = self._portal.fetch("core_group_get_course_groups", {"courseid": course_id})
        if not groups:
            return
        enrolled = self._portal.fetch("core_enrol_get_enrolled_users", {"courseid": course_id})
        leads = {
            int(user["id"]) for user in enrolled if any(role["shortname"] == "editingteacher" for role in user["roles"])
        }
        new_ids = sorted({int(user["id"]) for user in enrolled} - set(self._users))
        self._users |= {int(user["id"]): user for user in self._portal.fetch_users(new_ids)} if new_ids else {}
        group_ids = sorted(int(group["id"]) for group in groups)
        members = self._portal.fetch_by_ids("core_group_get_group_members", "groupids", group_ids)
        in_groups = {int(row["groupid"]): sorted(int(one) for one in row["userids"]) for row in members}
        for user in enrolled:
            self._add_left(int(user["id"]), leads, class_of)
        for group in sorted(groups, key=lambda one: int(one["id"])):
            user_ids = in_groups.get(int(group["id"]), [])
            self._add_group(course, group, [one for one in user_ids if one in leads], user_ids, class_of)
        for session in self._portal.iter_sessions(course_id):
            duration_min = int(session["duration"]) // 60
            starts.setdefault(int(session["groupid"]), {})[int(session["sessdate"])] = duration_min
        for event in self._portal.fetch_group_events(group_ids):
            at = starts.setdefault(int(event["groupid"]), {})
            at.setdefault(int(event["timestart"]), int(event["timeduration"]) // 60)

    def _add_group(
        self, course: Row, group: Row, leads: list[int], user_ids: list[int], class_of: dict[int, str]
    ) -> None:
        subject = str(course["fullname"]).split(",", 1)[0].strip()
        class_unit = self._get_class(str(group["name"]))
        teachers = [self._get_teacher(user_id) for user_id in leads]
        row = self._school.add_group(
            f"{group['name']} — {subject}", subject, [class_unit], teachers, self._choose_schedule(class_unit)
        )
        self._school.add_forms(row, FORMS)
        self._school.add_lesson_plan(row, [], [])
        self._groups[int(group["id"])] = row
        self._course_of[int(group["id"])] = int(course["id"])
        for user_id in user_ids:
            if user_id not in leads:
                pupil = self._get_pupil(user_id, class_of.get(user_id, str(group["name"])))
                self._school.enrol(pupil, row)

    def _choose_schedule(self, class_unit: Row) -> Row:
        return self._school.half_years if class_unit["class_level_id"] >= 10 else self._school.quarters

    def _get_teacher(self, user_id: int) -> Row:
        if user_id not in self._teachers:
            user = self._users[user_id]
            self._teachers[user_id] = self._school.add_teacher(user["lastname"], user["firstname"], None)
        return self._teachers[user_id]

    def _get_pupil(self, user_id: int, class_name: str, **more: Any) -> Row:
        if user_id not in self._pupils:
            user, class_unit = self._users[user_id], self._get_class(class_name)
            born_on = to_birth_date(user_id, class_unit["class_level_id"])
            names = (user["lastname"], user["firstname"], None)
            self._pupils[user_id] = self._school.add_pupil(
                to_person_id(user), class_unit, names, birth_date=born_on, **more
            )
        return self._pupils[user_id]

    def _add_left(self, user_id: int, leads: set[int], class_of: dict[int, str]) -> None:
        """A pupil suspended at the portal and in no class there: for the city one who was transferred."""
        user = self._users.get(user_id)
        if user is not None and user.get("suspended") and user_id not in leads and user_id not in class_of:
            name = next(iter(sorted(self._classes)), "1А")
            self._get_pupil(user_id, name, transferred=True, left_on="2026-10-16")

    def _add_lessons(self, starts: dict[int, dict[int, int]]) -> None:
        """Add the timetable; a lesson's number is the rank of its beginning among those of its class that day."""
        times: dict[tuple[int, str], set[str]] = defaultdict(set)
        lessons: list[tuple[int, Row, str, str, int]] = []
        for group_id, at in starts.items():
            group = self._groups.get(group_id)
            if group is None:
                continue
            for start_s, duration_min in at.items():
                begins = datetime.fromtimestamp(start_s, UTC).astimezone(MOSCOW)
                day, time = begins.date().isoformat(), begins.strftime("%H:%M")
                times[group["class_unit_id"], day].add(time)
                lessons.append((group_id, group, day, time, duration_min))
        for group_id, group, day, time, duration_min in sorted(lessons, key=lambda one: (one[2], one[3], one[0])):
            number = sorted(times[group["class_unit_id"], day]).index(time) + 1
            lesson = self._school.add_lesson(group, day, time, number, duration=duration_min)
            self._lessons.setdefault(group_id, []).append(lesson)

    def _add_traps(self) -> None:
        """A pupil the portal does not know, one without names, an extra lesson that was cancelled."""
        if not self._groups:
            return
        group_id = min(self._groups)
        group = self._groups[group_id]
        class_unit = next(one for one in self._classes.values() if one["id"] == group["class_unit_id"])
        nameless = {"user_name": "Новенькая Дина", "short_name": "None None", "sex": "female"}
        strangers: list[tuple[tuple[str | None, ...], Row]] = [
            (("Незнакомцев", "Яков", "Ильич"), {}),
            ((None, None, None), nameless),
        ]
        for number, (names, more) in enumerate(strangers, start=1):
            person_id = str(uuid.uuid5(PERSON_NAMESPACE, f"only-in-the-city-{number}"))
            born_on = to_birth_date(number, class_unit["class_level_id"])
            pupil = self._school.add_pupil(person_id, class_unit, names, birth_date=born_on, **more)
            for own in self._groups.values():
                if own["class_unit_id"] == class_unit["id"]:
                    self._school.enrol(pupil, own)
        if self._lessons.get(group_id):
            day = self._lessons[group_id][0]["date"]
            self._school.add_lesson(group, day, "15:00", 8, cancelled=True, comment="Отменён")

    def _type_marks(self, course_ids: list[int]) -> None:
        """Type every mark of the portal by hand, as teachers do who keep both journals: their own form, no comment."""
        due_days = self._portal.fetch_due_days(course_ids)
        for course_id in course_ids:
            answer = self._portal.fetch("gradereport_user_get_grade_items", {"courseid": course_id})
            for row in answer["usergrades"]:
                for item in row["gradeitems"]:
                    day = _choose_day(item, due_days)
                    if day is not None:
                        self._type_mark(course_id, int(row["userid"]), day, _choose_value(item))

    def _type_mark(self, course_id: int, user_id: int, day: str, value: str) -> None:
        """Put a mark on the lesson of that day, else on the last before it; a pupil without such a lesson gets none."""
        pupil = self._pupils.get(user_id)
        own = {one["id"] for one in pupil["groups"]} if pupil is not None else set()
        for group_id, lessons in self._lessons.items():
            group = self._groups[group_id]
            if pupil is None or group["id"] not in own or self._course_of[group_id] != course_id:
                continue
            held = [one for one in lessons if not one["cancelled"] and one["date"] <= day]
            if held:
                form = self._school.get_form(group, HAND_FORM)
                self._school.add_mark(pupil, held[-1], form, value)


def _to_day(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, UTC).astimezone(MOSCOW).date().isoformat()


def _choose_day(item: Row, due_days: dict[int, str]) -> str | None:
    """The day a teacher would give a mark: the one in the item's name, the assignment's due day, else that of grading.

    None for what is no mark: totals, and cells that are empty or hidden.
    """
    if item["itemtype"] not in ("mod", "manual") or item["graderaw"] is None or item.get("gradeishidden"):
        return None
    found = _DAY_IN_NAME.search(item["itemname"] or "")
    if found:
        return f"{found[3]}-{found[2]}-{found[1]}"
    if item["itemmodule"] == "assign" and item["iteminstance"] in due_days:
        return due_days[item["iteminstance"]]
    return _to_day(int(item["gradedategraded"])) if item["gradedategraded"] else None


def _choose_value(item: Row) -> str:
    """The five-point grade a teacher would give: points of five rounded half up, other points by per cent."""
    if item["grademax"] == 5:
        return str(min(5, max(2, int(item["graderaw"] + 0.5))))
    return str(to_axes(str(round(100 * item["graderaw"] / item["grademax"])), "hundred")["five"])
