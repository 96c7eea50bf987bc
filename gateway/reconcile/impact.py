"""What a plan means: how a class's average in a subject would move, and which pupils' period marks would change.

Pure. Changes and deletes of delivered marks are judged; new marks move averages every day and are not. A class with few
marks in the subject is not judged, but told. A pupil's period mark is his weighted mean in a marking period, rounded
as the school says: what the journal would suggest, never a mark that is written.

Source: design, N4; city-journal.md R8 (weighted mean to two decimals), R9 (rounding is the school's own, a final mark is the
teacher's word).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gateway.reconcile.guard import GuardRow
from gateway.reconcile.lanes import AVERAGE, PERIOD_MARK, LaneLimits

NOTHING = "от исправлений и удалений средние баллы и итоги периодов не изменятся"
NONE_LEFT = "–"
_SHOWN_COUNT = 5
Key = tuple[int, int]
"""(pupil, period)."""


class MarkCell(msgspec.Struct, frozen=True):
    """A delivered mark as an average counts it.

    Attributes:
        value: On the five-point axis.
        period: Id of the marking period its lesson lies in; 0 = in none that is known.
    """

    pupil: int
    value: float
    weight: int
    period: int = 0


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """How the journal of one class in one subject would read after a plan.

    Attributes:
        marks: Delivered marks of the class in the subject.
        changed: Of them to be changed; `deleted` likewise.
        before: Weighted mean to two decimals; `after` likewise, None where no mark is left.
        pupils_moved: Pupils of whom a period mark would be another.
        moves: Period mark before → after, in words (`4→3`), with how many there are.
    """

    class_name: str
    subject: str
    marks: int
    changed: int = 0
    deleted: int = 0
    before: float | None
    after: float | None
    pupils_moved: int
    moves: Mapping[str, int] = {}


def build_impact(
    class_name: str,
    subject: str,
    before: Mapping[str, MarkCell],
    changes: Mapping[str, MarkCell | None],
    *,
    round_up_from: float,
) -> Impact:
    """Say how a class's journal in a subject reads before and after.

    Args:
        class_name: As it is shown.
        subject: As it is shown.
        before: Record ref → delivered mark.
        changes: Record ref → the mark as it would be, or None where it would be deleted; refs that are not in `before`
            are new marks and are left out.
        round_up_from: Fraction from which a pupil's mean is rounded up.
    """
    known = {ref: cell for ref, cell in changes.items() if ref in before}
    after = {ref: cell for ref, cell in {**before, **known}.items() if cell is not None}
    was, will = (_period_marks(cells.values(), round_up_from) for cells in (before, after))
    moved = {key: (was[key], will.get(key)) for key in was if was[key] != will.get(key)}
    words = Counter(f"{one}→{NONE_LEFT if other is None else other}" for one, other in moved.values())
    return Impact(
        class_name=class_name,
        subject=subject,
        marks=len(before),
        changed=sum(cell is not None and cell != before[ref] for ref, cell in known.items()),
        deleted=sum(cell is None for cell in known.values()),
        before=mean_of(before.values()),
        after=mean_of(after.values()),
        pupils_moved=len({pupil for pupil, _ in moved}),
        moves=dict(sorted(words.items())),
    )


def judge_impact(impacts: Iterable[Impact], limits: LaneLimits) -> list[GuardRow]:
    """Judge what a plan means for averages and period marks; a class with few marks in a subject is not judged."""
    rows = []
    for one in impacts:
        if one.marks < limits.average_marks or one.before is None:
            continue
        scope = f"mark|{one.class_name}|{one.subject}"
        rows.append(
            GuardRow(
                guard=AVERAGE,
                scope=scope,
                limit=f"не больше {limits.average_shift:.2f}",
                actual=_means(one),
                verdict="hold" if _shift(one) > limits.average_shift else "pass",
                override="deputy_head",
            )
        )
        rows.append(
            GuardRow(
                guard=PERIOD_MARK,
                scope=scope,
                limit=f"не больше {limits.period_mark_count}",
                actual=str(one.pupils_moved) + (f" ({_moves(one)})" if one.moves else ""),
                verdict="hold" if one.pupils_moved > limits.period_mark_count else "pass",
                override="deputy_head",
            )
        )
    return rows


def tell_impact(impacts: Sequence[Impact], *, has_held: bool = False, new_count: int = 0) -> str:
    """Say in one Russian sentence what a plan means; the classes it means most for come first.

    Args:
        impacts: A class and subject each.
        has_held: Some of what is counted is held and goes only when a person lets it.
        new_count: New marks of the plan, which are in none of the figures.
    """
    tail = f"; новые отметки ({new_count}) здесь не считаются" if new_count else ""
    told = [one for one in impacts if one.before != one.after or one.pupils_moved]
    if not told:
        return NOTHING + tail
    ordered = sorted(told, key=lambda one: (-one.pupils_moved, -_shift(one), one.class_name, one.subject))
    words = "; ".join(_words(one) for one in ordered[:_SHOWN_COUNT])
    left = len(ordered) - _SHOWN_COUNT
    head = "если отправить и удержанное, " if has_held else ""
    return head + words + (f"; и ещё классов и предметов: {left}" if left > 0 else "") + tail


def mean_of(cells: Iterable[MarkCell]) -> float | None:
    """Weighted mean to two decimals, None of nothing (R8)."""
    weight = total = 0.0
    for cell in cells:
        weight += cell.weight
        total += cell.value * cell.weight
    return round(total / weight, 2) if weight else None


def round_mean(mean: float, round_up_from: float) -> int:
    """The mark that a mean comes to: 3.5 is 4 where rounding up begins at 0.5, and 3 where it begins at 0.51 (R9)."""
    whole = int(mean)
    return whole + (round(mean - whole, 2) >= round_up_from)


def _period_marks(cells: Iterable[MarkCell], round_up_from: float) -> dict[Key, int]:
    found: dict[Key, list[MarkCell]] = defaultdict(list)
    for cell in cells:
        found[cell.pupil, cell.period].append(cell)
    means = {key: mean_of(some) for key, some in found.items()}
    return {key: round_mean(mean, round_up_from) for key, mean in means.items() if mean is not None}


def _shift(one: Impact) -> float:
    return round(abs((one.after or 0.0) - (one.before or 0.0)), 2)


def _words(one: Impact) -> str:
    deeds = [f"исправить {one.changed}" if one.changed else "", f"удалить {one.deleted}" if one.deleted else ""]
    words = f"{one.class_name} {one.subject}: {', '.join(filter(None, deeds))}, средний {_means(one)}"
    return words + (f", итог периода у {one.pupils_moved} ({_moves(one)})" if one.pupils_moved else "")


def _means(one: Impact) -> str:
    return " → ".join(NONE_LEFT if mean is None else f"{mean:.2f}" for mean in (one.before, one.after))


def _moves(one: Impact) -> str:
    return ", ".join(move if count == 1 else f"{move}: {count}" for move, count in one.moves.items())


__all__ = ["NOTHING", "Impact", "MarkCell", "build_impact", "judge_impact", "mean_of", "round_mean", "tell_impact"]
