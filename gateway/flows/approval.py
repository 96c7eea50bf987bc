"""A plan let out by persons with accounts: proposed by one, approved by another, each with a reason and a fresh log-in.

What a guard held and every delete ask for two. Where the school has one approver (`school.single_approver`), the same
person confirms his own proposal later, after proving his password again, and the audit says that he was alone. Approval
opens exactly the hash that was shown; it never edits a limit.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, insert, select

from gateway.access.policy import Action
from gateway.access.scope import Principal, account_code
from gateway.access.tables import account
from gateway.audit.deed import Deed
from gateway.audit.notes import write_note
from gateway.domain.errors import PlanRefusedError, SecondPersonError
from gateway.flows.chosen_lines import build_choose
from gateway.flows.freshen import freshen
from gateway.flows.gateway import Gateway
from gateway.flows.reach import is_word_still
from gateway.flows.tables import plan_proposal
from gateway.flows.vouched import NEEDS_ACCOUNTS, WORD_IS_NONE, say_alone_from
from gateway.queue.approval import approve
from gateway.queue.outbox import Released, refuse_elsewhere, refuse_unusable, release
from gateway.reconcile.plan import SealedPlan, load_plan


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be let out, and why.

    Attributes:
        plan_hash: The whole hash that was shown.
        reason: As typed; kept beside the audit.
        with_deletes: Deletes too; never without being named.
        with_held: What a guard held too.
        items: Only these lines, by number; with `classes`, `pupils` and `kinds` every line of those. Nothing = the whole plan.
    """

    plan_id: int
    plan_hash: str
    reason: str
    with_deletes: bool
    with_held: bool
    items: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    pupils: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def needs_two(self) -> bool:
        """Whether one person is not enough."""
        return self.with_deletes or self.with_held


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A stored proposal.

    Attributes:
        alone_from: From when the proposer himself may confirm it; None where the school has several approvers.
    """

    id: int
    plan_id: int
    account_id: int
    proposed_at: datetime
    alone_from: datetime | None


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an approved plan's items."""

    plan_hash: str
    proposed_by: str | None
    is_alone: bool
    released: Released


def propose_plan(gateway: Gateway, principal: Principal, asked: Asked) -> Proposal:
    """Propose to let a plan out; it goes nowhere before it is approved.

    Raises:
        PlanRefusedError: No reason, another hash, stale, expired, or a dry run.
    """
    if not asked.reason.strip():
        raise PlanRefusedError("Предложение без причины не принимается", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        found = _get_shown(conn, gateway, asked)
        now = gateway.store.now(conn)
        note = write_note(conn, asked.reason, now=now)
        number: int = conn.execute(
            insert(plan_proposal)
            .values(
                plan_id=found.id,
                plan_hash=found.hash,
                account_id=principal.account_id,
                with_deletes=asked.with_deletes,
                with_held=asked.with_held,
                note_id=note.id,
                proposed_at=now,
            )
            .returning(plan_proposal.c.id)
        ).scalar_one()
        gateway.audit.append(
            conn,
            Deed(
                action="plan.proposed",
                actor=principal.actor,
                originator=principal.originator,
                place=gateway.place,
                object_type="plan",
                object_id=f"plan:{found.id}",
                run_id=found.run_id,
                plan_hash=found.hash,
                outcome="decided",
                counts={"with_deletes": int(asked.with_deletes), "with_held": int(asked.with_held)},
                note=note,
                source_address=principal.address,
            ),
        )
    return Proposal(
        id=number,
        plan_id=found.id,
        account_id=principal.account_id,
        proposed_at=now,
        alone_from=now + alone_after(gateway) if gateway.settings.school.single_approver else None,
    )


def approve_plan(gateway: Gateway, principal: Principal, asked: Asked) -> Approved:
    """Approve a plan and let its items out.

    Raises:
        SecondPersonError: It asks for two persons and nobody else has proposed it, or it is too soon to confirm alone.
        PlanRefusedError: No fresh log-in, no reason, another hash, approved already, stale, expired, or a dry run.
    """
    proposed_by, is_alone = None, False
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        require_fresh(gateway, principal, now)
        found = _get_shown(conn, gateway, asked)
        if asked.needs_two:
            proposed_by, is_alone = _find_first(conn, gateway, principal, asked, now)
    acting = replace(gateway, actor=principal.actor)
    released = _let_out(acting, asked, originator=proposed_by or principal.originator, is_alone=is_alone)
    return Approved(plan_hash=found.hash, proposed_by=proposed_by, is_alone=is_alone, released=released)


def approve_here(gateway: Gateway, asked: Asked) -> Released:
    """Approve by the user of the operating system, who is vouched for by nobody: only what one person may let out.

    Raises:
        SecondPersonError: It asks for two persons, and his word is none.
        PlanRefusedError: No reason, another hash, approved already, stale, expired, or a dry run.
    """
    if asked.needs_two:
        raise SecondPersonError(NEEDS_ACCOUNTS)
    return _let_out(gateway, asked, originator=None, is_alone=False)


def _let_out(acting: Gateway, asked: Asked, *, originator: str | None, is_alone: bool) -> Released:
    choose = build_choose(
        acting, asked.plan_id, items=asked.items, classes=asked.classes, pupils=asked.pupils, kinds=asked.kinds
    )
    approve(
        acting.store,
        acting.audit,
        acting.place,
        asked.plan_id,
        reason=asked.reason,
        with_deletes=asked.with_deletes,
        with_held=asked.with_held,
        actor=acting.actor,
        originator=originator,
        is_alone=is_alone,
        choose=choose,
    )
    freshen(acting, asked.plan_id)
    return release(acting.store, acting.audit, acting.place, asked.plan_id, lane="demand", actor=acting.actor)


def _get_shown(conn: Connection, gateway: Gateway, asked: Asked) -> SealedPlan:
    refuse_elsewhere(conn, gateway.place, asked.plan_id)
    refuse_unusable(conn, gateway.store, asked.plan_id)
    found = load_plan(conn, asked.plan_id)
    if found.hash != asked.plan_hash:
        raise PlanRefusedError("Это не тот план, который был показан: откройте его заново", reason="PLAN_OTHER")
    return found


def require_fresh(gateway: Gateway, principal: Principal, now: datetime) -> None:
    """Refuse who has not proved his password a short while ago.

    Raises:
        PlanRefusedError: He has not.
    """
    lasts = timedelta(minutes=gateway.settings.access.fresh_login_minutes)
    if principal.proved_at is None or now - principal.proved_at > lasts:
        raise PlanRefusedError("Подтвердите пароль заново, затем повторите", reason="LOGIN_NOT_FRESH")


def judge_second(
    conn: Connection, gateway: Gateway, principal: Principal, proposed_by: str, proposed_at: datetime, *, words: str
) -> bool:
    """Whether the only approver of a school confirms his own proposal; another person's is confirmed at once.

    Args:
        proposed_by: As the audit names him: one person is one, whichever of his accounts it was.
        words: What to say where the school has several approvers.

    Raises:
        SecondPersonError: It is his own, and the school has several approvers, or it is too soon to confirm alone.
    """
    accounts = conn.execute(select(account.c.id, account.c.person_ref)).all()
    own = {account_code(row.id) for row in accounts if is_same_person(principal, row.id, row.person_ref)}
    if proposed_by not in own:
        return False
    if not gateway.settings.school.single_approver:
        raise SecondPersonError(words)
    may_from = proposed_at + alone_after(gateway)
    if gateway.store.now(conn) < may_from or principal.proved_at is None or principal.proved_at < may_from:
        raise SecondPersonError(say_alone_from(gateway.local(may_from)))
    return True


def _find_first(
    conn: Connection, gateway: Gateway, principal: Principal, asked: Asked, now: datetime
) -> tuple[str, bool]:
    """Who has proposed at least this much of this hash, and whether it was the same person.

    Raises:
        SecondPersonError: Nobody, or nobody who counts as another person.
    """
    rows = conn.execute(
        select(plan_proposal, account.c.person_ref)
        .join(account, account.c.id == plan_proposal.c.account_id)
        .where(
            plan_proposal.c.plan_id == asked.plan_id,
            plan_proposal.c.plan_hash == asked.plan_hash,
        )
        .order_by(plan_proposal.c.id)
    ).all()
    many = [row for row in rows if row.with_deletes >= asked.with_deletes and row.with_held >= asked.with_held]
    standing = {
        number: is_word_still(gateway, conn, account_code(number), Action.PLANS_PROPOSE)
        for number in {row.account_id for row in many}
    }
    enough = [row for row in many if standing[row.account_id]]
    others = [row for row in enough if not is_same_person(principal, row.account_id, row.person_ref)]
    if others:
        return account_code(others[-1].account_id), False
    if enough and gateway.settings.school.single_approver:
        own = enough[0]
        may_from = own.proposed_at + alone_after(gateway)
        proved_at = principal.proved_at
        if now < may_from or proved_at is None or proved_at < may_from:
            raise SecondPersonError(say_alone_from(gateway.local(may_from)))
        return account_code(own.account_id), True
    if many and not enough:
        raise SecondPersonError(WORD_IS_NONE)
    raise SecondPersonError("Удаления и удержанное защитой утверждают двое: сначала план предлагает другой человек")


def is_same_person(principal: Principal, account_id: int, person_ref: str | None) -> bool:
    """One person with two accounts is one person, and so is he who acts in the other's place."""
    return account_id in (principal.account_id, principal.deputises_for) or (
        person_ref is not None and person_ref == principal.person_ref
    )


def alone_after(gateway: Gateway) -> timedelta:
    """How long the only approver of a school waits before he confirms his own proposal."""
    return timedelta(minutes=gateway.settings.access.alone_after_minutes)
