"""One worker: dramatiq threads that deliver, a relay that rings them, two threads that read back what was answered.

Any number of them on any number of machines share the store and know nothing of one another. Killed at any moment, one
leaves nothing that another does not find on the rows: unsent claims come back when their lease ends, sent operations are
read back after their settle time, messages it held are rung again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from gateway.connectors.pace import Lane
from gateway.domain.clock import moscow_day, school_year
from gateway.domain.errors import AuditError
from gateway.flows.confirm import confirm, find_wait, new_owner
from gateway.flows.deliver import WORKER_LEASE, build_delivery, count_threads
from gateway.flows.gateway import Gateway
from gateway.flows.pull import Problem
from gateway.queue.broker import Doorbell
from gateway.queue.leases import end_lease, take_lease
from gateway.queue.relay import Relay
from gateway.queue.states import State
from gateway.store.passing import is_passing
from gateway.telemetry import get_logger
from gateway.worker.schedule import Scheduler

LOG = get_logger(__name__)
BUSY_TICK_S = 0.2
"""How soon the relay looks again while there is work: a second's worth of ids is queued, so it is never empty for long."""
READ_TICK_S = 0.1
"""How soon a group is looked at after an answer; many answers within it cost one look."""
SIGN_OF_LIFE_S = 20.0
DATABASE_WAIT_S = 1.0
"""How soon it goes on after the database failed; a restart takes seconds."""


class Worker:
    """A worker of one place.

    Args:
        gateway: The composed gateway.
        threads: Delivery threads; None = as the settings say.
        is_once: Work until nothing can be done now, then end; for tests and for cron.
    """

    def __init__(self, gateway: Gateway, *, threads: int | None = None, is_once: bool = False) -> None:
        self._gateway = gateway
        self._threads = threads or count_threads(gateway)
        self._is_once = is_once
        self._owner = new_owner()
        self._settings = gateway.settings.queue
        self._stopping = threading.Event()
        self._work_wanted = threading.Event()
        self._answered: dict[Lane, threading.Event] = {"demand": threading.Event(), "nightly": threading.Event()}
        self._problems: dict[str, Problem] = {}
        self._fault: BaseException | None = None

    def stop(self) -> None:
        """Claim nothing more; `run` ends when what is held is finished or given back. Safe in a signal's handler."""
        self._stopping.set()
        self._work_wanted.set()
        for event in self._answered.values():
            event.set()

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            BaseException: A fault of ours, or an audit that can't be written; the service restarts the process.
        """
        gateway = self._gateway
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
        delivery = build_delivery(gateway, is_stopping=self._stopping.is_set)

        def work(operation_id: int) -> None:
            with self._forgiving():
                states = delivery.deliver_beside(operation_id)
                if State.ACCEPTED in states.values() or State.UNKNOWN in states.values():
                    for event in self._answered.values():
                        event.set()
            self._work_wanted.set()

        bell = Doorbell(
            work,
            threads=self._threads,
            redis_url=self._settings.redis_url,
            demand_threads=1 if self._threads > 1 else 0,
        )
        relay = Relay(
            gateway.store,
            bell,
            place_id=place_id,
            city=gateway.place.city,
            owner=self._owner,
            batch_count=gateway.terms.batch_count,
            tick_s=self._settings.tick_s,
        )
        LOG.info("worker.started", worker=self._owner, thread_count=self._threads, place_id=place_id)
        readers = [
            threading.Thread(target=self._read_back, args=(place_id, lane), name=f"read-back-{lane}", daemon=True)
            for lane in self._answered
        ]
        scheduler = Scheduler(gateway)
        try:
            with bell:
                for reader in () if self._is_once else readers:
                    reader.start()
                if not self._is_once:
                    scheduler.start()
                self._beat(bell, relay, place_id, scheduler)
                self.stop()
                scheduler.stop(within_s=self._settings.stop_s / 2)
                bell.close(within_s=self._settings.stop_s)
                for reader in readers:
                    if reader.is_alive():
                        reader.join(self._settings.stop_s)
        finally:
            with self._forgiving():
                end_lease(gateway.store, f"{WORKER_LEASE}{self._owner}", self._owner)
        LOG.info("worker.stopped", worker=self._owner)
        fault = self._fault or bell.fault or scheduler.fault
        if fault is not None:
            raise fault

    def _beat(self, bell: Doorbell, relay: Relay, place_id: int, scheduler: Scheduler) -> None:
        """Ring what is due, again and again: soon while there is work, every tick where there is none."""
        gateway = self._gateway
        while not self._stopping.is_set():
            self._work_wanted.clear()
            rung = 0
            with self._forgiving():
                take_lease(gateway.store, f"{WORKER_LEASE}{self._owner}", self._owner, seconds=SIGN_OF_LIFE_S)
                rung = relay.step()
            faults = (bell.fault, self._fault, scheduler.fault)
            if any(fault is not None for fault in faults) or self._is_year_over():
                return
            if self._is_once:
                bell.wait()
                settled = confirm(gateway, place_id, self._problems, owner=self._owner)
                if not rung and not settled:
                    return
                continue
            is_busy = rung > 0 or self._work_wanted.is_set()
            if is_busy:
                self._stopping.wait(BUSY_TICK_S)
            else:
                self._work_wanted.wait(min(self._settings.tick_s, SIGN_OF_LIFE_S / 2))

    def _read_back(self, place_id: int, lane: Lane) -> None:
        """Read back one lane's groups, on demand apart from the night's long lists."""
        answered = self._answered[lane]
        while not self._stopping.is_set():
            answered.wait(1.0)
            answered.clear()
            if self._stopping.is_set():
                return
            settled = 0
            try:
                with self._forgiving():
                    settled = self._guarded_confirm(place_id, lane)
            except BaseException as exc:  # noqa: BLE001  # a thread can't raise to `run`, which raises it in its stead
                self._fault = exc
                self.stop()
                return
            if settled:
                # what was settled may have made room for the next operation on the same object
                self._work_wanted.set()
            self._stopping.wait(READ_TICK_S)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Let a database that restarts or is locked pass: nothing was committed, the row tells what is to be done."""
        try:
            yield
        except (DBAPIError, AuditError) as exc:
            if not is_passing(exc):
                raise
            LOG.warning("worker.database_failed", worker=self._owner, exc_info=exc)
            self._stopping.wait(DATABASE_WAIT_S)

    def _guarded_confirm(self, place_id: int, lane: Lane) -> int:
        if find_wait(self._gateway) is not None:
            return 0
        return confirm(
            self._gateway,
            place_id,
            self._problems,
            owner=self._owner,
            wait_s=self._settings.read_back_after_s,
            lanes=(lane,),
        )

    def _is_year_over(self) -> bool:
        """The place carries the school year: a worker of the last one ends, and is started anew by its service."""
        if self._gateway.settings.school.year is not None:
            return False
        return school_year(moscow_day(self._gateway.now())) != self._gateway.place.year


__all__ = ["Worker"]
