"""The brake over a whole plan: judges what single scopes can't show, a kind in a class and a kind in the school.

Pure. `guard` looks at one scope (kind × group) while it is decided; ten scopes that each stay under its limits may still
turn a class over together. A limit is a share and an absolute count: a share bites only above the minimum, a count always.
Impact looks at the meaning: how far a class's average in a subject would move, and how many pupils' rounded mean, by
changes and deletes of delivered marks; new marks move averages every day and are not judged.

Source: Clever's thresholds (shares); Entra (500 deletes, an absolute count); city-journal.md R8 (weighted mean), R9 (rounding
is the school's own).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from gateway.reconcile.guard import GuardRow, Verdict

WHOLE_SCHOOL = "*"
AVERAGE = "average"
"""The guard whose rows tell a class's average, which is not for everybody's eyes."""


OP_OF_GUARD: Mapping[str, str] = {
    "first_size": "create",
    "lane_creates": "create",
    "lane_changes": "change",
    "past_period": "change",
    AVERAGE: "change",
}
"""What a guard that says hold puts behind its gate, in its lane and no other; deletes wait behind their own in any case."""


class LaneLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers from the settings group `school`.

    Attributes:
        minimum_count: Shares bite only above so many operations.
        create_ratio: Largest growth over what stands, as a share of it; the first load of a lane is not judged by it.
        first_count: Most operations of a lane's first load.
        change_count: Most changes of a lane, whatever their share.
        delete_count: Most deletes of a lane, whatever their share.
        past_count: Most changes and deletes dated in a period that has ended.
        average_shift: Largest move of a class's average in a subject, in marks.
        average_marks: Impact is silent until a class has so many marks in the subject.
        round_up_from: Fraction from which a mean is rounded up, 0.5 or the school's own (R9).
    """

    minimum_count: int
    create_ratio: float
    first_count: int
    change_ratio: float
    change_count: int
    delete_ratio: float
    delete_count: int
    past_count: int
    average_shift: float
    average_marks: int
    round_up_from: float


class LaneShare(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan brings to one lane.

    Attributes:
        kind: Kind of record.
        class_name: Class, or `WHOLE_SCHOOL`.
        base: Records delivered and verified before.
        past: Changes and deletes dated in a period that has ended.
    """

    kind: str
    class_name: str
    base: int
    creates: int
    changes: int
    deletes: int
    past: int = 0

    @property
    def lane(self) -> str:
        """How a row names it, e.g. `mark|7А`."""
        return f"{self.kind}|{self.class_name}"


class MarkCell(msgspec.Struct, frozen=True):
    """A delivered mark as an average counts it."""

    pupil: int
    value: float
    weight: int


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """How the journal of one class in one subject would read after a plan; means to two decimals, None where none is left."""

    class_name: str
    subject: str
    marks: int
    before: float | None
    after: float | None
    pupils_moved: int


def judge_lanes(shares: Iterable[LaneShare], limits: LaneLimits) -> list[GuardRow]:
    """Judge every lane; one row a guard, also where it passes, so that a table shows how far each is from its limit."""
    rows: list[GuardRow] = []
    for share in shares:
        if share.base == 0:
            rows.append(
                _row("first_size", share, limits.first_count, share.creates, over=share.creates > limits.first_count)
            )
        else:
            rows.append(_judge_share("lane_creates", share, share.creates, limits.create_ratio, None, limits))
        rows.append(
            _judge_share("lane_changes", share, share.changes, limits.change_ratio, limits.change_count, limits)
        )
        rows.append(
            _judge_share("lane_deletes", share, share.deletes, limits.delete_ratio, limits.delete_count, limits)
        )
        if share.past:
            rows.append(_row("past_period", share, limits.past_count, share.past, over=share.past > limits.past_count))
    return rows


def judge_impact(impacts: Iterable[Impact], limits: LaneLimits) -> list[GuardRow]:
    """Judge what a plan means for averages; a class with few marks in a subject is not judged."""
    rows = []
    for one in impacts:
        if one.marks < limits.average_marks or one.before is None:
            continue
        moved = abs((one.after if one.after is not None else 0.0) - one.before)
        actual = f"{one.before:.2f} → {'–' if one.after is None else f'{one.after:.2f}'}, итог у {one.pupils_moved}"
        rows.append(
            GuardRow(
                guard=AVERAGE,
                scope=f"mark|{one.class_name}|{one.subject}",
                limit=f"не больше {limits.average_shift:.2f}",
                actual=actual,
                verdict="hold" if moved > limits.average_shift else "pass",
                override="deputy_head",
            )
        )
    return rows


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
        before: Record ref → delivered mark.
        changes: Record ref → the mark as it would be, or None where it would be deleted; refs that are not in `before`
            are new marks and are left out.
        round_up_from: Fraction from which a pupil's mean is rounded up.
    """
    after = dict(before)
    for ref, cell in changes.items():
        if ref not in before:
            continue
        if cell is None:
            del after[ref]
        else:
            after[ref] = cell
    pupils = {cell.pupil for cell in before.values()}
    moved = sum(
        _rounded(before.values(), pupil, round_up_from) != _rounded(after.values(), pupil, round_up_from)
        for pupil in pupils
    )
    return Impact(
        class_name=class_name,
        subject=subject,
        marks=len(before),
        before=mean_of(before.values()),
        after=mean_of(after.values()),
        pupils_moved=moved,
    )


def mean_of(cells: Iterable[MarkCell]) -> float | None:
    """Weighted mean to two decimals, None of nothing (R8)."""
    found = list(cells)
    weight = sum(cell.weight for cell in found)
    return round(sum(cell.value * cell.weight for cell in found) / weight, 2) if weight else None


def round_mean(mean: float, round_up_from: float) -> int:
    """The mark that a mean comes to: 3.5 is 4 where rounding up begins at 0.5, and 3 where it begins at 0.51 (R9)."""
    whole = int(mean)
    return whole + (round(mean - whole, 2) >= round_up_from)


def is_past(on: date | None, ends_on: date | None, today: date) -> bool:
    """Whether a record's day lies in a period that has ended."""
    return on is not None and ends_on is not None and ends_on < today


def _rounded(cells: Iterable[MarkCell], pupil: int, round_up_from: float) -> int | None:
    mean = mean_of(cell for cell in cells if cell.pupil == pupil)
    return None if mean is None else round_mean(mean, round_up_from)


def _judge_share(
    guard: str, share: LaneShare, count: int, ratio: float, most: int | None, limits: LaneLimits
) -> GuardRow:
    is_over_share = count > limits.minimum_count and count > share.base * ratio
    is_over_count = most is not None and count > most
    limit = f"{ratio:.0%} при более {limits.minimum_count}" + ("" if most is None else f", всего {most}")
    actual = f"{count} из {share.base}"
    verdict: Verdict = "hold" if is_over_share or is_over_count else "pass"
    return GuardRow(guard=guard, scope=share.lane, limit=limit, actual=actual, verdict=verdict, override="deputy_head")


def _row(guard: str, share: LaneShare, limit: int, actual: int, *, over: bool) -> GuardRow:
    return GuardRow(
        guard=guard,
        scope=share.lane,
        limit=f"не больше {limit}",
        actual=str(actual),
        verdict="hold" if over else "pass",
        override="deputy_head",
    )
