"""Real processes under fire: two workers, Redis, PostgreSQL, the city over HTTP; kill -9 and SIGSTOP, drawn with a fixed seed (F12)."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import Any

import pytest

MARKS_COUNT = 500
LESSONS_COUNT = 5  # of a class of 25 in four subjects: as many cells as marks
KILLS_COUNT = 10
BETWEEN_COUNT = 40
"""Writes in the city between two kills: each of them hits somebody at work."""


@pytest.mark.slow
@pytest.mark.row("B1", "B4", "B7")
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_whoever_is_killed_or_frozen_five_hundred_marks_stand_once(
    build_fleet: Callable[..., Any], database_url: str, tell_figure: Callable[..., None]
) -> None:
    fleet = build_fleet(database_url=database_url, lesson_count=LESSONS_COUNT)
    fleet.queue(MARKS_COUNT)
    fleet.fault("slow", delay_s=0.05)
    rng = random.Random(12)
    workers = [fleet.start_worker(), fleet.start_worker()]
    frozen: Any = None
    kills = 0
    while kills < KILLS_COUNT:
        fleet.wait_for_ledger((kills + 1) * BETWEEN_COUNT)
        if frozen is not None:
            frozen.send_signal(signal.SIGCONT)
            frozen = None
        if kills % 4 == 3:
            # all that was rung is forgotten, and whoever rings meanwhile is not heard
            fleet.redis.kill()
            fleet.redis.start()
        else:
            victim = workers.pop(rng.randrange(len(workers)))
            victim.kill()
            victim.wait()
            if rng.random() < 0.5:
                frozen = workers[0]
                frozen.send_signal(signal.SIGSTOP)
            workers.append(fleet.spawn_worker())
        kills += 1
    if frozen is not None:
        frozen.send_signal(signal.SIGCONT)
    fleet.clear_faults()
    fleet.wait_done()

    fleet.assert_whole()
    tell_figure(f"F12 lost or doubled of {MARKS_COUNT} marks, {kills} kills of real processes", 0)
