"""A person lets a plan out: once, with a reason, before it expires, exactly this hash."""

from __future__ import annotations

from sqlalchemy import update

from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.notes import write_note
from gateway.domain.errors import PlanRefusedError
from gateway.domain.identifiers import Place
from gateway.queue.outbox import refuse_elsewhere, refuse_unusable
from gateway.reconcile.plan import PlanState, SealedPlan, load_plan
from gateway.reconcile.tables import plan
from gateway.store.transaction import Store


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
) -> SealedPlan:
    """Record that a person approved the plan; the caller then releases it.

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

    Raises:
        PlanRefusedError: No reason, approved already, stale, expired, or a dry run.
    """
    if not reason.strip():
        raise PlanRefusedError("Утверждение без причины не принимается: --reason")
    with store.write() as conn:
        refuse_elsewhere(conn, place, plan_id)
        refuse_unusable(conn, store, plan_id)
        now = store.now(conn)
        found = load_plan(conn, plan_id)
        if found.expires_at < now:
            # Also where a part of it went out in time: what is opened now was shown too long ago.
            raise PlanRefusedError("Срок плана истёк: постройте новый", reason="PLAN_EXPIRED")
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
                open_gates=[
                    "none",
                    "approval",
                    *(["delete"] if with_deletes else []),
                    *(["guard"] if with_held else []),
                ],
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
                },
                note=note,
            ),
        )
        return load_plan(conn, plan_id)
