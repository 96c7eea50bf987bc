"""The machines on stage: runs that read and plan, workers that deliver and read back. All they do is call production steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from gateway.connectors.port import Want
from gateway.domain.errors import GatewayError
from gateway.flows.confirm import confirm, find_wait
from gateway.flows.gateway import Gateway
from gateway.flows.plan import make_plan
from gateway.flows.pull import Problem, pull
from gateway.flows.runs import RunState, finish_run
from gateway.flows.turns import Beating, begin_run
from gateway.queue.deliver import Delivery
from gateway.queue.due import sweep
from gateway.queue.lanes import load_due_rows
from gateway.queue.outbox import release, release_approved
from gateway.simulation.portal import GRADED
from gateway.simulation.world import CITY, Sending, World

DUE_NAP_S = 120.0
"""Longest he sleeps while something is due that did not move: the city may be called again before anybody rings."""
IDLE_S = 1800.0
"""Longest a worker sleeps unrung: real ones look every few seconds, which would cost the simulation its speed."""
BATCH_COUNT = 50
BATCHES = (1, 1, 2, 4)
"""Operations that go through the steps together: one at the default pace, several where the city allows more."""
FIRST_NAP_S = 5.0


class Runner:
    """A process that runs the way once: pull, plan, release."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    def run(self, want: Want | None = None, *, is_dry_run: bool = False) -> bool:
        """Run once; False where it failed or another was running."""
        world = self._world
        want = want or world.want
        gateway = world.open_gateway(self._name)
        world.counts.runs += 1
        try:
            run_id = begin_run(gateway, "sync", want)
        except GatewayError:
            return False
        gateway = replace(gateway, progress=Beating(gateway, run_id))
        try:
            self._go(gateway, want, run_id, is_dry_run=is_dry_run)
        except GatewayError as error:
            world.stage.note(f"run {run_id} failed {error.reason_code}")
            world.counts.failed_runs += 1
            finish_run(gateway, run_id, RunState.FAILED, counters={}, sentence=error.sentence)
            return False
        finish_run(gateway, run_id, RunState.DONE, counters={})
        world.stage.note(f"run {run_id} done")
        return True

    def _go(self, gateway: Gateway, want: Want, run_id: int, *, is_dry_run: bool) -> None:
        world = self._world
        pulled = pull(gateway, want, run_id)
        self._check_pulled(pulled.kinds)
        world.oracle.note_planning(run_id)
        planned = make_plan(gateway, want, run_id, is_dry_run=is_dry_run)
        world.oracle.note_sealed()
        world.stage.note(f"plan {planned.plan.id} {planned.plan.state} {sorted(planned.plan.by_reason.items())}")
        if is_dry_run:
            return
        release(gateway.store, gateway.audit, gateway.place, planned.plan.id, lane="nightly", actor=gateway.actor)
        world.wake_workers()

    def _check_pulled(self, kinds: dict[str, dict[str, int]]) -> None:
        """I8 of a pull: read = new + changed + unchanged."""
        for kind in GRADED:
            counts = kinds.get(kind.value, {})
            if counts and counts["read"] != counts["new"] + counts["changed"] + counts["unchanged"]:
                raise AssertionError(f"I8: {kind.value} {counts}")


class Worker:
    """A process that delivers what is due and reads back what was answered, until it is killed."""

    def __init__(self, world: World, name: str, sending: Sending) -> None:
        self._world = world
        self._name = name
        self._sending = sending

    def play(self) -> None:
        """Work for ever."""
        life = Life(self._world, self._name, self._sending)
        nap_s = FIRST_NAP_S
        while True:
            moved = life.step()
            nap_s = FIRST_NAP_S if moved else min(2 * nap_s, IDLE_S)
            self._world.stage.sleep(self._nap(nap_s), is_idle=True)

    def _nap(self, nap_s: float) -> float:
        """Until the next thing is due by its row, at least a little and at most the idle time.

        Asked past the store: a real worker looks every few seconds, the stage only skips what it would find nothing in.
        """
        found = self._world.store.raw.execute(
            "SELECT min(not_before) FROM operation WHERE state IN ('ready', 'claimed', 'sending', 'unknown', 'accepted')"
        ).fetchone()[0]
        if found is None:
            return IDLE_S
        due_s = (datetime.fromisoformat(found).replace(tzinfo=UTC) - self._world.stage.now()).total_seconds()
        # what is due and did not move waits for the city: it is asked for again soon after the city may be called
        return min(max(due_s, min(nap_s, DUE_NAP_S)), IDLE_S)


class Life:
    """One life of a worker: what it makes when it starts, and what it does again and again."""

    def __init__(self, world: World, name: str, sending: Sending) -> None:
        self._stage = world.stage
        self._sending = sending
        sending.end()
        self._gateway = gateway = world.open_gateway(name, sending)
        self._work = Delivery(
            gateway.store,
            gateway.city,
            gateway.ledger,
            gateway.terms,
            city=CITY,
            request_ids=world.new_request_id(sending),
            monotonic=lambda: world.stage.elapsed_s,
        )
        with gateway.store.write() as conn:
            self._place_id = gateway.place_id(conn)
        self._owner = f"{name}-{world.stage.rng.getrandbits(32):08x}"
        self._problems: dict[str, Problem] = {}

    def step(self) -> int:
        """Deliver what is due and read back what was answered; how much moved."""
        try:
            return self._step()
        except GatewayError as error:
            self._stage.note(f"worker met {error.reason_code}")
            return 0

    def _step(self) -> int:
        gateway, stage = self._gateway, self._stage
        moved = sweep(gateway.store)
        if find_wait(gateway) is None:
            with gateway.store.read() as conn:
                rows = load_due_rows(conn, self._place_id, gateway.store.now(conn), limit=BATCH_COUNT)
            ids = [row.id for row in rows]
            if stage.rng.random() < 0.3:
                stage.rng.shuffle(ids)  # a broker promises no order
            while ids:
                count = stage.rng.choice(BATCHES)
                batch, ids = ids[:count], ids[count:]
                if stage.rng.random() < 0.5:  # rung for one, a worker takes what stands first beside it
                    states = self._work.deliver_beside(batch[0])
                else:
                    states = self._work.deliver_many(batch)
                self._sending.end()
                for operation_id, state in states.items():
                    stage.note(f"operation {operation_id} {state.value}")
                moved += len(states)
        return moved + confirm(gateway, self._place_id, self._problems, owner=self._owner)


def let_out_approved(gateway: Gateway) -> None:
    """Release what a person approved."""
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    release_approved(gateway.store, gateway.audit, gateway.place, place_id=place_id, actor=gateway.actor)
