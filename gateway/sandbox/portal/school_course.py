"""All rows of one course of a made-up school, in Moodle's spelling and types.

A course is a subject of a level («Алгебра, 7 класс»), its groups are the level's classes. Ids are arithmetic: the
course of an id is computed, never looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.sandbox.portal.book import CourseRows, Row
from gateway.sandbox.portal.questions import AFTER_IT, ALWAYS_SHOWN, REVIEW_FIELDS, build_question
from gateway.sandbox.school import CLASS_SIZE, LESSON_S, SUBJECTS, LessonSlot, School

FIRST_COURSE = 2
FIRST_TEACHER = 10
FIRST_PUPIL = 1000
GROUP_STRIDE = len(SUBJECTS)
ATTEMPTS_A_PUPIL = 2

_ITEMS_A_COURSE = 64
_SESSIONS_A_GROUP = 64
_MOSCOW = ZoneInfo("Europe/Moscow")
_ACRONYMS = (("P", "Present", 2), ("A", "Absent", 0), ("L", "Late", 1), ("E", "Excused", 1))
_QUIZ_SUM, _QUIZ_GRADE = 4, 10


def unix_of(moment: datetime) -> int:
    """Unix seconds of an aware moment."""
    return int(moment.timestamp())


def unix_at(day: date, hour: int) -> int:
    """Unix seconds of a full hour in Moscow."""
    return unix_of(datetime.combine(day, time(hour), _MOSCOW))


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


class CourseBuilder:
    """Computes all rows of one course."""

    def __init__(self, school: School, courseid: int, course: Row, users: Callable[[Iterable[int]], list[Row]]) -> None:
        self.school = school
        self.courseid = courseid
        self.course = course
        self.users = users
        level_index, self.subject = divmod(courseid - FIRST_COURSE, len(SUBJECTS))
        self.short = SUBJECTS[self.subject][0]
        self.classes = school.classes_of_level(level_index)
        self.teacherid = FIRST_TEACHER + courseid - FIRST_COURSE
        self.index = courseid - FIRST_COURSE
        self.days = school.marked_days()
        self._past: dict[int, list[LessonSlot]] = {}
        self.graded_at = unix_of(school.now) - 3600
        monday = school.today - timedelta(days=school.today.weekday())
        self.due = (monday - timedelta(days=4), monday - timedelta(days=7))

    def build(self) -> CourseRows:
        rows = CourseRows(course=self.course)
        pupils = [number for class_number in self.classes for number in self.school.pupils_of(class_number)]
        userids = [FIRST_PUPIL + number for number in pupils]
        for class_number in self.classes:
            groupid = self._groupid(class_number)
            group = {"id": groupid, "courseid": self.courseid, "name": self.school.class_name(class_number)}
            rows.groups.append({**group, "idnumber": f"grp-{self.short}-{group['name']}"})
            own = [FIRST_PUPIL + number for number in self.school.pupils_of(class_number)]
            rows.members[groupid] = [*own, self.teacherid]
            self._add_lessons(rows, class_number, groupid, own)
        rows.enrolled = self._enrolled(rows)
        names = {row["id"]: row for row in rows.enrolled}
        rows.grades = {userid: self._grade_row(names[userid], userid - FIRST_PUPIL) for userid in userids}
        rows.quizzes = [self._quiz()]
        self._add_tasks(rows, userids)
        rows.attempts = {(self._quizid, userid): self._attempts(userid) for userid in userids}
        rows.make_review = self._review
        rows.contents = self._contents(rows)
        return rows

    @property
    def _quizid(self) -> int:
        return self.index + 1

    def _groupid(self, class_number: int) -> int:
        return class_number * GROUP_STRIDE + self.subject + 1

    def _assignid(self, which: int) -> int:
        return self.index * 2 + which + 1

    def _enrolled(self, rows: CourseRows) -> list[Row]:
        group_of = {userid: group for group in rows.groups for userid in rows.members[group["id"]]}
        roles = {
            True: {"roleid": 3, "name": "", "shortname": "editingteacher", "sortorder": 0},
            False: {"roleid": 5, "name": "", "shortname": "student", "sortorder": 0},
        }
        kept = ("id", "firstname", "lastname", "fullname", "email", "idnumber", "customfields")
        enrolled = []
        for user in self.users([self.teacherid, *sorted(set(group_of) - {self.teacherid})]):
            is_teacher = user["id"] == self.teacherid
            groups = rows.groups if is_teacher else [group_of[user["id"]]]
            row = {key: user[key] for key in kept}
            row["groups"] = [{"id": group["id"], "name": group["name"]} for group in groups]
            row["roles"] = [dict(roles[is_teacher])]
            enrolled.append(row)
        return enrolled

    def _grade_row(self, user: Row, number: int) -> Row:
        school, subject = self.school, self.subject
        items = []
        for which, (name, form) in enumerate((("ДЗ №1", "hw1"), ("ДЗ №2", "hw2"))):
            value = school.task_points(number, subject, form)
            item = self._item(which + 1, f"{name} ({self.short})", f"{form}-{self.short}", 5, value)
            items.append({**item, "itemtype": "mod", "itemmodule": "assign", "iteminstance": self._assignid(which)})
        sums = school.quiz_sums(number, subject)
        best = max(sums) * _QUIZ_GRADE / _QUIZ_SUM if sums else None
        item = self._item(3, f"Тест №1 ({self.short})", f"quiz1-{self.short}", _QUIZ_GRADE, best)
        items.append({**item, "itemtype": "mod", "itemmodule": "quiz", "iteminstance": self._quizid})
        taught = {slot.day for slot in self._slots(number // CLASS_SIZE)}
        for place, day in enumerate(self.days):
            value = school.lesson_mark(number, subject, day) if day in taught else None
            name = f"Урок {day:%d.%m.%Y}: работа на уроке"
            items.append(self._item(10 + place, name, f"lesson-{self.short}-{day:%Y%m%d}", 5, value))
        return {
            "courseid": self.courseid,
            "courseidnumber": f"crs-{self.course['shortname']}",
            "userid": user["id"],
            "userfullname": user["fullname"],
            "useridnumber": user["idnumber"],
            "maxdepth": 2,
            "gradeitems": items,
        }

    def _item(self, place: int, name: str, idnumber: str, maximum: int, value: float | None) -> Row:
        percent = "-" if value is None else f"{100 * value / maximum:.2f} %"
        row: Row = {
            "id": self.index * _ITEMS_A_COURSE + place,
            "itemname": name,
            "itemtype": "manual",
            "itemmodule": None,
            "iteminstance": None,
            "itemnumber": 0,
            "idnumber": idnumber,
            "categoryid": self.index + 1,
            "outcomeid": None,
            "scaleid": None,
            "locked": False,
            "weightraw": 0 if value is None else 0.1,
            "graderaw": None if value is None else _plain(value),
            "gradedatesubmitted": None,
            "gradedategraded": None if value is None else self.graded_at,
            "gradehiddenbydate": False,
            "gradeneedsupdate": False,
            "gradeishidden": False,
            "gradeislocked": False,
            "gradeisoverridden": False,
            "gradeformatted": "-" if value is None else f"{value:.2f}",
            "grademin": 0,
            "grademax": maximum,
            "percentageformatted": percent,
            "feedback": "",
            "feedbackformat": 2,
        }
        if value is None:
            row["status"] = "novalue"
        if place < 10:
            row["cmid"] = self.index * 4 + place
        return row

    def _slots(self, class_number: int) -> list[LessonSlot]:
        if class_number not in self._past:
            self._past[class_number] = list(self.school.iter_lessons(class_number, self.subject, is_past=True))
        return self._past[class_number]

    def _add_lessons(self, rows: CourseRows, class_number: int, groupid: int, userids: list[int]) -> None:
        base = (self.index + 1) * 4
        statuses: list[Row] = [
            {
                "id": base + place,
                "attendanceid": self._quizid,
                "acronym": acronym,
                "description": text,
                "grade": grade,
                "visible": 1,
                "deleted": 0,
                "setnumber": 0,
            }
            for place, (acronym, text, grade) in enumerate(_ACRONYMS)
        ]
        id_of = {row["acronym"]: str(row["id"]) for row in statuses}
        sessions = rows.sessions.setdefault(self._quizid, [])
        for place, slot in enumerate(self._slots(class_number)):
            starts = unix_of(slot.starts_at)
            sessionid = groupid * _SESSIONS_A_GROUP + place
            log = [
                {
                    "studentid": userid,
                    "statusid": id_of[self.school.attendance(userid - FIRST_PUPIL, slot, self.subject)],
                    "id": str(sessionid * 100 + seat),
                }
                for seat, userid in enumerate(userids)
            ]
            sessions.append(
                {
                    "id": sessionid,
                    "attendanceid": self._quizid,
                    "groupid": groupid,
                    "sessdate": starts,
                    "duration": LESSON_S,
                    "lasttaken": starts + LESSON_S,
                    "lasttakenby": self.teacherid,
                    "timemodified": starts + LESSON_S,
                    "description": f"Урок {self.school.class_name(class_number)}",
                    "statusset": 0,
                    "courseid": self.courseid,
                    "statuses": statuses,
                    "attendance_log": log,
                    "users": [{"id": userid} for userid in userids],
                }
            )
            name = f"Посещаемость {self.short}"
            rows.events.append(self._event(sessionid, name, "attendance", groupid, starts, module=self._quizid))
        planned = self.school.iter_lessons(class_number, self.subject, is_past=False)
        for place, slot in enumerate(planned, start=_SESSIONS_A_GROUP // 2):
            eventid = groupid * _SESSIONS_A_GROUP + place
            name = f"{self.course['fullname']} — урок"
            rows.events.append(self._event(eventid, name, "group", groupid, unix_of(slot.starts_at), module=None))

    def _event(self, eventid: int, name: str, form: str, groupid: int | None, at: int, *, module: int | None) -> Row:
        return {
            "id": eventid,
            "name": name,
            "courseid": self.courseid,
            "categoryid": None,
            "groupid": groupid,
            "userid": self.teacherid,
            "modulename": None if module is None else ("attendance" if form == "attendance" else "assign"),
            "instance": module,
            "eventtype": form,
            "timestart": at,
            "timeduration": 0 if form == "due" else LESSON_S,
            "visible": 1,
            "timemodified": self.graded_at,
        }

    def _add_tasks(self, rows: CourseRows, userids: list[int]) -> None:
        assignments = []
        for which, due in enumerate(self.due):
            assignmentid, form = self._assignid(which), f"hw{which + 1}"
            assignments.append(
                {
                    "id": assignmentid,
                    "cmid": self.index * 4 + which + 1,
                    "course": self.courseid,
                    "name": f"ДЗ №{which + 1} ({self.short})",
                    "intro": "Домашнее задание",
                    "introformat": 1,
                    "duedate": unix_at(due, 9),
                    "allowsubmissionsfromdate": unix_at(due - timedelta(days=3), 9),
                    "cutoffdate": 0,
                    "gradingduedate": 0,
                    "grade": 5,
                    "timemodified": self.graded_at,
                }
            )
            eventid = 10**9 + assignmentid
            name = f"ДЗ №{which + 1} ({self.short}) is due"
            rows.events.append(self._event(eventid, name, "due", None, unix_at(due, 9), module=assignmentid))
            done = [
                (userid, points)
                for userid in userids
                if (points := self.school.task_points(userid - FIRST_PUPIL, self.subject, form)) is not None
            ]
            rows.submissions[assignmentid] = [self._submission(assignmentid, userid) for userid, _ in done]
            rows.assign_grades[assignmentid] = [
                {
                    "id": assignmentid * 10**6 + userid,
                    "userid": userid,
                    "attemptnumber": 0,
                    "timecreated": self.graded_at,
                    "timemodified": self.graded_at,
                    "grader": self.teacherid,
                    "grade": f"{points:.5f}",
                }
                for userid, points in done
            ]
        rows.assignments = {
            "id": self.courseid,
            "fullname": self.course["fullname"],
            "shortname": self.course["shortname"],
            "timemodified": self.graded_at,
            "assignments": assignments,
        }

    def _submission(self, assignmentid: int, userid: int) -> Row:
        return {
            "id": assignmentid * 10**6 + userid,
            "userid": userid,
            "attemptnumber": 0,
            "timecreated": self.graded_at - 7200,
            "timemodified": self.graded_at - 7200,
            "status": "submitted",
            "groupid": 0,
            "gradingstatus": "graded",
        }

    def _quiz(self) -> Row:
        return {
            "id": self._quizid,
            "coursemodule": self.index * 4 + 3,
            "course": self.courseid,
            "name": f"Тест №1 ({self.short})",
            "visible": True,
            "timeopen": unix_at(self.due[1], 9),
            "timeclose": 0,
            "timelimit": 1800,
            "attempts": 2,
            "grademethod": 1,
            "sumgrades": _QUIZ_SUM,
            "grade": _QUIZ_GRADE,
            **dict.fromkeys(REVIEW_FIELDS, ALWAYS_SHOWN),
            "reviewoverallfeedback": AFTER_IT,
        }

    def _attempts(self, userid: int) -> list[Row]:
        first = (self.index * 10**6 + userid) * ATTEMPTS_A_PUPIL
        started = unix_at(self.due[0], 10)
        return [
            {
                "id": first + place,
                "quiz": self._quizid,
                "userid": userid,
                "attempt": place + 1,
                "uniqueid": first + place,
                "preview": 0,
                "state": "finished",
                "timestart": started + 3600 * place,
                "timefinish": started + 3600 * place + 900,
                "timemodified": started + 3600 * place + 900,
                "sumgrades": _plain(points),
            }
            for place, points in enumerate(self.school.quiz_sums(userid - FIRST_PUPIL, self.subject))
        ]

    def _review(self, attempt: Row) -> Row:
        right = int(attempt["sumgrades"] or 0)
        # which questions were answered well differs from pupil to pupil
        questions = [
            build_question(place, is_right=(place + attempt["userid"]) % _QUIZ_SUM < right, attempt=attempt["uniqueid"])
            for place in range(1, _QUIZ_SUM + 1)
        ]
        grade = _plain(attempt["sumgrades"] * _QUIZ_GRADE / _QUIZ_SUM) if attempt["sumgrades"] is not None else None
        return {"grade": grade, "attempt": attempt, "questions": questions, "warnings": []}

    def _contents(self, rows: CourseRows) -> list[Row]:
        def module(cmid: int, instance: int, modname: str, name: str) -> Row:
            return {"id": cmid, "instance": instance, "modname": modname, "name": name, "visible": 1, "dates": []}

        tasks = [] if rows.assignments is None else rows.assignments["assignments"]
        modules = [module(each["cmid"], each["id"], "assign", each["name"]) for each in tasks]
        modules += [module(each["coursemodule"], each["id"], "quiz", each["name"]) for each in rows.quizzes]
        modules.append(module(self.index * 4 + 4, self._quizid, "attendance", f"Посещаемость {self.short}"))
        return [{"id": self.courseid, "name": "General", "visible": 1, "section": 0, "modules": modules}]
