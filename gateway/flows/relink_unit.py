"""What a unit that sets a link right consists of: found, kept as it was shown, turned into the plan that removes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from gateway.audit.notes import Note
from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityGroup, CityPupil, Intent
from gateway.domain.identifiers import moved_ref
from gateway.domain.reasons import RELINK, RELINKING
from gateway.flows.gateway import Gateway
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.context import is_member
from gateway.mapping.dictionaries import save_rule_set
from gateway.mapping.versions import load_counting_rules
from gateway.queue.tables import operation, receipt
from gateway.reconcile.compare import Category
from gateway.reconcile.plan import PlanState
from gateway.reconcile.relinks import Move, RelinkItem, cells_of
from gateway.reconcile.resolve import INTENT_TYPES, NO_CALLS
from gateway.reconcile.tables import base, decision, intended, plan, relink_item, scope_memo
from gateway.store.epoch import get_epoch

OF_NO_RUN = 0
"""Run of the plan that removes: nobody read or compared anything for it."""


def build_items(
    gateway: Gateway, conn: Connection, place_id: int, directory: CityDirectory, moves: Sequence[Move]
) -> list[RelinkItem]:
    """Everything of these pupils that both sides agreed on, with what becomes of it; homework has no single pupil."""
    no_calls = frozenset() if gateway.settings.mesh.kind == "file" else NO_CALLS
    groups = {group.id: group for group in directory.groups}
    pupils = {pupil.id: pupil for pupil in directory.pupils}
    since = _load_since(conn, place_id, moves)
    items = []
    for move in moves:
        to = None if move.to_city_id is None else pupils[move.to_city_id]
        rows = conn.execute(
            select(base)
            .where(base.c.place_id == place_id, cells_of(base.c.object_key, [move.from_city_id]))
            .order_by(base.c.kind, base.c.ref)
        )
        for row in rows:
            intent: Intent = msgspec.json.decode(row.intent, type=INTENT_TYPES[row.kind])
            is_ours = row.how != "adopted"
            item = RelinkItem(
                kind=row.kind,
                ref=row.ref,
                scope=row.scope,
                city_id=row.city_id,
                object_key=row.object_key,
                digest=row.digest,
                old=row.intent,
                on_date=getattr(intent, "on", None),
                stood_since=since.get((row.kind, row.ref), row.verified_at),
                removal=("hand" if (row.kind, "delete") in no_calls else "delete") if is_ours else "keep",
            )
            items.append(_aim(item, intent, to, groups))
    return items


def _aim(item: RelinkItem, intent: Intent, to: CityPupil | None, groups: dict[int, CityGroup]) -> RelinkItem:
    """Say what is to be created at the right child, where he is in the group on that day."""
    group = groups.get(intent.group_id)
    if to is None or group is None or item.on_date is None or not is_member(to, group, item.on_date):
        return item
    meant = msgspec.structs.replace(intent, pupil_id=to.id)
    return msgspec.structs.replace(
        item,
        to_pupil_id=to.id,
        to_object_key=meant.object_key,
        to_digest=atom_digest(atom_of_intent(meant)),
    )


def _load_since(conn: Connection, place_id: int, moves: Sequence[Move]) -> dict[tuple[str, str], datetime]:
    """When each object was first seen in the city as ours: the incident's «since when»."""
    rows = conn.execute(
        select(operation.c.kind, operation.c.ref, func.min(receipt.c.at).label("first"))
        .join(receipt, receipt.c.operation_id == operation.c.id)
        .where(
            operation.c.place_id == place_id,
            operation.c.op == "create",
            receipt.c.stage == "verified",
            cells_of(operation.c.object_key, [one.from_city_id for one in moves]),
        )
        .group_by(operation.c.kind, operation.c.ref)
    )
    return {(row.kind, row.ref): row.first for row in rows}


def store_items(conn: Connection, number: int, items: Sequence[RelinkItem]) -> None:
    """Keep what was shown."""
    rows = [
        {
            **msgspec.structs.asdict(item),
            "relink_id": number,
            "seq": seq,
            "moved_ref": moved_ref(number, item.ref),
        }
        for seq, item in enumerate(items, start=1)
    ]
    if rows:
        conn.execute(insert(relink_item), rows)


def store_plan(
    gateway: Gateway,
    conn: Connection,
    place_id: int,
    row: Row[Any],
    items: Sequence[RelinkItem],
    note: Note,
    now: datetime,
) -> int:
    """The unit as a plan: its removals behind the gate that is open, its creations as what waits for them."""
    version = save_rule_set(conn, load_counting_rules(conn, place_id, gateway.rules), now)
    going = [one for one in items if one.removal == "delete"]
    waiting = [one for one in items if one.to_digest is not None]
    counters = {
        "read": len(going) + len(waiting),
        **{category.value: 0 for category in Category},
        Category.DELETE.value: len(going),
        Category.WAITING.value: len(waiting),
    }
    plan_id: int = conn.execute(
        insert(plan)
        .values(
            place_id=place_id,
            run_id=OF_NO_RUN,
            state=PlanState.APPROVED,
            hash=row.hash,
            created_at=now,
            sealed_at=now,
            expires_at=row.expires_at,
            rule_version=version,
            epoch=get_epoch(conn),
            counters=counters,
            by_reason={RELINK: len(going), RELINKING: len(waiting)},
            guards=[],
            is_dry_run=False,
            needs_approval=True,
            open_gates=["delete"],
            approved_by=gateway.actor.name,
            approved_at=now,
            note_id=note.id,
        )
        .returning(plan.c.id)
    ).scalar_one()
    rows: list[dict[str, Any]] = [
        *(
            {
                "kind": one.kind,
                "ref": moved_ref(row.id, one.ref),
                "city_id": one.city_id,
                "scope": one.scope,
                "category": Category.DELETE.value,
                "op": "delete",
                "reason": RELINK,
                "object_key": one.object_key,
                "ours": None,
                "base": one.digest,
                "theirs": one.digest,
                "intent": one.old,
                "old": one.old,
                "on_date": one.on_date,
                "gate": "delete",
            }
            for one in going
        ),
        *(
            {
                "kind": one.kind,
                "ref": one.ref,
                "city_id": None,
                "scope": one.scope,
                "category": Category.WAITING.value,
                "op": None,
                "reason": RELINKING,
                "object_key": one.to_object_key,
                "ours": one.to_digest,
                "base": None,
                "theirs": None,
                "intent": _at(one),
                "old": None,
                "on_date": one.on_date,
                "gate": "none",
            }
            for one in waiting
        ),
    ]
    if rows:
        conn.execute(insert(decision), [{"plan_id": plan_id, "seq": seq, **one} for seq, one in enumerate(rows, 1)])
    return plan_id


def _at(item: RelinkItem) -> bytes:
    """The intent at the right child."""
    intent: Intent = msgspec.json.decode(item.old, type=INTENT_TYPES[item.kind])
    return msgspec.json.encode(msgspec.structs.replace(intent, pupil_id=item.to_pupil_id))


def put_apart(conn: Connection, place_id: int, number: int, items: Sequence[RelinkItem]) -> None:
    """Let the bases bear the refs of removal; what a person typed is his again."""
    for one in items:
        here = (base.c.place_id == place_id, base.c.kind == one.kind, base.c.ref == one.ref)
        if one.removal == "keep":
            conn.execute(delete(base).where(*here))
        else:
            conn.execute(update(base).where(*here).values(ref=moved_ref(number, one.ref)))
        conn.execute(
            update(intended)
            .where(intended.c.place_id == place_id, intended.c.kind == one.kind, intended.c.ref == one.ref)
            .values(state="waiting", reason=RELINKING)
        )
    conn.execute(delete(scope_memo).where(scope_memo.c.place_id == place_id))


def count_items(items: Sequence[RelinkItem]) -> dict[str, int]:
    """Count how objects leave the wrong child, and how many are to be created at the right one."""
    counts = {name: sum(one.removal == name for one in items) for name in ("delete", "hand", "keep")}
    return {**counts, "create": sum(one.to_digest is not None for one in items)}


__all__ = ["build_items", "count_items", "put_apart", "store_items", "store_plan"]
