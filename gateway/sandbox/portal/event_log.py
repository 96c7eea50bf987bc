"""The log of events of a made-up school, in a real table with the columns of Moodle's `logstore_standard_log`.

What the portal itself or its external database log store would write into another database. Holds what a reader must leave
out, too: calls of the service account, somebody logged in as a pupil, an anonymous answer, a restored course.

Source: recorded rows of 4.5.6 [M]; columns of the core plugin's table [S].
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Column, Integer, MetaData, SmallInteger, String, Table, Text, create_engine, insert

from gateway.sandbox.portal.school_course import FIRST_COURSE, FIRST_PUPIL, FIRST_TEACHER
from gateway.sandbox.portal.school_server import DEFAULT_NOW
from gateway.sandbox.school import LEVELS, SUBJECTS, School

TABLE = "mdl_logstore_standard_log"
SERVICE_USER = 2
ADMIN = 3
_ROWS_AT_ONCE = 1_000
_MOSCOW = ZoneInfo("Europe/Moscow")
Event = dict[str, Any]


def build_table(name: str = TABLE) -> Table:
    """The table as Moodle makes it; its number grows by itself."""
    number = BigInteger().with_variant(Integer, "sqlite")
    return Table(
        name,
        MetaData(),
        Column("id", number, primary_key=True),
        Column("eventname", String(255), nullable=False),
        Column("component", String(100), nullable=False),
        Column("action", String(100), nullable=False),
        Column("target", String(100), nullable=False),
        Column("objecttable", String(50)),
        Column("objectid", BigInteger),
        Column("crud", String(1), nullable=False),
        Column("edulevel", SmallInteger, nullable=False),
        Column("contextid", BigInteger, nullable=False),
        Column("contextlevel", BigInteger, nullable=False),
        Column("contextinstanceid", BigInteger, nullable=False),
        Column("userid", BigInteger, nullable=False),
        Column("courseid", BigInteger),
        Column("relateduserid", BigInteger),
        Column("anonymous", SmallInteger, nullable=False),
        Column("other", Text),
        Column("timecreated", BigInteger, nullable=False),
        Column("origin", String(10)),
        Column("ip", String(45)),
        Column("realuserid", BigInteger),
    )


def build_event(
    component: str,
    action: str,
    target: str,
    *,
    userid: int,
    at: datetime,
    courseid: int = 0,
    cmid: int | None = None,
    **more: Any,
) -> Event:
    """One row; `more` are columns that differ from the usual ones."""
    level = 70 if cmid is not None else 50 if courseid else 10
    return {
        "eventname": f"\\{component}\\event\\{target}_{action}",
        "component": component,
        "action": action,
        "target": target,
        "objecttable": None,
        "objectid": None,
        "crud": "r" if action == "viewed" else "c",
        "edulevel": 2,
        "contextid": 1,
        "contextlevel": level,
        "contextinstanceid": cmid if cmid is not None else courseid,
        "userid": userid,
        "courseid": courseid,
        "relateduserid": None,
        "anonymous": 0,
        "other": "null",
        "timecreated": int(at.timestamp()),
        "origin": "web",
        "ip": "192.0.2.1",
        "realuserid": None,
        **more,
    }


def iter_events(school: School) -> Iterator[Event]:
    """The school's last weeks, day by day, in the order of the day."""
    for day in school.marked_days():
        events = [*_iter_pupils(school, day), *_iter_others(school, day)]
        yield from sorted(events, key=lambda event: (event["timecreated"], event["userid"], event["eventname"]))


def _iter_pupils(school: School, day: date) -> Iterator[Event]:
    for number in range(school.pupils):
        userid = FIRST_PUPIL + number
        level = (number // 25) % len(LEVELS)
        drawn = school.draw("activity", number, day.isoformat())
        at = datetime.combine(day, time(15), _MOSCOW) + timedelta(seconds=drawn % 7200)
        yield build_event("core", "loggedin", "user", userid=userid, at=at, objecttable="user", objectid=userid)
        subject = (drawn >> 16) % len(SUBJECTS)
        courseid = FIRST_COURSE + level * len(SUBJECTS) + subject
        cmid = (courseid - FIRST_COURSE) * 4
        near = timedelta(seconds=20)
        yield build_event("core", "viewed", "course", userid=userid, at=at + near, courseid=courseid)
        if drawn % 3 == 0:
            there = {"userid": userid, "courseid": courseid, "cmid": cmid + 3, "relateduserid": userid}
            yield build_event("mod_quiz", "started", "attempt", at=at + 2 * near, **there)
            yield build_event("mod_quiz", "submitted", "attempt", at=at + 30 * near, **there)
            # the gradebook follows by itself, in the pupil's name
            graded = {"userid": userid, "courseid": courseid, "relateduserid": userid}
            yield build_event("core", "graded", "user", at=at + 30 * near, **graded)
        if drawn % 4 == 0:
            work = {"userid": userid, "courseid": courseid, "cmid": cmid + 1}
            yield build_event("assignsubmission_file", "created", "submission", at=at + 3 * near, **work)
            yield build_event("mod_assign", "submitted", "assessable", at=at + 3 * near, **work)
        if drawn % 10 == 0:
            yield build_event("mod_forum", "created", "post", userid=userid, at=at + 5 * near, courseid=courseid)
        if drawn % 5 == 1:
            yield build_event("core", "updated", "user_profile", userid=userid, at=at + 6 * near)


def _iter_others(school: School, day: date) -> Iterator[Event]:
    evening = datetime.combine(day, time(19), _MOSCOW)
    for place, subject in enumerate(range(len(SUBJECTS))):
        pupil = FIRST_PUPIL + school.draw("work", subject, day.isoformat()) % max(1, min(school.pupils, 25))
        at, courseid = evening + timedelta(minutes=place), FIRST_COURSE + subject
        teacher = {"userid": FIRST_TEACHER + subject, "courseid": courseid, "cmid": subject * 4 + 1}
        yield build_event("mod_assign", "graded", "submission", at=at, relateduserid=pupil, **teacher)
        call: Event = {"userid": SERVICE_USER, "at": at, "origin": "ws", "edulevel": 0}
        yield build_event("core", "called", "webservice_function", **call)
        yield build_event("core", "viewed", "grade_report", courseid=courseid, **call)
    night = evening + timedelta(hours=3)
    yield build_event("core", "viewed", "course", userid=FIRST_PUPIL, at=night, courseid=2, realuserid=ADMIN)
    yield build_event("core", "viewed", "course", userid=ADMIN, at=night, courseid=2)
    yield build_event("mod_feedback", "submitted", "response", userid=FIRST_PUPIL, at=night, courseid=2, anonymous=1)
    yield build_event("core", "restored", "course", userid=FIRST_TEACHER, at=night, courseid=2, origin="restore")
    yield build_event("core", "sent", "notification", userid=0, at=night, origin="cli")


def write_event_log(url: str, pupils: int, *, seed: int = 1, now: datetime | None = None, name: str = TABLE) -> int:
    """Write a made-up school's log into a database, into a new table or behind what is there.

    Args:
        url: SQLAlchemy URL of a database of one's own.
        now: Aware moment that the log ends before.

    Returns:
        Rows written.
    """
    return append_events(url, iter_events(School(pupils=pupils, seed=seed, now=now or DEFAULT_NOW)), name=name)


def append_events(url: str, events: Iterator[Event], *, name: str = TABLE) -> int:
    """Add rows, whose numbers the database gives; an event with an `id` keeps it.

    Returns:
        Rows written.
    """
    engine, table, count = create_engine(url), build_table(name), 0
    try:
        table.create(engine, checkfirst=True)
        while chunk := list(islice(events, _ROWS_AT_ONCE)):
            with engine.begin() as conn:
                conn.execute(insert(table), chunk)
            count += len(chunk)
    finally:
        engine.dispose()
    return count
