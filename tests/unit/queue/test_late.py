"""What was parked unseen is proven by a later read that shows exactly it, and by nothing less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.audit.read import EntryFilter, iter_entries
from gateway.queue.late import settle_late
from gateway.queue.states import State
from gateway.reconcile.shadow import city_scope

NAME = city_scope("mark", 1)
LATE = 3600.0


def park(desk: Any, op: str = "create") -> int:
    """Send one operation, have it accepted and not seen in time."""
    if op == "create":
        number = desk.queue_create("item:1", "5")
    else:
        desk.agree("item:1", 500, "4")
        desk.show(500, "4")
        if op == "change":
            desk.want("item:1", "5")
            number = desk.queue("item:1", "change", ours="5", base_value="4", theirs="4", city_id=500)
        else:
            number = desk.queue("item:1", "delete", base_value="4", theirs="4", city_id=500)
    assert desk.delivery().deliver(number) is State.ACCEPTED
    desk.clock.advance(LATE)
    desk.settle()
    assert [(row.state, row.reason) for row in desk.rows()] == [("parked", "NOT_SEEN_AFTER_ACCEPT")]
    return int(number)


def settle(desk: Any) -> int:
    return settle_late(desk.store, desk.ledger, desk.place_id, [NAME])


def test_a_mark_seen_late_is_proven_once_with_its_base_its_receipt_and_its_entry(desk: Any) -> None:
    number = park(desk)
    desk.show(500, "5")

    first, second = settle(desk), settle(desk)

    assert (first, second) == (1, 0)
    assert desk.states() == [State.VERIFIED]
    assert desk.agreed() == {"item:1": (500, desk.digest("5"))}
    assert desk.receipts()[-1] == "verified"
    entries = [one for one in iter_entries(desk.store, EntryFilter(stream="deeds")) if one.operation_id == number]
    assert [one.action for one in entries].count("operation.verified") == 1
    assert desk.is_chain_whole()


@pytest.mark.parametrize(("op", "value", "agreed"), [("change", "5", {"item:1"}), ("delete", None, set())])
def test_a_change_and_a_delete_seen_late_are_proven_as_well(
    desk: Any, op: str, value: str | None, agreed: set[str]
) -> None:
    park(desk, op)
    desk.show(500, value)

    assert settle(desk) == 1
    assert desk.states() == [State.VERIFIED]
    assert set(desk.agreed()) == agreed


SOMETHING_ELSE: dict[str, Callable[[Any], None]] = {
    "nothing": lambda desk: desk.read_city(),
    "another value": lambda desk: desk.show(500, "4"),
    "on another lesson": lambda desk: desk.show(500, "5", lesson=2),
    "agreed on otherwise meanwhile": lambda desk: (desk.show(500, "5"), desk.agree("item:1", 700, "5")),
    "owned by another record": lambda desk: (desk.show(500, "5"), desk.agree("item:2", 500, "5")),
    "overtaken by a newer intent": lambda desk: (desk.show(500, "5"), desk.queue_create("item:1", "3")),
    "of an earlier life of the database": lambda desk: (desk.show(500, "5"), desk.alter(1, epoch=99)),
}


@pytest.mark.parametrize("case", SOMETHING_ELSE)
def test_what_is_not_exactly_what_was_meant_is_left_to_the_person(desk: Any, case: str) -> None:
    number = park(desk)
    SOMETHING_ELSE[case](desk)

    assert settle(desk) == 0
    (row,) = [row for row in desk.rows() if row.id == number]
    assert row.state != State.VERIFIED
