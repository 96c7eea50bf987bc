"""What a read-back says about an operation: proven, not done, not yet visible, or something a person must see.

`judge` is pure. `settle_scope` applies it to all operations of a scope after one complete read of it: outcome, base,
receipt and audit entry move in one transaction (law 4). The base moves here and nowhere else but for adoptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, delete, exists, func, insert, select, update

from gateway.queue.deeds import Ledger
from gateway.queue.states import IN_FLIGHT, State
from gateway.queue.tables import operation, receipt
from gateway.queue.terms import Terms
from gateway.reconcile.tables import base, shadow
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store, upsert

FIRST_LOOK_AGAIN_S = 1.0
LOOK_AGAIN_S = 10.0


class Seen(msgspec.Struct, frozen=True):
    """An object of the city as the read-back saw it; `is_ours` = some base knows it already."""

    city_id: int
    digest: bytes
    is_ours: bool


class Finding(msgspec.Struct, frozen=True):
    """What became of an operation.

    Attributes:
        state: `again` = look again later; `resend` = it was not done and may be sent again.
    """

    state: Literal["verified", "again", "resend", "parked", "superseded"]
    reason: str = ""
    city_id: int | None = None


def judge(
    *,
    op: str,
    is_accepted: bool,
    city_id: int | None,
    intent_digest: bytes,
    base_digest: bytes | None,
    ids_before: Sequence[int],
    cell: Sequence[Seen],
    by_id: Mapping[int, Seen],
    is_settled: bool,
) -> Finding:
    """Decide about one accepted or unanswered operation from a complete read of its scope.

    Args:
        op: create, change or delete.
        is_accepted: The city answered yes; False = the outcome is unknown.
        city_id: The object's id where it is known.
        intent_digest: Digest of what was meant (for a delete: of what is to be deleted).
        base_digest: What stood there before a change.
        ids_before: Ids in the cell before the call.
        cell: What stands in the cell now.
        by_id: What stands in the scope now.
        is_settled: The settle time is over: what is not visible now will not become so.
    """
    if op == "delete":
        return _judge_delete(is_accepted, by_id.get(city_id or 0), is_settled)
    if op == "change":
        return _judge_change(is_accepted, by_id.get(city_id or 0), intent_digest, base_digest, is_settled)
    if city_id is not None:
        seen = by_id.get(city_id)
        if seen is None:
            return Finding("parked", "NOT_SEEN_AFTER_ACCEPT") if is_settled else Finding("again")
        if seen.is_ours:
            # «Already there», and it is another record's: two of ours can't stand for one object.
            return Finding("parked", "CONFLICT", city_id)
        if seen.digest == intent_digest:
            return Finding("verified", city_id=city_id)
        return Finding("parked", "VERIFY_MISMATCH", city_id)
    return _judge_search(is_accepted, intent_digest, ids_before, cell, is_settled)


def _judge_search(
    is_accepted: bool, intent_digest: bytes, ids_before: Sequence[int], cell: Sequence[Seen], is_settled: bool
) -> Finding:
    """A create whose id nobody told: exactly one new object with our atom is ours, several are a discrepancy."""
    known = set(ids_before)
    fresh = [seen for seen in cell if seen.city_id not in known and not seen.is_ours]
    mine = [seen for seen in fresh if seen.digest == intent_digest]
    if len(mine) == 1:
        return Finding("verified", city_id=mine[0].city_id)
    if len(mine) > 1:
        return Finding("parked", "SEVERAL_AFTER_UNKNOWN")
    if is_accepted:
        # «Already there»: it may have been there before the call, typed by a person.
        old = [seen for seen in cell if seen.digest == intent_digest and not seen.is_ours]
        if len(old) == 1:
            return Finding("verified", city_id=old[0].city_id)
        return (
            Finding("parked", "NOT_SEEN_AFTER_ACCEPT" if not cell else "CONFLICT") if is_settled else Finding("again")
        )
    if fresh:
        # Somebody typed there meanwhile: the next plan looks at it as at any probable twin.
        return Finding("superseded", "BASE_MOVED")
    return Finding("resend")


def _judge_change(
    is_accepted: bool, seen: Seen | None, intent_digest: bytes, base_digest: bytes | None, is_settled: bool
) -> Finding:
    if seen is None:
        return Finding("superseded", "BASE_MOVED")
    if seen.digest == intent_digest:
        return Finding("verified", city_id=seen.city_id)
    if seen.digest != base_digest:
        return Finding("parked", "CONFLICT", seen.city_id)
    if not is_accepted:
        return Finding("resend")
    return Finding("parked", "NOT_SEEN_AFTER_ACCEPT", seen.city_id) if is_settled else Finding("again")


def _judge_delete(is_accepted: bool, seen: Seen | None, is_settled: bool) -> Finding:
    if seen is None:
        return Finding("verified")
    if not is_accepted:
        return Finding("resend")
    return Finding("parked", "NOT_SEEN_AFTER_ACCEPT", seen.city_id) if is_settled else Finding("again")


def load_scopes_due(conn: Connection, place_id: int, now: datetime) -> Sequence[Row[Any]]:
    """Load scopes with operations to be read back now: (scope, kind, first day, last day, an intent, a count)."""
    return conn.execute(
        select(
            operation.c.scope,
            operation.c.kind,
            func.min(operation.c.on_date).label("from_on"),
            func.max(operation.c.on_date).label("to_on"),
            func.min(operation.c.id).label("sample_id"),
            func.count().label("count"),
        )
        .where(
            operation.c.place_id == place_id,
            operation.c.state.in_((State.ACCEPTED.value, State.UNKNOWN.value)),
            operation.c.not_before <= now,
        )
        .group_by(operation.c.scope, operation.c.kind)
        .order_by(func.min(operation.c.not_before))
    ).all()


def next_due_at(conn: Connection, place_id: int) -> datetime | None:
    """When the earliest open operation goes on by itself; None where none does.

    What a refused profile holds waits for a person and not for a time; what waits for another operation in its cell goes on
    when that one does; what a worker holds comes back when its lease ends.
    """
    other = operation.alias()
    is_busy = exists().where(
        other.c.place_id == operation.c.place_id,
        other.c.object_key == operation.c.object_key,
        other.c.id != operation.c.id,
        other.c.state.in_(IN_FLIGHT),
    )
    ready = conn.execute(
        select(operation.c.not_before)
        .where(
            operation.c.place_id == place_id,
            operation.c.state == State.READY.value,
            operation.c.reason.not_in(("AUTH", "NO_PROFILE", "SENDING_STOPPED")),
            ~is_busy,
        )
        .order_by(operation.c.not_before)
        .limit(1)
    ).scalar_one_or_none()
    held = conn.execute(
        select(func.min(func.coalesce(operation.c.lease_until, operation.c.not_before))).where(
            operation.c.place_id == place_id, operation.c.state.in_(IN_FLIGHT)
        )
    ).scalar_one_or_none()
    return min((moment for moment in (ready, held) if moment is not None), default=None)


class Settled(msgspec.Struct, frozen=True):
    """What a read-back of one scope settled."""

    verified: int = 0
    parked: int = 0
    resent: int = 0
    superseded: int = 0
    waiting: int = 0


def settle_scope(
    store: Store,
    ledger: Ledger,
    terms: Terms,
    *,
    place_id: int,
    scope: str,
    kind: str,
    read_at: datetime,
) -> Settled:
    """Judge the scope's due operations by the shadow that was just completely read.

    Args:
        store: The store.
        ledger: Writes the audit entries.
        terms: The numbers of delivery.
        place_id: Where we are.
        scope: Scope of the city's side.
        kind: Its kind.
        read_at: Moment of the read; operations sent after it are not judged by it.
    """
    counts = {"verified": 0, "parked": 0, "resend": 0, "again": 0, "superseded": 0}
    with store.read() as conn:
        ids = (
            conn.execute(
                select(operation.c.id)
                .where(
                    operation.c.place_id == place_id,
                    operation.c.scope == scope,
                    operation.c.kind == kind,
                    operation.c.state.in_((State.ACCEPTED.value, State.UNKNOWN.value)),
                    operation.c.not_before <= read_at,
                    operation.c.changed_at <= read_at,
                )
                .order_by(operation.c.id)
            )
            .scalars()
            .all()
        )
    for start in range(0, len(ids), 100):
        with store.write() as conn, ledger.gathered(conn) as gathered:
            for operation_id in ids[start : start + 100]:
                finding = _settle_one(conn, store, gathered, terms, operation_id, read_at)
                if finding is not None:
                    counts[finding.state] += 1
    return Settled(
        verified=counts["verified"],
        parked=counts["parked"],
        resent=counts["resend"],
        superseded=counts["superseded"],
        waiting=counts["again"],
    )


def _settle_one(
    conn: Connection, store: Store, ledger: Ledger, terms: Terms, operation_id: int, read_at: datetime
) -> Finding | None:
    # Locked, because on PostgreSQL another worker may be judging the same read-back.
    row = conn.execute(select(operation).where(operation.c.id == operation_id).with_for_update()).one()
    if row.state not in (State.ACCEPTED.value, State.UNKNOWN.value):
        return None
    is_accepted = row.state == State.ACCEPTED.value
    cell = _load_seen(conn, row.place_id, row.kind, shadow.c.object_key == row.object_key)
    by_id = _load_seen(conn, row.place_id, row.kind, shadow.c.city_id == (row.city_id or 0))
    finding = judge(
        op=row.op,
        is_accepted=is_accepted,
        city_id=row.city_id,
        intent_digest=row.intent_digest,
        base_digest=row.base_digest,
        ids_before=row.ids_before,
        cell=cell,
        by_id={seen.city_id: seen for seen in by_id},
        is_settled=row.sent_at is None or read_at >= row.sent_at + terms.untouchable,
    )
    now = store.now(conn)
    if finding.state == "verified":
        _verified(conn, ledger, row, finding, now)
    elif finding.state == "again":
        wait_s = FIRST_LOOK_AGAIN_S if now - row.changed_at < timedelta(seconds=LOOK_AGAIN_S) else LOOK_AGAIN_S
        conn.execute(
            update(operation)
            .where(operation.c.id == row.id)
            .values(not_before=now + timedelta(seconds=min(wait_s, terms.settle_s or wait_s)))
        )
    else:
        _unproven(conn, ledger, row, finding, now, max_attempts=terms.max_attempts)
    return finding


def _verified(conn: Connection, ledger: Ledger, row: Row[Any], finding: Finding, now: datetime) -> None:
    city_id = finding.city_id if finding.city_id is not None else row.city_id
    conn.execute(
        update(operation)
        .where(operation.c.id == row.id)
        .values(state=State.VERIFIED.value, reason="", city_id=city_id, changed_at=now)
    )
    if row.op == "delete":
        conn.execute(
            delete(base).where(base.c.place_id == row.place_id, base.c.kind == row.kind, base.c.ref == row.ref)
        )
    else:
        upsert(
            conn,
            base,
            [
                {
                    "place_id": row.place_id,
                    "kind": row.kind,
                    "ref": row.ref,
                    "scope": row.scope,
                    "city_id": city_id,
                    "object_key": row.object_key,
                    "digest": row.intent_digest,
                    "intent": row.intent,
                    "verified_at": now,
                    "how": "delivered",
                }
            ],
            keys=("place_id", "kind", "ref"),
            update=("scope", "city_id", "object_key", "digest", "intent", "verified_at", "how"),
        )
    conn.execute(
        insert(receipt).values(
            operation_id=row.id,
            stage="verified",
            city_id=city_id,
            digest=row.intent_digest if row.op != "delete" else None,
            request_id="",
            at=now,
        )
    )
    ledger.write(conn, row, "operation.verified", "confirmed", city_id=city_id)


def _unproven(
    conn: Connection, ledger: Ledger, row: Row[Any], finding: Finding, now: datetime, *, max_attempts: int
) -> None:
    state, reason = {
        "resend": (State.READY, "UNKNOWN_OUTCOME"),
        "parked": (State.PARKED, finding.reason),
        "superseded": (State.SUPERSEDED, finding.reason),
    }[finding.state]
    if row.epoch != get_epoch(conn):
        # The database was restored since: what the row was decided on is not what the city was left with.
        state, reason = State.SUPERSEDED, "EPOCH_BEGUN"
    if state is State.READY and row.attempts >= max_attempts:
        state, reason = State.PARKED, "TOO_MANY_ATTEMPTS"
    conn.execute(
        update(operation)
        .where(operation.c.id == row.id)
        .values(
            state=state.value,
            reason=reason,
            claims=0,
            not_before=now,
            changed_at=now,
            city_id=finding.city_id if finding.city_id is not None else row.city_id,
        )
    )
    action = {State.READY: "operation.not_done", State.PARKED: "operation.parked"}.get(state, "operation.dropped")
    outcome = "refused" if state is State.PARKED else "held"
    ledger.write(conn, row, action, outcome, reason=reason, city_id=finding.city_id)


def _load_seen(conn: Connection, place_id: int, kind: str, where: Any) -> list[Seen]:
    rows = conn.execute(
        select(shadow.c.city_id, shadow.c.digest, base.c.ref)
        .select_from(
            shadow.outerjoin(
                base,
                (base.c.place_id == shadow.c.place_id)
                & (base.c.kind == shadow.c.kind)
                & (base.c.city_id == shadow.c.city_id),
            )
        )
        .where(shadow.c.place_id == place_id, shadow.c.kind == kind, where)
    )
    return [Seen(row[0], row[1], row[2] is not None) for row in rows]
