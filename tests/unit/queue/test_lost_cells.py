"""After a restore nothing is created in a cell that holds an object of the lost time, whatever it looks like."""

from __future__ import annotations

from typing import Any

from gateway.reconcile.coverage import load_lost
from gateway.reconcile.guard import Limits
from gateway.reconcile.resolve import decide_scope
from gateway.reconcile.shadow import city_scope
from gateway.store.epoch import begin_locked_epoch

LIMITS = Limits(minimum_count=5, change_ratio=0.75, delete_ratio=0.1, empty_source_ratio=0.5)


def test_an_object_first_met_by_the_read_back_of_an_old_operation_is_of_the_lost_time_too(desk: Any) -> None:
    old_run = 1  # what `show` reads with, as the read-back of an operation of that run does
    desk.clock.advance(60)
    with desk.store.write() as conn:
        begin_locked_epoch(conn, 2, after_run=old_run + 4, reason="RESTORED", now=desk.store.now(conn))
    desk.clock.advance(60)

    desk.show(500, "5")

    with desk.store.read() as conn:
        assert load_lost(conn, desk.place_id, city_scope("mark", 1)) == {500}


def test_an_object_that_was_known_before_is_not_of_the_lost_time(desk: Any) -> None:
    desk.show(500, "5")
    desk.clock.advance(60)
    with desk.store.write() as conn:
        begin_locked_epoch(conn, 2, after_run=5, reason="RESTORED", now=desk.store.now(conn))
    desk.clock.advance(60)

    desk.show(500, "4")

    with desk.store.read() as conn:
        assert load_lost(conn, desk.place_id, city_scope("mark", 1)) == frozenset()


def test_an_object_that_looks_like_one_work_of_the_lesson_holds_the_other_work_too(desk: Any) -> None:
    with desk.store.write() as conn:
        begin_locked_epoch(conn, 2, after_run=0, reason="RESTORED", now=desk.store.now(conn))
    desk.want("item:1", "5")
    desk.want("item:2", "2")
    desk.show(500, "4")

    with desk.store.read() as conn:
        decided = decide_scope(
            conn,
            desk.place_id,
            city_scope("mark", 1),
            is_read=True,
            delete_mode="approve",
            limits=LIMITS,
            position_of={1: 0}.get,
        )

    assert {item.triple.ref: item.decision.reason for item in decided.items} == {
        "item:1": "PROBABLE_TWIN",
        "item:2": "PROBABLE_TWIN",
    }
