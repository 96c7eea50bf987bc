"""A link set right: what stands at the wrong child is removed first, and only then created at the right one.

While an object waits for its removal its base bears another ref (`moved:7:mark:5:3`), so that the record itself is free
for the right child, and so that removing goes the ordinary way: plan, queue, read-back. A record is not created as long as
its own object still stands at the wrong child, or somebody else's stands in the cell where it belongs. The other order
would show one mark at two children; this one shows it, for minutes, at none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, or_, select, union, update

from gateway.domain.identifiers import MOVED, Kind
from gateway.mapping.link_doubts import load_doubts
from gateway.mapping.links import load_links
from gateway.mapping.tables import link, link_doubt
from gateway.reconcile.resolve import ScopeDecision
from gateway.reconcile.tables import base, intended, relink, relink_item, scope_memo
from gateway.reconcile.triples import COMPARED

Removal = Literal["delete", "hand", "keep"]
"""How an object leaves the wrong child: by us; by a person, because the city has no call for it; not at all, because a
person typed it there and the gateway had only taken it for its own."""
PUPIL_KINDS = ("mark", "absence", "comment", "final")
_AFTER_MOVED = "moved;"  # the first text behind all that begin with `moved:`


_STAMP = select(
    select(func.count()).select_from(link).where(link.c.place_id == bindparam("place_id")).scalar_subquery(),
    select(func.max(link.c.decided_at)).where(link.c.place_id == bindparam("place_id")).scalar_subquery(),
    select(func.max(relink.c.id)).where(relink.c.place_id == bindparam("place_id")).scalar_subquery(),
    select(func.count())
    .select_from(link_doubt)
    .where(link_doubt.c.place_id == bindparam("place_id"))
    .scalar_subquery(),
)


_IS_HOMEWORK = intended.c.kind == Kind.HOMEWORK.value
_REFS_AT_ONCE = 500


class _Named(msgspec.Struct):
    """Of a homework's intent: for whom it is."""

    pupil_ids: tuple[int, ...] = ()


class RelinkState:
    """States of a unit."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One pupil of the portal: whose profile he is linked to, and whose it should be; None = nobody's for now."""

    local_ref: str
    from_city_id: int
    to_city_id: int | None


class RelinkItem(msgspec.Struct, frozen=True, kw_only=True):
    """One object at the wrong child.

    Attributes:
        city_id: Number of the object in the city.
        digest: What was agreed to stand there.
        old: The intent that it was made by.
        stood_since: When it was first seen there as ours (aware UTC).
        to_pupil_id: Right child; None where nobody is named, or he is not in the group on that day.
        to_digest: What is to be created at him; `to_object_key` where.
    """

    kind: str
    ref: str
    scope: str
    city_id: int
    object_key: str
    digest: bytes
    old: bytes
    on_date: date | None
    stood_since: datetime
    removal: Removal
    to_pupil_id: int | None = None
    to_object_key: str | None = None
    to_digest: bytes | None = None


class LetOn(NamedTuple):
    """A creation at the right child that was approved together with the removal."""

    kind: str
    ref: str
    object_key: str
    digest: bytes


def hash_unit(moves: Sequence[Move], items: Iterable[RelinkItem]) -> str:
    """What an approval binds: who is moved where, what is removed, what is created; no time."""
    digest = hashlib.sha256(msgspec.json.encode(moves))
    for item in items:
        said = (item.kind, item.ref, item.city_id, item.object_key, item.removal, item.to_object_key)
        digest.update(msgspec.json.encode(said))
        digest.update(item.digest)
        digest.update(item.to_digest or b"-")
    return digest.hexdigest()


def load_waiting_removal(conn: Connection, place_id: int, scopes: Collection[str]) -> list[tuple[str, tuple[str, str]]]:
    """Load (scope, (kind, ref)) of records that may not be created yet."""
    is_waiting = and_(
        base.c.place_id == place_id,
        base.c.kind.in_(PUPIL_KINDS),
        base.c.ref >= MOVED,
        base.c.ref < _AFTER_MOVED,
    )
    if conn.execute(select(base.c.ref).where(is_waiting).limit(1)).one_or_none() is None:
        return []
    asked = (intended.c.scope, intended.c.kind, intended.c.ref)
    here = (intended.c.place_id == place_id, intended.c.scope.in_(sorted(scopes)))
    own = (
        select(*asked)
        .join(relink_item, and_(relink_item.c.kind == intended.c.kind, relink_item.c.ref == intended.c.ref))
        .join(base, and_(base.c.kind == relink_item.c.kind, base.c.ref == relink_item.c.moved_ref))
        .where(*here, is_waiting)
    )
    in_cell = (
        select(*asked)
        .join(base, and_(base.c.kind == intended.c.kind, base.c.object_key == intended.c.object_key))
        .where(*here, is_waiting)
    )
    return [(row.scope, (row.kind, row.ref)) for row in conn.execute(union(own, in_cell))]


def load_let_on(conn: Connection, place_id: int) -> frozenset[LetOn]:
    """Load what was approved to be created at the right child and is not there yet."""
    rows = conn.execute(
        select(relink_item.c.kind, relink_item.c.ref, relink_item.c.to_object_key, relink_item.c.to_digest)
        .join(relink, relink.c.id == relink_item.c.relink_id)
        .outerjoin(
            base,
            and_(base.c.place_id == place_id, base.c.kind == relink_item.c.kind, base.c.ref == relink_item.c.ref),
        )
        .where(
            relink.c.place_id == place_id,
            relink.c.state == RelinkState.APPROVED,
            relink_item.c.to_digest.is_not(None),
            base.c.ref.is_(None),
        )
    )
    return frozenset(LetOn(*row) for row in rows)


def let_on(decided: ScopeDecision, approved: Collection[LetOn]) -> ScopeDecision:
    """Let out without another question what two persons have approved with its removal; a twin or a guard still holds it."""
    if not approved or not any(item.gate == "approval" for item in decided.items):
        return decided
    items = [
        msgspec.structs.replace(item, gate="none")
        if item.gate == "approval"
        and item.decision.op == "create"
        and LetOn(item.triple.kind, item.triple.ref, item.triple.object_key or "", item.triple.ours or b"") in approved
        else item
        for item in decided.items
    ]
    return msgspec.structs.replace(decided, items=items)


def load_open_moves(conn: Connection, place_id: int, *, now: datetime) -> dict[str, int]:
    """Load local ref → number of the unit that is proposed and not expired: his records wait for its approval."""
    rows = conn.execute(
        select(relink.c.id, relink.c.moves).where(
            relink.c.place_id == place_id, relink.c.state == RelinkState.PROPOSED, relink.c.expires_at > now
        )
    )
    return {move.local_ref: row.id for row in rows for move in msgspec.convert(row.moves, list[Move])}


def load_open_profiles(conn: Connection, place_id: int, *, now: datetime) -> dict[int, int]:
    """Load city id → number of the unit that is proposed and not expired, of each profile that it takes a pupil from or to."""
    rows = conn.execute(
        select(relink.c.id, relink.c.moves).where(
            relink.c.place_id == place_id, relink.c.state == RelinkState.PROPOSED, relink.c.expires_at > now
        )
    )
    return {
        city_id: row.id
        for row in rows
        for move in msgspec.convert(row.moves, list[Move])
        for city_id in (move.from_city_id, move.to_city_id)
        if city_id is not None
    }


def load_items(conn: Connection, number: int) -> list[RelinkItem]:
    """Load a unit's items, in their order."""
    rows = conn.execute(select(relink_item).where(relink_item.c.relink_id == number).order_by(relink_item.c.seq))
    return [
        RelinkItem(
            kind=row.kind,
            ref=row.ref,
            scope=row.scope,
            city_id=row.city_id,
            object_key=row.object_key,
            digest=row.digest,
            old=row.old,
            on_date=row.on_date,
            stood_since=row.stood_since,
            removal=row.removal,
            to_pupil_id=row.to_pupil_id,
            to_object_key=row.to_object_key,
            to_digest=row.to_digest,
        )
        for row in rows
    ]


def stop_wanting(conn: Connection, place_id: int, city_ids: Collection[int], *, reason: str) -> None:
    """Let nothing of these profiles be wanted in the city until a plan has looked again: their links are not what they were.

    What a plan, waiting or just being made, would send there finds at its release and before its call that it is not meant any
    more. The next plan says anew what should stand, whatever it is.
    """
    wanted = (intended.c.place_id == place_id, intended.c.state.in_(COMPARED))
    waiting = {"state": "waiting", "reason": reason, "row_digest": bytes(16)}
    conn.execute(update(intended).where(*wanted, cells_of(intended.c.object_key, city_ids)).values(waiting))
    named = _load_homework_naming(conn, wanted, frozenset(city_ids))
    for start in range(0, len(named), _REFS_AT_ONCE):
        refs = named[start : start + _REFS_AT_ONCE]
        conn.execute(update(intended).where(*wanted, _IS_HOMEWORK, intended.c.ref.in_(refs)).values(waiting))
    conn.execute(delete(scope_memo).where(scope_memo.c.place_id == place_id))


def _load_homework_naming(
    conn: Connection, wanted: Sequence[ColumnElement[bool]], city_ids: frozenset[int]
) -> list[str]:
    """Refs of homework in whose list of pupils one of these stands."""
    # of homework on which the school's own sources do not agree nobody knows yet what is meant
    query = select(intended.c.ref, intended.c.intent).where(*wanted, _IS_HOMEWORK, intended.c.intent.is_not(None))
    rows = conn.execute(query)
    return [row.ref for row in rows if not city_ids.isdisjoint(msgspec.json.decode(row.intent, type=_Named).pupil_ids)]


def load_unsure(conn: Connection, place_id: int, *, now: datetime) -> frozenset[str]:
    """Load the pupils whose link is doubted or being set right."""
    doubted = {one.local_ref for one in load_doubts(conn, place_id, Kind.PERSON) if one.is_ripe(now)}
    return frozenset(doubted | load_open_moves(conn, place_id, now=now).keys())


def load_moving(conn: Connection, place_id: int, decided_by: Mapping[str, int], *, now: datetime) -> frozenset[int]:
    """Load the profiles whose links are not those of `decided_by` (local ref → city id) any more, are doubted or being set right."""
    links = load_links(conn, place_id, Kind.PERSON)
    waiting = load_unsure(conn, place_id, now=now)
    return frozenset(city_id for ref, city_id in decided_by.items() if links.get(ref) != city_id or ref in waiting)


def load_links_stamp(conn: Connection, place_id: int) -> tuple[Any, ...]:
    """Load what is another after any link, doubt or unit has changed: cheap, where nearly always nothing has."""
    return tuple(conn.execute(_STAMP, {"place_id": place_id}).one())


def cells_of(column: ColumnElement[str], city_ids: Iterable[int]) -> ColumnElement[bool]:
    """Condition: the cell is of one of these pupils."""
    pupils = list(city_ids)
    return or_(*(column.startswith(f"{kind}/{number}/", autoescape=True) for kind in PUPIL_KINDS for number in pupils))


__all__ = [
    "PUPIL_KINDS",
    "LetOn",
    "Move",
    "RelinkItem",
    "RelinkState",
    "Removal",
    "cells_of",
    "hash_unit",
    "let_on",
    "load_items",
    "load_let_on",
    "load_links_stamp",
    "load_moving",
    "load_open_moves",
    "load_open_profiles",
    "load_unsure",
    "load_waiting_removal",
    "stop_wanting",
]
