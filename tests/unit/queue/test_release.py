"""From a plan to operations: each item once, on ground that still holds, and nothing older beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from gateway.audit.deed import Actor
from gateway.audit.log import AuditLog
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import PlanRefusedError
from gateway.domain.identifiers import Place
from gateway.queue import outbox
from gateway.queue.approval import approve
from gateway.queue.outbox import release
from gateway.queue.states import IN_FLIGHT, State
from gateway.reconcile.plan import PlanState, retire_older
from gateway.reconcile.tables import plan
from gateway.store.epoch import bump_epoch
from gateway.store.transaction import Store


def test_an_item_becomes_one_operation_however_often_it_is_released(desk: Any) -> None:
    desk.want("item:1", "5")
    sealed = desk.seal(desk.item("item:1", "create", ours="5"))

    first, second = desk.release(sealed), desk.release(sealed)

    assert (first.queued, second.queued) == (1, 0)
    assert desk.states() == [State.READY]
    assert desk.outcomes(sealed) == ["queued"]


def test_two_that_let_a_plan_out_at_once_let_each_item_out_once_and_say_so_once(
    desk: Any, open_store: Callable[[], Store]
) -> None:
    stores = [open_store() for _ in range(2)]
    for turn in range(5):
        names = [f"item:{turn}-{number}" for number in range(20)]
        for number, name in enumerate(names):
            desk.want(name, "5", pupil=turn * 20 + number)
        sealed = desk.seal(
            *(desk.item(name, "create", ours="5", pupil=turn * 20 + number) for number, name in enumerate(names))
        )
        barrier = threading.Barrier(len(stores))
        queued: list[int] = []

        def let_out(store: Store, plan_id: int = sealed.id, start: Any = barrier, told: list[int] = queued) -> None:
            start.wait(10)
            audit = AuditLog(store, environment="test", code_version="0.1.0")
            actor = Actor("service", "test")
            told.append(release(store, audit, desk.place, plan_id, lane="nightly", actor=actor).queued)

        threads = [threading.Thread(target=let_out, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        assert sorted(queued) == [0, len(names)]
        assert desk.outcomes(sealed) == ["queued"] * len(names)
    assert desk.states() == [State.READY] * 100


def test_an_item_whose_wanted_value_moved_is_dropped(desk: Any) -> None:
    desk.want("item:1", "5")
    sealed = desk.seal(desk.item("item:1", "create", ours="5"))
    desk.want("item:1", "4")

    assert desk.release(sealed).dropped == 1
    assert desk.outcomes(sealed) == ["dropped"]
    assert desk.rows() == []


def test_an_item_whose_base_moved_is_dropped(desk: Any) -> None:
    desk.want("item:1", "5")
    desk.agree("item:1", 7, "3")
    desk.show(7, "3")
    sealed = desk.seal(desk.item("item:1", "change", ours="5", base_value="3", theirs="3", city_id=7))
    desk.agree("item:1", 7, "4")

    assert desk.release(sealed).dropped == 1


@pytest.mark.parametrize("shown", ["2", None])
@pytest.mark.parametrize("op", ["change", "delete"])
def test_an_item_whose_object_a_person_touched_since_is_dropped(desk: Any, op: Any, shown: str | None) -> None:
    desk.agree("item:1", 7, "3")
    desk.show(7, "3")
    ours = None
    if op == "change":
        ours = "5"
        desk.want("item:1", "5")
    sealed = desk.seal(desk.item("item:1", op, ours=ours, base_value="3", theirs="3", city_id=7))
    desk.show(7, shown)

    assert desk.release(sealed).dropped == 1


def test_a_create_that_a_person_typed_since_is_dropped(desk: Any) -> None:
    desk.want("item:1", "5")
    sealed = desk.seal(desk.item("item:1", "create", ours="5"))
    desk.show(7, "5")

    assert desk.release(sealed).dropped == 1


@pytest.mark.parametrize("is_new", [True, False], ids=["seen since", "shown to whoever let it out"])
def test_a_create_beside_another_mark_goes_only_where_the_plan_has_shown_that_one(
    desk: Any, clock: VirtualClock, *, is_new: bool
) -> None:
    """The plan's run may have died after the seal, or may be going on: the seal's own moment counts."""
    desk.want("item:1", "5")
    if not is_new:
        desk.show(7, "4")
    clock.advance(1)
    sealed = desk.seal(desk.item("item:1", "create", ours="5"))
    clock.advance(1)
    if is_new:
        desk.show(7, "4")

    released = desk.release(sealed)

    assert (released.dropped, released.queued) == ((1, 0) if is_new else (0, 1))


def test_an_adoption_moves_the_base_without_a_call(desk: Any) -> None:
    desk.want("item:1", "5")
    desk.show(7, "5")

    released = desk.release(desk.seal(desk.item("item:1", None, ours="5", theirs="5", city_id=7)))

    assert (released.adopted, released.queued) == (1, 0)
    assert desk.agreed() == {"item:1": (7, desk.digest("5"))}
    assert desk.rows() == []


@pytest.mark.parametrize("shown", ["4", None])
def test_an_adoption_of_what_no_longer_stands_there_is_dropped(desk: Any, shown: str | None) -> None:
    desk.want("item:1", "5")
    desk.show(7, "5")
    sealed = desk.seal(desk.item("item:1", None, ours="5", theirs="5", city_id=7))
    desk.show(7, shown)

    assert desk.release(sealed).dropped == 1
    assert desk.agreed() == {}


def test_an_adoption_of_what_another_record_took_since_is_dropped(desk: Any) -> None:
    desk.want("item:1", "5")
    desk.show(7, "5")
    sealed = desk.seal(desk.item("item:1", None, ours="5", theirs="5", city_id=7))
    desk.agree("item:2", 7, "5")

    assert desk.release(sealed).dropped == 1
    assert desk.agreed() == {"item:2": (7, desk.digest("5"))}


def test_a_base_whose_object_and_record_are_gone_is_let_go(desk: Any) -> None:
    desk.agree("item:1", 7, "5")

    released = desk.release(desk.seal(desk.item("item:1", None, base_value="5", city_id=7)))

    assert released.adopted == 1
    assert desk.agreed() == {}


def test_a_base_whose_object_came_back_is_kept(desk: Any) -> None:
    desk.agree("item:1", 7, "5")
    sealed = desk.seal(desk.item("item:1", None, base_value="5", city_id=7))
    desk.show(7, "5")

    assert desk.release(sealed).dropped == 1
    assert desk.agreed() == {"item:1": (7, desk.digest("5"))}


@pytest.mark.row("B16")
@pytest.mark.parametrize("state", [State.READY, State.PARKED])
def test_a_newer_intent_takes_the_place_of_one_that_waits(desk: Any, state: State) -> None:
    older = desk.queue_create(value="5")
    desk.alter(older, state=state.value)
    desk.want("item:1", "4")

    desk.queue("item:1", "create", ours="4")

    assert desk.states() == [State.SUPERSEDED, State.READY]


@pytest.mark.parametrize("state", [State.READY, State.PARKED])
def test_an_adoption_takes_the_place_of_a_create_that_waits(desk: Any, state: State) -> None:
    """Else the mark that a person typed meanwhile would be written a second time."""
    older = desk.queue_create(value="5")
    desk.alter(older, state=state.value)
    desk.show(7, "5")

    desk.release(desk.seal(desk.item("item:1", None, ours="5", theirs="5", city_id=7)))

    assert desk.states() == [State.SUPERSEDED]


def test_an_item_that_was_dropped_supersedes_nothing(desk: Any) -> None:
    desk.queue_create("item:1", "5")
    desk.want("item:2", "4", pupil=2)
    other = desk.item("item:2", "create", ours="4", pupil=2)

    released = desk.release(desk.seal(desk.item("item:1", "create", ours="3"), other))

    assert (released.dropped, released.queued) == (1, 1)
    assert desk.states() == [State.READY, State.READY]


def test_a_record_of_another_kind_with_the_same_ref_is_another_record(desk: Any) -> None:
    older = desk.queue_create("item:1", "5")
    desk.alter(older, kind="absence", object_key="absence/1/1")

    desk.queue("item:1", "create", ours="5")

    assert desk.states() == [State.READY, State.READY]


@pytest.mark.parametrize("state", IN_FLIGHT)
def test_a_record_in_flight_is_left_to_its_operation(desk: Any, state: State) -> None:
    older = desk.queue_create(value="5")
    desk.alter(older, state=state.value)
    desk.want("item:1", "4")

    released = desk.release(desk.seal(desk.item("item:1", "create", ours="4")))

    assert released.dropped == 1
    assert desk.states() == [state]


def test_items_behind_a_closed_gate_stay_where_they_are(desk: Any) -> None:
    desk.want("item:1", "5")
    desk.agree("item:2", 7, "4")
    desk.show(7, "4", pupil=2)
    sealed = desk.seal(
        desk.item("item:1", "create", ours="5", gate="approval"),
        desk.item("item:2", "delete", base_value="4", theirs="4", city_id=7, gate="delete"),
    )

    assert desk.release(sealed).queued == 0
    assert desk.outcomes(sealed) == [None, None]
    approve_it(desk, sealed, with_deletes=False)
    assert desk.release(sealed).queued == 1
    assert desk.outcomes(sealed) == ["queued", None]


def approve_it(desk: Any, sealed: Any, *, with_deletes: bool) -> None:
    approve(
        desk.store,
        desk.audit,
        desk.place,
        sealed.id,
        reason="проверено",
        with_deletes=with_deletes,
        with_held=False,
        actor=Actor("os_user", "root"),
    )


def lay_one(desk: Any, **how: Any) -> Any:
    desk.want("item:1", "5")
    return desk.seal(desk.item("item:1", "create", ours="5"), **how)


def test_a_dry_run_is_never_released(desk: Any) -> None:
    sealed = lay_one(desk, is_dry_run=True)

    with pytest.raises(PlanRefusedError):
        desk.release(sealed)
    assert desk.rows() == []


def test_an_expired_plan_is_refused(desk: Any, clock: VirtualClock) -> None:
    sealed = lay_one(desk, ttl_hours=1.0)
    clock.advance(3601)

    with pytest.raises(PlanRefusedError) as caught:
        desk.release(sealed)
    assert caught.value.reason_code == "PLAN_EXPIRED"


def test_an_overtaken_plan_is_refused(desk: Any) -> None:
    older, newer = lay_one(desk), lay_one(desk)
    with desk.store.write() as conn:
        retire_older(conn, desk.place_id, newer.id)

    with pytest.raises(PlanRefusedError):
        desk.release(older)
    assert desk.release(newer).queued == 1


def test_what_a_newer_plan_has_taken_over_meanwhile_is_left_to_it(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "CHUNK_ROWS", 1)
    for number in (1, 2):
        desk.want(f"item:{number}", "5", pupil=number)
    older = desk.seal(*(desk.item(f"item:{number}", "create", ours="5", pupil=number) for number in (1, 2)))
    let_out_chunk = outbox._release_chunk

    def overtake(conn: Any, *args: Any, **more: Any) -> Any:
        chunk = let_out_chunk(conn, *args, **more)
        conn.execute(update(plan).where(plan.c.id == older.id).values(state=PlanState.STALE))
        return chunk

    monkeypatch.setattr(outbox, "_release_chunk", overtake)

    assert desk.release(older).queued == 1
    assert desk.outcomes(older) == ["queued", None]


def test_a_plan_of_another_epoch_is_refused(desk: Any) -> None:
    sealed = lay_one(desk)
    with desk.store.write() as conn:
        bump_epoch(conn)

    with pytest.raises(PlanRefusedError):
        desk.release(sealed)


def test_a_plan_of_another_city_is_refused(desk: Any) -> None:
    sealed = lay_one(desk)

    with pytest.raises(PlanRefusedError):
        desk.release(sealed, place=Place("city/2", "portal", "2026/27"))
    assert desk.rows() == []


def test_a_plan_that_was_used_can_not_be_approved_after_its_expiry(desk: Any, clock: VirtualClock) -> None:
    desk.agree("item:1", 7, "4")
    desk.show(7, "4")
    deletion = desk.item("item:1", "delete", base_value="4", theirs="4", city_id=7, gate="delete")
    sealed = desk.seal(deletion, ttl_hours=1.0)
    desk.release(sealed)
    desk.alter_plan(sealed, state=PlanState.USED)
    clock.advance(3601)

    with pytest.raises(PlanRefusedError):
        approve_it(desk, sealed, with_deletes=True)
