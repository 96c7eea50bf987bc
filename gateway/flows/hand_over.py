"""What a person types instead of the gateway: put on the list, taken back, and what goes onto it by itself in an outage.

An operation is in the queue or on the list, never in both. Taking back reads the city first: what was typed meanwhile is
proven and stays done, and what is left is decided afresh by the next plan, which looks for twins like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Literal

import msgspec
from sqlalchemy import select

from gateway.audit.deed import Deed
from gateway.audit.notes import write_note
from gateway.domain.errors import ConfigurationError, PlanRefusedError, UnavailableError, UnreachableError
from gateway.domain.identifiers import SENT_KINDS, Kind
from gateway.flows.city_reads import CityReads, find_whole_directory
from gateway.flows.freshen import SILENT_COUNT, find_scope
from gateway.flows.gateway import Gateway
from gateway.queue.barrier import find_city_obstacle
from gateway.queue.by_hand import settle_by_hand
from gateway.queue.hand_over import (
    CHUNK_ROWS,
    HandedOver,
    OutageChoice,
    Refused,
    drop_unlisted,
    load_outage_choices,
    load_overdue,
    load_refused_for_period,
    put_by_hand,
    queue_closed,
    store_outage_choice,
    take_back,
)
from gateway.queue.outbox import is_by_former_rules
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.reconcile.plan import PlanState, find_plan_id, load_plan
from gateway.reconcile.shadow import store_city_scope


class OutageChosen(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen for a kind, and how many operations went onto the list for it at once."""

    choice: OutageChoice
    handed: int


def put_on_list(gateway: Gateway, ids: Collection[int], *, closed: bool, reason: str) -> HandedOver:
    """Take operations out of the queue and put them on the list «enter by hand».

    Args:
        gateway: The composed gateway.
        ids: Numbers of operations.
        closed: Also everything that the city refuses, or is known to refuse, because its period is closed there.
        reason: Why, as typed; kept beside the audit.

    Raises:
        PlanRefusedError: No reason, or nothing named.
    """
    if not reason.strip():
        raise PlanRefusedError("Передать на ручной ввод без причины нельзя: --reason", reason="REASON_MISSING")
    if not ids and not closed:
        raise PlanRefusedError(
            "Назовите номера операций или --closed: всё, что город не берёт из-за закрытого периода",
            reason="NOTHING_NAMED",
        )
    taken: list[int] = []
    refused: list[Refused] = []
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        note = write_note(conn, reason, now=gateway.store.now(conn))
        named = set(ids)
        if closed:
            named |= set(load_refused_for_period(conn, place_id))
        deed = Deed(
            action="hand_list.put",
            actor=gateway.actor,
            originator=gateway.originator,
            place=gateway.place,
            object_type="operation",
            outcome="held",
            counts={"named": len(named), "closed": int(closed)},
            note=note,
        )
        gateway.audit.append(conn, deed)
    for chunk in _chunks(named):
        with gateway.store.write() as conn, gateway.ledger.gathered(conn) as ledger:
            now = gateway.store.now(conn)
            done = put_by_hand(conn, ledger, place_id, chunk, actor=gateway.actor, now=now)
        taken += done.taken
        refused += done.refused
    if closed:
        done = _put_held(gateway, place_id)
        taken += done.taken
        refused += done.refused
    return HandedOver(taken=taken, refused=refused)


def _put_held(gateway: Gateway, place_id: int) -> HandedOver:
    """What the newest plan holds for a closed period; nothing of it is ever in the queue."""
    taken: list[int] = []
    refused: list[Refused] = []
    while True:
        with gateway.store.write() as conn, gateway.ledger.gathered(conn) as ledger:
            now = gateway.store.now(conn)
            plan_id = find_plan_id(conn, place_id)
            if plan_id is None:
                break
            found = load_plan(conn, plan_id)
            if found.is_dry_run or found.state == PlanState.STALE or found.expires_at < now:
                break
            if is_by_former_rules(conn, found):
                break  # nobody types what the next plan decides anew
            made = queue_closed(conn, place_id, plan_id, now=now)
            if not made:
                break
            done = put_by_hand(conn, ledger, place_id, made, actor=gateway.actor, now=now)
            drop_unlisted(conn, made, now=now)
        taken += done.taken
        refused += done.refused
    return HandedOver(taken=taken, refused=refused)


def take_off_list(gateway: Gateway, ids: Collection[int], *, reason: str) -> HandedOver:
    """Take operations off the list after the city was read: what is typed already is proven and stays.

    Raises:
        PlanRefusedError: No reason, or nothing named.
    """
    if not reason.strip():
        raise PlanRefusedError("Вернуть из ручного ввода без причины нельзя: --reason", reason="REASON_MISSING")
    if not ids:
        raise PlanRefusedError("Назовите номера операций из списка: gateway hand-list", reason="NOTHING_NAMED")
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        deed = Deed(
            action="hand_list.taken_back",
            actor=gateway.actor,
            originator=gateway.originator,
            place=gateway.place,
            object_type="operation",
            outcome="undone",
            counts={"named": len(set(ids))},
            note=write_note(conn, reason, now=gateway.store.now(conn)),
        )
        gateway.audit.append(conn, deed)
    unread = _read_again(gateway, place_id, ids)
    taken: list[int] = []
    refused = [Refused(number, "unread") for number in sorted(unread)]
    for chunk in _chunks(set(ids) - unread):
        with gateway.store.write() as conn, gateway.ledger.gathered(conn) as ledger:
            done = take_back(conn, ledger, place_id, chunk, actor=gateway.actor, now=gateway.store.now(conn))
        taken += done.taken
        refused += done.refused
    return HandedOver(taken=taken, refused=refused)


def _read_again(gateway: Gateway, place_id: int, ids: Collection[int]) -> set[int]:
    """Read the groups of these lines and judge the list by it; which of them could not be read."""
    with gateway.store.read() as conn:
        directory = find_whole_directory(conn, place_id)
        rows = conn.execute(
            select(operation.c.id, operation.c.scope, operation.c.kind, operation.c.intent, operation.c.run_id).where(
                operation.c.place_id == place_id,
                operation.c.id.in_(sorted(ids)),
                operation.c.state == State.BY_HAND.value,
            )
        ).all()
    groups = {} if directory is None else {group.id: group for group in directory.groups}
    reads = CityReads(gateway, place_id)
    unread: set[int] = set()
    silent = 0
    for scope in sorted({row.scope for row in rows}):
        mine = [row for row in rows if row.scope == scope]
        wanted = None if directory is None else find_scope(directory, groups, mine[0].kind, mine[0].intent)
        # somebody waits for the answer: a city that answers nothing is not asked for every group of the list
        read = None if wanted is None or silent >= SILENT_COUNT else reads.fetch(wanted)
        if read is not None:
            silent = silent + 1 if isinstance(read.problem, UnreachableError | UnavailableError) else 0
        if read is None or read.problem is not None:
            unread |= {row.id for row in mine}
            continue
        with gateway.store.write() as conn:
            store_city_scope(conn, place_id, read, run_id=mine[0].run_id)
        settle_by_hand(gateway.store, gateway.ledger, place_id=place_id, scope=scope, exported_at=read.read_at)
    return unread


def load_outage(gateway: Gateway) -> list[OutageChoice]:
    """Load what happens to each kind while the city can't take it; `wait` where nobody chose."""
    with gateway.store.write() as conn:
        chosen = load_outage_choices(conn, gateway.place_id(conn))
    return [chosen.get(kind.value, OutageChoice(kind=kind.value, choice="wait")) for kind in SENT_KINDS]


def choose_outage(gateway: Gateway, kind: Kind, choice: Literal["wait", "by_hand"], *, reason: str) -> OutageChosen:
    """Say for a kind whether it waits for the city or is typed by hand; what is overdue goes onto the list at once.

    Raises:
        PlanRefusedError: No reason.
        ConfigurationError: A kind that is not sent.
    """
    if not reason.strip():
        raise PlanRefusedError("Выбор без причины не принимается: --reason", reason="REASON_MISSING")
    if kind not in SENT_KINDS:
        raise ConfigurationError(f"Вид {kind.value} в город не передаётся")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        place_id = gateway.place_id(conn)
        note = write_note(conn, reason, now=now)
        store_outage_choice(conn, place_id, kind.value, choice, actor=gateway.actor.name, note_id=note.id, now=now)
        gateway.audit.append(
            conn,
            Deed(
                action="hand_list.outage_chosen",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type=kind.value,
                outcome="decided",
                counts={choice: 1},
                note=note,
            ),
        )
        chosen = load_outage_choices(conn, place_id)[kind.value]
    return OutageChosen(choice=chosen, handed=hand_over_overdue(gateway))


def hand_over_overdue(gateway: Gateway) -> int:
    """Put on the list what the city could not take for `queue.by_hand_after_hours`, of the kinds chosen; how many.

    Never while a person has stopped sending or a profile is paused: then it is not the city that can't.
    """
    after = timedelta(hours=gateway.settings.queue.by_hand_after_hours)
    count = last = 0
    while True:
        with gateway.store.write() as conn, gateway.ledger.gathered(conn) as ledger:
            place_id = gateway.place_id(conn)
            now = gateway.store.now(conn)
            if find_city_obstacle(conn, gateway.place.city) is not None:
                return count
            due = load_overdue(conn, place_id, gateway.place.city, now=now, after=after, after_id=last)
            if not due:
                return count
            last = due[-1]
            count += len(put_by_hand(conn, ledger, place_id, due, actor=gateway.actor, now=now).taken)


def _chunks(ids: Collection[int]) -> Iterator[list[int]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), CHUNK_ROWS):
        yield ordered[start : start + CHUNK_ROWS]


__all__ = [
    "OutageChosen",
    "choose_outage",
    "hand_over_overdue",
    "load_outage",
    "put_on_list",
    "take_off_list",
]
