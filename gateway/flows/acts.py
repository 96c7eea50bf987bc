"""Carries out choices about many discrepancies a part at a time, after they were taken and answered.

Each part is one transaction and judges its members once more: what has moved since, and what is no longer his who chose, is
left as it is and told. Whoever comes first goes on with what another has left, a killed process too: the door that took it,
the scheduler, the next plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from gateway.audit.deed import Deed
from gateway.domain.discrepancies import PUT_ASIDE, Choice
from gateway.domain.errors import GatewayError
from gateway.flows.gateway import Gateway
from gateway.flows.reach import find_withdrawn
from gateway.flows.settling import let_go, load_held
from gateway.queue.states import OPEN
from gateway.reconcile.acts import Act, finish, get_act, goes_on, leave_behind, load_members, lock_next, take_turn
from gateway.reconcile.choose import Excluded, load_for_choice, sort_out, store_choice
from gateway.reconcile.one_object import leave_shared
from gateway.reconcile.undone import lift_chosen
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
PART_ROWS = 500
"""Discrepancies a transaction: about 60 ms on SQLite, so that others write in between. So many are settled at once."""


_AGAIN = (GatewayError, OperationalError, InterfaceError)
"""What a later try may mend, or what has to stop: a busy or absent database, an audit that can't be written."""
_Deal = Callable[[Connection, Gateway, int, Act, datetime], Act]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a choice about many has come.

    Attributes:
        asked: How many it took up.
        taken: How many of them are settled by now.
        left_out: Those that had moved before their turn, or could not be settled by a fault of ours; each is as it was.
        is_finished: Nothing of it waits any more.
    """

    act: int
    choice: Choice
    asked: int
    taken: int
    left_out: list[Excluded]
    made_at: datetime
    is_finished: bool


def carry_out(gateway: Gateway) -> list[Act]:
    """Carry out whatever was taken and waits at this place, the oldest first.

    Returns:
        The acts whose last part was done here.

    Raises:
        AuditError: Something could not be written down and was not done.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    if not _goes_on(gateway, place_id):
        return []
    finished: list[Act] = []
    while True:
        try:
            act = _carry(gateway, place_id, _carry_part)
        except _AGAIN:
            raise
        except Exception:
            # whatever it was, even a fault of ours: one member must not keep the others, nor every night, from going on
            LOG.exception("choice.part_failed")
            act = _carry_one_by_one(gateway, place_id)
        if act is not None:
            finished += [act] if act.finished_at is not None else []
        elif not _goes_on(gateway, place_id):
            # on PostgreSQL nothing is also told by who waited for the last part of an act that another carried out
            return finished


def carry_on(gateway: Gateway) -> None:
    """As `carry_out`, behind an answer that was given: what fails is logged, and the scheduler goes on with it."""
    try:
        carry_out(gateway)
    except GatewayError as error:
        LOG.warning("choice.carrying_failed", reason=error.reason_code)


def load_progress(conn: Connection, place_id: int, number: int, *, actor: str | None) -> Progress | None:
    """Load how far an act has come.

    Args:
        conn: Any transaction.
        place_id: Where we are.
        number: Of the act.
        actor: Only an act of this one; None = whose ever.

    Returns:
        None where there is no such act.
    """
    act = get_act(conn, place_id, number)
    if act is None or actor not in (None, act.actor.name):
        return None
    return Progress(
        act=act.id,
        choice=act.choice,
        asked=act.asked,
        taken=act.taken,
        left_out=act.left_out,
        made_at=act.made_at,
        is_finished=act.finished_at is not None,
    )


def _goes_on(gateway: Gateway, place_id: int) -> bool:
    with gateway.store.read() as conn:
        return goes_on(conn, place_id)


def _carry(gateway: Gateway, place_id: int, deal: _Deal) -> Act | None:
    """Deal with some members of the oldest act in one transaction; None = there is none."""
    with gateway.store.write() as conn:
        act = lock_next(conn, place_id)
        if act is None:
            return None
        take_turn(conn, place_id)
        now = gateway.store.now(conn)
        acting = replace(gateway, actor=act.actor, originator=act.originator)
        act = deal(conn, acting, place_id, act, now)
        if load_members(conn, act.id, limit=1):
            return act
        _write_finished(conn, acting, act)
        return finish(conn, act, now)


def _carry_one_by_one(gateway: Gateway, place_id: int) -> Act | None:
    """The members of a part that failed as a whole: one that is a fault of ours is left out and told, the others are taken.

    An act that could not end would hold its members, and every night that begins with it, for ever.
    """
    act: Act | None = None
    for _ in range(PART_ROWS):
        tried: list[int] = []
        try:
            act = _carry(gateway, place_id, partial(_carry_part, limit=1, tried=tried))
        except _AGAIN:
            raise
        except Exception:
            # the fault is this member's alone: it is left out and told
            LOG.exception("choice.member_failed")
            act = _carry(gateway, place_id, partial(_leave_failed, ids=tried))
        if act is None or act.finished_at is not None:
            break
    return act


def _leave_failed(
    conn: Connection, gateway: Gateway, place_id: int, act: Act, now: datetime, *, ids: Sequence[int]
) -> Act:
    """Leave out what failed, and nothing in its stead where another who carries has left it out meanwhile."""
    del gateway, place_id, now  # nothing but the act itself is touched
    failed = [number for number in load_members(conn, act.id, limit=1) if number in ids]
    return leave_behind(conn, act, failed, [Excluded(number, "failed") for number in failed])


def _carry_part(
    conn: Connection,
    gateway: Gateway,
    place_id: int,
    act: Act,
    now: datetime,
    *,
    limit: int | None = None,
    tried: list[int] | None = None,
) -> Act:
    seen = load_members(conn, act.id, limit=limit or PART_ROWS)
    ids = list(seen)
    if tried is not None:
        tried += ids
    rows = load_for_choice(conn, place_id, ids)
    missing = [Excluded(number, "unknown") for number in sorted(set(ids) - {row.id for row in rows})]
    withdrawn = find_withdrawn(gateway, conn, place_id, [row.id for row in rows])
    missing += [Excluded(number, "not_permitted") for number in sorted(withdrawn)]
    rows = [row for row in rows if row.id not in withdrawn]
    found, excluded = sort_out(rows, act.choice, busy=load_held(conn, place_id, ids, OPEN))
    found, shared = leave_shared(conn, place_id, found)
    excluded += [*shared, *missing]
    taken = []
    for row, effect in found:
        # what a plan has taken up since, or has made another kind of choice of, is not what the person was shown
        if row.changed_at != seen[row.id] or effect.is_removing is not act.is_removing:
            excluded.append(Excluded(row.id, "moved"))
        else:
            taken.append((row, effect))
    if taken:
        store_choice(
            conn,
            place_id,
            taken,
            act.choice,
            own_value=act.own_value,
            until=act.until,
            actor=act.actor.name,
            note_id=act.note_id,
            now=now,
        )
        if act.choice not in PUT_ASIDE:
            settled = [row.id for row, _ in taken]
            let_go(conn, gateway, place_id, settled, now)
            lift_chosen(conn, place_id, settled, now=now)
    return leave_behind(conn, act, ids, excluded)


def _write_finished(conn: Connection, gateway: Gateway, act: Act) -> None:
    """One entry at the end: what the first one has said was taken, less what had moved; its numbers are bound by their digest."""
    gateway.audit.append(
        conn,
        Deed(
            action="discrepancy.carried_out",
            actor=gateway.actor,
            originator=gateway.originator,
            place=gateway.place,
            object_type="choice_act",
            object_id=f"choice_act:{act.id}",
            new_digest=_digest([one.id for one in act.left_out]),
            outcome="applied",
            counts={f"choice.{act.choice.value}": act.taken, "excluded": len(act.left_out)},
        ),
    )


def _digest(numbers: Sequence[int]) -> str:
    return hashlib.sha256(",".join(str(number) for number in sorted(numbers)).encode()).hexdigest()


__all__ = ["PART_ROWS", "Progress", "carry_on", "carry_out", "load_progress"]
