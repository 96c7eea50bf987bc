"""An undo puts nothing back at a profile that is not for certain the same child's as when the run wrote there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.domain.identifiers import MOVED
from gateway.flows.freshen import freshen
from gateway.flows.relink import propose_relink
from gateway.flows.undo import Undo, begin_undo, undo_run
from gateway.queue.approval import approve
from gateway.queue.outbox import release
from gateway.reconcile.same_child import Children
from gateway.sandbox.portal.school_course import FIRST_COURSE
from tests.flow.persons import as_account


def undo(hand: Any, number: int) -> Undo:
    return undo_run(hand.gateway, number, begin_undo(hand.gateway, number))


def let_out(hand: Any, made: Undo) -> None:
    g = hand.gateway
    approve(g.store, g.audit, g.place, made.plan.id, reason="отмена", with_deletes=True, with_held=True, actor=g.actor)
    freshen(g, made.plan.id)
    release(g.store, g.audit, g.place, made.plan.id, lane="demand", actor=g.actor)


def marks_of(hand: Any, city_id: int) -> Counter[tuple[int, str]]:
    rows = hand.city.standing("marks")
    return Counter((row["schedule_lesson_id"], row["name"]) for row in rows if row["student_profile_id"] == city_id)


@pytest.fixture
def cleared(build_world: Any) -> Iterator[tuple[Any, int, int, int]]:
    """A class with everything delivered, and a run that has removed a mark of one pupil and changed another of his.

    Yields:
        The hand, the run's number, the pupil's number at the portal and his profile in the city.
    """
    world = build_world(pupils=4, courses=2)
    world.settings_changes = {"school": {"single_approver": True}, "access": {"alone_after_minutes": 0}}
    with world.open() as hand:
        hand.link_everybody()
        hand.through()
        cells = [(user, item) for user, item in world.portal.cells(FIRST_COURSE) if item["itemtype"] == "manual"]
        user = next(one for one, count in Counter(user for user, _ in cells).items() if count > 1)
        gone, other = [item for one, item in cells if one == user][:2]
        bases = {row.ref: row for row in hand.base_rows()}
        city_id = int(bases[f"mark:{gone['id']}:{user}"].object_key.split("/")[1])
        world.portal.edit("clear_grade", courseid=FIRST_COURSE, itemid=gone["id"], userid=user)
        world.portal.edit("set_grade", courseid=FIRST_COURSE, itemid=other["id"], userid=user, grade=2.0)
        hand.sync(is_dry_run=True)
        hand.wait_grace()
        before = marks_of(hand, city_id)
        run = hand.sync()
        hand.approve(run, with_deletes=True)
        hand.deliver()
        assert len(before - marks_of(hand, city_id)) == 2
        yield hand, run.run_id, user, city_id


def test_while_the_link_stands_everything_comes_back(cleared: Any) -> None:
    hand, run_id, _, city_id = cleared
    after = marks_of(hand, city_id)

    let_out(hand, undo(hand, run_id))
    hand.deliver()

    assert len(marks_of(hand, city_id) - after) == 2


@pytest.mark.parametrize("when", ["before it is built", "while it waits", "once it is let out"])
def test_a_link_that_is_being_set_right_gets_nothing_back_by_an_undo(cleared: Any, when: str) -> None:
    """The mark that the undo would put back is of the child of then; the profile may be another child's by now."""
    hand, run_id, user, city_id = cleared
    after = marks_of(hand, city_id)

    def doubt() -> None:
        propose_relink(as_account(hand.gateway, 6), f"user:{user}", None, reason="похоже, другой ребёнок")

    if when == "before it is built":
        doubt()
    made = undo(hand, run_id)
    if when == "while it waits":
        doubt()
    if when == "before it is built":
        assert made.left["UNDO_OTHER_CHILD"] == 2
    else:
        let_out(hand, made)
    if when == "once it is let out":
        doubt()
    hand.deliver()

    assert marks_of(hand, city_id) - after == Counter()
    hand.assert_sound()


def test_a_link_taken_to_another_child_and_back_is_not_the_one_of_then(cleared: Any) -> None:
    hand, run_id, user, city_id = cleared
    with hand.gateway.store.read() as conn:
        now = hand.gateway.store.now(conn)
    row = next(row for row in hand.operations() if row.run_id == run_id and row.op == "change")
    since = row.created_at

    def is_same(decided_at: Any, unsure: frozenset[str] = frozenset()) -> bool:
        children = Children(linked={city_id: (f"user:{user}", decided_at)}, unsure=unsure)
        return children.are_same(row.kind, row.ref, row.intent, since=since)

    assert is_same(since)
    assert not is_same(since, frozenset({f"user:{user}"}))
    assert now > since
    assert not is_same(now)
    whose = Children(linked={city_id: (f"user:{user}", since)}, unsure=())
    assert not whose.are_same(row.kind, f"{MOVED}1:{row.ref}", row.intent, since=since)
    assert not Children(linked={}, unsure=()).are_same(row.kind, row.ref, row.intent, since=now)
