"""What three legs say about one record: ours, base, theirs → a decision.

Pure. Each leg is a digest, absent, or unknown; ours may be absent in ways of which only one may ever become a delete.
The store may decide on its own only that all three digests are equal; every other triple comes here, and a property
test says that both agree.

Source: design, "The truth table".
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec


class Absence(StrEnum):
    """Why a leg has no digest."""

    ABSENT = "absent"  # completely read and not there; for ours: never there
    UNKNOWN = "unknown"  # not completely read: no decision that needs its absence
    CLEARED = "cleared"  # ours: value cleared or item removed, seen in two complete reads
    UNPROVEN = "unproven"  # ours: value cleared or item removed, seen once or too lately
    LEFT = "left"  # ours: the pupil left the scope
    RESET = "reset"  # ours: the scope was removed or reset


Leg = bytes | Absence


class Category(StrEnum):
    """How a record is counted in a plan; the counters sum to what was read."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    UNCHANGED = "unchanged"
    ADOPTED = "adopted"
    HELD = "held"
    WAITING = "waiting"
    REJECTED = "rejected"
    OUT_OF_SCOPE = "out_of_scope"


Op = Literal["create", "change", "delete"]


class Decision(msgspec.Struct, frozen=True):
    """What is to be done with one record, and why.

    Attributes:
        op: What would be sent; also set on a held delete, which one approval may release.
    """

    category: Category
    reason: str
    op: Op | None = None


UNCHANGED = Decision(Category.UNCHANGED, "NO_CHANGE")


def decide(ours: Leg, base: Leg, theirs: Leg, *, has_equal: bool = False, has_twin: bool = False) -> Decision:
    """Apply the truth table to one record.

    Args:
        ours: Digest of what should stand in the city, or why there is none.
        base: Digest both sides last agreed on, or ABSENT.
        theirs: Digest of the city's object with the base's id; where there is no base, of the equal unlinked object in the
            cell (`has_equal`), else ABSENT; UNKNOWN where the scope was not completely read.
        has_equal: No base, and an unlinked object in the same cell carries our atom.
        has_twin: No base, and an unlinked object of the same pupil looks like ours (same or neighbouring lesson, any form).

    Raises:
        ValueError: A combination that can't occur (both ours and base absent: then it is the city's own, see `foreign`).
    """
    if isinstance(ours, bytes):
        if not isinstance(base, bytes):
            return _without_base(ours, theirs, has_equal=has_equal, has_twin=has_twin)
        return _with_base(ours, base, theirs)
    if not isinstance(base, bytes):
        raise ValueError("neither ours nor base: a foreign object")
    return _without_ours(ours, base, theirs)


def foreign() -> Decision:
    """No ours, no base, only in the city: shown, never changed or deleted by us."""
    return Decision(Category.OUT_OF_SCOPE, "FOREIGN")


def _without_base(ours: bytes, theirs: Leg, *, has_equal: bool, has_twin: bool) -> Decision:
    if theirs is Absence.UNKNOWN:
        return Decision(Category.WAITING, "UNREAD_TARGET")
    if has_equal or theirs == ours:
        return Decision(Category.ADOPTED, "ADOPTED")
    if has_twin or isinstance(theirs, bytes):
        return Decision(Category.HELD, "PROBABLE_TWIN")
    return Decision(Category.CREATE, "CREATE", "create")


def _with_base(ours: bytes, base: bytes, theirs: Leg) -> Decision:
    if theirs is Absence.UNKNOWN:
        return Decision(Category.WAITING, "UNREAD_TARGET")
    if ours == base:
        return UNCHANGED if theirs == base else Decision(Category.HELD, "DRIFT")
    if theirs == base:
        return Decision(Category.UPDATE, "CHANGE", "change")
    if theirs == ours:
        return Decision(Category.ADOPTED, "ADOPTED")
    return Decision(Category.HELD, "CONFLICT")


def _without_ours(ours: Absence, base: bytes, theirs: Leg) -> Decision:
    if ours is Absence.LEFT:
        return Decision(Category.OUT_OF_SCOPE, "PUPIL_LEFT")
    if ours is Absence.RESET:
        return Decision(Category.OUT_OF_SCOPE, "SCOPE_RESET")
    if ours is not Absence.CLEARED:
        return Decision(Category.WAITING, "ABSENCE_UNPROVEN" if ours is Absence.UNPROVEN else "INCOMPLETE_READ")
    if theirs is Absence.UNKNOWN:
        return Decision(Category.WAITING, "UNREAD_TARGET")
    if theirs is Absence.ABSENT:
        return Decision(Category.ADOPTED, "ADOPTED")
    if theirs == base:
        return Decision(Category.HELD, "DELETE_HELD", "delete")
    return Decision(Category.HELD, "CONFLICT")
