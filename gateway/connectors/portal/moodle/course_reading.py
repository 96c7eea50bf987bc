"""One course read group by group: lessons, marks, attempts, absences, homework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from gateway.connectors.port import ScopeRead, Stored, Want
from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.calls import CONTENTS, SESSIONS, MoodleCalls
from gateway.connectors.portal.moodle.client import SYSTEM
from gateway.connectors.portal.moodle.directory import WHOLE_COURSE, CourseDirectory, user_ref
from gateway.connectors.portal.moodle.errors import incomplete
from gateway.connectors.portal.moodle.finals import find_final_item, to_final, to_late_comments, to_late_faults
from gateway.connectors.portal.moodle.lessons import GroupLessons, build_group_lessons
from gateway.connectors.portal.moodle.marks import Activities, item_ref, items_of, require_whole_report, to_mark
from gateway.connectors.portal.moodle.reviews import quiz_ref
from gateway.connectors.portal.moodle.scopes import Outages, group_scope
from gateway.connectors.portal.moodle.tasks import homework_ref, to_attempt, to_homework
from gateway.domain.clock import Clock
from gateway.domain.errors import IncompleteReadError, RecordError
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import HIDDEN_AT_SOURCE
from gateway.domain.records import Homework, Mark
from gateway.settings import PortalSettings

_NEED_LESSONS = frozenset({Kind.LESSON, Kind.ABSENCE, Kind.COMMENT, Kind.HOMEWORK})
_NEED_REPORT = frozenset({Kind.MARK, Kind.ATTEMPT, Kind.FINAL})
_NEED_ACTIVITIES = _NEED_LESSONS | _NEED_REPORT
"""Lessons too: the list of activities proves that the list of modules, which names the attendance, is whole."""


class CourseReading:
    """Reads one course.

    Args:
        directory: Its people, whole.
        suspended: Accounts closed at the portal: they aren't in the user report.
        bounds: School year, end excluded.
        attempts_function: Which function gives attempts.
        has_attendance: Whether the plugin's function is in the service.
    """

    def __init__(
        self,
        calls: MoodleCalls,
        directory: CourseDirectory,
        settings: PortalSettings,
        *,
        clock: Clock,
        outages: Outages,
        suspended: frozenset[int],
        bounds: tuple[datetime, datetime],
        attempts_function: str,
        has_attendance: bool,
    ) -> None:
        self._calls = calls
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._outages = outages
        self._suspended = suspended
        self._bounds = bounds
        self._attempts_function = attempts_function
        self._has_attendance = has_attendance

    def iter_scopes(self, want: Want, stored: Stored, groupids: Sequence[int]) -> Iterator[ScopeRead]:
        """Yield the dated scopes of these groups, and of pupils in no group where the whole course is wanted."""
        read_at = self._clock.now()
        modules: Sequence[wire.Module] | IncompleteReadError = ()
        lessons: Mapping[int, GroupLessons] | IncompleteReadError = {}
        activities: Activities | IncompleteReadError = Activities({}, {})
        if want.kinds & _NEED_ACTIVITIES:
            activities = self._outages.attempt(self._fetch_activities)
        if want.kinds & _NEED_LESSONS:
            modules = self._outages.attempt(partial(self._fetch_modules, activities))
            lessons = modules if isinstance(modules, IncompleteReadError) else self._read_lessons(groupids, modules)
        if Kind.LESSON in want.kinds:
            yield from self._iter_lesson_scopes(groupids, lessons, read_at)
        if want.kinds & _NEED_REPORT:
            whole = len(groupids) == len(self._directory.groups)
            active = [userid for userid in self._directory.ungrouped if userid not in self._suspended]
            for groupid in [*groupids, *([None] if whole and active else [])]:
                rows = self._read_report(groupid, activities)
                marks = self._build_mark_scope(groupid, rows, activities)
                yield marks
                if Kind.FINAL in want.kinds and groupid is not None and self._settings.finals:
                    yield self._build_final_scope(groupid, rows, marks.read_at)
                if Kind.ATTEMPT in want.kinds and marks.is_complete and isinstance(activities, Activities):
                    yield from self._iter_attempt_scopes(groupid, marks, stored, activities)
        for kind in (Kind.ABSENCE, Kind.COMMENT):
            if kind in want.kinds:
                yield from self._iter_attendance_scopes(kind, groupids, lessons, read_at)
        if Kind.HOMEWORK in want.kinds:
            for groupid in groupids:
                yield self._build_homework_scope(groupid, modules, lessons, activities, read_at)

    def _fetch_activities(self) -> Activities:
        courseid = self._directory.course.id
        return Activities(
            assignments={row.id: row for row in self._calls.fetch_assignments(courseid)},
            quizzes={row.id: row for row in self._calls.fetch_quizzes(courseid)},
        )

    def _fetch_modules(self, activities: Activities | IncompleteReadError) -> Sequence[wire.Module]:
        modules = self._calls.fetch_modules(self._directory.course.id)
        listed = {(each.modname, each.instance) for each in modules if each.modname in {"assign", "quiz"}}
        # Where the activities couldn't be read, the calendar still proves the attendance (see `_fetch_lessons`). Modules
        # of a hidden section may be missing here without harm, all of them at once may not.
        if isinstance(activities, Activities):
            known = activities.all()
            if listed - known or (known and not listed):
                raise incomplete("Содержание курса и список заданий расходятся", system=SYSTEM, function=CONTENTS)
        return modules

    def _read_lessons(
        self, groupids: Sequence[int], modules: Sequence[wire.Module]
    ) -> Mapping[int, GroupLessons] | IncompleteReadError:
        return self._outages.attempt(lambda: self._fetch_lessons(groupids, modules))

    def _fetch_lessons(self, groupids: Sequence[int], modules: Sequence[wire.Module]) -> Mapping[int, GroupLessons]:
        directory = self._directory
        instances = [module.instance for module in modules if module.modname == "attendance"]
        if instances and not self._has_attendance:
            raise incomplete("Нет функции посещаемости во внешней службе", system=SYSTEM, function=SESSIONS)
        sessions = [session for instance in instances for session in self._calls.fetch_sessions(instance)]
        if WHOLE_COURSE in directory.groups:
            events = self._calls.fetch_course_events([directory.course.id], *self._bounds)
            events = [event for event in events if event.courseid == directory.course.id]
        else:
            events = self._calls.fetch_group_events(list(directory.groups), *self._bounds)
        announced = {event.instance for event in events if event.modulename == "attendance"}
        if announced - {session.attendanceid for session in sessions}:
            # The calendar knows lessons whose sessions weren't given: a right was taken away silently.
            raise incomplete("Календарь знает занятия, которых нет в посещаемости", system=SYSTEM, function=SESSIONS)
        return {
            groupid: build_group_lessons(
                self._settings.name,
                directory,
                groupid,
                sessions=sessions,
                events=events,
                statuses=self._settings.statuses,
                bounds=self._bounds,
                has_topics=self._settings.has_topics,
            )
            for groupid in groupids
        }

    def _iter_lesson_scopes(
        self, groupids: Sequence[int], lessons: Mapping[int, GroupLessons] | IncompleteReadError, read_at: datetime
    ) -> Iterator[ScopeRead]:
        for groupid in groupids:
            scope = group_scope(Kind.LESSON, self._directory, groupid)
            if isinstance(lessons, IncompleteReadError):
                yield ScopeRead(scope=scope, kind=Kind.LESSON, read_at=read_at, problem=lessons)
                continue
            records = lessons[groupid].lessons
            yield ScopeRead(
                scope=scope,
                kind=Kind.LESSON,
                read_at=read_at,
                records=records,
                pupils_present=self._pupils(groupid),
                items_present=frozenset(record.ref for record in records),
            )

    def _iter_attendance_scopes(
        self,
        kind: Kind,
        groupids: Sequence[int],
        lessons: Mapping[int, GroupLessons] | IncompleteReadError,
        read_at: datetime,
    ) -> Iterator[ScopeRead]:
        """Absences, or the remarks that stand for lateness: two kinds out of the same sessions."""
        for groupid in groupids:
            scope = group_scope(kind, self._directory, groupid)
            if isinstance(lessons, IncompleteReadError):
                yield ScopeRead(scope=scope, kind=kind, read_at=read_at, problem=lessons)
                continue
            own = lessons[groupid]
            yield ScopeRead(
                scope=scope,
                kind=kind,
                read_at=read_at,
                records=own.absences if kind is Kind.ABSENCE else to_late_comments(own.absences),
                faults=own.faults if kind is Kind.ABSENCE else to_late_faults(own.faults),
                pupils_present=self._pupils(groupid),
                items_present=frozenset(record.ref for record in own.lessons),
            )

    def _read_report(
        self, groupid: int | None, activities: Activities | IncompleteReadError
    ) -> list[wire.UserGrades] | IncompleteReadError:
        if isinstance(activities, IncompleteReadError):
            return activities
        return self._outages.attempt(lambda: self._fetch_report(groupid, activities))

    def _build_mark_scope(
        self,
        groupid: int | None,
        rows: list[wire.UserGrades] | IncompleteReadError,
        activities: Activities | IncompleteReadError,
    ) -> ScopeRead:
        scope = group_scope(Kind.MARK, self._directory, groupid)
        read_at = self._clock.now()
        if isinstance(rows, IncompleteReadError):
            return ScopeRead(scope=scope, kind=Kind.MARK, read_at=read_at, problem=rows)
        if isinstance(activities, IncompleteReadError):
            return ScopeRead(scope=scope, kind=Kind.MARK, read_at=read_at, problem=activities)
        group = None if groupid is None else self._directory.group_ref(groupid)
        marks = [
            mark
            for row in rows
            for item in row.gradeitems
            if find_final_item(item, self._settings.finals) is None
            and (mark := to_mark(self._settings.name, row, item, group=group, activities=activities)) is not None
        ]
        return ScopeRead(
            scope=scope,
            kind=Kind.MARK,
            read_at=read_at,
            records=marks,
            pupils_present=frozenset(user_ref(row.userid) for row in rows),
            items_present=frozenset(item_ref(item.id) for row in rows for item in items_of(row)),
            modules={
                quiz_ref(quiz.id): quiz.coursemodule
                for quiz in activities.quizzes.values()
                if quiz.coursemodule is not None
            },
        )

    def _build_final_scope(
        self, groupid: int, rows: list[wire.UserGrades] | IncompleteReadError, read_at: datetime
    ) -> ScopeRead:
        scope = group_scope(Kind.FINAL, self._directory, groupid)
        if isinstance(rows, IncompleteReadError):
            return ScopeRead(scope=scope, kind=Kind.FINAL, read_at=read_at, problem=rows)
        group = self._directory.group_ref(groupid)
        finals = self._settings.finals
        return ScopeRead(
            scope=scope,
            kind=Kind.FINAL,
            read_at=read_at,
            records=[
                final
                for row in rows
                for item in row.gradeitems
                if (final := to_final(self._settings.name, row, item, group=group, finals=finals)) is not None
            ],
            pupils_present=frozenset(user_ref(row.userid) for row in rows),
            items_present=frozenset(
                item_ref(item.id)
                for row in rows
                for item in row.gradeitems
                if find_final_item(item, finals) is not None
            ),
        )

    def _fetch_report(self, groupid: int | None, activities: Activities) -> list[wire.UserGrades]:
        """The report rows of the pupils who are read with this group."""
        directory = self._directory
        own = set(directory.ungrouped if groupid is None else directory.pupils_at_home(groupid))
        rows = self._calls.fetch_grades(directory.course.id, groupid or 0)
        expected = own - self._suspended
        if expected - {row.userid for row in rows}:
            # Somebody may be suspended in this course only; asked for only then, because it needs one more right.
            expected -= {row.id for row in self._calls.fetch_enrolled(directory.course.id, only_suspended=True)}
        require_whole_report(
            rows, courseid=directory.course.id, expected=expected, known=directory.people, activities=activities
        )
        return [row for row in rows if row.userid in own]

    def _iter_attempt_scopes(
        self, groupid: int | None, marks: ScopeRead, stored: Stored, activities: Activities
    ) -> Iterator[ScopeRead]:
        """Attempts of changed cells only, a scope a cell: a school has far more cells than may be asked for one by one."""
        changed = set(stored.changed_marks(marks.scope))
        for mark in marks.records:
            if not isinstance(mark, Mark) or mark.ref not in changed or mark.module != "quiz" or mark.activity is None:
                continue
            quiz = activities.quizzes[int(mark.activity.partition(":")[2])]
            base = group_scope(Kind.ATTEMPT, self._directory, groupid)
            scope = "|".join((base, mark.activity, mark.pupil))
            yield self._read_attempts(scope, quiz, int(mark.pupil.partition(":")[2]))

    def _read_attempts(self, scope: str, quiz: wire.Quiz, userid: int) -> ScopeRead:
        read_at = self._clock.now()
        rows = self._outages.attempt(
            lambda: self._calls.fetch_attempts(quiz.id, userid, function=self._attempts_function)
        )
        if isinstance(rows, IncompleteReadError):
            return ScopeRead(scope=scope, kind=Kind.ATTEMPT, read_at=read_at, problem=rows)
        if any((row.quiz, row.userid) != (quiz.id, userid) for row in rows):
            problem = incomplete("Попытки чужого теста или ученика", system=SYSTEM, function=self._attempts_function)
            return ScopeRead(scope=scope, kind=Kind.ATTEMPT, read_at=read_at, problem=problem)
        records, faults = [], []
        for row in rows:
            if row.preview:
                continue  # a teacher's own trial run
            try:
                records.append(to_attempt(self._settings.name, self._directory, quiz, row))
            except RecordError as exc:
                faults.append(exc)
        return ScopeRead(
            scope=scope,
            kind=Kind.ATTEMPT,
            read_at=read_at,
            records=records,
            faults=faults,
            pupils_present=frozenset({user_ref(userid)}),
            items_present=frozenset({f"quiz:{quiz.id}"}),
        )

    def _build_homework_scope(
        self,
        groupid: int,
        modules: Sequence[wire.Module] | IncompleteReadError,
        lessons: Mapping[int, GroupLessons] | IncompleteReadError,
        activities: Activities | IncompleteReadError,
        read_at: datetime,
    ) -> ScopeRead:
        scope = group_scope(Kind.HOMEWORK, self._directory, groupid)
        if isinstance(modules, IncompleteReadError):
            return ScopeRead(scope=scope, kind=Kind.HOMEWORK, read_at=read_at, problem=modules)
        if isinstance(lessons, IncompleteReadError):
            return ScopeRead(scope=scope, kind=Kind.HOMEWORK, read_at=read_at, problem=lessons)
        if isinstance(activities, IncompleteReadError):
            return ScopeRead(scope=scope, kind=Kind.HOMEWORK, read_at=read_at, problem=activities)
        hidden = {each.instance for each in modules if each.modname == "assign" and not each.visible}
        records: list[Homework] = []
        faults: list[RecordError] = []
        for assignment in activities.assignments.values():
            if assignment.id in hidden:
                # Not left out silently: what was sent before must not look as if it had been removed.
                ref = homework_ref(self._directory, assignment.id, groupid)
                faults.append(RecordError("Задание скрыто от учеников", where=ref, reason=HIDDEN_AT_SOURCE))
                continue
            try:
                homework = to_homework(
                    self._settings.name, self._directory, groupid, assignment, lessons=lessons[groupid].lessons
                )
            except RecordError as exc:
                faults.append(exc)
            else:
                records.append(homework)
        return ScopeRead(
            scope=scope,
            kind=Kind.HOMEWORK,
            read_at=read_at,
            records=records,
            faults=faults,
            pupils_present=self._pupils(groupid),
            items_present=frozenset(homework_ref(self._directory, each, groupid) for each in activities.assignments),
        )

    def _pupils(self, groupid: int) -> frozenset[str]:
        return frozenset(user_ref(userid) for userid in self._directory.groups[groupid][1])
