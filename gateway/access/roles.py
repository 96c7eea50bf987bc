"""The words of access: posts a person may hold, what ties him to a child, and how far a right reaches.

Stands at the bottom of the floor; knows neither database nor door.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Posts. An account may hold several; one of them is active in a request."""

    ADMIN = "admin"
    DEPUTY_HEAD = "deputy_head"
    DIRECTOR = "director"
    CURATOR = "curator"  # of programmes
    CLASS_TEACHER = "class_teacher"
    TEACHER = "teacher"  # of groups
    METHODIST = "methodist"
    AUDITOR = "auditor"
    INSPECTOR = "inspector"  # from outside, always until a date
    PUPIL = "pupil"
    PARENT = "parent"


DATED_ROLES = frozenset({Role.INSPECTOR})
"""Roles that are never given without a last day."""


class Tie(StrEnum):
    """What ties an account to an object of the school."""

    SELF = "self"  # a pupil to himself
    GUARDIAN = "guardian"  # a parent to a child
    LEADS = "leads"  # a class teacher to a class
    TEACHES = "teaches"  # a teacher to a group, substitutions too
    CURATES = "curates"  # a curator or methodist to a programme


class Reach(StrEnum):
    """How far a right reaches; a role that has no reach for an action does not have the action."""

    ANYONE = "anyone"  # nothing of a child is involved
    SELF = "self"
    OWN_CHILD = "own child"
    OWN_CLASS = "own class"
    OWN_GROUP = "own group"
    OWN_PROGRAMME = "own programme"
    OWN_DEEDS = "own deeds"  # what this account started itself
    SCHOOL = "school"
    PSEUDONYMS = "school, pseudonyms"  # states, reasons and counts of the whole school, nobody's name
    VEILED = (
        "school, pseudonyms; names while the glass is broken"  # resolved by `access.scope.permit` into one of these two
    )
    GLASS = "school, while the glass is broken"  # one hour after a written reason and an alert


TIE_OF: dict[Reach, Tie] = {
    Reach.SELF: Tie.SELF,
    Reach.OWN_CHILD: Tie.GUARDIAN,
    Reach.OWN_CLASS: Tie.LEADS,
    Reach.OWN_GROUP: Tie.TEACHES,
    Reach.OWN_PROGRAMME: Tie.CURATES,
}
"""Reaches that end where a relation ends, and the relation each needs."""

TIES_OF_ROLE: dict[Role, Tie] = {
    Role.PUPIL: Tie.SELF,
    Role.PARENT: Tie.GUARDIAN,
    Role.CLASS_TEACHER: Tie.LEADS,
    Role.TEACHER: Tie.TEACHES,
    Role.CURATOR: Tie.CURATES,
    Role.METHODIST: Tie.CURATES,
}
"""Which relation a role lives on; the others reach the whole school or nobody."""
