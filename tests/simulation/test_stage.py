"""The stage itself: one actor at a time, virtual time, kills that no handler sees, and an end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.simulation.stage import Actor, Killed, Stage, Violation

START_AT = datetime(2026, 11, 11, tzinfo=UTC)


def build_stage(seed: int = 1) -> Stage:
    return Stage(seed, start_at=START_AT, lease_s=15.0)


def test_actors_come_in_the_order_of_their_times() -> None:
    stage = build_stage()
    seen: list[tuple[str, float]] = []

    def play(name: str, *waits: float) -> None:
        for wait_s in waits:
            stage.sleep(wait_s)
            seen.append((name, stage.elapsed_s))

    stage.add(Actor("a"), lambda: play("a", 1.0, 4.0))
    stage.add(Actor("b"), lambda: play("b", 2.0, 1.0))
    stage.add(Actor("end"), lambda: (stage.sleep(10.0), stage.end()))
    stage.run()

    assert seen == [("a", 1.0), ("b", 2.0), ("b", 3.0), ("a", 5.0)]
    assert stage.now() == START_AT.replace(second=10)


def test_a_killed_actor_begins_again_and_no_handler_of_errors_sees_the_kill() -> None:
    stage = build_stage()
    lives: list[str] = []

    def play() -> None:
        lives.append("begun")
        try:
            stage.point("call")
        except Exception:  # noqa: BLE001  # what a handler of errors would catch is just the question
            lives.append("caught")
        stage.end()

    actor = Actor("worker", p_crash=1.0)
    stage.add(actor, play)
    stage.add(Actor("calm"), lambda: (stage.sleep(600.0), setattr(stage, "is_stormy", False), stage.sleep(600.0)))
    stage.run()

    assert stage.crashes > 0
    assert lives == ["begun"] * (stage.crashes + 1)


def test_a_doomed_actor_does_nothing_more_in_this_life() -> None:
    stage = build_stage()
    done: list[str] = []
    victim = Actor("victim")

    def play() -> None:
        if done:
            done.append("second life")
            stage.end()
        done.append("first life")
        stage.sleep(100.0)
        done.append("went on")

    stage.add(victim, play)
    stage.add(Actor("operator"), lambda: (stage.sleep(1.0), stage.doom(victim)))
    stage.run()

    assert done == ["first life", "second life"]


def test_an_idle_actor_is_woken_and_a_busy_one_is_not() -> None:
    stage = build_stage()
    woken_s: list[float] = []
    idle, busy = Actor("idle"), Actor("busy")
    stage.add(idle, lambda: (stage.sleep(100.0, is_idle=True), woken_s.append(stage.elapsed_s)))
    stage.add(busy, lambda: (stage.sleep(50.0), woken_s.append(stage.elapsed_s)))
    stage.add(
        Actor("bell"), lambda: (stage.sleep(5.0), stage.wake(idle), stage.wake(busy), stage.sleep(500.0), stage.end())
    )
    stage.run()

    assert woken_s == [5.0, 50.0]


def test_what_an_actor_meets_is_raised_to_whoever_let_the_stage_run() -> None:
    stage = build_stage()

    def play() -> None:
        raise Violation("I2", "a second one")

    stage.add(Actor("city"), play)
    stage.add(Actor("other"), lambda: stage.sleep(1e6))

    with pytest.raises(Violation, match="I2: a second one"):
        stage.run()


def test_a_kill_is_no_error() -> None:
    assert not issubclass(Killed, Exception)
    assert not issubclass(Violation, Exception)
