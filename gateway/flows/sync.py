"""Sync: pull, plan, deliver and verify in one run, with one sentence at its end.

What a gate holds waits for a person and holds nothing else; what is open afterwards goes on by itself at its time. One
run of the whole school at a time: a second one is refused by its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from enum import IntEnum

import msgspec

from gateway.connectors.port import Want
from gateway.domain.errors import ConnectorError, GatewayError, Recovery
from gateway.domain.reasons import GUARD_HOLD
from gateway.flows.acts import carry_out
from gateway.flows.deliver import Delivered, deliver
from gateway.flows.discrepancies import prove_discrepancies
from gateway.flows.freshen import freshen
from gateway.flows.gateway import Gateway
from gateway.flows.hand_list import refresh_hand_list
from gateway.flows.hand_over import hand_over_overdue
from gateway.flows.health import refuse_damaged
from gateway.flows.held import Held, note_held
from gateway.flows.kept import KeptLocally, keep_locally
from gateway.flows.plan import Planned, make_plan
from gateway.flows.pull import Problem, Pulled, pull
from gateway.flows.runs import RunState, finish_run, start_run
from gateway.flows.turns import Beating, begin_run, forget_asked
from gateway.queue.outbox import Released, load_approved, release, release_approved
from gateway.reconcile.plan import PlanState, hold_plan, load_plan
from gateway.store.passing import is_passing

RETRY_AFTER = timedelta(minutes=10)
"""A portal that is down at two in the morning is mostly back by then; a slot is tried three times."""


class Exit(IntEnum):
    """Exit codes that scripts can trust."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    REMARKS = 3
    PERSON = 4
    PAUSED = 5


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync did, part by part; None where it did not get so far."""

    run_id: int
    pulled: Pulled | None = None
    planned: Planned | None = None
    released: Released | None = None
    delivered: Delivered | None = None
    held: Held | None = None
    kept: KeptLocally | None = None
    state: RunState = RunState.DONE
    exit_code: Exit = Exit.DONE
    sentence: str = ""


def sync(
    gateway: Gateway,
    want: Want,
    *,
    is_dry_run: bool = False,
    asks_first: bool = False,
    max_wait_s: float | None = None,
    run_id: int | None = None,
    is_scheduled: bool | None = None,
) -> Synced:
    """Run the whole way once.

    Args:
        gateway: The composed gateway.
        want: What to read and send.
        is_dry_run: Stop after the plan, which then can't be released.
        asks_first: The whole plan waits for a person; what was approved before is delivered.
        max_wait_s: How long to wait for unknown outcomes; None = as long as one settle time needs.
        run_id: The run that a schedule has begun in the transaction of its slot, or a door before it answered; None
            begins one.
        is_scheduled: Nobody waits for it; None = a given run is a schedule's.

    Raises:
        AlreadyRunningError: A run of the whole school goes on.
        GatewayError: The run failed; it is written down with its sentence before.
    """
    is_scheduled = run_id is not None if is_scheduled is None else is_scheduled
    if run_id is None:
        run_id = begin_run(gateway, "sync", want)
    gateway = replace(gateway, progress=Beating(gateway, run_id))
    with written_down(gateway, run_id):
        refuse_damaged(gateway, want)
        carry_out(gateway)  # what people have chosen counts before the sources say anything new
        early = None
        if not is_dry_run and (is_scheduled or not want.is_narrow):
            early = _finish_approved(gateway, run_id, max_wait_s)
        try:
            pulled = pull(gateway, want, run_id)
            planned = make_plan(gateway, want, run_id, is_dry_run=is_dry_run)
        except ConnectorError:
            hand_over_overdue(gateway)  # a night on which nothing can be read is one on which nothing was taken
            raise
        released, delivered, held, kept = None, None, None, None
        if asks_first:
            with gateway.store.write() as conn:
                hold_plan(conn, planned.plan.id)
        if not is_dry_run:
            if not asks_first:
                released = release(
                    gateway.store,
                    gateway.audit,
                    gateway.place,
                    planned.plan.id,
                    lane="demand" if want.is_narrow and not is_scheduled else "nightly",
                    actor=gateway.actor,
                )
            held = note_held(gateway, planned.plan.id, want, mode="approve" if asks_first else "automatic")
            delivered = _deliver(gateway, run_id, max_wait_s)
            prove_discrepancies(gateway)
            kept = keep_locally(gateway, want)
            if early is not None:
                released = early[0].plus(released or Released())
                delivered = _plus(early[1], delivered)
    result = Synced(
        run_id=run_id, pulled=pulled, planned=planned, released=released, delivered=delivered, held=held, kept=kept
    )
    if not is_dry_run:
        forget_asked(gateway, run_id)
    return finish_sync(gateway, result)


def resume(gateway: Gateway, want: Want, *, form: str, max_wait_s: float | None = None) -> Synced:
    """Deliver and verify what is open, without reading or planning anew (`deliver`, `verify`, after an approval)."""
    run_id = start_run(gateway, form, want)
    gateway = replace(gateway, progress=Beating(gateway, run_id))
    with written_down(gateway, run_id):
        released = _release_approved(gateway)
        delivered = _deliver(gateway, run_id, max_wait_s)
        prove_discrepancies(gateway)
    return finish_sync(gateway, Synced(run_id=run_id, released=released, delivered=delivered))


def _release_approved(gateway: Gateway) -> Released:
    """Let out what was approved and not let out to its end: a crash came between the two."""
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        approved = load_approved(conn, place_id, gateway.store.now(conn))
    for plan_id in approved:
        freshen(gateway, plan_id)
    return release_approved(gateway.store, gateway.audit, gateway.place, place_id=place_id, actor=gateway.actor)


def _finish_approved(gateway: Gateway, run_id: int, max_wait_s: float | None) -> tuple[Released, Delivered] | None:
    """The same before anything is planned anew, and delivered: a person's word is asked once, and schedules are all that runs.

    None where there was nothing, as nearly always.
    """
    released = _release_approved(gateway)
    if released == Released():
        return None
    return released, _deliver(gateway, run_id, max_wait_s)


def _plus(early: Delivered, late: Delivered) -> Delivered:
    """What one run delivered in two parts; how things stand is as of the second."""
    return msgspec.structs.replace(
        late,
        sent=early.sent + late.sent,
        accepted=early.accepted + late.accepted,
        verified=early.verified + late.verified,
        parked=early.parked + late.parked,
        problems=[*early.problems, *(one for one in late.problems if one not in early.problems)],
    )


def _deliver(gateway: Gateway, run_id: int, max_wait_s: float | None) -> Delivered:
    """Deliver; what the city still could not take for hours goes to the teachers where the deputy head chose that."""
    delivered = deliver(gateway, run_id, max_wait_s=_wait_limit(gateway, max_wait_s))
    handed = hand_over_overdue(gateway)
    if not handed:
        return delivered
    return msgspec.structs.replace(
        delivered, by_hand=delivered.by_hand + handed, open_count=max(0, delivered.open_count - handed)
    )


@contextmanager
def written_down(gateway: Gateway, run_id: int) -> Iterator[None]:
    """End a run that does not come to its own end, and let the error go on.

    A schedule's slot whose run met what passes by itself, or was broken off, is due again: nobody else would begin it.
    """
    try:
        yield
    except GatewayError as error:
        state = RunState.PAUSED if error.recovery is Recovery.PAUSE else RunState.FAILED
        again = gateway.now() + RETRY_AFTER if error.recovery is Recovery.RETRY else None
        if is_passing(error):
            again = gateway.now()
        finish_run(gateway, run_id, state, counters={}, sentence=error.sentence, due_again_at=again)
        raise
    except BaseException as error:
        # Ctrl-C, or a fault of ours: a run that stood as running would keep the next one waiting for its lease. Where even
        # this can't be written the lease does it, and the first error is the one to tell.
        with suppress(Exception):
            sentence = f"Прерван ({type(error).__name__}): сделанное сохранено, остальное продолжит следующий запуск"
            finish_run(
                gateway, run_id, RunState.INTERRUPTED, counters={}, sentence=sentence, due_again_at=gateway.now()
            )
        raise


def _wait_limit(gateway: Gateway, max_wait_s: float | None) -> float:
    if max_wait_s is not None:
        return max_wait_s
    return 2 * (gateway.terms.settle_s + gateway.terms.deadline_s) + 60.0


def finish_sync(gateway: Gateway, result: Synced) -> Synced:
    """End the run with what its parts counted, and say how it ended."""
    if result.planned is not None:
        # An approval may have come since the plan was sealed.
        with gateway.store.read() as conn:
            fresh = load_plan(conn, result.planned.plan.id)
        result = msgspec.structs.replace(result, planned=msgspec.structs.replace(result.planned, plan=fresh))
    state, code, sentence = judge(gateway, result)
    if result.delivered is not None and (wrong := refresh_hand_list(gateway)):
        sentence = f"{sentence}. {wrong}"
    problems = _problems(result)
    finish_run(
        gateway,
        result.run_id,
        state,
        counters=_counters(result),
        problems=[msgspec.to_builtins(problem) for problem in problems],
        sentence=sentence,
    )
    return msgspec.structs.replace(result, state=state, exit_code=code, sentence=sentence)


def judge(gateway: Gateway, result: Synced) -> tuple[RunState, Exit, str]:
    """Say in one sentence how a run ended; never more than is known."""
    delivered, planned = result.delivered, result.planned
    if delivered is not None and delivered.is_stopped:
        return (
            RunState.PAUSED,
            Exit.PAUSED,
            f"Отправка остановлена человеком, в очереди {delivered.open_count}; разрешить: gateway stop-sending --lift --reason ПОЧЕМУ",
        )
    if delivered is not None and delivered.paused:
        return (
            RunState.PAUSED,
            Exit.PAUSED,
            f"Отправка приостановлена: город не принимает вход профиля {', '.join(delivered.paused)}; "
            "обновите токен и выполните gateway deliver --resume",
        )
    if planned is not None and not planned.plan.is_dry_run and planned.plan.state in (PlanState.WAITING,):
        return (
            RunState.WAITING,
            Exit.PERSON,
            f"План {planned.plan.hash[:12]} ждёт утверждения: gateway plan show, затем gateway plan approve",
        )
    if delivered is not None and delivered.by_hand and not delivered.open_count:
        return (
            RunState.WAITING,
            Exit.PERSON,
            f"Внести в журнал руками: {delivered.by_hand}; список: gateway hand-list. Внесённое подтвердит следующее чтение журнала",
        )
    if delivered is not None and delivered.open_count:
        at = f"{gateway.local(delivered.next_at):%d.%m.%Y %H:%M:%S}" if delivered.next_at else "—"
        return RunState.REMARKS, Exit.REMARKS, f"Осталось в очереди {delivered.open_count}, ближайшее в {at}"
    if (delivered is not None and delivered.parked) or _problems(result):
        parked = delivered.parked if delivered is not None else 0
        remarks = _count_remarks(parked, _problems(result))
        return RunState.REMARKS, Exit.REMARKS, f"Завершено с замечаниями: {remarks}{_asks(planned)}"
    if asks := _asks(planned):
        return RunState.REMARKS, Exit.REMARKS, f"Завершено, нужен человек{asks}"
    if delivered is not None and not delivered.sent:
        return RunState.DONE, Exit.DONE, "Отправлять было нечего"
    return RunState.DONE, Exit.DONE, "Завершено"


def _count_remarks(parked: int, problems: list[Problem]) -> str:
    """What did not come through, each kind by its count; each stands in the run with its sentence."""
    unread = {problem.scope for problem in problems if "|" in problem.scope and not problem.where}
    faults = sum(1 for problem in problems if problem.where)
    others = sum(1 for problem in problems if "|" not in problem.scope and not problem.where)
    counts = (
        ("отложено", parked),
        ("не прочитано областей", len(unread)),
        ("записей с ошибкой", faults),
        ("прочего", others),
    )
    return ", ".join(f"{words} {count}" for words, count in counts if count)


def _asks(planned: Planned | None) -> str:
    """What of a plan waits for a person's word, as the end of a sentence; empty where nothing does."""
    if planned is None or planned.plan.is_dry_run:
        return ""
    counts, words = planned.plan.by_reason, ""
    if held := counts.get(GUARD_HOLD, 0):
        approve = f"gateway plan approve {planned.plan.hash[:12]} --with-held --reason …"
        words += f"; удержано {held}: gateway plan show; разрешить: {approve}"
    if differing := counts.get("DRIFT", 0) + counts.get("CONFLICT", 0):
        words += f"; расхождений {differing}: gateway discrepancies"
    return words


def _problems(result: Synced) -> list[Problem]:
    found: list[Problem] = []
    if result.pulled is not None:
        found.extend(result.pulled.problems)
    if result.planned is not None:
        found.extend(result.planned.problems)
    if result.delivered is not None:
        found.extend(result.delivered.problems)
    if result.kept is not None:
        found.extend(result.kept.problems)
    return found


def _counters(result: Synced) -> dict[str, object]:
    counters: dict[str, object] = {}
    if result.pulled is not None:
        counters["pull"] = result.pulled.kinds
    if result.planned is not None:
        counters["plan"] = result.planned.plan.counters
        counters["by_reason"] = result.planned.plan.by_reason
        counters["plan_id"] = result.planned.plan.id
    if result.released is not None:
        counters["released"] = msgspec.to_builtins(result.released)
    if result.held is not None:
        counters["held"] = {"count": result.held.count, "due_at": result.held.due_at.isoformat()}
    if result.delivered is not None:
        counters["delivery"] = delivery_counts(result.delivered)
    if result.kept is not None and result.kept.protocols is not None:
        counters["protocols"] = msgspec.to_builtins(result.kept.protocols)
    if result.kept is not None and result.kept.activity is not None:
        counters["activity"] = msgspec.to_builtins(result.kept.activity)
    return counters


def delivery_counts(delivered: Delivered) -> dict[str, int]:
    """The four numbers of a delivery: sent ≠ accepted ≠ verified, and what was parked."""
    return {
        "sent": delivered.sent,
        "accepted": delivered.accepted,
        "verified": delivered.verified,
        "parked": delivered.parked,
    }
