"""How things are named: kinds, external refs, scopes, and where we are.

`Place` belongs to every stored key (law 15): a worker whose settings name another city, portal or year must not meet
the rows of this one.
"""

from __future__ import annotations

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


SENT_KINDS = (Kind.MARK, Kind.ABSENCE, Kind.HOMEWORK)
"""What is delivered to the city; in this order within one lesson nothing depends on another."""

PLANNER_KINDS = (Kind.GUARDIAN, Kind.LESSON_PLAN, Kind.CURRICULUM, Kind.PROGRAMME_SECTION)
"""What only a planner has."""

REPORTED_KINDS = tuple(kind for kind in Kind if kind is not Kind.ASSIGNMENT and kind not in PLANNER_KINDS)
"""What `pull` always reports; a teacher's assignment is counted as a membership, a planner's kinds appear where there are any."""


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
