"""What a held decision means for a person, and what a person's choice means for the three legs.

Pure. A plan's decision becomes a type; a choice becomes an effect on base and on ours. No choice writes to the city by
itself: «ours» says that the city's value has been seen (the base becomes it), and then the truth table proposes the
change like any other; «theirs» lays the city's value over ours. So every write still goes through a plan (law 2).
"""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Literal

import msgspec

from gateway.domain.discrepancies import PUT_ASIDE, TYPE_TEXTS, Choice, DiscrepancyType
from gateway.domain.identifiers import Kind
from gateway.domain.reason_texts import ReasonOwner
from gateway.domain.reasons import LINK_DOUBTED, REASONS

FLIPS_OF_TWO_WRITERS = 2
"""Times a settled value was changed back before it is a quarrel and no slip (reliability.md V6: three writes of A)."""
DAYS_A_STEP = 3
"""Days of age after which a discrepancy weighs one more; a school week has two such steps."""
LAST_DAYS = 7
"""Days before a period's end in which everything weighs one more: then the period's marks are made."""
HIGHEST_SEVERITY = 5

_BY_REASON: dict[str, DiscrepancyType] = {
    "PROBABLE_TWIN": DiscrepancyType.TWO_CANDIDATES,
    "DELETE_HELD": DiscrepancyType.ONLY_THERE,
    "WRONG_CHILD": DiscrepancyType.WRONG_CHILD,
    "WINDOW_CLOSED": DiscrepancyType.LOCKED_PERIOD,
    "WINDOW_EDIT_OVER": DiscrepancyType.LOCKED_PERIOD,
    "PERIOD_SIGNED": DiscrepancyType.LOCKED_PERIOD,
    **dict.fromkeys(
        (
            "NOT_LINKED",
            "AMBIGUOUS_LINK",
            "NO_CANDIDATE",
            "PERSON_ID_NAME_MISMATCH",
            "LINK_LOST",
            "LINK_REJECTED",
            "GROUP_NOT_LINKED",
            "LESSON_NOT_LINKED",
            "NO_CONTROL_FORM",
            "NO_TEACHER",
            "NOT_IN_GROUP",
        ),
        DiscrepancyType.DICTIONARY_GAP,
    ),
    **dict.fromkeys(
        (
            "NO_LESSON",
            "LESSON_CANCELLED",
            "VALUE_OUT_OF_RANGE",
            "VALIDATION_LOCAL",
            "REJECTED_TARGET",
            "VERIFY_MISMATCH",
            "NOT_SEEN_AFTER_ACCEPT",
            "SEVERAL_AFTER_UNKNOWN",
            "TOO_MANY_ATTEMPTS",
            "POISON",
            "CONTRACT",
        ),
        DiscrepancyType.REFUSED,
    ),
}
_BASE_SEVERITY = {
    DiscrepancyType.DELETE_AGAINST_CHANGE: 3,
    DiscrepancyType.TWO_WRITERS: 3,
    DiscrepancyType.FIELDS_DIFFER: 2,
    DiscrepancyType.ONLY_HERE: 2,
    DiscrepancyType.LOCKED_PERIOD: 2,
    DiscrepancyType.LINK_DOUBT: 3,
    DiscrepancyType.WRONG_CHILD: 5,
}


def classify(
    reason: str, *, is_rejected: bool, has_ours: bool, has_theirs: bool, flips: int = 0
) -> DiscrepancyType | None:
    """Say what a decision is for a person; None where nobody has to do anything, or the plan itself asks.

    Args:
        reason: Code of the decision.
        is_rejected: Its category is `rejected`: the record itself can't go.
        has_ours: Something of ours should stand in the city.
        has_theirs: The city's object was there when it was read.
        flips: How often what had been settled was changed back since.
    """
    if reason in ("DRIFT", "CONFLICT") and not is_rejected:
        type_ = DiscrepancyType.FIELDS_DIFFER if flips < FLIPS_OF_TWO_WRITERS else DiscrepancyType.TWO_WRITERS
        return _by_sides(type_, has_ours=has_ours, has_theirs=has_theirs)
    if reason == "CONFLICT":
        return DiscrepancyType.REFUSED
    return _BY_REASON.get(reason)


def owner_of(type_: DiscrepancyType, reason: str) -> ReasonOwner:
    """Whose move it is, one post computed from the cause: who mends it, and over a quarrel of two writers the deputy head."""
    return "deputy_head" if type_ is DiscrepancyType.TWO_WRITERS else REASONS[reason].owner


def owners_of(type_: DiscrepancyType) -> list[ReasonOwner]:
    """Whose move a type may be, by every reason that leads to it."""
    if type_ is DiscrepancyType.LINK_DOUBT:
        return [owner_of(type_, LINK_DOUBTED)]  # opened by what speaks against a link, not by a plan's decision
    both = (False, True)
    led = {
        reason
        for reason, is_rejected, has_ours, has_theirs, flips in product(
            REASONS, both, both, both, (0, FLIPS_OF_TWO_WRITERS)
        )
        if classify(reason, is_rejected=is_rejected, has_ours=has_ours, has_theirs=has_theirs, flips=flips) is type_
    }
    return sorted({owner_of(type_, reason) for reason in led})


def _by_sides(type_: DiscrepancyType, *, has_ours: bool, has_theirs: bool) -> DiscrepancyType:
    """Two values differ, or are fought over, only where there are two: a missing one makes the choice one of a removal."""
    if not has_ours:
        return DiscrepancyType.DELETE_AGAINST_CHANGE
    return type_ if has_theirs else DiscrepancyType.ONLY_HERE


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a choice does to the legs.

    Attributes:
        base: Left alone, becomes the city's value as last read, or goes.
        overlay: What is laid over ours: nothing, the city's value, a third one, or «not there at all».
        is_apart: The record and the city's object are two different things from now on.
        is_replayed: What delivery parked is decided afresh.
        is_removing: What follows may be a delete, or what is gone from the city goes from ours too; such choices are never
            mixed with others in one act, nor made by a rule.
    """

    base: Literal["keep", "theirs", "drop"] = "keep"
    overlay: Literal["none", "theirs", "own", "nothing"] = "none"
    is_apart: bool = False
    is_replayed: bool = False
    is_removing: bool = False


_EFFECTS: dict[tuple[DiscrepancyType, Choice], Effect] = {
    (DiscrepancyType.FIELDS_DIFFER, Choice.OURS): Effect(base="theirs"),
    (DiscrepancyType.FIELDS_DIFFER, Choice.THEIRS): Effect(base="theirs", overlay="theirs"),
    (DiscrepancyType.FIELDS_DIFFER, Choice.OWN): Effect(base="theirs", overlay="own"),
    (DiscrepancyType.TWO_WRITERS, Choice.THEIRS): Effect(base="theirs", overlay="theirs"),
    (DiscrepancyType.TWO_WRITERS, Choice.OWN): Effect(base="theirs", overlay="own"),
    (DiscrepancyType.ONLY_HERE, Choice.OURS): Effect(base="drop"),
    (DiscrepancyType.ONLY_HERE, Choice.THEIRS): Effect(base="drop", overlay="nothing", is_removing=True),
    (DiscrepancyType.ONLY_THERE, Choice.THEIRS): Effect(base="drop"),
    (DiscrepancyType.TWO_CANDIDATES, Choice.OURS): Effect(base="theirs"),
    (DiscrepancyType.TWO_CANDIDATES, Choice.THEIRS): Effect(base="theirs", overlay="theirs"),
    (DiscrepancyType.TWO_CANDIDATES, Choice.DISTINCT): Effect(is_apart=True),
    (DiscrepancyType.DELETE_AGAINST_CHANGE, Choice.OURS): Effect(base="theirs", is_removing=True),
    (DiscrepancyType.DELETE_AGAINST_CHANGE, Choice.THEIRS): Effect(base="drop"),
    (DiscrepancyType.REFUSED, Choice.OURS): Effect(is_replayed=True),
}


def find_effect(
    type_: DiscrepancyType,
    choice: Choice,
    *,
    is_other_cell: bool = False,
    has_ours: bool = True,
    has_theirs: bool = True,
) -> Effect | None:
    """Find what a choice does; None where it is not offered.

    Args:
        type_: Of the discrepancy.
        choice: What the person wants.
        is_other_cell: The look-alike hangs on a neighbouring lesson. An entry never moves between lessons, so it can't be
            the same one by a choice: it is left to the city or set apart.
        has_ours: Something of ours should stand in the city.
        has_theirs: The city's object was there when it was read.
    """
    if type_ is DiscrepancyType.TWO_WRITERS:
        # a row of an older release may be called so though a side is missing
        type_ = _by_sides(type_, has_ours=has_ours, has_theirs=has_theirs)
    if choice not in TYPE_TEXTS[type_].choices:
        return None
    if choice in PUT_ASIDE:
        return Effect()
    if type_ is DiscrepancyType.TWO_CANDIDATES and is_other_cell and choice is not Choice.DISTINCT:
        return Effect(overlay="nothing") if choice is Choice.THEIRS else None
    effect = _EFFECTS[type_, choice]
    needs_theirs = "theirs" in (effect.base, effect.overlay)
    is_wanting = (needs_theirs and not has_theirs) or (effect.overlay == "own" and not has_ours)
    return None if is_wanting else effect


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What seems right, how sure, and why, in words; a person decides."""

    choice: Choice
    confidence: float
    why_ru: str
    why_en: str


def propose(
    type_: DiscrepancyType,
    *,
    has_ours_moved: bool,
    has_theirs_moved: bool,
    is_same_value: bool = False,
    is_other_cell: bool = False,
) -> Proposal | None:
    """Propose a choice by what moved since both sides agreed; None where nothing speaks for any.

    When a side moved is no evidence: ours is known by when it was read, theirs by the city's clock.
    """
    if type_ is DiscrepancyType.TWO_CANDIDATES and is_same_value and not is_other_cell:
        return Proposal(
            choice=Choice.THEIRS,
            confidence=0.9,
            why_ru="то же значение на том же уроке",
            why_en="the same value on the same lesson",
        )
    if type_ is DiscrepancyType.FIELDS_DIFFER and has_theirs_moved and not has_ours_moved:
        return Proposal(
            choice=Choice.THEIRS,
            confidence=0.6,
            why_ru="после передачи правили только в городе",
            why_en="since it was delivered only the city's side was edited",
        )
    return None


def severity_of(type_: DiscrepancyType, *, age: timedelta, period_left: timedelta | None) -> int:
    """Weigh a discrepancy from 1 to 5: by what it is, how long it has waited, and how near the period's end is."""
    weight = _BASE_SEVERITY.get(type_, 1) + int(age / timedelta(days=DAYS_A_STEP))
    if period_left is not None and timedelta(0) <= period_left <= timedelta(days=LAST_DAYS):
        weight += 1
    return min(weight, HIGHEST_SEVERITY)


def pattern_of(type_: DiscrepancyType, *, kind: str, reason: str, scope: str, fields: tuple[str, ...]) -> str:
    """Name what discrepancies have in common that one decision may settle together; holds no value and no person."""
    group = scope.partition("|")[2] or scope
    return "/".join((type_.value, reason, kind, "+".join(fields) or "-", group))[:200]


def differing_fields(ours: msgspec.Struct | None, theirs: msgspec.Struct | None) -> tuple[str, ...]:
    """Names of the atom's fields that differ; empty where a side has none to compare."""
    if ours is None or theirs is None:
        return ()
    return tuple(name for name in ours.__struct_fields__ if getattr(ours, name) != getattr(theirs, name, None))


def is_fixed_to_cell(kind: str) -> bool:
    """Whether an entry of the kind is another one when it hangs elsewhere; a homework's key names its teacher, who may change."""
    return kind != Kind.HOMEWORK.value
