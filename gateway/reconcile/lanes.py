"""The brake over a whole plan: judges what single scopes can't show, a kind in a class and a kind in the school.

Pure. `guard` looks at one scope (kind × group) while it is decided; ten scopes that each stay under its limits may still
turn a class over together. A limit is a share and an absolute count: a share bites only above the minimum, a count always.
What a plan means for averages is judged by `impact`, within the same limits.

Source: Clever's thresholds (shares); Entra (500 deletes, an absolute count).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from gateway.reconcile.guard import GuardRow, Verdict

WHOLE_SCHOOL = "*"
AVERAGE = "average"
"""The guard whose rows tell a class's average."""
PERIOD_MARK = "period_mark"
"""The guard whose rows tell how many pupils' period marks would be others."""
OF_MEANING = (AVERAGE, PERIOD_MARK)
"""Guards whose rows are not for everybody's eyes."""


OP_OF_GUARD: Mapping[str, str] = {
    "first_size": "create",
    "lane_creates": "create",
    "lane_changes": "change",
    "past_period": "change",
    AVERAGE: "change",
    PERIOD_MARK: "change",
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
        period_mark_count: Most pupils of a class whose period mark in a subject would be another.
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
    period_mark_count: int
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


def is_past(on: date | None, ends_on: date | None, today: date) -> bool:
    """Whether a record's day lies in a period that has ended."""
    return on is not None and ends_on is not None and ends_on < today


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
