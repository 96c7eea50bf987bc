"""The inverse of one operation that a run carried out. Pure.

What a run wrote is taken back only where both sides still hold exactly that: created is deleted, changed gets its former
value, deleted is created again. Whatever has moved since, by a person in the city or by a later run of ours, is left alone
and listed with its reason.

Source: design "reliability" V9 (undo only where the city still equals what we wrote).
"""

from __future__ import annotations

import msgspec

from gateway.domain.reasons import (
    IN_FLIGHT,
    NO_CITY_CALL,
    UNDO,
    UNDO_MOVED,
    UNDO_SUPERSEDED,
    UNDONE,
    UNREAD_TARGET,
)
from gateway.reconcile.compare import Category, Decision, Op
from gateway.reconcile.resolve import NO_CALLS

INVERSE: dict[str, Op] = {"create": "delete", "change": "change", "delete": "create"}
_CATEGORIES: dict[Op, Category] = {"create": Category.CREATE, "change": Category.UPDATE, "delete": Category.DELETE}


class Wrote(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did to one record, proven by a read-back.

    Attributes:
        before: Digest of what stood there and was agreed; None where nothing did.
        after: Digest of what stands there since; None after a delete.
    """

    kind: str
    op: Op
    before: bytes | None
    after: bytes | None


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands now.

    Attributes:
        base: Digest of what both sides last agreed on; None = nothing.
        theirs: Digest of the object that base names, where it stands in its cell; None = not there.
        is_read: The group was read whole just now.
        is_newest: Nothing was delivered about the record since, but for undoing this and undoing that again.
        is_busy: An operation about the record is on its way.
        has_newcomer: After a delete: something that no record of ours owns stands in the cell and did not then.
    """

    base: bytes | None
    theirs: bytes | None
    is_read: bool
    is_newest: bool
    is_busy: bool
    has_newcomer: bool


def invert(wrote: Wrote, now: Now) -> Decision:
    """Decide how one operation is undone, or why not."""
    if now.is_busy:
        return Decision(Category.WAITING, IN_FLIGHT)
    if not now.is_newest:
        return Decision(Category.HELD, UNDO_SUPERSEDED)
    if now.base == wrote.before:
        return Decision(Category.UNCHANGED, UNDONE)
    if not now.is_read:
        return Decision(Category.WAITING, UNREAD_TARGET)
    if now.base != wrote.after or now.theirs != wrote.after or now.has_newcomer:
        return Decision(Category.HELD, UNDO_MOVED)
    inverse = INVERSE[wrote.op]
    if (wrote.kind, inverse) in NO_CALLS:
        return Decision(Category.HELD, NO_CITY_CALL)
    return Decision(_CATEGORIES[inverse], UNDO, inverse)


__all__ = ["INVERSE", "Now", "Wrote", "invert"]
