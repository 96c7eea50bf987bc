"""A wrong link set right: removed from the wrong child and created at the right one, as one unit that two persons let out.

Proposed with everything that it would do, hashed, approved once by somebody else before it expires. In the approval's
transaction the link moves, the objects at the wrong child are put apart for removal, and the plan that removes them is
stored as approved, so that a process killed afterwards only has to go on. What is to be created is decided afresh by the
next plan after each removal was read back: it looks for twins like any other creation, and needs no second approval.
Proposing already lets the pupils' records wait, and opens the incident: from then on the clocks run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from gateway.access.policy import Action
from gateway.access.scope import Principal, Scope
from gateway.audit.deed import Deed
from gateway.audit.notes import Note, write_note
from gateway.domain.errors import PlanRefusedError, SecondPersonError
from gateway.domain.reasons import RELINKING
from gateway.flows.freshen import freshen
from gateway.flows.gateway import Gateway
from gateway.flows.incidents import open_incident
from gateway.flows.links import evidence_now
from gateway.flows.reach import is_word_still
from gateway.flows.relink_links import find_moves, get_directory, move_links, refuse_in_flight, take_out
from gateway.flows.relink_unit import build_items, count_items, put_apart, store_items, store_plan
from gateway.flows.vouched import WORD_IS_NONE, is_vouched, require_vouched, say_alone_from
from gateway.mapping.likeness import contradictions
from gateway.queue.outbox import Released, release
from gateway.queue.signed import stand_alone
from gateway.reconcile.relinks import (
    Move,
    RelinkState,
    hash_unit,
    load_items,
    load_open_moves,
)
from gateway.reconcile.tables import relink
from gateway.report.pupils import is_pupil_seen, require_pupil


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """A unit that waits for its approval.

    Attributes:
        hash: What the approval binds.
        incident: Number of the incident that was opened; None where nothing stood at the wrong child.
        counts: Objects by how they leave (`delete`, `hand`, `keep`), and `create` at the right child.
        dropped: Operations that had waited and never will be sent.
    """

    number: int
    hash: str
    moves: list[Move]
    counts: dict[str, int]
    incident: int | None
    expires_at: datetime
    dropped: int


class Relinked(msgspec.Struct, frozen=True, kw_only=True):
    """What an approval let out."""

    number: int
    plan_id: int
    is_alone: bool
    released: Released


def propose_relink(
    gateway: Gateway,
    local_ref: str,
    to_city_id: int | None,
    *,
    reason: str,
    is_swap: bool = False,
    scope: Scope | None = None,
) -> Proposed:
    """Propose to move a pupil's link; nothing of his is sent from now on until it is approved, withdrawn or expired.

    Args:
        gateway: The composed gateway.
        local_ref: The portal's code, `user:3`.
        to_city_id: The right profile; None = it is not known yet, the link is only taken away.
        reason: Why, as typed; kept beside the audit.
        is_swap: The right profile is linked to another pupil, who gets this one's: two namesakes were exchanged.
        scope: How far the account that proposes reaches, where it is one; every pupil whose link moves has to be within.

    Raises:
        NotVisibleError: One of the pupils is somebody else's.
        PlanRefusedError: No reason, no such link or profile, the profile is taken, or something of these pupils is on its way.
    """
    if not reason.strip():
        raise PlanRefusedError("Исправление связи без причины не принимается: --reason", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        now = gateway.store.now(conn)
        directory = get_directory(conn, place_id)
        moves = find_moves(conn, place_id, directory, local_ref, to_city_id, is_swap=is_swap)
        if scope is not None:
            for move in moves:
                require_pupil(conn, scope, place_id, move.local_ref)
        refuse_in_flight(conn, place_id, moves)
        items = build_items(gateway, conn, place_id, directory, moves)
        note = write_note(conn, reason, now=now)
        older = _withdraw_older(gateway, conn, place_id, moves, scope, note, now)
        unit = hash_unit(moves, items)
        expires_at = now + timedelta(hours=gateway.settings.school.plan_ttl_hours)
        number: int = conn.execute(
            insert(relink)
            .values(
                place_id=place_id,
                state=RelinkState.PROPOSED,
                moves=msgspec.to_builtins(moves),
                hash=unit,
                proposed_by=gateway.actor.name,
                person_ref=None if scope is None else scope.principal.person_ref,
                note_id=note.id,
                proposed_at=now,
                expires_at=expires_at,
                is_alone=False,
            )
            .returning(relink.c.id)
        ).scalar_one()
        store_items(conn, number, items)
        dropped = take_out(gateway, conn, place_id, moves, now)
        incident = open_incident(gateway, conn, place_id, number, note, older=older, now=now) if items else None
        counts = count_items(items)
        gateway.audit.append(conn, _deed(gateway, number, unit, counts, note, "decided", action="relink.proposed"))
    return Proposed(
        number=number,
        hash=unit,
        moves=moves,
        counts=counts,
        incident=incident,
        expires_at=expires_at,
        dropped=dropped,
    )


def approve_relink(
    gateway: Gateway, number: int, unit: str, *, reason: str, principal: Principal | None = None
) -> Relinked:
    """Approve a unit: the link moves at once, the removals go out, the creations follow them.

    Args:
        unit: The beginning of the hash that was shown, at least 8 characters.
        reason: Why, as typed.
        principal: The account that approves, where it is one; it must have proved its password just now.

    Raises:
        SecondPersonError: Something is deleted, or a pupil comes to a profile whose data are another child's, and
            the one who proposed it is the one who approves.
        PlanRefusedError: No reason, another hash, expired, used, the log-in not fresh, or what was shown has changed.
    """
    if not reason.strip():
        raise PlanRefusedError("Утверждение без причины не принимается: --reason", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        stand_alone(conn, place_id)  # before the unit's row, as whoever proposes does
        now = gateway.store.now(conn)
        row = _get_proposed(conn, place_id, number, unit, now)
        moves = msgspec.convert(row.moves, list[Move])
        shown = load_items(conn, number)
        _refuse_stale_log_in(gateway, principal, now)
        needs_two = any(one.removal == "delete" for one in shown) or _has_stranger(conn, place_id, moves)
        is_alone = _judge_person(conn, gateway, row, moves, principal, now) if needs_two else False
        refuse_in_flight(conn, place_id, moves)
        directory = get_directory(conn, place_id)
        if hash_unit(moves, build_items(gateway, conn, place_id, directory, moves)) != row.hash:
            raise PlanRefusedError(
                "Записи этих учеников изменились с тех пор, как исправление показали: предложите его заново",
                reason="PLAN_STALE",
            )
        note = write_note(conn, reason, now=now)
        take_out(gateway, conn, place_id, moves, now)
        plan_id = store_plan(gateway, conn, place_id, row, shown, note, now)
        put_apart(conn, place_id, number, shown)
        move_links(gateway, conn, place_id, moves, row.note_id, now)
        conn.execute(
            update(relink)
            .where(relink.c.id == number)
            .values(
                state=RelinkState.APPROVED,
                approved_by=gateway.actor.name,
                approved_at=now,
                approval_note_id=note.id,
                is_alone=is_alone,
                plan_id=plan_id,
            )
        )
        counts = {**count_items(shown), **({"alone": 1} if is_alone else {})}
        deed = _deed(gateway, number, row.hash, counts, note, "decided", action="relink.approved")
        gateway.audit.append(conn, msgspec.structs.replace(deed, originator=row.proposed_by))
    # From here on a crash costs nothing: whoever delivers next lets out what is approved.
    freshen(gateway, plan_id)
    released = release(gateway.store, gateway.audit, gateway.place, plan_id, lane="demand", actor=gateway.actor)
    return Relinked(number=number, plan_id=plan_id, is_alone=is_alone, released=released)


def withdraw_relink(gateway: Gateway, number: int, *, reason: str) -> None:
    """Take a proposal back; its incident stays, because it was noticed.

    Raises:
        PlanRefusedError: No reason, or there is no such proposal.
    """
    if not reason.strip():
        raise PlanRefusedError("Отозвать без причины нельзя: --reason", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        changed = conn.execute(
            update(relink)
            .where(
                relink.c.id == number,
                relink.c.place_id == gateway.place_id(conn),
                relink.c.state == RelinkState.PROPOSED,
            )
            .values(state=RelinkState.WITHDRAWN)
            .returning(relink.c.hash)
        ).scalar_one_or_none()
        if changed is None:
            raise PlanRefusedError(f"Исправления {number} нет, или оно уже утверждено", reason="NOTHING_THERE")
        note = write_note(conn, reason, now=now)
        gateway.audit.append(conn, _deed(gateway, number, changed, {}, note, "undone", action="relink.withdrawn"))


def _withdraw_older(
    gateway: Gateway,
    conn: Connection,
    place_id: int,
    moves: Sequence[Move],
    scope: Scope | None,
    note: Note,
    now: datetime,
) -> list[int]:
    """Withdraw what was proposed for these pupils before, each with its entry: somebody waits for it.

    Raises:
        PlanRefusedError: It moves the link of a pupil too whom the scope does not reach.
    """
    mine = {one.local_ref for one in moves}
    standing = load_open_moves(conn, place_id, now=now)
    older = sorted({number for ref, number in standing.items() if ref in mine})
    for ref, number in standing.items():
        if scope is not None and number in older and not is_pupil_seen(conn, scope, place_id, ref):
            raise PlanRefusedError(
                f"Связь этого ученика исправляется вместе с чужой, исправление {number} ждёт утверждения: "
                "дождитесь решения завуча или попросите его отозвать",
                reason=RELINKING,
            )
    ended = conn.execute(
        update(relink)
        .where(relink.c.id.in_(older), relink.c.state == RelinkState.PROPOSED)
        .values(state=RelinkState.WITHDRAWN)
        .returning(relink.c.id, relink.c.hash)
    ).all()
    for row in sorted(ended):
        gateway.audit.append(conn, _deed(gateway, row.id, row.hash, {}, note, "undone", action="relink.withdrawn"))
    return older


def _get_proposed(conn: Connection, place_id: int, number: int, unit: str, now: datetime) -> Row[Any]:
    # locked until the end of the write: of two who approve at once the second one finds it used
    query = select(relink).where(relink.c.id == number, relink.c.place_id == place_id).with_for_update()
    row = conn.execute(query).one_or_none()
    if row is None:
        raise PlanRefusedError(f"Исправления {number} нет: gateway relinks", reason="NOTHING_THERE")
    if row.state != RelinkState.PROPOSED:
        raise PlanRefusedError("Исправление уже утверждено или отозвано", reason="PLAN_USED")
    if row.expires_at <= now:
        raise PlanRefusedError("Срок исправления истёк: предложите его заново", reason="PLAN_EXPIRED")
    if len(unit) < 8 or not row.hash.startswith(unit):
        raise PlanRefusedError("Это не то исправление, которое было показано: откройте его заново", reason="PLAN_OTHER")
    return row


def _refuse_stale_log_in(gateway: Gateway, principal: Principal | None, now: datetime) -> None:
    lasts = timedelta(minutes=gateway.settings.access.fresh_login_minutes)
    if principal is not None and (principal.proved_at is None or now - principal.proved_at > lasts):
        raise PlanRefusedError("Подтвердите пароль заново, затем утвердите", reason="LOGIN_NOT_FRESH")


def _has_stranger(conn: Connection, place_id: int, moves: Sequence[Move]) -> bool:
    """Whether a pupil is to come to a profile that says of itself that it is another child's."""
    return any(
        contradictions(evidence_now(conn, place_id, move.local_ref, move.to_city_id))
        for move in moves
        if move.to_city_id is not None
    )


def _judge_person(
    conn: Connection, gateway: Gateway, row: Row[Any], moves: Sequence[Move], principal: Principal | None, now: datetime
) -> bool:
    """Whether it is the same person, who may confirm alone and later where the school has only one.

    Raises:
        SecondPersonError: It is, and he may not.
    """
    require_vouched(gateway.actor)
    if not is_vouched(row.proposed_by):
        raise SecondPersonError(
            "Исправление предложено без учётной записи, а утверждают двое: предложите заново, gateway links split --as ЛОГИН"
        )
    pupils = [move.local_ref for move in moves]
    if not is_word_still(gateway, conn, row.proposed_by, Action.LINKS_DECIDE, pupils=pupils):
        raise SecondPersonError(WORD_IS_NONE)
    same_person = principal is not None and row.person_ref is not None and principal.person_ref == row.person_ref
    stands_in = principal is not None and principal.originator == row.proposed_by
    if gateway.actor.name != row.proposed_by and not same_person and not stands_in:
        return False
    may_from = row.proposed_at + timedelta(minutes=gateway.settings.access.alone_after_minutes)
    is_stale = principal is not None and (principal.proved_at is None or principal.proved_at < may_from)
    if not gateway.settings.school.single_approver or now < may_from or is_stale:
        raise SecondPersonError(
            "Исправление утверждают двое, а предложил его этот же человек"
            if not gateway.settings.school.single_approver
            else say_alone_from(gateway.local(may_from))
        )
    return True


def _deed(
    gateway: Gateway, number: int, unit: str, counts: dict[str, int], note: Note, outcome: str, *, action: str
) -> Deed:
    return Deed(
        action=action,
        actor=gateway.actor,
        originator=gateway.originator,
        place=gateway.place,
        object_type="relink",
        object_id=f"relink:{number}",
        plan_hash=unit,
        outcome=outcome,
        counts=counts or None,
        note=note,
    )


__all__ = [
    "Proposed",
    "Relinked",
    "approve_relink",
    "propose_relink",
    "withdraw_relink",
]
