"""Operations that a person carries out: handed over by a city without a token, proven by the next export of its journal.

Beside `verify`: there the gateway wrote and reads back, here it waits for somebody who types. Nothing here is ever sent
again, and no time is up: an operation stays on the list until an export shows it, or until what should stand there has
changed and the list is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select, update

from gateway.domain.reasons import PERIOD_SIGNED
from gateway.queue.deeds import Ledger
from gateway.queue.ground import load_strangers
from gateway.queue.held_back import find_stopped
from gateway.queue.judge import Finding, Seen
from gateway.queue.signed import return_to_plan
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.queue.verify import CHUNK_COUNT, Scene, store_proven
from gateway.reconcile.tables import intended
from gateway.reconcile.triples import COMPARED
from gateway.reconcile.undone import load_undone_by
from gateway.store.transaction import Store


class HandSettled(msgspec.Struct, frozen=True):
    """What an export settled of a scope's list: proven, taken off because the ground moved, still to be typed."""

    verified: int = 0
    superseded: int = 0
    waiting: int = 0


def judge_by_hand(
    *,
    op: str,
    intent_digest: bytes,
    base_digest: bytes | None,
    ids_before: Sequence[int],
    cell: Sequence[Seen],
    there: Seen | None,
) -> Finding:
    """Decide about one operation from an export that was made after it was handed over.

    Args:
        op: create, change or delete.
        intent_digest: Digest of what was meant (for a delete: of what is to be deleted).
        base_digest: What stood there before a change.
        ids_before: Ids in the cell when it was handed over.
        cell: What stands in the cell now.
        there: The object with the operation's id, where it has one.

    Returns:
        `verified`, `again` (not typed yet), or `superseded`: something else was typed, and the plan looks at it afresh.
    """
    if op != "create" and there is not None and there.is_of_another:
        # the number names another child's object: nobody is told to type there, and it proves nothing
        return Finding("superseded", "BASE_MOVED")
    if op == "delete":
        if there is None:
            return Finding("verified")
        return Finding("again" if there.digest == intent_digest else "superseded", "BASE_MOVED")
    if op == "change":
        if there is None:
            return Finding("superseded", "BASE_MOVED")
        if there.digest == intent_digest:
            return Finding("verified", city_id=there.city_id)
        return Finding("again" if there.digest == base_digest else "superseded", "BASE_MOVED")
    free = [seen for seen in cell if not seen.is_ours]
    mine = [seen for seen in free if seen.digest == intent_digest]
    if len(mine) == 1:
        return Finding("verified", city_id=mine[0].city_id)
    if mine or any(seen.city_id not in ids_before for seen in free):
        return Finding("superseded", "BASE_MOVED")
    return Finding("again")


def settle_by_hand(
    store: Store, ledger: Ledger, *, place_id: int, scope: str, exported_at: datetime | None
) -> HandSettled:
    """Judge the operations of a scope that wait for a person, by the export that was just read.

    Args:
        store: The store.
        ledger: Writes the audit entries.
        place_id: Where we are.
        scope: Scope of the city's side.
        exported_at: Moment of the export, aware UTC; it says nothing of what was handed over after it. None = it could not
            be read.
    """
    counts = {"verified": 0, "superseded": 0, "again": 0}
    with store.read() as conn:
        ids = [row.id for row in load_by_hand(conn, place_id) if row.scope == scope]
    for start in range(0, len(ids), CHUNK_COUNT):
        with store.write() as conn, ledger.gathered(conn) as gathered:
            chunk = ids[start : start + CHUNK_COUNT]
            for finding in _settle(conn, gathered, place_id, scope, chunk, exported_at, store.now(conn)):
                counts[finding.state] += 1
    return HandSettled(verified=counts["verified"], superseded=counts["superseded"], waiting=counts["again"])


def _settle(
    conn: Connection,
    ledger: Ledger,
    place_id: int,
    scope: str,
    ids: Sequence[int],
    exported_at: datetime | None,
    now: datetime,
) -> list[Finding]:
    rows = conn.execute(
        select(operation)
        .where(operation.c.id.in_(ids), operation.c.state == State.BY_HAND.value)
        .order_by(operation.c.id)
        .with_for_update()
    ).all()
    if not rows:
        return []
    scene = Scene(conn, rows)
    wanted = _load_wanted(conn, place_id, scope)
    undone = load_undone_by(conn, place_id, [row.ref for row in rows])
    strangers = load_strangers(conn, rows, undone, now=now)
    stopped = find_stopped(conn, place_id, rows, now=now)
    findings: list[Finding] = []
    proven: list[tuple[Row[Any], int | None]] = []
    for row in rows:
        finding = Finding("again")
        if exported_at is not None and row.sent_at <= exported_at:
            finding = judge_by_hand(
                op=row.op,
                intent_digest=row.intent_digest,
                base_digest=row.base_digest,
                ids_before=row.ids_before,
                cell=scene.in_cell(row.object_key),
                there=scene.by_id(row).get(row.city_id),
            )
        is_undoing = undone.get((row.kind, row.ref)) == row.plan_id
        is_meant = row.id not in strangers if is_undoing else _is_wanted(row, wanted)
        if finding.state == "again" and not is_meant:
            finding = Finding("superseded", "BASE_MOVED")
        elif finding.state == "again" and row.id in stopped:
            finding = Finding("superseded", stopped[row.id])
        findings.append(finding)
        if finding.state == "verified":
            city_id = finding.city_id if finding.city_id is not None else row.city_id
            proven.append((row, city_id))
            scene.own(row.ref, None if row.op == "delete" else city_id)
            ledger.write(conn, row, "operation.verified", "confirmed", city_id=city_id)
        elif finding.state == "superseded":
            _take_off(conn, ledger, row, finding.reason, now)
    if proven:
        store_proven(conn, proven, now)
    return findings


def _load_wanted(conn: Connection, place_id: int, scope: str) -> Mapping[str, tuple[bytes, str]]:
    rows = conn.execute(
        select(intended.c.ref, intended.c.digest, intended.c.object_key).where(
            intended.c.place_id == place_id, intended.c.scope == scope, intended.c.state.in_(COMPARED)
        )
    )
    return {row.ref: (row.digest, row.object_key) for row in rows}


def _is_wanted(row: Row[Any], wanted: Mapping[str, tuple[bytes, str]]) -> bool:
    """Whether the list still says what the school means: what was corrected meanwhile is put on it anew by the plan."""
    if row.op == "delete":
        return row.ref not in wanted
    return wanted.get(row.ref) == (row.intent_digest, row.object_key)


def _take_off(conn: Connection, ledger: Ledger, row: Row[Any], reason: str, now: datetime) -> None:
    conn.execute(
        update(operation)
        .where(operation.c.id == row.id)
        .values(state=State.SUPERSEDED.value, reason=reason, changed_at=now)
    )
    ledger.write(conn, row, "operation.dropped", "held", reason=reason)
    if reason == PERIOD_SIGNED:
        return_to_plan(conn, [row])


def load_by_hand(conn: Connection, place_id: int) -> Sequence[Row[Any]]:
    """Load everything that waits to be typed, oldest first."""
    return conn.execute(
        select(operation)
        .where(operation.c.place_id == place_id, operation.c.state == State.BY_HAND.value)
        .order_by(operation.c.id)
    ).all()


def load_listed(conn: Connection, place_id: int, *, now: datetime) -> list[Row[Any]]:
    """Load what is to be typed by what the school means now, oldest first.

    What is not meant any more, or kept back by a hold or a signature, is told to nobody from that moment on; it waits for the
    next read all the same, which may find it typed already.
    """
    rows = load_by_hand(conn, place_id)
    wanted = {scope: _load_wanted(conn, place_id, scope) for scope in {row.scope for row in rows}}
    undone = load_undone_by(conn, place_id, [row.ref for row in rows])
    kept_back = load_strangers(conn, rows, undone, now=now) | find_stopped(conn, place_id, rows, now=now).keys()
    return [
        row
        for row in rows
        if row.id not in kept_back
        and (undone.get((row.kind, row.ref)) == row.plan_id or _is_wanted(row, wanted[row.scope]))
    ]


def has_by_hand(store: Store, place_id: int) -> bool:
    """Whether anything waits to be typed."""
    query = select(operation.c.id).where(operation.c.place_id == place_id, operation.c.state == State.BY_HAND.value)
    with store.read() as conn:
        return conn.execute(query.limit(1)).one_or_none() is not None


__all__ = ["HandSettled", "has_by_hand", "judge_by_hand", "load_by_hand", "load_listed", "settle_by_hand"]
