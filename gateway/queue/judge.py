"""What a read-back says about an operation: proven, not done, not yet visible, or something a person must see. Pure.

`queue.verify` asks it for every operation of a scope after one complete read of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec


class Seen(msgspec.Struct, frozen=True):
    """An object of the city as the read-back saw it.

    Attributes:
        is_ours: Some base knows it already.
        is_of_another: It belongs to another child than the operation's.
    """

    city_id: int
    digest: bytes
    is_ours: bool
    is_of_another: bool = False


class Finding(msgspec.Struct, frozen=True):
    """What became of an operation.

    Attributes:
        state: `again` = look again later; `resend` = it was not done and may be sent again.
    """

    state: Literal["verified", "again", "resend", "parked", "superseded"]
    reason: str = ""
    city_id: int | None = None


def judge(
    *,
    op: str,
    is_accepted: bool,
    city_id: int | None,
    intent_digest: bytes,
    base_digest: bytes | None,
    ids_before: Sequence[int],
    cell: Sequence[Seen],
    by_id: Mapping[int, Seen],
    is_settled: bool,
    is_filled: bool = False,
) -> Finding:
    """Decide about one accepted or unanswered operation from a complete read of its scope.

    Args:
        op: create, change or delete.
        is_accepted: The city answered yes; False = the outcome is unknown.
        city_id: The object's id where it is known.
        intent_digest: Digest of what was meant (for a delete: of what is to be deleted).
        base_digest: What stood there before a change.
        ids_before: Ids in the cell before the call.
        cell: What stands in the cell now.
        by_id: What stands in the scope now.
        is_settled: The settle time is over: what is not visible now will not become so.
        is_filled: What is created stands there before and is empty (a lesson plan): its id is an old one, its content new.
    """
    told = by_id.get(city_id or 0)
    if told is not None and told.is_of_another:
        if op != "create":
            return Finding("parked", "CONFLICT", city_id)
        # The city has named another child's object, which proves nothing, however equal: ours is looked for in its own cell.
        return _judge_search(is_accepted, intent_digest, ids_before, cell, is_settled)
    if op == "delete":
        return _judge_delete(is_accepted, told, is_settled)
    if op == "change":
        return _judge_change(is_accepted, told, intent_digest, base_digest, is_settled)
    if city_id is not None:
        seen = told
        if seen is None:
            return Finding("parked", "NOT_SEEN_AFTER_ACCEPT") if is_settled else Finding("again")
        if seen.is_ours:
            # «Already there», and it is another record's: two of ours can't stand for one object.
            return Finding("parked", "CONFLICT", city_id)
        if seen.digest == intent_digest:
            return Finding("verified", city_id=city_id)
        if is_filled and not is_settled:
            return Finding("again")
        return Finding("parked", "VERIFY_MISMATCH", city_id)
    if is_filled and (filled := [seen for seen in cell if seen.digest == intent_digest and not seen.is_ours]):
        return Finding("verified", city_id=filled[0].city_id)
    return _judge_search(is_accepted, intent_digest, ids_before, cell, is_settled)


def _judge_search(
    is_accepted: bool, intent_digest: bytes, ids_before: Sequence[int], cell: Sequence[Seen], is_settled: bool
) -> Finding:
    """A create whose id nobody told: exactly one new object with our atom is ours, several are a discrepancy."""
    known = set(ids_before)
    fresh = [seen for seen in cell if seen.city_id not in known and not seen.is_ours]
    mine = [seen for seen in fresh if seen.digest == intent_digest]
    if len(mine) == 1:
        return Finding("verified", city_id=mine[0].city_id)
    if len(mine) > 1:
        return Finding("parked", "SEVERAL_AFTER_UNKNOWN")
    if is_accepted:
        # «Already there»: it may have been there before the call, typed by a person.
        old = [seen for seen in cell if seen.digest == intent_digest and not seen.is_ours]
        if len(old) == 1:
            return Finding("verified", city_id=old[0].city_id)
        return (
            Finding("parked", "NOT_SEEN_AFTER_ACCEPT" if not cell else "CONFLICT") if is_settled else Finding("again")
        )
    if fresh:
        # Somebody typed there meanwhile: the next plan looks at it as at any probable twin.
        return Finding("superseded", "BASE_MOVED")
    return Finding("resend")


def _judge_change(
    is_accepted: bool, seen: Seen | None, intent_digest: bytes, base_digest: bytes | None, is_settled: bool
) -> Finding:
    if seen is None:
        return Finding("superseded", "BASE_MOVED")
    if seen.digest == intent_digest:
        return Finding("verified", city_id=seen.city_id)
    if seen.digest != base_digest:
        return Finding("parked", "CONFLICT", seen.city_id)
    if not is_accepted:
        return Finding("resend")
    return Finding("parked", "NOT_SEEN_AFTER_ACCEPT", seen.city_id) if is_settled else Finding("again")


def _judge_delete(is_accepted: bool, seen: Seen | None, is_settled: bool) -> Finding:
    if seen is None:
        return Finding("verified")
    if not is_accepted:
        return Finding("resend")
    return Finding("parked", "NOT_SEEN_AFTER_ACCEPT", seen.city_id) if is_settled else Finding("again")


__all__ = ["Finding", "Seen", "judge"]
