"""A choice about many discrepancies, as it is stored between its being taken and its being carried out.

One transaction judges all of them and writes the act with its members; from then on it holds, whatever becomes of the
process. It is carried out a part a transaction, and a part leaves the members behind that it has dealt with: what breaks
off is taken up where it stood. So whoever chooses waits for the judging only, and nobody else waits for a long write.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Integer, Row, delete, insert, literal, select, update

from gateway.audit.deed import Actor
from gateway.domain.discrepancies import Choice
from gateway.reconcile.choose import Excluded
from gateway.reconcile.tables import choice_act, choice_member, discrepancy
from gateway.store import turns
from gateway.store.among import among


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One choice about many discrepancies.

    Attributes:
        is_removing: By it records go; fixed when it was taken, so that no removal gets among changes later.
        originator: For whom the actor stood in.
        asked: How many were taken up by it.
        taken: How many of them it has settled so far.
        left_out: Those that it has left as they were: they had moved before their turn, or a fault of ours met them.
        finished_at: When its last one was dealt with; aware UTC; None = it goes on.
    """

    id: int
    choice: Choice
    own_value: str | None
    until: datetime | None
    is_removing: bool
    actor: Actor
    originator: str | None
    note_id: int
    asked: int
    taken: int
    left_out: list[Excluded]
    made_at: datetime
    finished_at: datetime | None


def take_turn(conn: Connection, place_id: int) -> None:
    """Let nobody else move a discrepancy of this place until this transaction ends; on SQLite a write is alone anyway.

    Doubts about links follow their links and no plan: for them the locks of their own rows do.

    Asked before they are read: what a choice lays down about its record, and what a plan takes up of it, comes of what was read.
    """
    turns.take_turn(conn, f"discrepancies of {place_id}")


def store_act(
    conn: Connection,
    place_id: int,
    ids: Sequence[int],
    choice: Choice,
    *,
    own_value: str | None,
    until: datetime | None,
    is_removing: bool,
    actor: Actor,
    originator: str | None,
    note_id: int,
    now: datetime,
) -> int:
    """Store an act with its members, in the transaction that judged them; its number.

    Args:
        ids: Discrepancies that no other act has taken up (`take_turn`, then `load_being_settled`).
    """
    row = insert(choice_act).values(
        place_id=place_id,
        choice=choice.value,
        own_value=own_value,
        until=until,
        is_removing=is_removing,
        actor_kind=actor.kind,
        actor=actor.name,
        actor_role=actor.role,
        is_authenticated=actor.is_authenticated,
        originator=originator,
        note_id=note_id,
        asked=len(ids),
        taken=0,
        left_out=[],
        made_at=now,
    )
    number = int(conn.execute(row.returning(choice_act.c.id)).scalar_one())
    found = select(discrepancy.c.id, literal(number, Integer()), discrepancy.c.changed_at)
    found = found.where(among(conn, discrepancy.c.id, ids))
    conn.execute(insert(choice_member).from_select(["discrepancy_id", "act_id", "seen_at"], found))
    return number


def load_being_settled(conn: Connection, ids: Sequence[int]) -> dict[int, Choice]:
    """Load which of these discrepancies an act has taken up and not dealt with yet, and by which choice."""
    rows = conn.execute(
        select(choice_member.c.discrepancy_id, choice_act.c.choice)
        .join(choice_act, choice_act.c.id == choice_member.c.act_id)
        .where(among(conn, choice_member.c.discrepancy_id, ids))
    )
    return {number: Choice(choice) for number, choice in rows}


def not_being_settled() -> ColumnElement[bool]:
    """Whether no act has taken a discrepancy up: until it is done, or has left it out, nobody else moves it."""
    return discrepancy.c.id.not_in(select(choice_member.c.discrepancy_id))


def get_act(conn: Connection, place_id: int, number: int) -> Act | None:
    """One act, whether it goes on or not; None where this place has none of that number."""
    row = conn.execute(
        select(choice_act).where(choice_act.c.place_id == place_id, choice_act.c.id == number)
    ).one_or_none()
    return None if row is None else _to_act(row)


def lock_next(conn: Connection, place_id: int) -> Act | None:
    """The oldest act that goes on, for this transaction alone; None = all are done."""
    row = conn.execute(
        select(choice_act)
        .where(choice_act.c.place_id == place_id, choice_act.c.finished_at.is_(None))
        .order_by(choice_act.c.id)
        .limit(1)
        .with_for_update()
    ).one_or_none()
    return None if row is None else _to_act(row)


def goes_on(conn: Connection, place_id: int) -> bool:
    """Whether any act waits to be carried out."""
    query = select(choice_act.c.id).where(choice_act.c.place_id == place_id, choice_act.c.finished_at.is_(None))
    return conn.execute(query.limit(1)).first() is not None


def load_members(conn: Connection, act_id: int, *, limit: int) -> dict[int, datetime | None]:
    """Load the next members, in the order of their numbers: discrepancy → which change of it the person was shown.

    Compared as it stands and not by order: clocks are set back, and one that was far ahead has left days to come behind.
    """
    member = choice_member.c
    query = select(member.discrepancy_id, member.seen_at).where(member.act_id == act_id)
    rows = conn.execute(query.order_by(member.discrepancy_id).limit(limit))
    return {row.discrepancy_id: row.seen_at for row in rows}


def leave_behind(conn: Connection, act: Act, ids: Sequence[int], left_out: Sequence[Excluded]) -> Act:
    """Let go of members that were dealt with, in the transaction that did it.

    Args:
        ids: All of them, those that were left out too.
    """
    conn.execute(delete(choice_member).where(among(conn, choice_member.c.discrepancy_id, ids)))
    moved = msgspec.structs.replace(
        act, taken=act.taken + len(ids) - len(left_out), left_out=[*act.left_out, *left_out]
    )
    conn.execute(
        update(choice_act)
        .where(choice_act.c.id == act.id)
        .values(taken=moved.taken, left_out=[[one.id, one.why] for one in moved.left_out])
    )
    return moved


def finish(conn: Connection, act: Act, now: datetime) -> Act:
    """Say that an act's last member was dealt with."""
    conn.execute(update(choice_act).where(choice_act.c.id == act.id).values(finished_at=now))
    return msgspec.structs.replace(act, finished_at=now)


def _to_act(row: Row[Any]) -> Act:
    return Act(
        id=row.id,
        choice=Choice(row.choice),
        own_value=row.own_value,
        until=row.until,
        is_removing=row.is_removing,
        actor=Actor(
            kind=row.actor_kind, name=row.actor, role=row.actor_role, is_authenticated=bool(row.is_authenticated)
        ),
        originator=row.originator,
        note_id=row.note_id,
        asked=row.asked,
        taken=row.taken,
        left_out=[Excluded(number, why) for number, why in row.left_out],
        made_at=row.made_at,
        finished_at=row.finished_at,
    )


__all__ = [
    "Act",
    "finish",
    "get_act",
    "goes_on",
    "leave_behind",
    "load_being_settled",
    "load_members",
    "lock_next",
    "not_being_settled",
    "store_act",
    "take_turn",
]
