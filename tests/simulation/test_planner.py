"""The decision alone, over a hundred thousand short histories of one cell (F4); and that the judge of them bites."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import pytest

from gateway.reconcile.compare import Absence, Category, Decision, Leg, decide
from gateway.simulation import planner
from gateway.simulation.planner import try_cells
from gateway.simulation.stage import Violation

CASES_COUNT = 100_000
CHANGE = Decision(Category.UPDATE, "CHANGE", "change")
DELETE = Decision(Category.DELETE, "DELETE", "delete")
CREATE = Decision(Category.CREATE, "CREATE", "create")


@pytest.mark.slow
def test_no_short_history_of_a_cell_breaks_an_invariant(tell_figure: Callable[..., None]) -> None:
    reasons = try_cells(CASES_COUNT)

    # a table of which a row is never reached is not judged
    assert {"NO_CHANGE", "CREATE", "CHANGE", "ADOPTED", "DRIFT", "CONFLICT", "PROBABLE_TWIN", "DELETE_HELD"} < set(
        reasons
    )
    assert {"ABSENCE_UNPROVEN", "UNREAD_TARGET", "INCOMPLETE_READ"} < set(reasons)
    tell_figure("F4 violations of I1, I2, I4, I15 by the decision alone", 0, seeds=CASES_COUNT)


def overwrite(reason: str) -> Callable[..., Decision]:
    """The decision with a mistake: where it should have asked, it writes."""

    def wrong(ours: Leg, base: Leg, theirs: Leg, **flags: bool) -> Decision:
        found = decide(ours, base, theirs, **flags)
        if found.reason == reason and isinstance(ours, bytes):
            return CHANGE if isinstance(base, bytes) else CREATE
        return found

    return wrong


def delete_unproven(ours: Leg, base: Leg, theirs: Leg, **flags: bool) -> Decision:
    is_missed = ours in (Absence.UNPROVEN, Absence.UNKNOWN) and isinstance(base, bytes) and theirs == base
    return DELETE if is_missed else decide(ours, base, theirs, **flags)


def forget_reading(ours: Leg, base: Leg, theirs: Leg, **flags: bool) -> Decision:
    return decide(ours, base, Absence.ABSENT if theirs is Absence.UNKNOWN else theirs, **flags)


def never_adopt(ours: Leg, base: Leg, theirs: Leg, **flags: bool) -> Decision:
    found = decide(ours, base, theirs, **flags)
    return CREATE if found.reason == "ADOPTED" and isinstance(ours, bytes) and not isinstance(base, bytes) else found


def never_change(ours: Leg, base: Leg, theirs: Leg, **flags: bool) -> Decision:
    found = decide(ours, base, theirs, **flags)
    return Decision(Category.UNCHANGED, "NO_CHANGE") if found.op == "change" else found


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(overwrite("DRIFT"), id="our word wins over a person's"),
        pytest.param(overwrite("CONFLICT"), id="our word wins where both moved"),
        pytest.param(overwrite("PROBABLE_TWIN"), id="written beside what a person typed"),
        pytest.param(delete_unproven, id="deleted before it is proven"),
        pytest.param(forget_reading, id="not read is not there"),
        pytest.param(never_adopt, id="made again what stands there"),
        pytest.param(never_change, id="a change is not seen"),
    ],
)
def test_a_mistake_in_the_table_is_caught(wrong: Callable[..., Decision]) -> None:
    with mock.patch.object(planner, "decide", wrong), pytest.raises(Violation):
        try_cells(1000)
