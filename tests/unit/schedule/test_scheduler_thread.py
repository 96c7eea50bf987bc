"""The scheduler on its thread: begins what is due, lets its worker know of a fault, begins nothing when told to stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from gateway.domain.clock import VirtualClock
from gateway.domain.errors import AuditError
from gateway.flows import sync
from gateway.flows.gateway import Gateway
from gateway.flows.runs import RunState, load_runs
from gateway.worker import schedule
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


@pytest.mark.row("C10")
@pytest.mark.parametrize("is_in_audit", [False, True], ids=["in the work", "in its audit entry"])
def test_a_moment_of_the_databases_does_not_end_the_scheduler(
    make_gateway: Make, monkeypatch: pytest.MonkeyPatch, *, is_in_audit: bool
) -> None:
    """A deadlock while a choice about many is carried out ended the thread, and with it the worker."""
    scheduler = Scheduler(make_gateway(), look_s=0.0)
    tried: list[int] = []

    def break_once(gateway: Gateway) -> None:
        tried.append(1)
        if len(tried) > 1:
            scheduler.stop(within_s=0)
            return
        moment = OperationalError("UPDATE discrepancy", {}, Exception("deadlock detected"))
        if is_in_audit:
            raise AuditError("Запись аудита не сделана, поэтому и действие отменено") from moment
        raise moment

    monkeypatch.setattr(schedule, "carry_out", break_once)

    scheduler.run()

    assert len(tried) == 2
    assert scheduler.fault is None


@pytest.mark.row("C9", "C10")
@pytest.mark.parametrize(
    ("blow", "state"),
    [
        (lambda: OperationalError("SELECT", {}, Exception("terminating connection")), RunState.INTERRUPTED),
        (lambda: _in_audit(OperationalError("INSERT", {}, Exception("terminating connection"))), RunState.FAILED),
        (lambda: RuntimeError("a fault of ours"), RunState.INTERRUPTED),
    ],
    ids=["in the work", "in its audit entry", "a fault of ours"],
)
def test_the_night_that_was_broken_off_is_begun_again_and_not_left_out(
    make_gateway: Make,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    blow: Callable[[], Exception],
    state: RunState,
) -> None:
    """The slot was taken, its run had ended, and whoever looked next found nothing due till the next night."""
    gateway = make_gateway(everything={"cron": "0 2 * * *", "mode": "automatic"})
    claim_next(gateway, gateway.now())
    clock.advance(timedelta(hours=24).total_seconds())

    def break_off(*_: object) -> None:
        raise blow()

    monkeypatch.setattr(sync, "pull", break_off)
    with pytest.raises(type(blow())):
        run_due(lambda: nullcontext(gateway), gateway.now())

    again = claim_next(gateway, gateway.now())

    assert again is not None
    assert (again.name, again.tries) == ("everything", 2)
    assert [row.state for row in load_runs(gateway)] == [RunState.RUNNING, state]


def _in_audit(cause: Exception) -> AuditError:
    error = AuditError("Запись аудита не сделана, поэтому и действие отменено")
    error.__cause__ = cause
    return error


def test_a_database_that_breaks_off_every_look_is_no_moment_and_ends_the_scheduler(
    make_gateway: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stays up and schedules nothing would be missed by nobody."""
    scheduler = Scheduler(make_gateway(), look_s=0.0)
    tried: list[int] = []

    def break_off(gateway: Gateway) -> None:
        tried.append(1)
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    monkeypatch.setattr(schedule, "carry_out", break_off)

    scheduler.run()

    assert isinstance(scheduler.fault, OperationalError)
    assert len(tried) == schedule.FORGIVEN_COUNT + 1


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
