"""How things are named: kinds, external refs, scopes, and where we are.

`Place` belongs to every stored key (law 15): a worker whose settings name another city, portal or year must not meet
the rows of this one.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """Kinds of canonical records."""

    PROGRAMME = "programme"
    PERSON = "person"
    GROUP = "group"
    MEMBERSHIP = "membership"
    ASSIGNMENT = "assignment"  # a teacher's assignment to a group
    SUBJECT = "subject"
    PERIOD = "period"
    LESSON = "lesson"
    MARK = "mark"
    ABSENCE = "absence"
    HOMEWORK = "homework"
    ATTEMPT = "attempt"
    GUARDIAN = "guardian"  # a parent's address
    LESSON_PLAN = "lesson_plan"  # a row of a calendar-thematic plan (КТП)
    CURRICULUM = "curriculum"  # hours of a subject in a grade (учебный план)
    PROGRAMME_SECTION = "programme_section"  # a row of a work programme (рабочая программа)
    COMMENT = "comment"  # a remark on a pupil at a lesson; being late is one
    FINAL = "final"  # a final mark: of a period, intermediate, of the year, final
    TOPICS = "topics"  # a group's topics as a whole: what stands in its КТП in the city


CHOSEN_KINDS = (Kind.COMMENT, Kind.FINAL, Kind.TOPICS)
"""Sent, and read at the sources, only where a row of the scope table names the kind: «*» does not mean them."""

SENT_KINDS = (Kind.MARK, Kind.ABSENCE, Kind.HOMEWORK, *CHOSEN_KINDS)
"""What is delivered to the city; in this order within one lesson nothing depends on another."""

PLANNER_KINDS = (Kind.GUARDIAN, Kind.LESSON_PLAN, Kind.CURRICULUM, Kind.PROGRAMME_SECTION)
"""What only a planner has."""

REPORTED_KINDS = tuple(kind for kind in Kind if kind not in (Kind.ASSIGNMENT, *PLANNER_KINDS, *CHOSEN_KINDS))
"""What `pull` always reports; a teacher's assignment is counted as a membership, the other kinds appear where there are any."""


class ExternalRef(msgspec.Struct, frozen=True, order=True):
    """(system, kind, id): how a foreign object is named everywhere.

    `system` is `portal.name` or the city's key, never a URL.
    """

    system: str
    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.system}/{self.kind}/{self.id}"


class Place(msgspec.Struct, frozen=True, order=True):
    """Where we are: which city (host and school), which portal, which school year."""

    city: str
    portal: str
    year: str


def scope_key(kind: Kind, *parts: str) -> str:
    """Name a unit of reading: kind × course × group, e.g. `mark|course:2|group:1`."""
    return "|".join((kind.value, *parts))


PORTAL = ""
"""Source of refs without a prefix: the portal was there first, and its refs stand in every base."""
_SOURCED = re.compile(r"([a-z0-9][a-z0-9_-]{0,39})/")


def sourced(source: str, ref: str) -> str:
    """Put a source's name before a ref of its own, `planner/mark:7`; the portal's refs bear none."""
    return ref if source == PORTAL else f"{source}/{ref}"


def source_of(ref: str) -> str:
    """Name the source that a ref belongs to."""
    found = _SOURCED.match(ref)
    return PORTAL if found is None else found[1]


def source_of_scope(scope: str) -> str:
    """Name the source that a scope was read from, by the programme in its name."""
    return source_of(scope.partition("|")[2])


MOVED = "moved:"
"""How the ref begins under which an object at the wrong child waits for its removal: `moved:7:mark:5:3`."""


def moved_ref(number: int, ref: str) -> str:
    """The ref that a record's object bears while it waits for its removal, by the number of the unit that removes it."""
    return f"{MOVED}{number}:{ref}"


def is_moved(ref: str) -> bool:
    """Whether a base is of an object that is to be removed from the wrong child."""
    return ref.startswith(MOVED)
