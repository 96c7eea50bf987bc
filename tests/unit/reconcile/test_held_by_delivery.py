"""What a parked operation says of the next plan's decision about its record."""

from __future__ import annotations

import pytest

from gateway.reconcile.compare import Category
from gateway.reconcile.resolve import Busy, _held_by_delivery
from gateway.reconcile.triples import Triple

REFUSED, OTHER, AGREED = b"a" * 16, b"b" * 16, b"c" * 16
KEY = ("mark", "item:1/user:1")


def triple(ours: bytes, base: bytes | None = None, theirs: bytes | None = None) -> Triple:
    return Triple(
        kind=KEY[0], ref=KEY[1], scope="mark|city-group:1", state="sendable", reason="", ours=ours, base=base, theirs=theirs or base,
        city_id=None, object_key="mark/1/1", intent=b"{}", old=None, on_date=None, due_on=None,
    )  # fmt: skip


def parked(reason: str) -> Busy:
    return Busy(records={}, cells=frozenset(), parked={KEY: (REFUSED, reason)})


def test_what_was_refused_is_not_sent_again_unasked() -> None:
    found = _held_by_delivery(triple(REFUSED), parked("REJECTED_TARGET"))

    assert found is not None
    assert (found.category, found.reason) == (Category.REJECTED, "REJECTED_TARGET")


def test_another_value_than_the_refused_one_may_go() -> None:
    assert _held_by_delivery(triple(OTHER), parked("REJECTED_TARGET")) is None


@pytest.mark.parametrize("ours", [REFUSED, OTHER])
def test_nothing_is_made_beside_several_of_which_one_may_be_ours(ours: bytes) -> None:
    """Found by the simulation: a person typed the same mark, ours was not answered, and then the teacher changed it."""
    found = _held_by_delivery(triple(ours), parked("SEVERAL_AFTER_UNKNOWN"))

    assert found is not None
    assert (found.category, found.op) == (Category.REJECTED, None)


@pytest.mark.parametrize(
    ("base", "theirs", "is_free"),
    [(AGREED, OTHER, True), (AGREED, AGREED, False), (AGREED, REFUSED, False), (None, OTHER, False)],
    ids=["a person has written since", "not seen yet", "as it was written", "where nothing was agreed"],
)
def test_a_lesson_plan_without_its_dates_waits_for_them_until_a_person_writes_another(
    base: bytes | None, theirs: bytes, *, is_free: bool
) -> None:
    """Found by the simulation: what a person had written over ours was listed as «dates not built», and not as a conflict."""
    found = _held_by_delivery(triple(REFUSED, base, theirs), parked("DATES_NOT_BUILT"))

    assert (found is None) is is_free


def test_what_both_sides_have_agreed_on_since_may_be_changed() -> None:
    assert _held_by_delivery(triple(OTHER, AGREED), parked("SEVERAL_AFTER_UNKNOWN")) is None
