"""The timetable's file as a source of lessons: what the rest of the gateway sees of this connector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gateway.connectors.planner.asc.expand import Expanded, expand
from gateway.connectors.planner.asc.xml import SYSTEM, read_export
from gateway.connectors.port import CheckLine, CheckState, ScopeRead, Stored, Want
from gateway.domain.clock import Clock
from gateway.domain.errors import ConnectorError, IncompleteReadError, RecordError
from gateway.domain.identifiers import Kind, scope_key, sourced
from gateway.domain.records import Record
from gateway.domain.school_year import SchoolYear


class AscSource:
    """Reads an export and lays it out over the school's year; implements `gateway.connectors.port.PortalSource`.

    Args:
        find_year: Finds the school's calendar; without one nothing can be laid out.
        zone: IANA name of the school's zone.
    """

    def __init__(
        self, path: Path, *, name: str, find_year: Callable[[], SchoolYear | None], zone: str, clock: Clock
    ) -> None:
        self.name = name
        self._path = path
        self._find_year = find_year
        self._zone = zone
        self._clock = clock

    def check(self) -> Iterator[CheckLine]:
        """Tell whether the file and the calendar are there; never raises."""
        try:
            expanded = self._expand()
        except ConnectorError as error:
            yield CheckLine(subject="planner.timetable", state=CheckState.FAILED, sentence=error.sentence)
            return
        count = sum(len(found) for found in expanded.lessons.values())
        lost = expanded.faults_count
        state = CheckState.WARNING if lost else CheckState.OK
        sentence = f"Расписание: групп {len(expanded.groups)}, уроков {count}, не разобрано {lost}"
        yield CheckLine(subject="planner.timetable", state=state, sentence=sentence)

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        """Yield subjects, teachers, groups, and the lessons of each group.

        Raises:
            IncompleteReadError: No file, no plain export, or no calendar.
        """
        del stored
        expanded = self._expand()
        site, school = sourced(self.name, "site"), sourced(self.name, "school")
        for kind, records, faults in (
            (Kind.SUBJECT, expanded.subjects, ()),
            (Kind.PERSON, expanded.teachers, ()),
            (Kind.GROUP, expanded.groups, expanded.faults),
        ):
            if kind in want.kinds:
                yield self._scope(kind, (site,), records, faults)
        for group in expanded.groups:
            if Kind.ASSIGNMENT in want.kinds:
                found = expanded.assignments.get(group.ref, ())
                yield self._scope(Kind.ASSIGNMENT, (school, group.ref), found)
            if Kind.LESSON in want.kinds:
                faults = expanded.lesson_faults.get(group.ref, ())
                yield self._scope(Kind.LESSON, (school, group.ref), expanded.lessons.get(group.ref, ()), faults)

    def _scope(
        self, kind: Kind, parts: Sequence[str], records: Sequence[Record], faults: Sequence[RecordError] = ()
    ) -> ScopeRead:
        return ScopeRead(
            scope=scope_key(kind, *parts),
            kind=kind,
            read_at=self._clock.now(),
            records=records,
            faults=faults,
            items_present=frozenset(one.ref for one in records),
        )

    def _expand(self) -> Expanded:
        year = self._find_year()
        if year is None:
            raise IncompleteReadError(
                "Расписание без календаря школы не разложить по дням: gateway calendar import", system=SYSTEM
            )
        return expand(read_export(self._path), year, source=self.name, zone=self._zone)
