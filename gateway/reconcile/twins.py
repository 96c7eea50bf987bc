"""Is a record that was never sent already in the city's journal, typed by a person?

Pure. First every record takes an unlinked object of its own cell with the same atom (adopted, no write); then what is
left is held where an unlinked object of the same pupil looks like it: same or neighbouring lesson, any form, any author,
same or near value. One object serves one record. Order of arrival does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

import msgspec

NEAR_VALUE = 1.0
"""Marks that differ by this much look alike: a 4 typed for a 4,5 is the usual case."""


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One side's object as far as likeness goes.

    Attributes:
        key: Our ref, or the city's id as text.
        pupil_id: 0 where the kind has no single pupil (homework).
        position: Ordinal of its lesson among the group's lessons in time; None where unknown.
        form: Control form of a mark.
        is_empty: There is nothing in it that could be like anything (a lesson plan without lessons).
    """

    key: str
    kind: str
    object_key: str
    digest: bytes
    pupil_id: int = 0
    position: int | None = None
    value: str = ""
    form: int | None = None
    on: date | None = None
    until: date | None = None
    is_empty: bool = False


class Likeness(msgspec.Struct, frozen=True):
    """Who adopts what, and who waits for a person because of what."""

    equal: Mapping[str, str]
    twin: Mapping[str, str]


def find_twins(
    ours: Iterable[Seat], theirs: Iterable[Seat], *, apart: Collection[tuple[str, str]] = frozenset()
) -> Likeness:
    """Match never-sent records with unlinked objects of the city.

    Args:
        ours: Records without base.
        theirs: Objects that no base knows.
        apart: (our key, their key) that a person called two different things: never matched again.

    Returns:
        Two maps from our key to their key.
    """
    free: dict[str, Seat] = {seat.key: seat for seat in sorted(theirs, key=lambda seat: (len(seat.key), seat.key))}
    waiting = sorted(ours, key=lambda seat: seat.key)
    by_cell: dict[tuple[str, bytes], list[str]] = {}
    by_pupil: dict[tuple[str, int], list[str]] = {}
    for seat in free.values():
        by_cell.setdefault((seat.object_key, seat.digest), []).append(seat.key)
        by_pupil.setdefault((seat.kind, seat.pupil_id), []).append(seat.key)
    equal: dict[str, str] = {}
    rest: list[Seat] = []
    for seat in waiting:
        found = by_cell.get((seat.object_key, seat.digest), [])
        mine = next((key for key in found if (seat.key, key) not in apart), None)
        if mine is not None:
            found.remove(mine)
            equal[seat.key] = mine
            free.pop(mine)
        else:
            rest.append(seat)
    pairs = sorted(
        (cost, seat.key, candidate.key)
        for seat in rest
        for candidate in _candidates(seat, by_pupil, free)
        if (seat.key, candidate.key) not in apart and (cost := _distance(seat, candidate)) is not None
    )
    wishes: dict[str, list[str]] = {}
    for _, mine, other in pairs:
        wishes.setdefault(mine, []).append(other)
    twin: dict[str, str] = {}
    taken: dict[str, str] = {}
    for mine in dict.fromkeys(mine for _, mine, _ in pairs):
        _seat(mine, wishes, twin, taken, set())
    return Likeness(equal=equal, twin=twin)


def _seat(
    mine: str, wishes: Mapping[str, Sequence[str]], twin: dict[str, str], taken: dict[str, str], tried: set[str]
) -> bool:
    """Give a record the nearest object it may have, where another can move to one of its own.

    As many as possible find one: a quarter typed one lesson late would else leave the first of every row without its
    twin, taken by the next, and create it a second time.
    """
    for other in wishes[mine]:
        if other in tried:
            continue
        tried.add(other)
        if other not in taken or _seat(taken[other], wishes, twin, taken, tried):
            twin[mine] = other
            taken[other] = mine
            return True
    return False


def _candidates(
    seat: Seat, by_pupil: Mapping[tuple[str, int], Sequence[str]], free: Mapping[str, Seat]
) -> Iterable[Seat]:
    for key in by_pupil.get((seat.kind, seat.pupil_id), ()):
        if key in free:
            yield free[key]


def _distance(mine: Seat, other: Seat) -> tuple[int, float] | None:
    """How unlike two objects are (lessons apart, value apart); None = not alike."""
    if other.is_empty:
        return None
    if mine.kind == "homework":
        same_days = mine.on == other.on or mine.until == other.until
        return (0 if mine.object_key == other.object_key else 1, 0.0) if same_days else None
    if mine.object_key == other.object_key:
        apart = 0
    elif mine.kind == "mark" and mine.position is not None and other.position is not None:
        apart = abs(mine.position - other.position)
    else:
        return None
    if apart > 1:
        return None
    if mine.kind != "mark" or mine.value == other.value:
        return apart, 0.0
    if apart == 0 and mine.form is not None and mine.form == other.form:
        # the cell is what a mark is: another value of the same work is a correction, and hardly ever a second work
        return apart, NEAR_VALUE
    try:
        difference = abs(float(mine.value) - float(other.value.rstrip("+-")))
    except ValueError:
        # «см», «нв»: a word in the same cell is no rival of a mark, in the same lesson it is worth a look.
        return (apart, NEAR_VALUE) if apart == 0 else None
    return (apart, difference) if difference <= NEAR_VALUE else None
