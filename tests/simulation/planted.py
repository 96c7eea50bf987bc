"""Mistakes planted into the production steps, one at a time, each of which the judge must catch.

Patches only, from the tests' side: production code has no switch for any of them. Every one is a mistake that somebody
could make in good faith; the sentence beside it says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from datetime import UTC, date, datetime, timedelta
from functools import cache
from inspect import signature
from types import FunctionType
from typing import Any
from unittest import mock

import msgspec
from sqlalchemy import and_, bindparam, select, update

import gateway.flows.confirm
import gateway.flows.linked_scope
import gateway.flows.plan
import gateway.flows.pull
import gateway.queue.claim
import gateway.queue.deliver
import gateway.queue.judge
import gateway.queue.outbox
import gateway.queue.outcome
import gateway.queue.sending
import gateway.queue.verify
import gateway.reconcile.resolve
import gateway.reconcile.snapshot
import gateway.simulation.machines
import gateway.simulation.people
from gateway.connectors.port import Accepted, CityRead
from gateway.domain.errors import LockedPeriodError, OutcomeUnknownError, Recovery, StaleError
from gateway.queue.claim import Claimed, Claims
from gateway.queue.deeds import Ledger
from gateway.queue.deliver import Delivery
from gateway.queue.ground import Standing
from gateway.queue.judge import Finding
from gateway.queue.outcome import Outcomes
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.queue.terms import Terms
from gateway.queue.window import Periods
from gateway.reconcile.compare import Category, Decision
from gateway.reconcile.gone import Gone
from gateway.reconcile.tables import plan
from gateway.reconcile.twins import Likeness
from gateway.simulation.door import SimDoor
from gateway.simulation.people import Operator
from gateway.simulation.play import Played, play
from gateway.store.epoch import bump_epoch, lift_write_lock

Plant = Callable[[ExitStack], None]
BUGS: dict[str, tuple[str, Plant]] = {}


def bug(sentence: str) -> Callable[[Plant], Plant]:
    """Name a mistake and say what it is."""

    def keep(plant: Plant) -> Plant:
        BUGS[plant.__name__] = (sentence, plant)
        return plant

    return keep


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have the mistake in the code meanwhile."""
    with ExitStack() as stack:
        BUGS[name][1](stack)
        yield


def find_catch(name: str, seeds: range) -> Played | None:
    """The first seed that catches the mistake; None where none does."""
    with planted(name):
        for seed in seeds:
            played = play(seed)
            if played.violation:
                if played.invariant == "fault" and played.violation.startswith(("TypeError", "AttributeError")):
                    raise AssertionError(f"{name}: the plant itself is broken: {played.violation}")
                return played
    return None


def put(stack: ExitStack, target: Any, name: str, value: Any) -> None:
    """Put `value` in the place of the right one.

    Raises:
        TypeError: It can not be called as the right one is: the code has moved on, and the world would stumble over the plant
            and not over the mistake.
    """
    right = vars(target).get(name)
    if isinstance(right, FunctionType) and isinstance(value, FunctionType):
        signature(value).bind(*_arguments(right, keyword=False), **_arguments(right, keyword=True))
    stack.enter_context(mock.patch.object(target, name, value))


def _arguments(right: FunctionType, *, keyword: bool) -> dict[str, None]:
    """Arguments that a call of it may carry: by place, or by name only."""
    return {
        one.name: None
        for one in signature(right).parameters.values()
        if one.kind in ((one.KEYWORD_ONLY,) if keyword else (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD))
    }


@bug("an unanswered call is simply made again")
def noverify(stack: ExitStack) -> None:
    right = Outcomes._state_after

    def wrong(self: Outcomes, conn: Any, one: Any, error: Any, attempts: int, now: datetime) -> Any:
        if isinstance(error, OutcomeUnknownError):
            return State.READY, now + timedelta(seconds=15)
        return right(self, conn, one, error, attempts, now)

    put(stack, Outcomes, "_state_after", wrong)


@bug("a read-back judges also calls of days that it did not read")
def unread_days_judged(stack: ExitStack) -> None:
    right = gateway.queue.verify._is_judged_by

    def wrong(read_at: datetime, _days: Any) -> Any:
        return right(read_at, (date.min, date.max))

    put(stack, gateway.queue.verify, "_is_judged_by", wrong)


@bug("what was in flight when a worker died is taken for never sent")
def sending_becomes_ready(stack: ExitStack) -> None:
    def wrong(store: Any) -> int:
        with store.write() as conn:
            now = store.now(conn)
            return int(
                conn.execute(
                    update(operation)
                    .where(operation.c.state.in_(("claimed", "sending")), operation.c.lease_until <= now)
                    .values(state="ready", lease_until=None, changed_at=now, not_before=now)
                ).rowcount
            )

    put(stack, gateway.simulation.machines, "sweep", wrong)


@bug("an outcome is written down whoever has the row by now")
def nofence(stack: ExitStack) -> None:
    def wrong(conn: Any, ledger: Any, row: Any, state: State, now: datetime, **more: Any) -> Any:
        facts = {name: more.pop(name, None) for name in ("reason", "action", "outcome", "city_id", "request_id")}
        if facts["city_id"] is not None:
            more["city_id"] = facts["city_id"]
        moved = conn.execute(
            update(operation)
            .where(operation.c.id == row.id)
            .values(state=state.value, reason=facts["reason"], lease_until=None, changed_at=now, **more)
            .returning(operation)
        ).one()
        ledger.write(
            conn,
            moved,
            facts["action"],
            facts["outcome"],
            reason=facts["reason"] or None,
            city_id=facts["city_id"],
            request_id=facts["request_id"],
        )
        return moved

    put(stack, gateway.queue.outcome, "move", wrong)
    accept = gateway.queue.outcome._ACCEPT
    put(
        stack,
        gateway.queue.outcome,
        "_ACCEPT",
        # the fence is bound and asked for nothing
        update(operation).where(operation.c.id == bindparam("b_id"), bindparam("b_fence") >= 0).values(accept._values),
    )


@bug("two workers may take one row")
def no_claim(stack: ExitStack) -> None:
    def wrong(self: Claims, operation_ids: Any) -> Claimed:
        with self._store.write() as conn:
            now = self._store.now(conn)
            rows = conn.execute(
                update(operation)
                .where(
                    operation.c.id.in_(operation_ids),
                    operation.c.state.in_(("ready", "claimed", "sending")),
                    operation.c.not_before <= now + timedelta(hours=1),
                )
                .values(
                    state="claimed",
                    fence=operation.c.fence + 1,
                    claims=operation.c.claims + 1,
                    lease_until=now + timedelta(seconds=15),
                )
                .returning(operation)
            ).all()
            return Claimed(list(rows), {})

    put(stack, Claims, "take", wrong)


@bug("a cell may have two operations in flight")
def busy_cell_ignored(stack: ExitStack) -> None:
    claim = gateway.queue.claim
    free = and_(
        operation.c.state == State.READY.value,
        operation.c.not_before <= bindparam("now", type_=operation.c.not_before.type),
    )
    blind = copy(claim._CLAIM)
    blind._where_criteria = (claim._CLAIM._where_criteria[0], free)
    put(stack, claim, "_IS_FREE", free)
    put(stack, claim, "_CLAIM", blind)
    put(stack, claim, "_build_free", cache(claim._build_free.__wrapped__))  # the right one stands in its own memory


@bug("nobody brings back what a dead worker left")
def no_sweeper(stack: ExitStack) -> None:
    put(stack, gateway.simulation.machines, "sweep", lambda _store: 0)


@bug("what was accepted is never read back")
def no_read_back(stack: ExitStack) -> None:
    put(stack, gateway.simulation.machines, "confirm", lambda *_args, **_more: 0)


@bug("the entry before a call is written with the outcome, when there is one")
def audit_after_the_deed(stack: ExitStack) -> None:
    right = Ledger.write

    def wrong(self: Ledger, conn: Any, row: Any, action: str, outcome: str, **more: Any) -> None:
        kept = self.__dict__.setdefault("kept", {})
        if action == "operation.intended":
            kept[row.id] = (row, more)
            return
        if row.id in kept:
            before, said = kept.pop(row.id)
            right(self, conn, before, "operation.intended", "decided", **said)
        right(self, conn, row, action, outcome, **more)

    put(stack, Ledger, "write", wrong)
    # entries of one transaction are gathered in another object, which would forget what is kept
    put(stack, Ledger, "gathered", contextmanager(lambda self, _conn: iter([self])))


@bug("a part of the portal's list is taken for the whole")
def portal_part_is_whole(stack: ExitStack) -> None:
    right = gateway.flows.pull.store_scope
    put(
        stack,
        gateway.flows.pull,
        "store_scope",
        lambda conn, place_id, read, **more: right(conn, place_id, msgspec.structs.replace(read, problem=None), **more),
    )


@bug("a part of the city's list is taken for the whole")
def city_part_is_whole(stack: ExitStack) -> None:
    right = SimDoor.fetch_scope

    def wrong(self: SimDoor, scope: Any) -> CityRead:
        read = right(self, scope)
        return msgspec.structs.replace(read, problem=None) if read.objects else read

    put(stack, SimDoor, "fetch_scope", wrong)


@bug("a failed read is an empty list")
def failure_is_empty(stack: ExitStack) -> None:
    right = SimDoor.fetch_scope
    put(
        stack,
        SimDoor,
        "fetch_scope",
        lambda self, scope: msgspec.structs.replace(right(self, scope), problem=None),
    )


@bug("an unanswered call is judged as soon as its deadline is over")
def no_settle_time(stack: ExitStack) -> None:
    put(stack, Terms, "untouchable", property(lambda self: timedelta(seconds=self.deadline_s)))


@bug("an unanswered call is judged by what was read before")
def judged_by_an_old_reading(stack: ExitStack) -> None:
    put(stack, gateway.flows.confirm, "store_city_scope", lambda *_args, **_more: 0)


@bug("a refusal is asked again")
def retry_on_refusal(stack: ExitStack) -> None:
    put(stack, LockedPeriodError, "recovery", Recovery.RETRY)


@bug("whatever vanished was cleared")
def delete_on_absence(stack: ExitStack) -> None:
    put(stack, gateway.reconcile.snapshot, "gone_kind", lambda **_facts: Gone.CLEARED)


@bug("a change of what is gone makes it anew")
def put_404_recreates(stack: ExitStack) -> None:
    right = SimDoor.change

    def wrong(self: SimDoor, city_id: int, intent: Any, *, request_id: str) -> Accepted:
        try:
            return right(self, city_id, intent, request_id=request_id)
        except StaleError:
            return self.create(intent, request_id=request_id)

    put(stack, SimDoor, "change", wrong)


@bug("the day is that of UTC")
def naive_date(stack: ExitStack) -> None:
    put(stack, gateway.queue.sending, "moscow_day", lambda moment: moment.astimezone(UTC).date())


@bug("the period is asked when the plan is made and not when the call is")
def period_at_plan_only(stack: ExitStack) -> None:
    put(stack, Periods, "find_closed", lambda *_args: None)


@bug("a part of a held plan is let out")
def held_plan_partly_run(stack: ExitStack) -> None:
    right = gateway.simulation.machines.release

    def wrong(store: Any, audit: Any, place: Any, plan_id: int, **more: Any) -> Any:
        with store.write() as conn:
            conn.execute(update(plan).where(plan.c.id == plan_id).values(open_gates=["none", "approval"]))
        return right(store, audit, place, plan_id, **more)

    put(stack, gateway.simulation.machines, "release", wrong)


@bug("a dry run is let out")
def dry_run_writes(stack: ExitStack) -> None:
    right = gateway.simulation.machines.make_plan

    def wrong(gateway_: Any, want: Any, run_id: int, *, is_dry_run: bool = False) -> Any:
        planned = right(gateway_, want, run_id, is_dry_run=is_dry_run)
        if is_dry_run:
            gateway.simulation.machines.release(
                gateway_.store, gateway_.audit, gateway_.place, planned.plan.id, lane="nightly", actor=gateway_.actor
            )
        return planned

    put(stack, gateway.queue.outbox, "refuse_unusable", lambda *_args: None)
    put(stack, gateway.simulation.machines, "make_plan", wrong)


@bug("an approval holds for whatever the plan has become")
def plan_changed_after_approval(stack: ExitStack) -> None:
    right = Operator.approve

    def wrong(self: Operator, gateway_: Any, *, is_whole: bool) -> bool:
        done = gateway.simulation.people.let_out_approved

        def altered(which: Any) -> None:
            # whatever the last transaction was: of a read it stays ON
            self._world.store.raw.execute("PRAGMA query_only=OFF")
            self._world.store.raw.execute(
                'UPDATE decision SET intent = replace(CAST(intent AS TEXT), \'"value":"2"\', \'"value":"5"\')'
                " WHERE outcome IS NULL AND kind = 'mark' AND op = 'create'"
            )
            self._world.store.raw.commit()
            done(which)

        with mock.patch.object(gateway.simulation.people, "let_out_approved", altered):
            return right(self, gateway_, is_whole=is_whole)

    put(stack, Operator, "approve", wrong)


@bug("what is sent was right when it was planned")
def ground_not_asked_again(stack: ExitStack) -> None:
    put(stack, Standing, "still_holds", lambda _self, _row: True)


@bug("our word wins over a person's")
def last_writer_wins(stack: ExitStack) -> None:
    right = gateway.reconcile.resolve.decide

    def wrong(ours: Any, base: Any, theirs: Any, **more: Any) -> Decision:
        found = right(ours, base, theirs, **more)
        if found.reason in ("DRIFT", "CONFLICT") and isinstance(ours, bytes) and isinstance(theirs, bytes):
            return Decision(Category.UPDATE, "CHANGE", "change")
        return found

    put(stack, gateway.reconcile.resolve, "decide", wrong)
    put(stack, Standing, "still_holds", lambda _self, _row: True)
    put(stack, gateway.queue.outbox, "load_ground", lambda *_args, **_more: mock.Mock(still_holds=lambda _row: True))


@bug("deletes go out with the rest")
def delete_unasked(stack: ExitStack) -> None:
    right = gateway.reconcile.resolve._gated

    def wrong(*args: Any) -> Any:
        item = right(*args)
        return msgspec.structs.replace(item, gate="none") if item.decision.op == "delete" else item

    put(stack, gateway.reconcile.resolve, "_gated", wrong)


@bug("no person is asked before a group is filled for the first time")
def first_load_unasked(stack: ExitStack) -> None:
    put(stack, gateway.reconcile.resolve, "judge", lambda _share, _limits: [])


@bug("a restored backup goes on where it stopped")
def restore_without_adopting(stack: ExitStack) -> None:
    def wrong(store: Any, _manifest: Any, **_more: Any) -> None:
        with store.write() as conn:
            bump_epoch(conn)
            lift_write_lock(conn)

    put(stack, gateway.simulation.people, "begin_epoch", wrong)


@bug("after a restore the old operations go on")
def epoch_not_bumped(stack: ExitStack) -> None:
    put(stack, gateway.simulation.people, "begin_epoch", lambda *_args, **_more: None)


@bug("a name is enough: two pupils change places")
def namesake(stack: ExitStack) -> None:
    right = gateway.flows.plan.correlate

    def wrong(gateway_: Any, directory: Any, *more: Any) -> Any:
        who = right(gateway_, directory, *more)
        refs = sorted(who.pupils)
        if len(refs) < 2:
            return who
        swapped = {**who.pupils, refs[0]: who.pupils[refs[1]], refs[1]: who.pupils[refs[0]]}
        return msgspec.structs.replace(who, pupils=swapped)

    put(stack, gateway.flows.plan, "correlate", wrong)


@bug("a form's weight is not sent")
def weight_lost(stack: ExitStack) -> None:
    import gateway.simulation.door as door

    right = door.mark_body
    put(stack, door, "mark_body", lambda intent: {**right(intent), "weight": 1})


@bug("a scope that did not move at the portal is skipped, whatever moved in the city or was refused")
def memo_is_blind(stack: ExitStack) -> None:
    put(stack, gateway.flows.linked_scope.LinkedScope, "digest_inputs", lambda *_args: bytes(16))


@bug("a changed value is not seen as changed")
def change_not_seen(stack: ExitStack) -> None:
    put(stack, gateway.reconcile.snapshot, "digest_of", lambda _body: bytes(16))


@bug("what was approved is let out only by the process that was told so, and it may die")
def approval_forgotten(stack: ExitStack) -> None:
    put(stack, gateway.simulation.people, "let_out_approved", lambda _gateway: None)


@bug("the base moves when the city says yes")
def base_moves_at_accept(stack: ExitStack) -> None:
    right = Outcomes.record

    def wrong(self: Outcomes, batch: Any) -> Any:
        states = right(self, batch)
        with self._store.write() as conn:
            for one in batch:
                found = conn.execute(select(operation).where(operation.c.id == one.row.id)).one()
                if isinstance(one.answer, Accepted) and found.state == State.ACCEPTED.value:
                    now = self._store.now(conn)
                    gateway.queue.verify.store_proven(conn, [(found, one.answer.city_id)], now)
                    self._ledger.write(conn, found, "operation.verified", "confirmed", city_id=one.answer.city_id)
        return states

    put(stack, Outcomes, "record", wrong)


@bug("whatever is new in the cell is ours")
def anything_new_is_ours(stack: ExitStack) -> None:
    def wrong(_accepted: bool, _digest: bytes, ids_before: Any, cell: Any, _settled: bool) -> Finding:
        fresh = [seen for seen in cell if seen.city_id not in set(ids_before) and not seen.is_ours]
        return Finding("verified", city_id=fresh[0].city_id) if fresh else Finding("resend")

    put(stack, gateway.queue.judge, "_judge_search", wrong)


@bug("whatever stands in the cell is the mark that was meant")
def adopt_anything(stack: ExitStack) -> None:
    right = gateway.reconcile.resolve.find_twins

    def wrong(ours: Any, theirs: Any, **more: Any) -> Likeness:
        found = right(ours, theirs, **more)
        return Likeness(equal={**found.twin, **found.equal}, twin={})

    put(stack, gateway.reconcile.resolve, "find_twins", wrong)
    put(stack, gateway.queue.outbox, "load_ground", lambda *_args, **_more: mock.Mock(still_holds=lambda _row: True))


@bug("a mark typed by a person is no reason not to write beside it")
def twins_ignored(stack: ExitStack) -> None:
    put(stack, gateway.reconcile.resolve, "find_twins", lambda *_seats, **_more: Likeness(equal={}, twin={}))
    put(stack, Standing, "still_holds", lambda _self, _row: True)
    put(stack, gateway.queue.outbox, "load_ground", lambda *_args, **_more: mock.Mock(still_holds=lambda _row: True))


@bug("an operation that kills its worker is tried for ever")
def poison_not_counted(stack: ExitStack) -> None:
    right = Delivery.__init__

    def wrong(self: Delivery, store: Any, sink: Any, ledger: Any, terms: Terms, **more: Any) -> None:
        right(self, store, sink, ledger, msgspec.structs.replace(terms, max_claims=10**6, max_attempts=10**6), **more)

    settle = gateway.flows.confirm.settle_scope
    put(stack, Delivery, "__init__", wrong)
    put(
        stack,
        gateway.flows.confirm,
        "settle_scope",
        lambda store, ledger, terms, **more: settle(
            store, ledger, msgspec.structs.replace(terms, max_attempts=10**6), **more
        ),
    )


@bug("a session that died is never used again")
def pause_for_ever(stack: ExitStack) -> None:
    put(stack, gateway.simulation.people, "lift", lambda _conn, _city: 0)
