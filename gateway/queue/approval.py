"""A person lets a plan out: once, with a reason, before it expires, exactly this hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import Connection, update

from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.notes import write_note
from gateway.domain.errors import PlanRefusedError
from gateway.domain.identifiers import Place
from gateway.queue.outbox import refuse_elsewhere, refuse_former_rules, refuse_unusable
from gateway.reconcile.plan import PlanState, SealedPlan, load_plan
from gateway.reconcile.plan_choice import CHOSEN, Choice, mark_chosen
from gateway.reconcile.tables import plan
from gateway.store.transaction import Store

Choose = Callable[[Connection, Collection[str]], Choice]
"""Which lines go, of those behind the gates that are opened."""


def approve(
    store: Store,
    audit: AuditLog,
    place: Place,
    plan_id: int,
    *,
    reason: str,
    with_deletes: bool,
    with_held: bool,
    actor: Actor,
    originator: str | None = None,
    is_alone: bool = False,
    choose: Choose | None = None,
) -> SealedPlan:
    """Record that a person approved the plan, or chosen lines of it; the caller then releases it.

    Args:
        store: The store.
        audit: The log.
        place: Where we are.
        plan_id: A sealed plan.
        reason: Why, as typed; kept beside the chain.
        with_deletes: Deletes are let out too; never without being named.
        with_held: What a guard held is let out too.
        actor: Who.
        originator: Who had proposed it, where that was another account.
        is_alone: Proposed and approved by the same person, as the school has only one.
        choose: Told the connection and the gates that are opened; which lines go. None = all behind those gates. The others
            stay readable, and the next plan decides about them.

    Raises:
        PlanRefusedError: No reason, approved already, stale, expired, a dry run, or a choice that can't be made.
    """
    if not reason.strip():
        raise PlanRefusedError("Утверждение без причины не принимается: --reason", reason="REASON_MISSING")
    with store.write() as conn:
        refuse_elsewhere(conn, place, plan_id)
        refuse_unusable(conn, store, plan_id)
        now = store.now(conn)
        found = load_plan(conn, plan_id)
        refuse_former_rules(conn, found)
        if found.expires_at < now:
            # Also where a part of it went out in time: what is opened now was shown too long ago.
            raise PlanRefusedError("Срок плана истёк: постройте новый", reason="PLAN_EXPIRED")
        gates = [
            "none",
            "approval",
            *(["delete"] if with_deletes else []),
            *(["guard"] if with_held else []),
            *(["many"] if with_deletes and with_held else []),
        ]
        chosen = None if choose is None else choose(conn, gates)
        if chosen is not None:
            mark_chosen(conn, plan_id, chosen)
            gates = [CHOSEN]
        note = write_note(conn, reason, now=now)
        changed = conn.execute(
            update(plan)
            .where(
                plan.c.id == plan_id,
                plan.c.state.in_((PlanState.WAITING, PlanState.READY, PlanState.USED)),
                plan.c.approved_at.is_(None),
            )
            .values(
                state=PlanState.APPROVED,
                approved_by=actor.name,
                approved_at=now,
                note_id=note.id,
                open_gates=gates,
            )
        )
        if changed.rowcount != 1:
            raise PlanRefusedError("План уже утверждён: утвердить можно один раз", reason="PLAN_USED")
        audit.append(
            conn,
            Deed(
                action="plan.approved",
                actor=actor,
                originator=originator,
                place=place,
                object_type="plan",
                object_id=f"plan:{plan_id}",
                run_id=found.run_id,
                plan_hash=found.hash,
                rule_version=found.rule_version,
                outcome="decided",
                counts={
                    "with_deletes": int(with_deletes),
                    "with_held": int(with_held),
                    **({"alone": 1} if is_alone else {}),
                    **({} if chosen is None else {"chosen": len(chosen.named), "added": len(chosen.added)}),
                },
                new_digest=None if chosen is None else _digest_of(chosen.all),
                note=note,
            ),
        )
        return load_plan(conn, plan_id)


def _digest_of(numbers: Sequence[int]) -> str:
    """Binds the audit's entry to the chosen lines: SHA-256 of their numbers in order, joined by commas."""
    return hashlib.sha256(",".join(map(str, numbers)).encode()).hexdigest()
