"""More mistakes planted into the production steps: in reading, planning, approving, the audit and the turns of runs."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import Any
from unittest import mock

import msgspec
from planted import bug, put
from sqlalchemy import update

import gateway.audit.log
import gateway.flows.turns
import gateway.queue.breaker
import gateway.queue.outbox
import gateway.reconcile.gone
import gateway.reconcile.resolve
import gateway.reconcile.shadow
import gateway.simulation.door
import gateway.simulation.machines
import gateway.simulation.people
from gateway.audit.log import AuditLog
from gateway.domain.city import HomeworkIntent, MarkIntent
from gateway.queue.tables import operation
from gateway.reconcile.compare import Absence, Category, Decision
from gateway.simulation.door import SimDoor
from gateway.simulation.world import World


@bug("a record that one read lacks was cleared")
def one_read_proves(stack: ExitStack) -> None:
    put(stack, gateway.reconcile.gone, "PROOF_READS", 1)


@bug("a newer intent does not take the place of one that has not left")
def supersede_forgotten(stack: ExitStack) -> None:
    put(stack, gateway.queue.outbox, "_supersede", lambda *_args: None)


@bug("a call made again carries the request id of the first one")
def request_id_reused(stack: ExitStack) -> None:
    right = World.new_request_id

    def wrong(self: World, sending: Any) -> Any:
        make = right(self, sending)
        last: list[str] = []

        def again() -> str:
            fresh = make()
            if last and self.stage.rng.random() < 0.3:
                return last[0]
            last[:] = [fresh]
            return fresh

        return again

    put(stack, World, "new_request_id", wrong)


@bug("a number of the audit's chain is left out")
def seq_gap(stack: ExitStack) -> None:
    right = AuditLog._load_head
    count = itertools.count(1)

    def wrong(self: AuditLog, conn: Any, stream: Any) -> tuple[int, str]:
        seq, digest = right(self, conn, stream)
        return (seq + 1 if next(count) % 50 == 0 else seq), digest

    put(stack, AuditLog, "_load_head", wrong)


@bug("a run ends without a checkpoint")
def checkpoint_skipped(stack: ExitStack) -> None:
    put(stack, gateway.audit.log, "seal", lambda *_args, **_more: [])


@bug("a mark hangs on the next lesson")
def lesson_of_the_next_day(stack: ExitStack) -> None:
    right = gateway.simulation.door.mark_body

    def wrong(intent: MarkIntent) -> dict[str, Any]:
        body = right(intent)
        return {**body, "schedule_lesson_id": body["schedule_lesson_id"] + 1}

    put(stack, gateway.simulation.door, "mark_body", wrong)


@bug("every absence is an illness")
def absence_reason_fixed(stack: ExitStack) -> None:
    right = gateway.simulation.door.absence_body
    put(stack, gateway.simulation.door, "absence_body", lambda intent: {**right(intent), "absence_reason_id": 1})


@bug("a homework that is changed loses its text")
def homework_emptied(stack: ExitStack) -> None:
    right = SimDoor.change

    def wrong(self: SimDoor, city_id: int, intent: Any, *, request_id: str) -> Any:
        if isinstance(intent, HomeworkIntent):
            intent = msgspec.structs.replace(intent, text="")
        return right(self, city_id, intent, request_id=request_id)

    put(stack, SimDoor, "change", wrong)


@bug("a breaker that has opened stays open")
def breaker_never_closes(stack: ExitStack) -> None:
    right = gateway.queue.breaker.try_pass

    def wrong(conn: Any, city: str, terms: Any, now: Any) -> bool:
        state = gateway.queue.breaker.load_breaker(conn, city).state
        return state is gateway.queue.breaker.BreakerState.CLOSED and right(conn, city, terms, now)

    put(stack, gateway.queue.breaker, "try_pass", wrong)


@bug("the run of a killed process goes on for ever")
def dead_run_blocks(stack: ExitStack) -> None:
    put(stack, gateway.flows.turns, "end_dead_runs", lambda *_args: [])


@bug("what a person changed in the city is deleted with what was cleared here")
def delete_over_drift(stack: ExitStack) -> None:
    right = gateway.reconcile.resolve.decide

    def wrong(ours: Any, base: Any, theirs: Any, **more: Any) -> Decision:
        if ours is Absence.CLEARED and isinstance(base, bytes) and isinstance(theirs, bytes):
            return Decision(Category.DELETE, "DELETE_HELD", "delete")
        return right(ours, base, theirs, **more)

    put(stack, gateway.reconcile.resolve, "decide", wrong)
    put(stack, gateway.queue.outbox, "load_ground", lambda *_args, **_more: mock.Mock(still_holds=lambda _row: True))


@bug("what is gone in the city is still taken to stand there")
def shadow_never_forgets(stack: ExitStack) -> None:
    put(stack, gateway.reconcile.shadow, "_within", lambda *_args: [])


@bug("an approval opens the gates of deletes and of the guard, whatever the person said")
def approval_opens_all(stack: ExitStack) -> None:
    right = gateway.simulation.people.approve

    def wrong(*args: Any, **more: Any) -> Any:
        return right(*args, **{**more, "with_deletes": True, "with_held": True})

    put(stack, gateway.simulation.people, "approve", wrong)


@bug("the sentence of a failed run quotes a child's name")
def sentence_quotes_a_child(stack: ExitStack) -> None:
    right = gateway.simulation.machines.finish_run

    def wrong(gateway_: Any, run_id: int, state: Any, **more: Any) -> None:
        if "sentence" in more:
            source = gateway_.sources[0]
            more["sentence"] += source._portal.school.groups[0].pupils[0].last_name
        right(gateway_, run_id, state, **more)

    put(stack, gateway.simulation.machines, "finish_run", wrong)


@bug("an operation that came back after a kill is counted as if nothing had happened")
def claims_forgiven(stack: ExitStack) -> None:
    right = gateway.simulation.machines.sweep

    def wrong(store: Any) -> int:
        moved = right(store)
        with store.write() as conn:
            conn.execute(update(operation).where(operation.c.state == "ready").values(claims=0, attempts=0))
        return moved

    put(stack, gateway.simulation.machines, "sweep", wrong)


@bug("a plan is let out although it was made under an older one's directory")
def stale_plan_kept(stack: ExitStack) -> None:
    import gateway.flows.plan

    put(stack, gateway.flows.plan, "retire_older", lambda *_args, **_more: None)
    right = gateway.simulation.people.find_plan_id

    def wrong(conn: Any, place_id: int, hash_prefix: str | None = None) -> int | None:
        newest = right(conn, place_id, hash_prefix)
        older = conn.exec_driver_sql(
            "SELECT max(id) FROM plan WHERE hash IS NOT NULL AND state = 'waiting_approval' AND id < ?", (newest or 0,)
        ).scalar()
        return older or newest

    put(stack, gateway.simulation.people, "find_plan_id", wrong)
