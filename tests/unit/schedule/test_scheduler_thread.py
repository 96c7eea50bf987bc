"""The scheduler on its thread: begins what is due, lets its worker know of a fault, begins nothing when told to stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta

from gateway.domain.clock import VirtualClock
from gateway.flows.gateway import Gateway
from gateway.flows.runs import RunState, load_runs
from gateway.worker.claims import claim_next
from gateway.worker.schedule import Scheduler, run_due

Make = Callable[..., Gateway]
HOURLY = {"everything": {"cron": "0 * * * *", "mode": "automatic"}}


def test_a_fault_of_ours_ends_the_thread_and_is_kept_for_the_worker(make_gateway: Make, clock: VirtualClock) -> None:
    """This gateway has no city, which is a fault and no answer: the run is ended and the worker is told."""
    gateway = make_gateway(**HOURLY)
    claim_next(gateway, gateway.now())
    clock.advance(timedelta(hours=1).total_seconds())
    scheduler = Scheduler(gateway)

    scheduler.run()

    assert isinstance(scheduler.fault, AttributeError)
    assert [row.state for row in load_runs(gateway)] == [RunState.INTERRUPTED]


def test_a_scheduler_that_is_told_to_stop_begins_nothing(make_gateway: Make, clock: VirtualClock) -> None:
    gateway = make_gateway(**HOURLY)
    claim_next(gateway, gateway.now())
    clock.advance(timedelta(hours=1).total_seconds())

    ran = run_due(lambda: nullcontext(gateway), gateway.now(), is_stopping=lambda: True)

    assert ran == []
    assert load_runs(gateway) == []


def test_a_stopped_scheduler_ends_its_thread(make_gateway: Make) -> None:
    scheduler = Scheduler(make_gateway())
    scheduler.start()

    assert scheduler.stop(within_s=30)
    assert scheduler.fault is None


def test_a_scheduler_that_never_began_is_stopped_at_once(make_gateway: Make) -> None:
    assert Scheduler(make_gateway()).stop(within_s=0)


def test_a_look_at_nothing_due_writes_no_run(make_gateway: Make) -> None:
    gateway = make_gateway(**HOURLY)

    assert Scheduler(gateway).look() == []
    assert load_runs(gateway) == []
