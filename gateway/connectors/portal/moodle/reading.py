"""One read of the portal, scope by scope: what fails is discarded whole, the rest goes on.

The connector's top, below `source`. Directories are read first and held as ids; then each course is read group by
group, so that memory stays flat. A scope is complete or has a problem, never something between: where an answer that
several scopes need is missing, all of them have the problem. A wish for some days, pupils or classes chooses scopes and
never cuts one: what is left out of a scope would look as if it were gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from gateway.connectors.port import ScopeRead, Stored, Want
from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.calls import MoodleCalls
from gateway.connectors.portal.moodle.capability import attempts_function, may_read_attendance
from gateway.connectors.portal.moodle.course_reading import CourseReading
from gateway.connectors.portal.moodle.dates import year_bounds
from gateway.connectors.portal.moodle.directory import (
    Classes,
    CourseDirectory,
    course_ref,
    fetch_course_directory,
    iter_memberships,
    iter_subjects,
    iter_teaching,
    subject_ref,
    to_group,
    to_person,
    to_programme,
    user_ref,
)
from gateway.connectors.portal.moodle.scopes import Outages, group_scope
from gateway.domain.clock import Clock
from gateway.domain.errors import IncompleteReadError
from gateway.domain.identifiers import Kind, scope_key
from gateway.domain.records import Person, Record
from gateway.settings import PortalSettings

DATED_KINDS = (Kind.LESSON, Kind.MARK, Kind.FINAL, Kind.ABSENCE, Kind.COMMENT, Kind.HOMEWORK)
"""Kinds whose scopes hang on a course's groups."""

SITE = "site"
"""Second part of the scopes that belong to the whole portal."""


class Reading:
    """One read.

    Args:
        site: The answer of the start; which functions are offered.
        courses: Courses of the categories wanted.
    """

    def __init__(
        self,
        calls: MoodleCalls,
        settings: PortalSettings,
        *,
        clock: Clock,
        site: wire.SiteInfo,
        courses: Sequence[wire.Course],
        want: Want,
        stored: Stored,
    ) -> None:
        self._calls = calls
        self._settings = settings
        self._clock = clock
        self._site = site
        self._courses = courses
        self._want = want
        self._stored = stored
        self._outages = Outages()

    def iter_scopes(self) -> Iterator[ScopeRead]:
        """Yield every wanted scope.

        Raises:
            ConnectorError: No connection, a dead token, or the portal is down.
        """
        name, want = self._settings.name, self._want
        if Kind.PROGRAMME in want.kinds:
            yield self._site_scope(Kind.PROGRAMME, [to_programme(name, course) for course in self._courses])
        if Kind.SUBJECT in want.kinds:
            yield self._site_scope(Kind.SUBJECT, list(iter_subjects(name, self._courses)))
        classes = self._outages.attempt(lambda: Classes(self._calls.fetch_cohorts()))
        directories = {
            course.id: self._outages.attempt(partial(fetch_course_directory, self._calls, course))
            for course in self._courses
        }
        people = self._read_people(directories, classes)
        if Kind.PERSON in want.kinds:
            yield people
        yield from self._iter_directory_scopes(directories, classes)
        suspended = frozenset(
            int(person.ref.partition(":")[2])
            for person in people.records
            if isinstance(person, Person) and not person.is_active
        )
        for courseid, directory in directories.items():
            if isinstance(directory, IncompleteReadError):
                yield from self._discarded_course(courseid, directory)
                continue
            yield from self._iter_course(directory, classes, suspended)

    def _site_scope(self, kind: Kind, records: Sequence[Record]) -> ScopeRead:
        return ScopeRead(
            scope=scope_key(kind, SITE),
            kind=kind,
            read_at=self._clock.now(),
            records=records,
            items_present=frozenset(record.ref for record in records),
        )

    def _read_people(
        self, directories: Mapping[int, CourseDirectory | IncompleteReadError], classes: Classes | IncompleteReadError
    ) -> ScopeRead:
        scope, read_at = scope_key(Kind.PERSON, SITE), self._clock.now()
        roles: dict[int, bool] = {}
        # Somebody of an unread course would look as if he had left the school.
        problem = next((each for each in directories.values() if isinstance(each, IncompleteReadError)), None)
        if isinstance(classes, IncompleteReadError):
            problem = classes
        for directory in directories.values():
            if isinstance(directory, CourseDirectory):
                for userid, is_teacher in directory.people.items():
                    roles[userid] = roles.get(userid, False) or is_teacher
        if problem is not None or isinstance(classes, IncompleteReadError):
            return ScopeRead(scope=scope, kind=Kind.PERSON, read_at=read_at, problem=problem)
        for userid in classes.members:
            roles.setdefault(userid, False)
        users = self._outages.attempt(lambda: self._calls.fetch_users(sorted(roles)))
        if isinstance(users, IncompleteReadError):
            return ScopeRead(scope=scope, kind=Kind.PERSON, read_at=read_at, problem=users)
        people = [
            to_person(
                self._settings.name,
                user,
                is_teacher=roles[user.id],
                class_name=classes.of_pupil(user.id),
                field=self._settings.person_id_field,
            )
            for user in users
        ]
        return ScopeRead(
            scope=scope,
            kind=Kind.PERSON,
            read_at=read_at,
            records=people,
            pupils_present=frozenset(person.ref for person in people if person.role == "pupil"),
            items_present=frozenset(person.ref for person in people),
        )

    def _iter_directory_scopes(
        self, directories: Mapping[int, CourseDirectory | IncompleteReadError], classes: Classes | IncompleteReadError
    ) -> Iterator[ScopeRead]:
        name, kinds = self._settings.name, self._want.kinds
        for courseid, directory in directories.items():
            read_at = self._clock.now()
            scope = scope_key(Kind.GROUP, course_ref(courseid))
            problem = next((each for each in (directory, classes) if isinstance(each, IncompleteReadError)), None)
            if Kind.GROUP in kinds:
                records: list[Record] = []
                if isinstance(directory, CourseDirectory) and isinstance(classes, Classes):
                    records = [to_group(name, directory, groupid, classes) for groupid in directory.groups]
                items = frozenset(record.ref for record in records)
                yield ScopeRead(
                    scope=scope,
                    kind=Kind.GROUP,
                    read_at=read_at,
                    records=records,
                    problem=problem,
                    items_present=items,
                )
            for kind, iter_records in ((Kind.MEMBERSHIP, iter_memberships), (Kind.ASSIGNMENT, iter_teaching)):
                if kind not in kinds:
                    continue
                if isinstance(directory, IncompleteReadError):
                    scope = scope_key(kind, course_ref(courseid))
                    yield ScopeRead(scope=scope, kind=kind, read_at=read_at, problem=directory)
                    continue
                for groupid, (_name, pupils, _teachers) in directory.groups.items():
                    yield ScopeRead(
                        scope=group_scope(kind, directory, groupid),
                        kind=kind,
                        read_at=read_at,
                        records=list(iter_records(name, directory, groupid)),
                        pupils_present=frozenset(map(user_ref, pupils)),
                    )

    def _discarded_course(self, courseid: int, problem: IncompleteReadError) -> Iterator[ScopeRead]:
        """Its groups are unknown, so each kind has one scope named by the course alone."""
        for kind in DATED_KINDS:
            if kind in self._want.kinds:
                scope = scope_key(kind, course_ref(courseid))
                yield ScopeRead(scope=scope, kind=kind, read_at=self._clock.now(), problem=problem)

    def _iter_course(
        self, directory: CourseDirectory, classes: Classes | IncompleteReadError, suspended: frozenset[int]
    ) -> Iterator[ScopeRead]:
        if isinstance(classes, IncompleteReadError) and self._want.class_names:
            yield from self._discarded_course(directory.course.id, classes)
            return
        groupids = [
            groupid
            for groupid in directory.groups
            if self._is_wanted(directory, groupid, classes if isinstance(classes, Classes) else None)
        ]
        is_anything_chosen = bool(self._want.class_names or self._want.subjects or self._want.pupils)
        if not groupids and is_anything_chosen:
            return
        reading = CourseReading(
            self._calls,
            directory,
            self._settings,
            clock=self._clock,
            outages=self._outages,
            suspended=suspended,
            bounds=year_bounds(self._want.to_on),
            attempts_function=attempts_function(self._site),
            has_attendance=may_read_attendance(self._site),
        )
        yield from reading.iter_scopes(self._want, self._stored, groupids)

    def _is_wanted(self, directory: CourseDirectory, groupid: int, classes: Classes | None) -> bool:
        want = self._want
        name, pupils, _teachers = directory.groups[groupid]
        if want.subjects and not _any_named({subject_ref(directory.subject), directory.subject}, want.subjects):
            return False
        if want.pupils and not want.pupils & set(map(user_ref, pupils)):
            return False
        if not want.class_names:
            return True
        class_name = classes.of_group(name, pupils) if classes is not None else None
        return class_name is not None and _any_named({class_name}, want.class_names)


def _any_named(names: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether one of the names is wanted, whatever the case it was typed in."""
    return bool({name.casefold() for name in names} & {name.casefold() for name in wanted})
