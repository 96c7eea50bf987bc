"""What a connector is, seen from above.

Sources stream: a read comes scope by scope (kind × course × group), so that memory stays flat and one broken scope is
discarded whole while the others go on. Writing is one object a call. A second source of the same kinds plugs in here
without a change above the connectors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from gateway.domain.city import (
    CityAbsence,
    CityClass,
    CityForm,
    CityGroup,
    CityHomework,
    CityLesson,
    CityMark,
    CityObject,
    CityPeriod,
    CityPupil,
    CitySubject,
    CityTeacher,
    CityYear,
    Intent,
)
from gateway.domain.errors import ConnectorError, RecordError
from gateway.domain.identifiers import Kind
from gateway.domain.records import Record


class CheckState(StrEnum):
    """What a check line says of one thing."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"
    FAILED = "failed"


class CheckLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `gateway check`: what is configured, reachable, permitted or missing. Never a secret.

    Attributes:
        subject: Short constant name, e.g. `portal.capability.grades`.
        sentence: Russian, for the administrator; what to do when it is not ok.
    """

    subject: str
    state: CheckState
    sentence: str


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """What a run asks a source for; empty means everything.

    Attributes:
        from_on: First Moscow day of lessons and dated records, inclusive.
        to_on: Last Moscow day, inclusive.
    """

    kinds: frozenset[Kind] = frozenset(Kind)
    class_names: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    pupils: frozenset[str] = frozenset()
    from_on: date
    to_on: date

    @property
    def is_narrow(self) -> bool:
        """Whether it names classes, subjects or pupils instead of the whole school."""
        return bool(self.class_names or self.subjects or self.pupils)

    def covers(self, other: Want) -> bool:
        """Whether a run of this looks at everything that a run of the other looks at."""
        parts = ((self.class_names, other.class_names), (self.subjects, other.subjects), (self.pupils, other.pupils))
        return (
            other.kinds <= self.kinds
            and all(not mine or (bool(theirs) and theirs <= mine) for mine, theirs in parts)
            and self.from_on <= other.from_on
            and self.to_on >= other.to_on
        )


class ScopeRead(msgspec.Struct, frozen=True, kw_only=True):
    """One scope as it was read, complete or not.

    Attributes:
        scope: `domain.identifiers.scope_key(...)`: kind × course × group.
        records: All records of the scope. Empty when `problem` is set.
        problem: Why the read of this scope was discarded; None = complete (whole scope read, no warnings).
        faults: Records of the scope that can't be normalised: each is parked with its reason, the rest count.
        pupils_present: Pupils that the source lists in this scope, with or without values; how «left» is told from «cleared».
        items_present: Gradebook items, sessions or activities that exist in it; how «removed» is told from «cleared».
        modules: Activity behind a record (`quiz:1`) → the number under which the source's own log of events knows it.
        unread_part: With a problem: the last part of the names of all scopes that could not be read with this one, such as a
            file whose content is not known now.
    """

    scope: str
    kind: Kind
    read_at: datetime
    unread_part: str = ""
    records: Sequence[Record] = ()
    problem: ConnectorError | None = None
    faults: Sequence[RecordError] = ()
    pupils_present: frozenset[str] = frozenset()
    items_present: frozenset[str] = frozenset()
    modules: Mapping[str, int] = {}

    @property
    def is_complete(self) -> bool:
        """Whether absence from this read may mean something."""
        return self.problem is None


class Stored(Protocol):
    """What a source may ask about the scopes it has already handed over (the consumer stores a scope before asking for the next)."""

    def changed_marks(self, scope: str) -> Collection[str]:
        """Return refs of marks in that scope that were new or changed in this read, or whose attempts are still owed."""
        ...


class PortalSource(Protocol):
    """A source of the school's own records (the portal, the planner): scope by scope, directories first.

    Attributes:
        name: The source's name in the settings and rules. All but the portal put it before their refs
            (`domain.identifiers.sourced`), so that the refs of two sources never meet.
    """

    name: str

    def check(self) -> Iterator[CheckLine]:
        """Tell what is reachable and permitted, capability canary included."""
        ...

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        """Read in dependency order: programmes, subjects, people, groups, memberships, lessons, marks, attempts, absences, homework.

        The consumer has stored a scope before the next one is asked for, so `stored` answers about all earlier ones.

        Raises:
            ConnectorError: Nothing can be read at all (unreachable, token dead, capability gone).
        """
        ...


class PushedBook(msgspec.Struct, frozen=True, kw_only=True):
    """A whole book as a source pushed it, ready to be stored; a book may feed several scopes.

    Attributes:
        key: Name of the book, `marks|7a-alg`: revisions are counted by it.
        revision: Grows with every push of the book.
    """

    key: str
    revision: int
    scopes: tuple[ScopeRead, ...]


class BatchInbox(Protocol):
    """Understands what a source pushes."""

    name: str

    def read_batch(
        self, body: bytes, *, read_at: datetime, load_scope: Callable[[str], Sequence[Record]]
    ) -> PushedBook:
        """Read one batch.

        Args:
            body: JSON as it came, already within the caller's cap.
            read_at: Aware UTC.
            load_scope: Live records of a scope as stored: what a book of a group hangs on.

        Raises:
            RecordError: The batch can't be used; says the places and nothing of the values.
        """
        ...


class CityScope(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of the city's journal in one piece: a kind of one group between two days.

    Attributes:
        is_read_twice: Whether a list that may be longer than a page and whose length the city does not tell is read until two passes are
            equal: rows that come or go meanwhile shift the later pages. Needed where absence may lead to a write.
    """

    kind: Kind
    group_id: int
    subject_id: int
    level: int
    from_on: date
    to_on: date
    is_read_twice: bool = False


class CityRead(msgspec.Struct, frozen=True, kw_only=True):
    """One scope of the city's journal, complete or discarded.

    Attributes:
        objects: Empty when `problem` is set.
        faults: Rows that don't fit the contract. A scope with one is discarded (`problem` is set too): a row that can't
            be read would look absent, and what looks absent is written once more.
    """

    scope: CityScope
    read_at: datetime
    objects: Sequence[CityObject] = ()
    problem: ConnectorError | None = None
    faults: Sequence[RecordError] = ()

    @property
    def is_complete(self) -> bool:
        """Whether absence from this read may mean something."""
        return self.problem is None


class CityDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """The city's directories of one school year, read whole before anything is compared.

    Attributes:
        faults: Places (kind, id, fields) of rows that don't fit the contract, at most one in a hundred: what they name is
            unknown, not absent. Plain texts, because the directory is stored.
        is_partial: Read by somebody who may be shown his own groups only.
    """

    year: CityYear
    periods: tuple[CityPeriod, ...]
    classes: tuple[CityClass, ...]
    subjects: tuple[CitySubject, ...]
    groups: tuple[CityGroup, ...]
    teachers: tuple[CityTeacher, ...]
    pupils: tuple[CityPupil, ...]
    forms: tuple[CityForm, ...]
    faults: tuple[str, ...] = ()
    is_partial: bool = False

    def scope_of_year(self, kind: Kind, group: CityGroup) -> CityScope:
        """A kind of a group over the whole school year, read so that absence from it may lead to a write."""
        return CityScope(
            kind=kind,
            group_id=group.id,
            subject_id=group.subject_id,
            level=group.level,
            from_on=self.year.begins_on,
            to_on=self.year.ends_on,
            is_read_twice=True,
        )


class CitySource(Protocol):
    """The city's journal, read side."""

    def check(self) -> Iterator[CheckLine]:
        """Tell what is reachable and permitted for each profile, dictionary canaries included."""
        ...

    def fetch_directory(self, day: date) -> CityDirectory:
        """Read all directories of the school year of that day.

        Raises:
            IncompleteReadError: A dictionary that can't be empty came back empty (wrong subsystem answers so).
            ConnectorError: As its type says.
        """
        ...

    def fetch_lessons(self, group_ids: Sequence[int], from_on: date, to_on: date) -> Sequence[CityLesson]:
        """Read the timetable of these groups between two days, both included.

        Raises:
            ConnectorError: Nothing of the answer may be used.
        """
        ...

    def fetch_scope(self, scope: CityScope) -> CityRead:
        """Read marks, absences or homework of one group between two days; a failed read comes back with its problem."""
        ...


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The city's answer to a write: accepted, which is not yet verified.

    Attributes:
        city_id: Id of the object now; None after a delete.
        already_there: The city said that it had it (duplicate absence, delete of a gone object).
        is_by_hand: Nothing was written: a person will type it, and the next export of the journal proves it.
    """

    city_id: int | None
    request_id: str
    status: int
    profile: str
    already_there: bool = False
    is_by_hand: bool = False


class CitySink(Protocol):
    """The city's journal, write side. One object a call; nothing here retries what was sent.

    Every method raises UnreachableError (not sent), OutcomeUnknownError (sent, not answered), ThrottledError, AccessDeniedError,
    RejectedError, LockedPeriodError, StaleError (the object is gone on change) or ContractError.
    """

    def create(self, intent: Intent, *, request_id: str) -> Accepted:
        """Create the object."""
        ...

    def change(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Replace the object's attributes by the intent's (a whole-object call); the id stays."""
        ...

    def delete(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Delete the object; an absent one is `already_there`. `intent` says whose lesson it is (which profile may)."""
        ...


class CityPort(CitySource, CitySink, Protocol):
    """A whole city connector."""


__all__ = [
    "Accepted",
    "BatchInbox",
    "CheckLine",
    "CheckState",
    "CityAbsence",
    "CityDirectory",
    "CityHomework",
    "CityMark",
    "CityPort",
    "CityRead",
    "CityScope",
    "CitySink",
    "CitySource",
    "PortalSource",
    "PushedBook",
    "ScopeRead",
    "Stored",
    "Want",
]
