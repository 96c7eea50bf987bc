"""The first harness: the pure decision alone, on one cell, over a few passes, many thousand times a second.

Both trees are perturbed from a state they agreed on: the portal's, the city's, or both (also to the same value); reads may
be incomplete, a write may stay unanswered, and a person decides about deletes or does not. What the other harnesses
judge over days is judged here for every short history.

Source: reliability.md F4; Dropbox's CanopyCheck (planner only, correlated trees).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from gateway.reconcile.compare import Absence, Category, Decision, Leg, decide
from gateway.reconcile.gone import PROOF_READS
from gateway.simulation.stage import Violation

VALUES = (b"2", b"3", b"4", b"5")
PASSES = 4
QUESTIONS = frozenset({"DRIFT", "CONFLICT", "PROBABLE_TWIN", "DELETE_HELD", "SEVERAL_AFTER_UNKNOWN"})
"""Reasons for which both sides may differ at the end: a person's answer is awaited."""


@dataclass
class Standing:
    """An object in the city.

    Attributes:
        is_ours: No person has touched it since we wrote it.
    """

    value: bytes
    is_ours: bool


@dataclass
class Cell:
    """One cell on both sides, and what we remember of it.

    Attributes:
        ours: What the portal holds now.
        read: What was read of it last, with how many complete reads have missed it since.
        base: What both sides agreed on last, with the object's id.
        city: What stands there: id → object.
        causes: How often the portal came to hold a value; None = nothing.
        effects: How often we wrote it.
    """

    ours: bytes | None = None
    read: bytes | None = None
    missed: int = 0
    base: tuple[bytes, int] | None = None
    city: dict[int, Standing] = field(default_factory=dict)
    causes: Counter[bytes | None] = field(default_factory=Counter)
    effects: Counter[bytes | None] = field(default_factory=Counter)
    unsure: bytes | None = None
    """What an unanswered create meant; it is looked for before anything else is decided."""
    has_lapsed: bool = False
    next_id: int = 1
    touches: int = 0


def try_cells(cases: int, *, seed: int = 0) -> Counter[str]:
    """Play many short histories.

    Returns:
        How often which reason was given: all of them, if there are enough cases.

    Raises:
        Violation: With the case that shows it.
    """
    reasons: Counter[str] = Counter()
    for case in range(seed, seed + cases):
        rng = Random(case)  # noqa: S311  # repeatable on purpose
        try:
            _live(Cell(), rng, reasons)
        except Violation as violation:
            raise Violation(violation.invariant, f"case {case}: {violation.sentence}") from violation
    return reasons


def _live(cell: Cell, rng: Random, reasons: Counter[str]) -> None:
    if rng.random() < 0.7:
        _agree(cell, rng.choice(VALUES))
    for _ in range(PASSES):
        _perturb(cell, rng)
        _pass(cell, rng, reasons, is_calm=False)
    last = Decision(Category.UNCHANGED, "NO_CHANGE")
    for _ in range(PASSES):
        last = _pass(cell, rng, reasons, is_calm=True)
    if last.reason in QUESTIONS:
        return
    values = [one.value for one in cell.city.values()]
    if cell.ours is not None and cell.ours not in values:
        raise Violation("I1", f"what the portal holds is not in the city, and the last word is {last.reason}")
    # what a person typed beside it, or in its place, is his
    surplus = [one for one in cell.city.values() if one.is_ours and one.value != cell.ours]
    if surplus or (len(values) > 1 and not cell.touches):
        raise Violation("I1", f"{len(values)} stand in the city, and the last word is {last.reason}")


def _agree(cell: Cell, value: bytes) -> None:
    """Both sides hold a value that went over long ago."""
    cell.ours = cell.read = value
    cell.city[cell.next_id] = Standing(value, is_ours=True)
    cell.base = (value, cell.next_id)
    cell.causes[value] += 1
    cell.effects[value] += 1
    cell.next_id += 1


def _perturb(cell: Cell, rng: Random) -> None:
    which = rng.random()
    if which < 0.6:
        _type_here(cell, None if rng.random() < 0.25 else rng.choice(VALUES))
    if which > 0.45 and rng.random() < 0.6:
        _type_there(cell, rng, cell.ours if rng.random() < 0.3 else rng.choice(VALUES))


def _type_here(cell: Cell, value: bytes | None) -> None:
    if value != cell.ours:
        cell.ours = value
        cell.causes[value] += 1


def _type_there(cell: Cell, rng: Random, value: bytes | None) -> None:
    """A person at the city's own pages; what he undoes of ours may be done once more."""
    cell.touches += 1
    if cell.city and rng.random() < 0.7:
        city_id = rng.choice(sorted(cell.city))
        if value is None or rng.random() < 0.3:
            del cell.city[city_id]
        else:
            cell.city[city_id] = Standing(value, is_ours=False)
    elif value is not None:
        cell.city[cell.next_id] = Standing(value, is_ours=False)
        cell.next_id += 1


def _pass(cell: Cell, rng: Random, reasons: Counter[str], *, is_calm: bool) -> Decision:
    """Read, decide, write, read back; the decision."""
    is_read_here = is_calm or rng.random() < 0.85
    if is_read_here:
        # a list that says it is whole may lack something, but not twice in a row: that is all that two reads can prove
        cell.has_lapsed = not is_calm and cell.missed == 0 and rng.random() < 0.05
        shown = None if cell.has_lapsed else cell.ours
        cell.missed = 0 if shown is not None else cell.missed + 1
        cell.read = shown
    is_read_there = is_calm or rng.random() < 0.85
    seen = {city_id: one.value for city_id, one in cell.city.items()} if is_read_there else {}
    if cell.unsure is not None:
        if not is_read_there:
            return Decision(Category.WAITING, "IN_FLIGHT")
        fresh = [city_id for city_id, value in seen.items() if value == cell.unsure]
        if len(fresh) > 1:  # a person typed the same meanwhile: which one is ours, nobody can tell
            return Decision(Category.HELD, "SEVERAL_AFTER_UNKNOWN")
        if len(fresh) == 1:
            cell.base = (cell.unsure, fresh[0])
        cell.unsure = None
    if cell.read is None and cell.base is None:
        return Decision(Category.OUT_OF_SCOPE, "FOREIGN")
    has_equal = cell.base is None and cell.read in seen.values()
    has_twin = cell.base is None and bool(seen) and not has_equal
    found = decide(
        *_legs(cell, seen, is_read_here=is_read_here, is_read_there=is_read_there),
        has_equal=has_equal,
        has_twin=has_twin,
    )
    reasons[found.reason] += 1
    is_allowed = found.category is not Category.HELD or (found.reason == "DELETE_HELD" and rng.random() < 0.5)
    if found.category is Category.ADOPTED:
        _adopt(cell, seen)
    elif found.op is not None and is_allowed:
        _write(cell, found, seen, is_answered=is_calm or rng.random() < 0.7, is_applied=is_calm or rng.random() < 0.8)
    return found


def _legs(cell: Cell, seen: dict[int, bytes], *, is_read_here: bool, is_read_there: bool) -> tuple[Leg, Leg, Leg]:
    ours: Leg = Absence.UNKNOWN
    if cell.read is not None:
        ours = cell.read
    elif is_read_here:
        ours = Absence.CLEARED if cell.missed >= PROOF_READS else Absence.UNPROVEN
    base: Leg = cell.base[0] if cell.base is not None else Absence.ABSENT
    theirs: Leg = Absence.UNKNOWN
    if is_read_there:
        theirs = seen.get(cell.base[1], Absence.ABSENT) if cell.base is not None else Absence.ABSENT
        if cell.base is None and cell.read in seen.values():
            theirs = ours
    return ours, base, theirs


def _adopt(cell: Cell, seen: dict[int, bytes]) -> None:
    if cell.read is None:
        cell.base = None
        return
    mine = cell.base[1] if cell.base is not None else None
    city_id = mine if mine is not None and seen.get(mine) == cell.read else None
    if city_id is None:
        city_id = next(one for one, value in seen.items() if value == cell.read)
    cell.base = (cell.read, city_id)


def _write(cell: Cell, found: Decision, seen: dict[int, bytes], *, is_answered: bool, is_applied: bool) -> None:
    """Send what was decided, and judge that it was sent."""
    value = cell.read
    mine = cell.base[1] if cell.base is not None else None
    if found.op == "create":
        if any(one.is_ours for one in cell.city.values()):
            raise Violation("I2", "a second one is created beside ours")
        if seen:
            raise Violation("I15", "created beside what a person typed and we had read")
    elif mine is None or cell.base is None:
        raise Violation("I4", f"{found.op} of what was never sent")
    else:
        there = cell.city.get(mine)
        if there is not None and not there.is_ours and there.value != cell.base[0]:
            raise Violation("I15", f"{found.op} over what a person typed and we had read")
    wanted = None if found.op == "delete" else value
    if found.op == "delete" and cell.ours is not None:
        raise Violation("I4", "deleted what the portal holds")
    if wanted is not None and not cell.causes[wanted]:
        raise Violation("I4", "a value that the portal never held")
    if cell.effects[wanted] + 1 > cell.causes[wanted] + cell.touches:
        raise Violation("I4", f"{found.op} for the {cell.effects[wanted] + 1}th time, {cell.causes[wanted]} causes")
    if is_applied or is_answered:
        _apply(cell, found.op or "", mine, wanted)
    if not is_answered:
        cell.unsure = value if found.op == "create" else None
        return
    cell.base = None if wanted is None else (wanted, mine if mine is not None else cell.next_id - 1)


def _apply(cell: Cell, op: str, mine: int | None, wanted: bytes | None) -> None:
    cell.effects[wanted] += 1
    if op == "create" and wanted is not None:
        cell.city[cell.next_id] = Standing(wanted, is_ours=True)
        cell.next_id += 1
    elif mine is not None and wanted is None:
        cell.city.pop(mine, None)
    elif mine is not None and wanted is not None and mine in cell.city:
        cell.city[mine] = Standing(wanted, is_ours=True)
