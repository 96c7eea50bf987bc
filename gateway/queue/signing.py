"""Signing a period of a class, opening it for a while, letting named pupils through once: the acts, as rows.

Stands on `queue.signed`, which says what a signature locks. Every act is one transaction of the caller's; what it means for
the queue follows in chunks, and is only tidiness: a row that the sweep has not reached is stopped when it is to be sent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, or_, select, true, update

from gateway.audit.deed import Actor
from gateway.domain.city import Intent, pupils_of
from gateway.domain.reasons import PERIOD_SIGNED
from gateway.mapping.versions import find_active
from gateway.queue.deeds import Ledger
from gateway.queue.signed import (
    Locks,
    Signature,
    Signed,
    SignedDays,
    find_locked,
    is_locked_gate,
    is_of,
    load_signatures,
    return_to_plan,
    stand_alone,
    stand_beside,
    unlock_decisions,
)
from gateway.queue.states import State
from gateway.queue.tables import operation, period_opening, period_pass, period_signature
from gateway.reconcile.plan import PlanState
from gateway.reconcile.resolve import INTENT_TYPES
from gateway.reconcile.tables import decision, plan
from gateway.store.transaction import Store

CHUNK_ROWS = 500
"""Rows a transaction: each is decoded and asked about, some 50 ms together."""
_ON_THE_WAY = (State.SENDING.value, State.UNKNOWN.value, State.ACCEPTED.value)


class Swept(msgspec.Struct, frozen=True):
    """What a signature found in the queue.

    Attributes:
        stopped: Waiting operations given back to their plans.
        off_list: Lines taken off the list «enter by hand».
        on_the_way: Sent or being sent before it was laid: the city has them, or may have.
    """

    stopped: int = 0
    off_list: int = 0
    on_the_way: int = 0


def lay_signature(
    conn: Connection,
    place_id: int,
    *,
    class_name: str,
    name: str,
    periods: Sequence[SignedDays],
    signed_by: str,
    note_id: int,
    now: datetime,
) -> int:
    """Sign; an older signature under the same days, which is open just now, ends with it. Waits for what is being marked.

    Returns:
        The signature's number.
    """
    stand_alone(conn, place_id)
    same = [
        one.id
        for one in load_signatures(conn, place_id, now=now)
        if one.class_name == class_name and set(one.periods) == set(periods)
    ]
    if same:
        conn.execute(update(period_signature).where(period_signature.c.id.in_(same)).values(ended_at=now))
    return int(
        conn.execute(
            insert(period_signature)
            .values(
                place_id=place_id,
                class_name=class_name,
                name=name,
                periods=[msgspec.to_builtins(one) for one in periods],
                signed_by=signed_by,
                signed_at=now,
                note_id=note_id,
            )
            .returning(period_signature.c.id)
        ).scalar_one()
    )


def find_signature(conn: Connection, place_id: int, number: int, *, now: datetime) -> Signature | None:
    """Find a signature that stands."""
    return next((one for one in load_signatures(conn, place_id, now=now) if one.id == number), None)


def open_signature(
    conn: Connection,
    place_id: int,
    signature: Signature,
    *,
    until: datetime,
    opened_by: str,
    note_id: int,
    now: datetime,
) -> None:
    """Open a signed period until a moment, after which it locks again without anybody."""
    stand_alone(conn, place_id)
    conn.execute(
        insert(period_opening).values(
            signature_id=signature.id, opened_by=opened_by, opened_at=now, until=until, note_id=note_id
        )
    )


def sweep_signed(store: Store, ledger: Ledger, place_id: int, *, actor: Actor) -> Swept:
    """Take what is locked out of the queue and off the hand list, back into its plans, chunk by chunk."""
    stopped = off_list = after = 0
    signed = Signed()
    while True:
        with store.write() as conn, ledger.gathered(conn) as gathered:
            now = store.now(conn)
            locks = signed.load(conn, place_id, now)
            rows = _load_waiting(conn, place_id, after) if locks else ()
            if not rows:
                break
            after = rows[-1].id
            held = find_locked(conn, locks, rows, now)
            mine = [row for row in rows if (row.plan_id, row.seq) in held]
            taken = _take_out(conn, mine, now)
            for row in taken:
                gathered.write(conn, row, "operation.dropped", "held", reason=PERIOD_SIGNED, actor=actor)
            ids = {row.id for row in taken}
            off_list += sum(row.id in ids and row.state == State.BY_HAND.value for row in mine)
            stopped += sum(row.id in ids and row.state == State.READY.value for row in mine)
    with store.read() as conn:
        now = store.now(conn)
        locks = signed.load(conn, place_id, now)
        on_the_way = _count_on_the_way(conn, place_id, locks)
    return Swept(stopped=stopped, off_list=off_list, on_the_way=on_the_way)


def _load_waiting(conn: Connection, place_id: int, after: int) -> Sequence[Row[Any]]:
    return conn.execute(
        select(operation)
        .where(
            operation.c.place_id == place_id,
            operation.c.state.in_((State.READY.value, State.BY_HAND.value)),
            operation.c.id > after,
        )
        .order_by(operation.c.id)
        .limit(CHUNK_ROWS)
    ).all()


def _take_out(conn: Connection, rows: Sequence[Row[Any]], now: datetime) -> Sequence[Row[Any]]:
    """Those that still wait: what a worker has claimed meanwhile it stops itself."""
    if not rows:
        return ()
    taken = conn.execute(
        update(operation)
        .where(
            operation.c.id.in_([row.id for row in rows]),
            operation.c.state.in_((State.READY.value, State.BY_HAND.value)),
        )
        .values(state=State.SUPERSEDED.value, reason=PERIOD_SIGNED, changed_at=now)
        .returning(operation)
    ).all()
    return_to_plan(conn, taken)
    return taken


def _count_on_the_way(conn: Connection, place_id: int, locks: Locks) -> int:
    if not locks:
        return 0
    rows = conn.execute(
        select(operation.c.kind, operation.c.intent, operation.c.old).where(
            operation.c.place_id == place_id, operation.c.state.in_(_ON_THE_WAY)
        )
    )
    return sum(bool(locks.find(row.kind, row.intent, row.old)) for row in rows)


def load_plans_with_locked(conn: Connection, place_id: int, now: datetime) -> Sequence[int]:
    """Plans that may still be let out and hold something behind a signature, the oldest first.

    What was decided by rules that no longer count is decided anew by the next plan.
    """
    active = find_active(conn, place_id)
    return (
        conn.execute(
            select(plan.c.id)
            .where(
                plan.c.place_id == place_id,
                plan.c.expires_at > now,
                plan.c.is_dry_run.is_(False),
                or_(plan.c.undoes.is_not(None), plan.c.rule_version == active.version) if active else true(),
                plan.c.state.in_((PlanState.READY, PlanState.WAITING, PlanState.APPROVED, PlanState.USED)),
                plan.c.id.in_(
                    select(decision.c.plan_id).where(is_locked_gate(decision.c.gate), decision.c.outcome.is_(None))
                ),
            )
            .order_by(plan.c.id)
        )
        .scalars()
        .all()
    )


def open_plan(store: Store, place_id: int, plan_id: int, signature: Signature) -> int:
    """Give back to their own gates those items of a plan that only this signature held, while it is open.

    Returns:
        How many.
    """
    total, after = 0, 0
    signed = Signed()
    while True:
        with store.write() as conn:
            stand_beside(conn, place_id)
            now = store.now(conn)
            locks = signed.load(conn, place_id, now)
            classes = signed.classes(conn, place_id)
            rows = load_locked(conn, plan_id, after)
            if not rows:
                return total
            after = rows[-1].seq
            mine = [
                row
                for row in rows
                if not locks.find(row.kind, row.intent, row.old)
                and any(is_of(signature, intent, classes) for intent in _intents(row))
            ]
            unlock_decisions(conn, plan_id, mine)
            total += len(mine)


def load_locked(conn: Connection, plan_id: int, after: int, *, limit: int = CHUNK_ROWS) -> Sequence[Row[Any]]:
    """Load what a plan holds behind signatures, by its order in the plan."""
    return conn.execute(
        select(decision)
        .where(
            decision.c.plan_id == plan_id,
            decision.c.seq > after,
            decision.c.outcome.is_(None),
            is_locked_gate(decision.c.gate),
        )
        .order_by(decision.c.seq)
        .limit(limit)
    ).all()


def find_lockable(
    conn: Connection, place_id: int, plan_id: int, *, pupils: Collection[int], with_deletes: bool, now: datetime
) -> dict[int, list[int]]:
    """Find the items of a plan about none but these pupils, and by which signatures each is locked now.

    Args:
        pupils: The city's numbers.
        with_deletes: Deletes too; never without being named.
    """
    locks = Signed().load(conn, place_id, now)
    found: dict[int, list[int]] = {}
    after = 0
    while rows := load_locked(conn, plan_id, after):
        after = rows[-1].seq
        for row in rows:
            if (row.op != "delete" or with_deletes) and is_about(row, pupils):
                found[row.seq] = locks.find(row.kind, row.intent, row.old)
    return {seq: numbers for seq, numbers in found.items() if numbers}


def let_through(
    conn: Connection,
    place_id: int,
    plan_id: int,
    approval_id: int,
    *,
    pupils: Collection[int],
    with_deletes: bool,
    items: Collection[int],
    signatures: Collection[int],
    now: datetime,
) -> int:
    """Note for each item that was proposed that an approval lets it through what locks it now.

    What came behind a signature since, and what another signature has joined or taken the place of, nobody has proposed.

    Args:
        pupils: The city's numbers.
        with_deletes: Deletes too; never without being named.
        items: Those that were proposed, by their order in the plan.
        signatures: Those that locked them then.

    Returns:
        How many items.
    """
    stand_beside(conn, place_id)
    lockable = find_lockable(conn, place_id, plan_id, pupils=pupils, with_deletes=with_deletes, now=now)
    asked, signed = frozenset(items), frozenset(signatures)
    proposed = sorted(seq for seq, numbers in lockable.items() if seq in asked and signed.issuperset(numbers))
    for start in range(0, len(proposed), CHUNK_ROWS):
        seqs = proposed[start : start + CHUNK_ROWS]
        # one that ran out, or was given under an older signature, makes place
        conn.execute(period_pass.delete().where(period_pass.c.plan_id == plan_id, period_pass.c.seq.in_(seqs)))
        passes = [
            {"plan_id": plan_id, "seq": seq, "signature_id": number, "approval_id": approval_id}
            for seq in seqs
            for number in lockable[seq]
        ]
        conn.execute(insert(period_pass), passes)
    return len(proposed)


def is_about(row: Row[Any], pupils: Collection[int]) -> bool:
    """Whether a decision is about some of these pupils and nobody else."""
    concerned = {pupil for intent in _intents(row) for pupil in pupils_of(intent)}
    return bool(concerned) and concerned <= set(pupils)


def _intents(row: Row[Any]) -> list[Intent]:
    return [
        msgspec.json.decode(body, type=INTENT_TYPES[row.kind]) for body in (row.intent, row.old) if body is not None
    ]


__all__ = [
    "Swept",
    "find_lockable",
    "find_signature",
    "is_about",
    "lay_signature",
    "let_through",
    "load_locked",
    "load_plans_with_locked",
    "open_plan",
    "open_signature",
    "sweep_signed",
]
