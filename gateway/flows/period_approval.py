"""A one-time approval that names the pupils: the only way into a signed period.

As for deletes two persons are asked for: one proposes, another one approves (or the school's only approver, later). It is
bound to the items of one shown plan, so that it is used once by what it is; it runs out, and a newer signature ends it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from gateway.access.policy import Action
from gateway.access.scope import Principal, account_code
from gateway.access.tables import account
from gateway.audit.deed import Actor, Deed
from gateway.audit.notes import Note, write_note
from gateway.audit.subjects import pseudonym_of
from gateway.domain.errors import ConfigurationError, NotVisibleError, PlanRefusedError, SecondPersonError
from gateway.domain.identifiers import Kind
from gateway.flows.approval import alone_after, is_same_person, require_fresh
from gateway.flows.freshen import freshen
from gateway.flows.gateway import Gateway
from gateway.flows.reach import is_word_still
from gateway.flows.vouched import WORD_IS_NONE, say_alone_from
from gateway.mapping.links import load_links
from gateway.queue.outbox import Released, refuse_elsewhere, refuse_former_rules, refuse_unusable, release
from gateway.queue.signed import stand_beside
from gateway.queue.signing import find_lockable, let_through
from gateway.queue.tables import period_approval
from gateway.reconcile.plan import PlanState, SealedPlan, load_plan


class LockedAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Whose records of a shown plan are to be let into a signed period, and why.

    Attributes:
        pupils: Codes of the portal; a homework goes only where everybody it is set to is named.
        with_deletes: Deletes too; never without being named.
    """

    plan_id: int
    plan_hash: str
    pupils: frozenset[str]
    reason: str
    with_deletes: bool = False


class LockedProposal(msgspec.Struct, frozen=True, kw_only=True):
    """A stored proposal.

    Attributes:
        items: How many items of the plan it is about; an approval lets through these and no others.
        alone_from: From when the proposer himself may confirm it; None where the school has several approvers.
    """

    id: int
    plan_id: int
    items: int
    proposed_at: datetime
    alone_from: datetime | None


class LockedApproved(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an approval; `items` = how many it lets through until `expires_at`."""

    id: int
    items: int
    expires_at: datetime
    proposed_by: str
    is_alone: bool
    released: Released


def propose_locked(gateway: Gateway, principal: Principal, asked: LockedAsked) -> LockedProposal:
    """Propose to let named pupils' records into a signed period; nothing goes before another person approves it.

    Raises:
        PlanRefusedError: No reason, nobody named, nothing of theirs is locked, or the plan may not run.
        ConfigurationError: A pupil who is not linked.
    """
    with gateway.store.write() as conn:
        number, count, now = _store(conn, gateway, principal, asked)
    return LockedProposal(
        id=number,
        plan_id=asked.plan_id,
        items=count,
        proposed_at=now,
        alone_from=now + alone_after(gateway) if gateway.settings.school.single_approver else None,
    )


def approve_locked(gateway: Gateway, principal: Principal, number: int, *, reason: str) -> LockedApproved:
    """Approve another person's proposal and let its items out.

    Raises:
        NotVisibleError: There is no such proposal here.
        SecondPersonError: It is his own, or it is too soon to confirm alone.
        PlanRefusedError: No fresh log-in, no reason, approved already, or the plan may not run.
    """
    with gateway.store.write() as conn:
        stand_beside(conn, gateway.place_id(conn))  # before the audit's head: one order of locks for everybody
        now = gateway.store.now(conn)
        require_fresh(gateway, principal, now)
        row = _get(conn, gateway, number)
        is_alone = _judge_second(conn, gateway, principal, row, now)
        approved = _approve(
            conn, gateway, row, principal.actor, reason, now, is_alone=is_alone, address=principal.address
        )
    return _let_out(replace(gateway, actor=principal.actor), row.plan_id, approved)


def _store(conn: Connection, gateway: Gateway, principal: Principal, asked: LockedAsked) -> tuple[int, int, datetime]:
    if not asked.reason.strip():
        raise PlanRefusedError("Разрешение без причины не принимается: --reason", reason="REASON_MISSING")
    if not asked.pupils:
        raise PlanRefusedError("Назовите учеников, чьи записи разрешаются: --pupil", reason="NOTHING_NAMED")
    now = gateway.store.now(conn)
    place_id = gateway.place_id(conn)
    found = _get_plan(conn, gateway, asked.plan_id, asked.plan_hash, now)
    links = load_links(conn, place_id, Kind.PERSON)
    if asked.pupils - links.keys():
        raise ConfigurationError("Ученик не связан с городом: gateway links list")
    pupils = sorted(links[ref] for ref in asked.pupils)
    items = find_lockable(conn, place_id, asked.plan_id, pupils=pupils, with_deletes=asked.with_deletes, now=now)
    if not items:
        raise PlanRefusedError(
            "У названных учеников в этом плане ничего не удержано подписью периода", reason="NOTHING_NAMED"
        )
    note = write_note(conn, asked.reason, now=now)
    number = int(
        conn.execute(
            insert(period_approval)
            .values(
                place_id=place_id,
                plan_id=found.id,
                plan_hash=found.hash,
                pupils=pupils,
                with_deletes=asked.with_deletes,
                items=sorted(items),
                signatures=sorted({number for numbers in items.values() for number in numbers}),
                account_id=principal.account_id,
                proposed_by=principal.actor.name,
                proposed_at=now,
                note_id=note.id,
            )
            .returning(period_approval.c.id)
        ).scalar_one()
    )
    _write(
        conn,
        gateway,
        number,
        found,
        principal.actor,
        note,
        len(items),
        action="period.approval_proposed",
        originator=principal.originator,
    )
    return number, len(items), now


def _get(conn: Connection, gateway: Gateway, number: int) -> Row[Any]:
    row = conn.execute(
        select(period_approval).where(
            period_approval.c.id == number, period_approval.c.place_id == gateway.place_id(conn)
        )
    ).one_or_none()
    if row is None:
        raise NotVisibleError("Такой записи нет")
    return row


def _get_plan(conn: Connection, gateway: Gateway, plan_id: int, plan_hash: str, now: datetime) -> SealedPlan:
    refuse_elsewhere(conn, gateway.place, plan_id)
    refuse_unusable(conn, gateway.store, plan_id)
    found = load_plan(conn, plan_id)
    if found.hash != plan_hash:
        raise PlanRefusedError("Это не тот план, который был показан: откройте его заново", reason="PLAN_OTHER")
    refuse_former_rules(conn, found)
    if found.expires_at < now:
        raise PlanRefusedError("Срок плана истёк: постройте новый", reason="PLAN_EXPIRED")
    if found.state not in (PlanState.USED, PlanState.APPROVED):
        raise PlanRefusedError("План ещё не выпущен: сначала утвердите или отправьте остальное", reason="WRONG_STATE")
    return found


def _judge_second(conn: Connection, gateway: Gateway, principal: Principal, row: Row[Any], now: datetime) -> bool:
    """Whether the only approver confirms his own proposal; another person's is confirmed at once."""
    if row.account_id is None:
        raise SecondPersonError("Разрешение предложено без учётной записи, а решают двое: предложите заново")
    found = conn.execute(select(account).where(account.c.id == row.account_id)).one()
    if not is_word_still(gateway, conn, account_code(row.account_id), Action.PLANS_PROPOSE):
        raise SecondPersonError(WORD_IS_NONE)
    if not is_same_person(principal, row.account_id, found.person_ref):
        return False
    if not gateway.settings.school.single_approver:
        raise SecondPersonError("Записи подписанного периода разрешают двое: утверждает не тот, кто предложил")
    may_from = row.proposed_at + alone_after(gateway)
    if now < may_from or principal.proved_at is None or principal.proved_at < may_from:
        raise SecondPersonError(say_alone_from(gateway.local(may_from)))
    return True


class _Approved(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    items: int
    expires_at: datetime
    proposed_by: str
    is_alone: bool


def _approve(
    conn: Connection,
    gateway: Gateway,
    row: Row[Any],
    actor: Actor,
    reason: str,
    now: datetime,
    *,
    is_alone: bool,
    address: str | None,
) -> _Approved:
    if not reason.strip():
        raise PlanRefusedError("Утверждение без причины не принимается: --reason", reason="REASON_MISSING")
    found = _get_plan(conn, gateway, row.plan_id, row.plan_hash, now)
    expires_at = now + timedelta(hours=gateway.settings.school.signed_approval_hours)
    changed = conn.execute(
        update(period_approval)
        .where(period_approval.c.id == row.id, period_approval.c.approved_at.is_(None))
        .values(approved_by=actor.name, approved_at=now, expires_at=expires_at)
    )
    if changed.rowcount != 1:
        raise PlanRefusedError("Это разрешение уже дано: второй раз им не пользуются", reason="PLAN_USED")
    count = let_through(
        conn,
        row.place_id,
        row.plan_id,
        row.id,
        pupils=row.pupils,
        with_deletes=row.with_deletes,
        items=row.items or (),
        signatures=row.signatures or (),
        now=now,
    )
    if not count:
        raise PlanRefusedError(
            "Из предложенного подпись периода больше ничего не держит или период с тех пор подписан заново: предложите снова",
            reason="NOTHING_NAMED",
        )
    note = write_note(conn, reason, now=now)
    originator = account_code(row.account_id) if row.account_id is not None else None
    for pupil in row.pupils:
        named = Deed(
            action="period.pupil_named",
            actor=actor,
            place=gateway.place,
            object_type="period",
            object_id=f"period-approval:{row.id}",
            subject=pseudonym_of(conn, gateway.place, f"city-pupil:{pupil}"),
            outcome="decided",
            source_address=address,
        )
        gateway.audit.append(conn, named)
    _write(
        conn,
        gateway,
        row.id,
        found,
        actor,
        note,
        count,
        action="period.approved",
        originator=originator,
        is_alone=is_alone,
        address=address,
    )
    return _Approved(number=row.id, items=count, expires_at=expires_at, proposed_by=row.proposed_by, is_alone=is_alone)


def _let_out(gateway: Gateway, plan_id: int, approved: _Approved) -> LockedApproved:
    freshen(gateway, plan_id)
    released = release(gateway.store, gateway.audit, gateway.place, plan_id, lane="demand", actor=gateway.actor)
    return LockedApproved(
        id=approved.number,
        items=approved.items,
        expires_at=approved.expires_at,
        proposed_by=approved.proposed_by,
        is_alone=approved.is_alone,
        released=released,
    )


def _write(
    conn: Connection,
    gateway: Gateway,
    number: int,
    found: SealedPlan,
    actor: Actor,
    note: Note,
    items: int,
    *,
    action: str,
    originator: str | None = None,
    is_alone: bool = False,
    address: str | None = None,
) -> None:
    gateway.audit.append(
        conn,
        Deed(
            action=action,
            actor=actor,
            originator=originator,
            place=gateway.place,
            object_type="period",
            object_id=f"period-approval:{number}",
            run_id=found.run_id,
            plan_hash=found.hash,
            rule_version=found.rule_version,
            outcome="decided",
            counts={"items": items, **({"alone": 1} if is_alone else {})},
            note=note,
            source_address=address,
        ),
    )


__all__ = [
    "LockedApproved",
    "LockedAsked",
    "LockedProposal",
    "approve_locked",
    "propose_locked",
]
