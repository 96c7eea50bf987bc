"""What a person holds back is not sent, whatever is planned or queued, and goes on by itself when the hold ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.domain.errors import ConfigurationError, PlanRefusedError
from gateway.domain.identifiers import Kind
from gateway.flows.holds import lift_hold, place_hold
from gateway.flows.sync import sync
from gateway.reconcile.holds import load_holds
from gateway.sandbox.portal.school_course import FIRST_COURSE


def sent(hand: Any) -> list[dict[str, Any]]:
    return list(hand.world.city.machine_ledger())


def test_a_pupil_is_held_others_go_and_he_follows_when_it_is_lifted(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.sync()
        user, _ = next(iter(small.portal.cells(FIRST_COURSE)))
        placed = place_hold(
            hand.gateway, reason="спор о классе", until=hand.gateway.now() + timedelta(days=7), pupil=f"user:{user}"
        )
        synced = hand.sync()
        hand.approve(synced)
        hand.deliver()
        held = [row for row in hand.decisions(synced) if row.reason == "MARKED_HOLD"]
        others = len(sent(hand))
        lift_hold(hand.gateway, placed.id, reason="решено")
        hand.through()
        with pytest.raises(PlanRefusedError):
            lift_hold(hand.gateway, placed.id, reason="ещё раз")
        hand.assert_sound()

        assert held
        assert {row.op for row in held} == {"create"}
        assert others > 0
        assert len(sent(hand)) == others + len(held)
        assert [entry.action for entry in hand.actions() if entry.action.startswith("hold.")] == [
            "hold.placed",
            "hold.lifted",
        ]


def test_a_class_that_there_is_none_of_is_refused_with_those_that_are(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.sync()
        until = hand.gateway.now() + timedelta(days=1)
        with pytest.raises(ConfigurationError, match=r"9Ф.*7А"):
            place_hold(hand.gateway, reason="проверка", until=until, class_name="9ф")
        assert place_hold(hand.gateway, reason="проверка", until=until, class_name="7а").id


def test_a_record_that_there_is_none_of_is_refused_and_nothing_looks_held(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        until = hand.gateway.now() + timedelta(days=1)
        ref = next(row.ref for row in hand.decisions(synced) if row.kind == "mark")
        with pytest.raises(ConfigurationError, match="Такой записи нет"):
            place_hold(hand.gateway, reason="проверка", until=until, ref=f"{ref}9")
        assert place_hold(hand.gateway, reason="проверка", until=until, ref=ref).id


def test_what_waits_in_the_queue_is_taken_out_with_the_hold_and_comes_back_by_itself(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.approve(hand.sync())
        queued = hand.states()["ready"]
        marks = sum(row.kind == "mark" for row in hand.operations())
        placed = place_hold(
            hand.gateway, reason="проверяем веса", until=hand.gateway.now() + timedelta(days=1), kind=Kind.MARK
        )
        hand.deliver()
        hand.sync()

        assert placed.dropped == marks > 0
        assert {entry["kind"] for entry in sent(hand)}.isdisjoint({"mark"})
        assert len(sent(hand)) == queued - marks
        small.clock.advance(86_400 + 60)
        with hand.gateway.store.read() as conn:
            assert load_holds(conn, hand.place_id(), now=hand.gateway.now()) == []
        hand.through()
        assert sum(entry["kind"] == "mark" for entry in sent(hand)) == marks
        hand.assert_sound()


def test_a_plan_that_was_shown_before_the_hold_lets_nothing_held_out(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        until = hand.gateway.now() + timedelta(days=1)
        place_hold(hand.gateway, reason="после показа", until=until, kind=Kind.MARK)
        hand.approve(synced)
        hand.deliver()

    assert sent(hand)
    assert {entry["kind"] for entry in sent(hand)}.isdisjoint({"mark"})


def test_a_class_is_held_by_any_spelling_and_deletes_alone_may_be(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.sync()
        name = next(row["class"] for row in small.city.state()["like"]["pupils"])
        until = hand.gateway.now() + timedelta(days=3)
        deletes = place_hold(hand.gateway, reason="не удалять", until=until, class_name=name.lower(), op="delete")
        freely = hand.sync()
        lift_hold(hand.gateway, deletes.id, reason="для пробы")
        place_hold(hand.gateway, reason="весь класс", until=until, class_name=f"{name[:-1]} {name[-1]}")
        held = hand.sync()

    assert freely.planned.plan.counters["create"] > 0
    assert held.planned.plan.counters["create"] == 0
    assert held.planned.plan.by_reason["MARKED_HOLD"] == freely.planned.plan.counters["create"]


def test_nothing_is_held_without_a_reason_a_day_and_a_name(small: Any) -> None:
    with small.open() as hand:
        hand.sync()
        soon = hand.gateway.now() + timedelta(days=1)
        for more, error in (
            ({"reason": " ", "until": soon, "kind": Kind.MARK}, PlanRefusedError),
            ({"reason": "всё", "until": soon}, PlanRefusedError),
            ({"reason": "год", "until": soon + timedelta(days=365), "kind": Kind.MARK}, PlanRefusedError),
            ({"reason": "нет такого", "until": soon, "pupil": "user:999999"}, ConfigurationError),
            ({"reason": "не уходит", "until": soon, "kind": Kind.LESSON}, ConfigurationError),
        ):
            with pytest.raises(error):
                place_hold(hand.gateway, **more)


def test_what_is_held_while_a_plan_is_made_is_not_sent_by_it(small: Any) -> None:
    """The plan was begun before the hold and let out after it: the hold found nothing yet that it could take out."""
    with small.open() as hand:
        hand.link_everybody()
        hand.sync(is_dry_run=True)
        until = hand.gateway.now() + timedelta(days=1)
        placed: list[Any] = []

        def progress(stage: str, done: int, total: int | None = None) -> None:
            if stage == "plan" and not placed:
                placed.append(place_hold(hand.gateway, reason="спор", until=until, kind=Kind.MARK))

        watched = replace(hand.gateway, progress=progress)
        synced = sync(watched, hand.want)
        hand.approve(synced)
        hand.deliver()

        assert placed
        assert sent(hand)
        assert {entry["kind"] for entry in sent(hand)}.isdisjoint({"mark"})
        assert {row.reason for row in hand.operations() if row.kind == "mark"} == {"MARKED_HOLD"}
        hand.until_quiet()
        small.clock.advance(86_400 + 60)
        hand.through()
        assert {entry["kind"] for entry in sent(hand)} >= {"mark"}
        hand.assert_sound()
