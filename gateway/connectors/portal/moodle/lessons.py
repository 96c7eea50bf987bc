"""Lessons and absences: attendance sessions and calendar group events of one course, turned into canonical records.

Pure. A session and a calendar event of one group at one moment are one lesson, and the session names it, because
absences hang on it. Remarks (reasons, certificates) are health data and are not even in the wire model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, TypeGuard

import msgspec

from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.dates import from_unix
from gateway.connectors.portal.moodle.directory import WHOLE_COURSE, CourseDirectory, user_ref
from gateway.domain.clock import moscow_day
from gateway.domain.errors import RecordError
from gateway.domain.records import Absence, Entry, Lesson
from gateway.settings import AttendanceStatuses

ONLINE_WORDS = ("онлайн", "дистанц")
"""A session or event whose text has one of these is held online: the portal has no field for it."""

NO_TOPIC_TEXTS = ("regular class session", "обычное занятие")
"""What the attendance module writes into every session it makes."""

ALL_GROUPS = 0
"""`groupid` of a session that is common to all groups of the course."""


def session_ref(sessionid: int, *, group: str | None = None) -> str:
    """`session:5`; for a session common to all groups one lesson a group, `session:5@group:2`."""
    return f"session:{sessionid}" if group is None else f"session:{sessionid}@{group}"


@dataclass
class GroupLessons:
    """Lessons and absences of one group."""

    lessons: list[Lesson] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    faults: list[RecordError] = field(default_factory=list)


@dataclass(frozen=True)
class _Slot:
    ref: str
    starts_at: datetime
    duration_s: int
    text: str
    origin: str
    topic: str | None = None


def build_group_lessons(
    portal: str,
    directory: CourseDirectory,
    groupid: int,
    *,
    sessions: Sequence[wire.Session],
    events: Sequence[wire.Event],
    statuses: AttendanceStatuses,
    bounds: tuple[datetime, datetime],
    has_topics: bool = False,
) -> GroupLessons:
    """Build one group's lessons and absences.

    Args:
        portal: `portal.name`, for origins.
        directory: The course.
        groupid: One of its groups.
        sessions: All sessions of the course.
        events: Calendar events of the course's groups, or of the course where it has none.
        statuses: What acronyms mean.
        bounds: School year, end excluded: older sessions of a course that is used again are not this year's lessons.
        has_topics: A session's description is the lesson's topic.
    """
    built = GroupLessons()
    slots: list[_Slot] = []
    for session in sessions:
        starts_at = from_unix(session.sessdate)
        if session.groupid not in {groupid, ALL_GROUPS} or not _is_inside(starts_at, bounds):
            continue
        is_common = session.groupid == ALL_GROUPS and groupid != WHOLE_COURSE
        ref = session_ref(session.id, group=directory.group_ref(groupid) if is_common else None)
        text = session.description or ""
        topic = _topic_of(text) if has_topics else None
        slots.append(_Slot(ref, starts_at, session.duration, text, f"session/{session.id}", topic))
        _add_absences(built, portal, directory, groupid, session, lesson=ref, statuses=statuses)
    # Two sessions at one moment both stay: an absence must not hang on a lesson that isn't there.
    taken = {slot.starts_at for slot in slots}
    for event in events:
        starts_at = from_unix(event.timestart)
        if not _is_lesson_of(event, groupid) or not _is_inside(starts_at, bounds):
            continue
        if starts_at not in taken:
            taken.add(starts_at)
            slots.append(_Slot(f"event:{event.id}", starts_at, event.timeduration, event.name, f"event/{event.id}"))
    built.lessons = _to_lessons(portal, directory.group_ref(groupid), slots)
    return built


def _topic_of(description: str) -> str | None:
    """What a session's description says of its topic; the text that the module puts in by itself says nothing."""
    text = wire.to_plain(description)
    return None if text.casefold() in NO_TOPIC_TEXTS else text or None


def _is_lesson_of(event: wire.Event, groupid: int) -> bool:
    """A group's own event; where the course is the group, the course's own. Attendance events repeat sessions."""
    if groupid == WHOLE_COURSE:
        return event.eventtype == "course" and not event.groupid
    return event.eventtype == "group" and event.groupid == groupid


def _is_inside(moment: datetime | None, bounds: tuple[datetime, datetime]) -> TypeGuard[datetime]:
    return moment is not None and bounds[0] <= moment < bounds[1]


def _to_lessons(portal: str, group: str, slots: Sequence[_Slot]) -> list[Lesson]:
    """Number the day's lessons of the group by their start, from 1; slots of one moment share a number."""
    starts: dict[date, set[datetime]] = {}
    for slot in slots:
        starts.setdefault(moscow_day(slot.starts_at), set()).add(slot.starts_at)
    return [
        Lesson(
            ref=slot.ref,
            origins={"*": f"{portal}/{slot.origin}"},
            group=group,
            starts_at=slot.starts_at,
            duration_min=slot.duration_s // 60,
            ordinal=sorted(starts[moscow_day(slot.starts_at)]).index(slot.starts_at) + 1,
            topic=slot.topic,
            form="online" if any(word in slot.text.casefold() for word in ONLINE_WORDS) else "offline",
        )
        for slot in sorted(slots, key=lambda each: (each.starts_at, each.ref))
    ]


def _add_absences(
    built: GroupLessons,
    portal: str,
    directory: CourseDirectory,
    groupid: int,
    session: wire.Session,
    *,
    lesson: str,
    statuses: AttendanceStatuses,
) -> None:
    group = directory.group_ref(groupid)
    acronyms = {status.id: status.acronym for status in session.statuses}
    for row in session.attendance_log:
        if session.groupid == ALL_GROUPS and directory.home.get(row.studentid, groupid) != groupid:
            continue  # his lesson of this session is the one of his own group
        if row.statusid is None:
            continue  # not marked yet
        ref = f"absence:{session.id}:{row.studentid}"
        try:
            form = absence_form(acronyms.get(row.statusid), statuses)
        except RecordError as exc:
            built.faults.append(RecordError(exc.sentence, where=ref, reason=exc.reason_code))
            continue
        if form is not None:
            built.absences.append(
                Absence(
                    ref=ref,
                    origins={"*": f"{portal}/session/{session.id}"},
                    entry=_entry(session),
                    pupil=user_ref(row.studentid),
                    lesson=lesson,
                    group=group,
                    form=form,
                )
            )


def _entry(session: wire.Session) -> Entry | msgspec.UnsetType:
    """Whoever took the session last; the plugin keeps no other typist. 0 = it was never taken."""
    return Entry(typed_by=user_ref(session.lasttakenby), way="portal") if session.lasttakenby else msgspec.UNSET


def absence_form(acronym: str | None, statuses: AttendanceStatuses) -> Literal["absent", "excused", "late"] | None:
    """What a status means; None = was present.

    Raises:
        RecordError: The acronym is in no list of the settings, or the session doesn't know the status: nobody guesses.
    """
    known = {
        "present": statuses.present,
        "absent": statuses.absent,
        "excused": statuses.excused,
        "late": statuses.late,
    }
    found = [name for name, words in known.items() if acronym in words]
    match found:
        case ["present"]:
            return None
        case ["absent"]:
            return "absent"
        case ["excused"]:
            return "excused"
        case ["late"]:
            return "late"
    raise RecordError("Статус посещаемости не описан в portal.statuses")
