"""Puts the scopes of a read together: their names, what is parked in them, and that each thing is handed over once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from gateway.connectors.planner.workbook.faults import CellError, Fault, Place
from gateway.connectors.planner.workbook.names import GroupKey, Names
from gateway.connectors.planner.workbook.records import place_key
from gateway.connectors.planner.workbook.survey import Sheets
from gateway.connectors.planner.workbook.words import slug
from gateway.connectors.port import ScopeRead, Want
from gateway.domain.clock import Clock
from gateway.domain.errors import IncompleteReadError, RecordError
from gateway.domain.identifiers import Kind, scope_key, sourced
from gateway.domain.reasons import WB_HALF_WRITTEN
from gateway.domain.records import Person, Record

SYSTEM = "workbook"
EMPTY: frozenset[str] = frozenset()


class Taught(Protocol):
    """An entry that says whose lesson it is of."""

    @property
    def class_name(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def group(self) -> str | None: ...


def key_of(entry: Taught) -> GroupKey:
    """The group of an entry."""
    return GroupKey.of(entry.class_name, entry.subject, entry.group)


class Lost:
    """What is parked in a scope, by the ref or place it is parked under: each once."""

    def __init__(self) -> None:
        self.by_where: dict[str, RecordError] = {}

    def add(self, fault: Fault, where: str) -> None:
        """Park something."""
        self.by_where.setdefault(where, RecordError(fault.sentence, where=where, reason=fault.code))

    def add_at(self, one: Sheets, fault: Fault) -> None:
        """Park what has no ref, under its place in the file."""
        place = Place(file=fault.file, sheet=fault.sheet)
        self.add(fault, place_key(one.file.key, place, fault.cell, fault.row))

    def all(self) -> tuple[RecordError, ...]:
        """What a scope hands over."""
        return tuple(self.by_where.values())


class Scopes:
    """Makes the scopes of one read.

    Args:
        names: Of the source.
        clock: For the moments of reads.
        want: Scopes that it does not name are left out.
    """

    def __init__(self, names: Names, clock: Clock, want: Want) -> None:
        self.names = names
        self._clock = clock
        self._want = want
        self._subjects = {slug(subject) for subject in want.subjects}
        self._taken: set[str] = set()

    def is_wanted(self, key: GroupKey) -> bool:
        """Whether a group is asked for."""
        return (not self._want.class_names or key.class_name in self._want.class_names) and (
            not self._subjects or key.subject in self._subjects
        )

    def first(self, found: Iterable[Record]) -> list[Record]:
        """Leave out what an earlier file or row has handed over already."""
        own: list[Record] = []
        for record in found:
            if record.ref not in self._taken:
                self._taken.add(record.ref)
                own.append(record)
        return own

    def of_school(
        self, one: Sheets, kind: Kind, found: Sequence[Record], faults: Sequence[RecordError] = ()
    ) -> Iterator[ScopeRead]:
        """A file's records of a kind that belongs to no group."""
        if kind not in self._want.kinds:
            return
        yield ScopeRead(
            scope=scope_key(kind, sourced(self.names.source, "site"), f"file:{one.file.key}"),
            kind=kind,
            read_at=self._clock.now(),
            records=found,
            faults=faults,
            pupils_present=frozenset(record.ref for record in found if isinstance(record, Person)),
        )

    def of_group(
        self,
        one: Sheets,
        kind: Kind,
        key: GroupKey,
        found: Sequence[Record],
        faults: Sequence[RecordError] = (),
        *,
        problem: str = "",
        pupils: frozenset[str] = EMPTY,
        items: frozenset[str] = EMPTY,
    ) -> Iterator[ScopeRead]:
        """A file's records of one group; with a problem, nothing but the problem."""
        if kind not in self._want.kinds or not self.is_wanted(key):
            return
        programme = self.names.programme(key.level, key.subject)
        yield ScopeRead(
            scope=scope_key(kind, programme, self.names.group(key), f"file:{one.file.key}"),
            kind=kind,
            read_at=self._clock.now(),
            records=() if problem else found,
            faults=() if problem else faults,
            problem=IncompleteReadError(problem, system=SYSTEM) if problem else None,
            pupils_present=pupils,
            items_present=items,
        )

    def unread(self, one: Sheets, part: str, fault: Fault) -> ScopeRead:
        """A file or sheet of which nothing is known now: what was read of it before stands."""
        return ScopeRead(
            scope=scope_key(Kind.PROGRAMME, sourced(self.names.source, "unread"), f"file:{one.file.key}", part),
            kind=Kind.PROGRAMME,
            read_at=self._clock.now(),
            unread_part=f"file:{one.file.key}",
            problem=IncompleteReadError(fault.sentence, system=SYSTEM, reason=fault.code),
        )


def fault_of(one: Sheets) -> Fault:
    """Why a file is not read."""
    problem = one.problem or CellError(WB_HALF_WRITTEN)
    return Place(file=one.file.path.name).fault(problem.code, detail=problem.detail)
