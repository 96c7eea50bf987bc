"""Sending against the hand list: whoever comes first has the operation, and the other is told so in plain words."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gateway.audit.deed import Actor
from gateway.audit.log import AuditLog
from gateway.domain.errors import AuditError, OutcomeUnknownError
from gateway.queue.by_hand import settle_by_hand
from gateway.queue.hand_over import HandedOver, Refused, put_by_hand, take_back
from gateway.queue.states import State
from gateway.store.transaction import Store

DEPUTY = Actor("person", "account:1")


def put(desk: Any, *ids: int, store: Store | None = None) -> HandedOver:
    there = store or desk.store
    with there.write() as conn, desk.ledger.gathered(conn) as ledger:
        return put_by_hand(conn, ledger, desk.place_id, ids, actor=DEPUTY, now=there.now(conn))


def back(desk: Any, *ids: int) -> HandedOver:
    with desk.store.write() as conn, desk.ledger.gathered(conn) as ledger:
        return take_back(conn, ledger, desk.place_id, ids, actor=DEPUTY, now=desk.store.now(conn))


def test_what_is_on_the_list_is_claimed_by_nobody_and_what_is_claimed_is_refused_the_list(desk: Any) -> None:
    first, second = desk.queue_create("item:1"), desk.queue_create("item:2", pupil=2)
    delivery = desk.delivery()
    claimed = delivery._claims.take([first])

    done = put(desk, first, second)
    assert (done.taken, done.refused) == ([second], [Refused(first, "on_the_way")])
    assert delivery.deliver_many([second]) == {}
    assert delivery._work_off(claimed) == {first: State.ACCEPTED}
    assert desk.states() == [State.ACCEPTED, State.BY_HAND]
    assert [one.id for one in put(desk, first, second).refused] == [first, second]
    assert desk.sink.asked == [("create", None)]


def test_what_belongs_elsewhere_by_now_comes_off_the_list(desk: Any) -> None:
    """A teacher would type it to the wrong child, or a second time beside what the next plan puts where it belongs."""
    stays, moved = desk.queue_create("item:1"), desk.queue_create("item:2", pupil=2)
    put(desk, stays, moved)
    desk.want("item:2", "5", pupil=3)

    settled = settle_by_hand(
        desk.store, desk.ledger, place_id=desk.place_id, scope=desk.rows()[0].scope, exported_at=None
    )

    assert (settled.superseded, settled.waiting) == (1, 1)
    assert [(row.state, row.reason) for row in desk.rows()] == [
        (State.BY_HAND, "ENTER_BY_HAND"),
        (State.SUPERSEDED, "BASE_MOVED"),
    ]


def test_only_what_surely_does_not_stand_in_the_city_is_typed(desk: Any) -> None:
    cases = (
        ({"state": State.SENDING.value}, "on_the_way"),
        ({"state": State.UNKNOWN.value}, "on_the_way"),
        ({"state": State.ACCEPTED.value}, "on_the_way"),
        ({"state": State.SUPERSEDED.value}, "over"),
        ({"state": State.PARKED.value, "reason": "WINDOW_CLOSED"}, None),
        ({"state": State.PARKED.value, "reason": "TRANSPORT"}, None),
        ({"state": State.PARKED.value, "reason": "NOT_SEEN_AFTER_ACCEPT"}, "may_stand"),
    )
    for turn, (values, why) in enumerate(cases):
        number = desk.queue_create(f"item:{turn}", pupil=turn + 10)
        desk.alter(number, **values)

        assert put(desk, number).refused == ([] if why is None else [Refused(number, why)])
        assert desk.states()[-1].value == (values["state"] if why else "by_hand")


def test_what_has_changed_since_or_stands_there_already_is_left_to_the_next_plan(desk: Any) -> None:
    changed, met = desk.queue_create("item:1"), desk.queue_create("item:2", pupil=2)
    desk.want("item:1", "3")
    desk.show(700, "5", pupil=2)

    assert put(desk, changed, met, 999).refused == [
        Refused(changed, "moved"),
        Refused(met, "moved"),
        Refused(999, "unknown"),
    ]


def test_a_line_is_closed_by_what_the_city_shows_and_its_twin_is_not_taken_for_it(desk: Any) -> None:
    typed, other = desk.queue_create("item:1"), desk.queue_create("item:2", pupil=2)
    put(desk, typed, other)
    desk.clock.advance(60)
    desk.show(700, "5")
    desk.show(701, "2", pupil=2)
    settled = settle_by_hand(
        desk.store, desk.ledger, place_id=desk.place_id, scope="mark|city-group:1", exported_at=desk.store.now()
    )

    assert (settled.verified, settled.superseded) == (1, 1)
    assert desk.agreed()["item:1"][0] == 700
    assert back(desk, typed, other).refused == [Refused(typed, "typed"), Refused(other, "not_listed")]
    assert desk.is_chain_whole()


def test_an_operation_of_unknown_outcome_goes_onto_the_list_only_when_it_is_proven_not_done(desk: Any) -> None:
    number = desk.queue_create()
    desk.sink.answers = [OutcomeUnknownError("нет ответа", system="city", method="POST")]
    desk.delivery().deliver(number)
    too_early = put(desk, number)
    desk.clock.advance(20)
    desk.read_city()
    desk.settle()

    assert too_early.refused == [Refused(number, "on_the_way")]
    assert put(desk, number).taken == [number]


def test_what_can_not_be_written_down_stays_in_the_queue(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    number = desk.queue_create()

    def refuse(*_: Any) -> None:
        raise AuditError("журнал не пишется")

    with monkeypatch.context() as broken:
        broken.setattr(AuditLog, "append_many", refuse)
        with pytest.raises(AuditError):
            put(desk, number)

    assert desk.states() == [State.READY]
    assert desk.delivery().deliver(number) is State.ACCEPTED


def test_a_worker_and_a_deputy_head_at_once_never_both_have_it(desk: Any, open_store: Any) -> None:
    """Whoever wins, the operation is sent once or typed, never both; five times, each on a fresh row."""
    other = open_store()
    for turn in range(5):
        number = desk.queue_create(f"item:{turn}", pupil=turn + 10)
        before = len(desk.sink.asked)
        results: list[HandedOver] = []
        begin = threading.Barrier(2)

        def hand(number: int = number, results: list[HandedOver] = results, begin: Any = begin) -> None:
            begin.wait(5)
            results.append(put(desk, number, store=other))

        thread = threading.Thread(target=hand)
        thread.start()
        begin.wait(5)
        desk.delivery().deliver(number)
        thread.join(10)

        is_listed = results[0].taken == [number]
        assert (len(desk.sink.asked) - before, desk.states()[-1]) == (
            (0, State.BY_HAND) if is_listed else (1, State.ACCEPTED)
        )
