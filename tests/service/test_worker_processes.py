"""Workers as processes: killed, frozen, told to stop; on both databases. F13: what a killed one held comes back within 30 s."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.queue.states import State


@pytest.mark.row("B4")
@pytest.mark.slow
def test_two_workers_of_which_one_is_frozen_and_one_killed_leave_every_mark_once(
    build_fleet: Callable[..., Any], database_url: str
) -> None:
    fleet = build_fleet(database_url=database_url)
    fleet.queue(60)
    fleet.fault("slow", delay_s=0.15)
    frozen, killed = fleet.start_worker(), fleet.start_worker()
    fleet.wait_for("accepted", 4)

    frozen.send_signal(signal.SIGSTOP)
    killed.kill()
    killed.wait()
    if fleet.gateway.store.dialect == "sqlite":
        # frozen in the middle of a write it holds the only lock there is, and nobody else can do anything
        frozen.send_signal(signal.SIGCONT)
    fleet.start_worker()
    fleet.wait_for("verified", 20)
    fleet.clear_faults()
    # the zombie wakes up long after its claims were taken over, and finds its fences gone
    frozen.send_signal(signal.SIGCONT)
    fleet.wait_done()

    fleet.assert_whole()


@pytest.mark.row("B5")
def test_a_worker_told_to_stop_finishes_what_it_sent_and_gives_back_the_rest(fleet: Any) -> None:
    fleet.queue(40)
    fleet.fault("slow", delay_s=0.5)
    worker = fleet.start_worker()
    fleet.wait_for("sending", 1)

    started = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    code = worker.wait(timeout=30)

    assert (code, time.monotonic() - started < 30) == (0, True)
    left = fleet.states()
    assert left[State.CLAIMED] == left[State.SENDING] == left[State.UNKNOWN] == 0
    assert left[State.READY] > 0
    assert len(fleet.ledger()) == left[State.ACCEPTED] + left[State.VERIFIED]
    assert fleet.count_workers() == 0

    fleet.clear_faults()
    with fleet.worker():
        fleet.wait_done()
    fleet.assert_whole()


@pytest.mark.row("B1")
def test_killed_again_and_again_the_ledger_is_as_intended(fleet: Any) -> None:
    fleet.queue(100)
    fleet.fault("slow", delay_s=0.1)
    for wanted in (5, 15, 25):
        worker = fleet.start_worker()
        fleet.wait_for_ledger(wanted)
        worker.kill()
        worker.wait()
    fleet.clear_faults()
    with fleet.worker():
        fleet.wait_done()

    fleet.assert_whole()
