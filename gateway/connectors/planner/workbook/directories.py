"""Everything of a folder but its pages, as scopes: programmes, subjects, people, groups, members, lessons, plans.

Between the survey and the pages: what is taken here is what the pages are read against.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from gateway.connectors.planner.workbook import records
from gateway.connectors.planner.workbook.entries import LessonEntry
from gateway.connectors.planner.workbook.faults import CellError, Place
from gateway.connectors.planner.workbook.names import GroupKey, Names
from gateway.connectors.planner.workbook.register import Pupils, Slot, Timetable
from gateway.connectors.planner.workbook.scopes import Lost, Scopes, fault_of, key_of
from gateway.connectors.planner.workbook.survey import Sheets
from gateway.connectors.port import ScopeRead
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import WB_CONTRADICTION, WB_NOT_IN_TIMETABLE
from gateway.domain.records import LessonPlan, Record


class Directories:
    """The folder's directories.

    Args:
        names: Of the source.
        files: The files that were read.
        timetable: Empty; it is filled here.
    """

    def __init__(self, names: Names, files: Sequence[Sheets], timetable: Timetable) -> None:
        self.pupils = Pupils(names)
        self.timetable = timetable
        self._names = names
        self._files = files
        self._lost: dict[str, Lost] = defaultdict(Lost)
        self._written: dict[str, str] = {}
        self._topics: dict[str, str] = {}
        self._lessons_in: dict[GroupKey, Sheets] = {}
        self._people = self._take_people()
        self._take_slots()
        self._take_topics()
        self._groups = self._find_groups()

    def _take_people(self) -> dict[str, list[tuple[str, Place]]]:
        """Take the pupils of all lists; return file → (ref, place) of those it is the first to name."""
        found: dict[str, list[tuple[str, Place]]] = {one.file.key: [] for one in self._files}
        said: list[tuple[str, str, Place, int]] = []
        for one in self._files:
            for place, entry in one.pupils:
                ref, is_new = self.pupils.add(entry)
                said.append((ref, one.file.key, place, entry.row))
                if is_new:
                    found[one.file.key].append((ref, place))
        for ref, file_key, place, row in said:
            if ref in self.pupils.contradicted:
                self._lost[file_key].add(place.fault(WB_CONTRADICTION, row=row), ref)
        return found

    def _take_slots(self) -> None:
        for one in self._files:
            for place, slot in one.slots:
                try:
                    self._lessons_in.setdefault(self.timetable.add(slot), one)
                except CellError as exc:
                    fault = place.fault(exc.code, row=slot.row, column=slot.column, detail=exc.detail)
                    self._lost[one.file.key].add_at(one, fault)

    def _take_topics(self) -> None:
        for one in self._files:
            for _, entry in one.lessons:
                if self.timetable.add_lesson(entry):
                    self._lessons_in.setdefault(key_of(entry), one)
        for one in self._files:
            for place, entry in one.lessons:
                if not entry.topic:
                    continue
                found = self._find_slot(entry)
                if found is None:
                    self._lost[one.file.key].add_at(one, place.fault(WB_NOT_IN_TIMETABLE, row=entry.row))
                else:
                    self._topics.setdefault(self._names.lesson(key_of(entry), found.starts_at), entry.topic)

    def _find_slot(self, entry: LessonEntry) -> Slot | None:
        try:
            return self.timetable.find(key_of(entry), entry.day, entry.ordinal or 1, entry.ordinal)
        except CellError:
            return None

    def _find_groups(self) -> dict[GroupKey, tuple[Sheets, Place]]:
        """Every group that some file names, with the first file that does."""
        found: dict[GroupKey, tuple[Sheets, Place]] = {}
        for one in self._files:
            for subject, written in one.subjects.items():
                self._written.setdefault(subject, written)
            named = [(place, key_of(slot)) for place, slot in one.slots]
            named += [(place, key_of(lesson)) for place, lesson in one.lessons]
            named += [(place, key_of(cell)) for place, cell in (*one.listed, *one.remarks)]
            named += [(one.places[numbers[0]], key) for key, numbers in one.pages.items()]
            for place, key in named:
                found.setdefault(key, (one, place))
        return dict(sorted(found.items()))

    def iter_scopes(self, scopes: Scopes) -> Iterator[ScopeRead]:
        """What belongs to no group: programmes, subjects, people, their addresses, groups."""
        for one in self._files:
            place = Place(file=one.file.path.name)
            lost = self._lost[one.file.key]
            for fault in one.faults:
                lost.add_at(one, fault)
            levels = {(key.level, key.subject) for key, (owner, _) in self._groups.items() if owner is one}
            levels |= {(plan.level, plan.subject.rpartition(":")[2]) for plan in self._plans(one)}
            programmes = [
                records.to_programme(self._names, level, subject, self._written.get(subject, subject), place)
                for level, subject in sorted(levels)
            ]
            subjects = [
                records.to_subject(self._names, subject, written, place)
                for subject, written in sorted(one.subjects.items())
            ]
            groups = [
                records.to_group(self._names, key, self._written.get(key.subject, key.subject), where)
                for key, (owner, where) in self._groups.items()
                if owner is one
            ]
            people: list[Record] = []
            guardians: list[Record] = []
            for ref, where in self._people[one.file.key]:
                if ref not in self.pupils.contradicted:
                    pupil = self.pupils.get(ref)
                    people.append(records.to_person(self._names, pupil, where))
                    guardians += records.iter_guardians(self._names, pupil, where)
            yield from scopes.of_school(one, Kind.PROGRAMME, scopes.first(programmes))
            yield from scopes.of_school(one, Kind.SUBJECT, scopes.first(subjects))
            yield from scopes.of_school(one, Kind.PERSON, people, lost.all())
            yield from scopes.of_school(one, Kind.GUARDIAN, guardians)
            yield from scopes.of_school(one, Kind.GROUP, groups)

    def iter_memberships(self, scopes: Scopes) -> Iterator[ScopeRead]:
        """A class's group has the whole class; of a group within it only its pages know."""
        for one in self._files:
            places = dict(self._people[one.file.key])
            for key in self._groups:
                members: list[Record] = [
                    records.to_membership(self._names, key, pupil.ref, places[pupil.ref])
                    for pupil in ([] if key.group else self.pupils.of_class(key.class_name))
                    if pupil.ref in places
                ]
                if members:
                    yield from scopes.of_group(one, Kind.MEMBERSHIP, key, members)

    def iter_lessons(self, scopes: Scopes, waiting: Sheets | None) -> Iterator[ScopeRead]:
        """The lessons of each group.

        Args:
            scopes: Makes them.
            waiting: A file that is not there yet. Topics may stand in it, which would look taken back without it, so
                then no lesson is read.
        """
        for key, one in sorted(self._lessons_in.items(), key=lambda item: item[0]):
            if waiting is not None:
                yield from scopes.of_group(one, Kind.LESSON, key, (), problem=fault_of(waiting).sentence)
                continue
            place = Place(file=one.file.path.name)
            lessons: list[Record] = []
            for _, slots in self.timetable.of(key):
                for ordinal, slot in enumerate(slots, start=1):
                    topic = self._topics.get(self._names.lesson(key, slot.starts_at))
                    lessons.append(records.to_lesson(self._names, key, slot, ordinal, topic, place))
            yield from scopes.of_group(one, Kind.LESSON, key, lessons)

    def iter_plans(self, scopes: Scopes) -> Iterator[ScopeRead]:
        """КТП, work programmes and the curriculum."""
        for one in self._files:
            sections = [records.to_section(self._names, entry, place) for place, entry in one.programmes]
            hours = [records.to_curriculum(self._names, entry, place) for place, entry in one.curriculum]
            for kind, found in (
                (Kind.LESSON_PLAN, self._plans(one)),
                (Kind.PROGRAMME_SECTION, sections),
                (Kind.CURRICULUM, hours),
            ):
                if found:
                    yield from scopes.of_school(one, kind, scopes.first(found))

    def _plans(self, one: Sheets) -> list[LessonPlan]:
        return [records.to_plan(self._names, entry, place) for place, entry in one.plans]
