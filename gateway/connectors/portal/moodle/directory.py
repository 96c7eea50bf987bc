"""Who and what there is: courses, subjects, people, groups, memberships, turned into canonical records.

First part of a read. Everything below hangs on one `CourseDirectory`, which is either whole or not there at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.calls import ENROLLED, GROUPS, MoodleCalls
from gateway.connectors.portal.moodle.client import SYSTEM
from gateway.connectors.portal.moodle.dates import day_of
from gateway.connectors.portal.moodle.errors import incomplete
from gateway.domain.records import Group, Membership, Person, Programme, Subject, TeachingAssignment

PUPIL_ROLES = frozenset({"student"})
TEACHER_ROLES = frozenset({"editingteacher", "teacher"})
"""Short names of Moodle's standard roles; the non-editing teacher teaches as well."""

WHOLE_COURSE = 0
"""Stands for a group id where a course has no groups and is itself the group."""

_CLASS_NAME = re.compile(r"\d{1,2}\s*[-«\"]?\s*[А-ЯЁA-Z]", re.IGNORECASE)


def user_ref(userid: int) -> str:
    return f"user:{userid}"


def course_ref(courseid: int) -> str:
    return f"course:{courseid}"


def group_ref(courseid: int, groupid: int) -> str:
    """`group:1`, or `group:course:2` where the course itself is the group."""
    return f"group:{groupid}" if groupid != WHOLE_COURSE else f"group:course:{courseid}"


def subject_name(course: wire.Course) -> str:
    """Subject of a course: its full name before the comma («Алгебра, 7 класс»)."""
    return wire.to_plain(course.fullname).partition(",")[0].strip()


def subject_ref(name: str) -> str:
    return f"subject:{name.casefold()}"


@dataclass(frozen=True)
class CourseDirectory:
    """One course with its people.

    Attributes:
        groups: Group id → (name, pupils in id order, teachers); one entry `WHOLE_COURSE` in a course without groups.
        home: Pupil → the group his marks are read with: the lowest id where he is in several.
        ungrouped: Pupils in no group of a course that has groups.
        people: Everybody with a pupil's or teacher's role → whether a teacher.
    """

    course: wire.Course
    subject: str
    groups: Mapping[int, tuple[str, tuple[int, ...], tuple[int, ...]]]
    home: Mapping[int, int]
    ungrouped: tuple[int, ...]
    people: Mapping[int, bool]

    @property
    def ref(self) -> str:
        return course_ref(self.course.id)

    def group_ref(self, groupid: int) -> str:
        return group_ref(self.course.id, groupid)

    def pupils_at_home(self, groupid: int) -> tuple[int, ...]:
        """Pupils whose marks are read with this group."""
        return tuple(userid for userid in self.groups[groupid][1] if self.home[userid] == groupid)


def fetch_course_directory(calls: MoodleCalls, course: wire.Course) -> CourseDirectory:
    """Read groups, members and enrolments of a course and hold them against one another.

    Raises:
        IncompleteReadError: They disagree: somebody is being moved right now, or a right was taken away silently.
    """
    groups = calls.fetch_groups(course.id)
    members = calls.fetch_members([group.id for group in groups])
    enrolled = calls.fetch_enrolled(course.id)
    _require_agreement(members, enrolled)
    roles = {row.id: {role.shortname for role in row.roles} for row in enrolled}
    teachers = {userid for userid, names in roles.items() if names & TEACHER_ROLES}
    pupils = {userid for userid, names in roles.items() if names & PUPIL_ROLES} - teachers
    placed: dict[int, tuple[str, tuple[int, ...], tuple[int, ...]]] = {}
    for group in sorted(groups, key=lambda each: each.id):
        inside = set(members[group.id])
        placed[group.id] = (wire.to_plain(group.name), _ordered(pupils & inside), _ordered(teachers & inside))
    if not groups:
        placed[WHOLE_COURSE] = (wire.to_plain(course.fullname), _ordered(pupils), _ordered(teachers))
    placed = _with_free_teachers(placed, teachers)
    home: dict[int, int] = {}
    for groupid, (_name, group_pupils, _teachers) in placed.items():
        for userid in group_pupils:
            home.setdefault(userid, groupid)
    return CourseDirectory(
        course=course,
        subject=subject_name(course),
        groups=placed,
        home=home,
        ungrouped=_ordered(pupils - set(home)),
        people={userid: userid in teachers for userid in sorted(pupils | teachers)},
    )


def _require_agreement(members: Mapping[int, Collection[int]], enrolled: Sequence[wire.Enrolled]) -> None:
    known = {row.id: {group.id for group in row.groups} for row in enrolled}
    if {group for groups in known.values() for group in groups} - set(members):
        raise incomplete("Список групп курса неполон", system=SYSTEM, function=GROUPS)
    for groupid, userids in members.items():
        if {userid for userid, groups in known.items() if groupid in groups} != set(userids):
            raise incomplete("Состав группы и список курса расходятся", system=SYSTEM, function=ENROLLED)


def _with_free_teachers(
    placed: dict[int, tuple[str, tuple[int, ...], tuple[int, ...]]], teachers: set[int]
) -> dict[int, tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """A teacher in no group teaches all groups of the course."""
    free = teachers - {userid for _name, _pupils, inside in placed.values() for userid in inside}
    return {groupid: (name, pupils, _ordered(set(inside) | free)) for groupid, (name, pupils, inside) in placed.items()}


def _ordered(userids: Collection[int]) -> tuple[int, ...]:
    return tuple(sorted(userids))


class Classes:
    """Which class a pupil is in, from the site's cohorts."""

    def __init__(self, cohorts: Mapping[str, Collection[int]]) -> None:
        self.names = frozenset(name for name in cohorts if _CLASS_NAME.match(name))
        self._of: dict[int, str | None] = {}
        for name in sorted(self.names):
            for userid in cohorts[name]:
                # In two classes at once: no class, so that nobody is matched by the wrong one.
                self._of[userid] = None if userid in self._of else name
        self.members = frozenset(self._of)

    def of_pupil(self, userid: int) -> str | None:
        return self._of.get(userid)

    def of_group(self, name: str, pupils: Collection[int]) -> str | None:
        """A group's class: its own name where that is a class, else the one class all its pupils are in."""
        if name in self.names:
            return name
        found = {self._of.get(userid) for userid in pupils}
        return found.pop() if len(found) == 1 else None


def to_programme(portal: str, course: wire.Course) -> Programme:
    return Programme(
        ref=course_ref(course.id),
        origins={"*": f"{portal}/course/{course.id}"},
        name=wire.to_plain(course.fullname),
        short_name=wire.to_plain(course.shortname),
        begins_on=day_of(course.startdate),
        ends_on=day_of(course.enddate),
    )


def iter_subjects(portal: str, courses: Sequence[wire.Course]) -> Iterator[Subject]:
    """Subjects of all courses, each once."""
    seen: set[str] = set()
    for course in courses:
        name = subject_name(course)
        if subject_ref(name) not in seen:
            seen.add(subject_ref(name))
            yield Subject(ref=subject_ref(name), origins={"*": f"{portal}/course/{course.id}"}, name=name)


def to_person(portal: str, user: wire.User, *, is_teacher: bool, class_name: str | None, field: str) -> Person:
    """A person; `field` is the short name of the custom field with the city's id."""
    external = next((each.value for each in user.customfields if each.shortname == field), None)
    return Person(
        ref=user_ref(user.id),
        origins={"*": f"{portal}/user/{user.id}"},
        role="teacher" if is_teacher else "pupil",
        last_name=user.lastname.strip(),
        first_name=user.firstname.strip(),
        class_name=class_name,
        person_id=(external or "").strip() or None,
        school_id=user.idnumber.strip() or None,
        is_active=not user.suspended,
    )


def to_group(portal: str, directory: CourseDirectory, groupid: int, classes: Classes) -> Group:
    name, pupils, _teachers = directory.groups[groupid]
    origin = f"group/{groupid}" if groupid != WHOLE_COURSE else f"course/{directory.course.id}"
    return Group(
        ref=directory.group_ref(groupid),
        origins={"*": f"{portal}/{origin}"},
        programme=directory.ref,
        subject=subject_ref(directory.subject),
        name=name,
        class_name=classes.of_group(name, pupils),
    )


def iter_memberships(portal: str, directory: CourseDirectory, groupid: int) -> Iterator[Membership]:
    group = directory.group_ref(groupid)
    for userid in directory.groups[groupid][1]:
        yield Membership(
            ref=f"member:{group.removeprefix('group:')}:{userid}",
            origins={"*": f"{portal}/{group.replace(':', '/', 1)}"},
            person=user_ref(userid),
            group=group,
        )


def iter_teaching(portal: str, directory: CourseDirectory, groupid: int) -> Iterator[TeachingAssignment]:
    group = directory.group_ref(groupid)
    for userid in directory.groups[groupid][2]:
        yield TeachingAssignment(
            ref=f"teaching:{group.removeprefix('group:')}:{userid}",
            origins={"*": f"{portal}/{group.replace(':', '/', 1)}"},
            person=user_ref(userid),
            group=group,
        )
