"""What it means that a record is no longer in a complete read of its scope.

Pure. The portal gives no tombstones: a pupil's rows vanish with his enrolment, all values with a course reset. Only a
value that was cleared, or an item that was removed, may ever become a delete in the city, and only after two complete
reads and a grace time (`school.delete_grace_hours`).

Source: portal-and-planner.md §a.4 ("What corrections look like"), [M].
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum


class Gone(StrEnum):
    """Kinds of absence."""

    CLEARED = "cleared"  # the cell is there, the value is not
    ITEM_REMOVED = "item_removed"
    PUPIL_LEFT = "pupil_left"
    SCOPE_RESET = "scope_reset"  # removed, or emptied whole
    UNREADABLE = "unreadable"


DELETABLE = frozenset({Gone.CLEARED, Gone.ITEM_REMOVED})
PROOF_READS = 2
"""Complete reads without the record before its absence counts as proven."""


def is_proven(gone: str | None, absent_reads: int, *, gone_at: datetime | None, missed_by: datetime | None) -> bool:
    """Whether an absence may become a delete: a cleared value or a removed item, missed as often and as long as a proof needs.

    Args:
        gone_at: When it was first missed.
        missed_by: First missed at this moment or before; None = no grace time.
    """
    if gone is None or Gone(gone) not in DELETABLE:
        return False
    is_old = missed_by is None or (gone_at is not None and gone_at <= missed_by)
    return is_old and absent_reads >= PROOF_READS


def gone_kind(
    *,
    pupil: str | None,
    item: str | None,
    pupils_present: Collection[str],
    items_present: Collection[str],
    known_count: int,
    remaining_count: int,
) -> Gone:
    """Say why a known record is not in a complete read of its scope.

    Args:
        pupil: The record's pupil; None where it has none (homework).
        item: Its gradebook item, session or activity.
        pupils_present: Pupils the source lists in the scope.
        items_present: Items, sessions or activities the source lists in it.
        known_count: Records of the scope that were there before this read.
        remaining_count: Records of the scope in this read.

    Returns:
        SCOPE_RESET where nothing of several records is left: a teacher who clears two marks looks the same as a course
        reset, and only one of the two mistakes can be undone.
    """
    if pupil is not None and pupil not in pupils_present:
        return Gone.SCOPE_RESET if not pupils_present else Gone.PUPIL_LEFT
    if remaining_count == 0 and known_count > 1:
        return Gone.SCOPE_RESET
    if item is not None and item not in items_present:
        return Gone.SCOPE_RESET if not items_present else Gone.ITEM_REMOVED
    return Gone.CLEARED
