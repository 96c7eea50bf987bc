"""Late sightings: what the city accepted, did not show in time, and shows at last.

Such an operation was parked (NOT_SEEN_AFTER_ACCEPT) and waits for a person. As soon as any later read of its scope shows
exactly what was meant, there is nothing left to decide: it is proven like any other, base, receipt and audit entry in one
transaction. Whatever else is shown leaves it to the person. The same holds for what an undo asked for and the city refused
(it has no call to delete homework): a person does it there, and the next read proves it.

A lesson plan that was written and whose dates were not built is proven too, so that the next topic is a change of ours and
not beside a stranger's plan; its operation stays parked, because the dates are still for a person to build.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, or_, select, update

from gateway.domain.identifiers import Kind
from gateway.domain.reasons import DATES_NOT_BUILT, NOT_SEEN_AFTER_ACCEPT
from gateway.queue.deeds import Ledger
from gateway.queue.judge import Finding, judge
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.queue.verify import CHUNK_COUNT, Scene, store_agreed, store_proven
from gateway.reconcile.tables import base, hold
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store

_newer = operation.alias()
_LATE = (
    select(operation.c.id, operation.c.kind)
    .where(
        operation.c.place_id == bindparam("place_id"),
        operation.c.scope.in_(bindparam("scopes", expanding=True)),
        operation.c.state == State.PARKED.value,
        or_(
            operation.c.reason.in_((NOT_SEEN_AFTER_ACCEPT, DATES_NOT_BUILT)),
            exists().where(
                hold.c.place_id == operation.c.place_id,
                hold.c.plan_id == operation.c.plan_id,
                hold.c.kind == operation.c.kind,
                hold.c.ref == operation.c.ref,
                hold.c.lifted_at.is_(None),
            ),
        ),
        operation.c.epoch == bindparam("epoch"),
        # A newer intent for the record has taken its place: the base speaks of that one.
        ~exists().where(
            _newer.c.place_id == operation.c.place_id,
            _newer.c.kind == operation.c.kind,
            _newer.c.ref == operation.c.ref,
            _newer.c.id > operation.c.id,
        ),
    )
    .order_by(operation.c.kind, operation.c.id)
)


def settle_late(store: Store, ledger: Ledger, place_id: int, scopes: Collection[str]) -> int:
    """Prove the parked operations of these scopes whose object the shadow shows now.

    Args:
        store: The store.
        ledger: Writes the audit entries.
        place_id: Where we are.
        scopes: Scopes of the city's side that were just completely read and stored.

    Returns:
        How many were proven.
    """
    with store.read() as conn:
        found = conn.execute(_LATE, {"place_id": place_id, "scopes": list(scopes), "epoch": get_epoch(conn)}).all()
    count = 0
    for ids in _iter_chunks(found):
        with store.write() as conn, ledger.gathered(conn) as gathered:
            count += _settle(conn, store, gathered, ids)
    return count


def _iter_chunks(found: Sequence[Row[Any, Any]]) -> Iterator[list[int]]:
    """Yield ids of one kind at a time, as many as are judged in one transaction."""
    for _, some in groupby(found, key=lambda row: row.kind):
        ids = [row.id for row in some]
        for start in range(0, len(ids), CHUNK_COUNT):
            yield ids[start : start + CHUNK_COUNT]


def _settle(conn: Connection, store: Store, ledger: Ledger, ids: Sequence[int]) -> int:
    # Locked and asked again, because a person may be replaying one meanwhile.
    rows = conn.execute(
        select(operation)
        .where(operation.c.id.in_(ids), operation.c.state == State.PARKED.value)
        .order_by(operation.c.id)
        .with_for_update()
    ).all()
    if not rows:
        return 0
    agreed = {
        row.ref: row.digest
        for row in conn.execute(
            select(base.c.ref, base.c.digest).where(
                base.c.place_id == rows[0].place_id,
                base.c.kind == rows[0].kind,
                base.c.ref.in_([row.ref for row in rows]),
            )
        )
    }
    scene = Scene(conn, rows)
    proven: list[tuple[Row[Any], int | None]] = []
    for row in rows:
        finding = _judge(row, scene)
        if finding.state != "verified" or agreed.get(row.ref) != row.base_digest:
            continue
        city_id = finding.city_id if finding.city_id is not None else row.city_id
        proven.append((row, city_id))
        scene.own(row.ref, None if row.op == "delete" else city_id)
        ledger.write(conn, row, "operation.verified", "confirmed", city_id=city_id)
    now = store.now(conn)
    over = [one for one in proven if one[0].reason != DATES_NOT_BUILT]
    if over:
        store_proven(conn, over, now)
    undated = [one for one in proven if one[0].reason == DATES_NOT_BUILT]
    if undated:
        told = [{"b_id": row.id, "b_city_id": city_id} for row, city_id in undated]
        conn.execute(
            update(operation).where(operation.c.id == bindparam("b_id")).values(city_id=bindparam("b_city_id")), told
        )
        store_agreed(conn, undated, now)
    return len(proven)


def _judge(row: Row[Any], scene: Scene) -> Finding:
    """Judge as a read-back in time would have; what hangs elsewhere by now is not exactly what was meant."""
    cell = scene.in_cell(row.object_key)
    finding = judge(
        op=row.op,
        is_accepted=True,
        city_id=row.city_id,
        intent_digest=row.intent_digest,
        base_digest=row.base_digest,
        ids_before=row.ids_before,
        cell=cell,
        by_id=scene.by_id(row),
        is_settled=False,
        is_filled=row.kind == Kind.TOPICS.value,
    )
    if row.op != "delete" and finding.city_id not in {seen.city_id for seen in cell}:
        return Finding("again")
    return finding


__all__ = ["settle_late"]
