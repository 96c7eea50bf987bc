"""The scheduler: begins what is due, runs it, and gives the sign of life. One in every worker; the store decides whose.

`run_due` is one look, for anybody who has a moment; `Scheduler` looks again and again on a thread of its own, because a
night's run lasts longer than the worker's other work may wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

import msgspec

from gateway.connectors.watcher import send_sign
from gateway.domain.errors import AuditError, GatewayError
from gateway.domain.reasons import HEARTBEAT_FAILED
from gateway.flows.acts import carry_out
from gateway.flows.gateway import Gateway
from gateway.flows.pull import Problem
from gateway.flows.runs import RunState, add_problem, get_run
from gateway.flows.sync import Synced, sync
from gateway.store.passing import is_passing
from gateway.telemetry import get_logger
from gateway.worker.claims import Claim, claim_next

LOG = get_logger(__name__)
LOOK_S = 5.0
"""How late a slot may begin."""
FORGIVEN_COUNT = 60
"""Looks in a row, five minutes, that a database may break off; what lasts longer somebody must see, so the worker ends."""

OpenGateway = Callable[[], AbstractContextManager[Gateway]]


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A slot that was run to its end.

    Attributes:
        state: How the run ended.
        passed_count: Slots that melted into this one, itself included.
        synced: What it did; None where it failed, then the run's row says why.
    """

    name: str
    slot_at: datetime
    passed_count: int
    run_id: int
    state: str
    synced: Synced | None = None


def run_due(open_gateway: OpenGateway, now: datetime, *, is_stopping: Callable[[], bool] = lambda: False) -> list[Ran]:
    """Begin and run everything that is due, one after another.

    Args:
        open_gateway: Gives a composed gateway for the time of the work.
        now: Aware UTC, by the store's clock.
        is_stopping: Asked before each run: what runs is let finish, nothing new begins.

    Raises:
        AuditError: Something could not be written down and was not done.
    """
    ran: list[Ran] = []
    with open_gateway() as gateway:
        while not is_stopping():
            claim = claim_next(gateway, now)
            if claim is None:
                break
            ran.append(run_claim(gateway, claim))
    return ran


def run_claim(gateway: Gateway, claim: Claim) -> Ran:
    """Run a claimed slot to its end and give the sign of life.

    Raises:
        AuditError: Something could not be written down and was not done.
    """
    synced: Synced | None = None
    try:
        synced = sync(
            gateway,
            claim.want,
            is_dry_run=claim.mode == "observe",
            asks_first=claim.mode == "approve",
            run_id=claim.run_id,
        )
    except AuditError:
        raise
    except GatewayError as error:
        # Its sentence stands on the run, its slot is due again where that may help; the other schedules go on.
        LOG.error("schedule.run_failed", run_id=claim.run_id, reason=error.reason_code, stage=claim.name)
    state = get_run(gateway, claim.run_id).state
    if state != RunState.FAILED.value:
        # A failed run gives no sign: silence is what a watcher raises the alarm for.
        _give_sign(gateway, claim, state)
    return Ran(
        name=claim.name,
        slot_at=claim.slot_at,
        passed_count=claim.passed_count,
        run_id=claim.run_id,
        state=state,
        synced=synced,
    )


def _give_sign(gateway: Gateway, claim: Claim, state: str) -> None:
    wanted = gateway.settings.schedule
    for sentence in send_sign(
        wanted.heartbeat_url, wanted.heartbeat_file, run_id=claim.run_id, state=state, now=gateway.now()
    ):
        LOG.warning("schedule.sign_failed", run_id=claim.run_id, stage=claim.name)
        problem = Problem(scope=f"schedule:{claim.name}", reason=HEARTBEAT_FAILED, sentence=sentence)
        add_problem(gateway, claim.run_id, msgspec.to_builtins(problem))


class Scheduler:
    """Looks for what is due on a thread of its own until told to stop.

    Args:
        gateway: The composed gateway of the worker.
        look_s: How often, in seconds.
    """

    def __init__(self, gateway: Gateway, *, look_s: float = LOOK_S) -> None:
        self._gateway = gateway
        self._look_s = look_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name="schedule", daemon=True)
        self.fault: BaseException | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, *, within_s: float) -> bool:
        """Begin nothing new and wait for what runs; False where it goes on after that time.

        A run cut off by the process's end is found by the next worker and begun again.
        """
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(within_s)
        return not self._thread.is_alive()

    def look(self) -> list[Ran]:
        """One look, by the store's clock."""
        return run_due(lambda: nullcontext(self._gateway), self._gateway.now(), is_stopping=self._stopping.is_set)

    def run(self) -> None:
        """Look until told to stop, or until a fault that only the worker can raise."""
        failed_count = 0
        while not self._stopping.is_set():
            try:
                # what a door took and could not carry out, because its process ended
                carry_out(self._gateway)
                self.look()
                failed_count = 0
            except GatewayError as error:
                if isinstance(error, AuditError) and not is_passing(error):
                    self.fault = error
                    return
                # The store is busy or away for a moment: the slot is still due at the next look.
                LOG.error("schedule.look_failed", reason=error.reason_code)
            except BaseException as exc:  # a thread can't raise to its worker, which raises it in its stead
                failed_count += 1
                if not is_passing(exc) or failed_count > FORGIVEN_COUNT:
                    self.fault = exc
                    return
                LOG.warning("schedule.database_failed", exc_info=exc)
            self._stopping.wait(self._look_s)
