"""A scope is not remembered as settled while delivery still has something of it, even if no record of ours is left there."""

from __future__ import annotations

from typing import Any

from gateway.queue.outbox import load_busy
from gateway.queue.states import State
from gateway.reconcile.guard import Limits
from gateway.reconcile.memo import load_memos, store_memo
from gateway.reconcile.resolve import NOTHING_BUSY, ScopeDecision, decide_scope
from gateway.reconcile.shadow import city_scope

LIMITS = Limits(minimum_count=5, change_ratio=0.75, delete_ratio=0.1, empty_source_ratio=0.5)
SCOPE = city_scope("mark", 1)
INPUTS = bytes(16)


def decide(desk: Any) -> ScopeDecision:
    """Decide the scope as planning does, and remember it if it may be remembered."""
    with desk.store.write() as conn:
        decided = decide_scope(
            conn,
            desk.place_id,
            SCOPE,
            is_read=True,
            delete_mode="approve",
            limits=LIMITS,
            position_of={1: 0}.get,
            busy=load_busy(conn, desk.place_id, [SCOPE]).get(SCOPE, NOTHING_BUSY),
        )
        store_memo(conn, desk.place_id, SCOPE, INPUTS, decided, desk.store.now(conn))
    return decided


def is_remembered(desk: Any) -> bool:
    with desk.store.read() as conn:
        return SCOPE in load_memos(conn, desk.place_id, [SCOPE])


def test_a_value_cleared_while_its_mark_is_in_flight_is_decided_again_after_the_proof(desk: Any) -> None:
    state = desk.delivery().deliver(desk.queue_create())
    desk.want_not("item:1")
    desk.show(500, "5")

    in_flight = decide(desk)
    remembered_in_flight = is_remembered(desk)
    desk.settle()
    after = decide(desk)

    assert state is State.ACCEPTED
    assert (len(in_flight.items), in_flight.is_busy) == (0, True)
    assert not remembered_in_flight
    assert [item.triple.ref for item in after.items] == ["item:1"]


def test_a_scope_that_nobody_works_on_is_remembered(desk: Any) -> None:
    desk.want("item:1", "5")
    desk.agree("item:1", 500, "5")
    desk.show(500, "5")

    decided = decide(desk)

    assert (len(decided.items), decided.is_busy) == (0, False)
    assert is_remembered(desk)
