"""Verify: judge the operations of a scope by one complete read of it, a hundred in a transaction.

Outcome, base, receipt and audit entry move together (law 4). The base moves here and nowhere else but for adoptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, delete, insert, or_, select, update

from gateway.domain.identifiers import Kind
from gateway.queue.deeds import Ledger
from gateway.queue.judge import Finding, Seen, judge
from gateway.queue.states import State
from gateway.queue.tables import operation, receipt
from gateway.queue.terms import Terms
from gateway.reconcile.joins import same_object
from gateway.reconcile.snapshot import CITY_SIDE
from gateway.reconcile.tables import base, scope_state, shadow
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store, upsert

FIRST_LOOK_AGAIN_S = 1.0
LOOK_AGAIN_S = 10.0
CHUNK_COUNT = 100
"""Operations judged in one transaction: some 50 ms."""

_OF_CHILDREN = (Kind.MARK.value, Kind.ABSENCE.value, Kind.COMMENT.value, Kind.FINAL.value)
"""Kinds whose object keys name a child; a lesson may get another id and its marks with it, a child may not."""
_ANSWERED = (State.ACCEPTED.value, State.UNKNOWN.value)
_LAST_STORED = (
    select(scope_state.c.complete_at, scope_state.c.from_on, scope_state.c.to_on)
    .where(
        scope_state.c.place_id == bindparam("place_id"),
        scope_state.c.side == CITY_SIDE,
        scope_state.c.scope == bindparam("scope"),
    )
    .with_for_update()
)
_PROVE = (
    update(operation)
    .where(operation.c.id == bindparam("b_id"))
    .values(state=State.VERIFIED.value, reason="", city_id=bindparam("b_city_id"), changed_at=bindparam("b_at"))
)


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
    days: tuple[date, date],
    read_at: datetime,
    stored_at: datetime,
) -> Settled:
    """Judge the scope's due operations by the shadow that was just completely read.

    Nothing is judged by another read that was stored since: it may be an older one, of a process that stood still with it, and
    does not show what was carried out after it.

    Args:
        store: The store.
        ledger: Writes the audit entries.
        terms: The numbers of delivery.
        place_id: Where we are.
        scope: Scope of the city's side.
        kind: Its kind.
        days: First and last day of the lessons that were read; what belongs to others is not judged: it was not looked for.
        read_at: Moment of the read; operations sent after it are not judged by it.
        stored_at: Moment under which the read was stored.
    """
    is_judged = _is_judged_by(read_at, days)
    shown = Shown(place_id=place_id, scope=scope, days=days, stored_at=stored_at)
    counts = {"verified": 0, "parked": 0, "resend": 0, "again": 0, "superseded": 0}
    with store.read() as conn:
        ids = (
            conn.execute(
                select(operation.c.id)
                .where(
                    operation.c.place_id == place_id,
                    operation.c.scope == scope,
                    operation.c.kind == kind,
                    is_judged,
                )
                .order_by(operation.c.id)
            )
            .scalars()
            .all()
        )
    for start in range(0, len(ids), CHUNK_COUNT):
        with store.write() as conn, ledger.gathered(conn) as gathered:
            if not shown.still_stands(conn):
                break
            for finding in _settle(conn, store, gathered, terms, ids[start : start + CHUNK_COUNT], is_judged, read_at):
                counts[finding.state] += 1
    return Settled(
        verified=counts["verified"],
        parked=counts["parked"],
        resent=counts["resend"],
        superseded=counts["superseded"],
        waiting=counts["again"],
    )


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A read of a scope as it was stored."""

    place_id: int
    scope: str
    days: tuple[date, date]
    stored_at: datetime

    def still_stands(self, conn: Connection) -> bool:
        """Whether it is the last one that was stored; on PostgreSQL no other comes before the caller's commit."""
        row = conn.execute(_LAST_STORED, {"place_id": self.place_id, "scope": self.scope}).one_or_none()
        return row is not None and tuple(row) == (self.stored_at, *self.days)


class Scene:
    """What the city shows where some operations are, and which of it our records own; changes as they are proven."""

    def __init__(self, conn: Connection, rows: Sequence[Row[Any]]) -> None:
        self._digests: dict[int, bytes] = {}
        self._owners: dict[int, str | None] = {}
        self._cells: dict[str, list[int]] = {}
        self._keys: dict[int, str] = {}
        known = [row.city_id for row in rows if row.city_id is not None]
        for city_id, object_key, digest, ref in conn.execute(
            select(shadow.c.city_id, shadow.c.object_key, shadow.c.digest, base.c.ref)
            .select_from(
                shadow.outerjoin(
                    base,
                    same_object(),
                )
            )
            .where(
                shadow.c.place_id == rows[0].place_id,
                shadow.c.kind == rows[0].kind,
                or_(shadow.c.object_key.in_({row.object_key for row in rows}), shadow.c.city_id.in_(known)),
            )
            .order_by(shadow.c.city_id)
        ):
            self._digests[city_id] = digest
            self._owners[city_id] = ref
            self._keys[city_id] = object_key
            self._cells.setdefault(object_key, []).append(city_id)

    def in_cell(self, object_key: str) -> list[Seen]:
        """What stands in a cell."""
        return [self._seen(city_id) for city_id in self._cells.get(object_key, ())]

    def by_id(self, row: Row[Any]) -> dict[int, Seen]:
        """The object whose id an operation knows, where there is one."""
        city_id = row.city_id
        if city_id is None or city_id not in self._digests:
            return {}
        is_of_another = row.kind in _OF_CHILDREN and _child(self._keys[city_id]) != _child(row.object_key)
        return {city_id: msgspec.structs.replace(self._seen(city_id), is_of_another=is_of_another)}

    def own(self, ref: str, city_id: int | None) -> None:
        """Let a record own that object and no other; None = none any more."""
        self._owners = {one: None if owner == ref else owner for one, owner in self._owners.items()}
        if city_id is not None:
            self._owners[city_id] = ref

    def _seen(self, city_id: int) -> Seen:
        return Seen(city_id, self._digests[city_id], self._owners[city_id] is not None)


def _child(object_key: str) -> str:
    return object_key.split("/")[1]


def _is_judged_by(read_at: datetime, days: tuple[date, date]) -> ColumnElement[bool]:
    """Condition: answered or lost before the read began, settled by then, and of a day that was read."""
    return and_(
        operation.c.state.in_(_ANSWERED),
        operation.c.not_before <= read_at,
        operation.c.changed_at <= read_at,
        or_(operation.c.on_date.is_(None), operation.c.on_date.between(*days)),
    )


def _settle(
    conn: Connection,
    store: Store,
    ledger: Ledger,
    terms: Terms,
    ids: Sequence[int],
    is_judged: ColumnElement[bool],
    read_at: datetime,
) -> list[Finding]:
    # Locked, because on PostgreSQL another worker may be judging the same read-back: what it has settled is left out. And
    # asked anew: while this one stood still another may have judged a row and sent it again, which this read says nothing of.
    rows = conn.execute(
        select(operation).where(operation.c.id.in_(ids), is_judged).order_by(operation.c.id).with_for_update()
    ).all()
    if not rows:
        return []
    scene = Scene(conn, rows)
    now = store.now(conn)
    findings: list[Finding] = []
    proven: list[tuple[Row[Any], int | None]] = []
    for row in rows:
        finding = judge(
            op=row.op,
            is_accepted=row.state == State.ACCEPTED.value,
            city_id=row.city_id,
            intent_digest=row.intent_digest,
            base_digest=row.base_digest,
            ids_before=row.ids_before,
            cell=scene.in_cell(row.object_key),
            by_id=scene.by_id(row),
            is_settled=row.sent_at is None or read_at >= row.sent_at + terms.untouchable,
            is_filled=row.kind == Kind.TOPICS.value,
        )
        findings.append(finding)
        if finding.state == "verified":
            city_id = finding.city_id if finding.city_id is not None else row.city_id
            proven.append((row, city_id))
            scene.own(row.ref, None if row.op == "delete" else city_id)
            ledger.write(conn, row, "operation.verified", "confirmed", city_id=city_id)
        elif finding.state == "again":
            _look_again(conn, row, terms, now)
        else:
            _unproven(conn, ledger, row, finding, now, max_attempts=terms.max_attempts)
    if proven:
        store_proven(conn, proven, now)
    return findings


def _look_again(conn: Connection, row: Row[Any], terms: Terms, now: datetime) -> None:
    wait_s = FIRST_LOOK_AGAIN_S if now - row.changed_at < timedelta(seconds=LOOK_AGAIN_S) else LOOK_AGAIN_S
    conn.execute(
        update(operation)
        .where(operation.c.id == row.id)
        .values(not_before=now + timedelta(seconds=min(wait_s, terms.settle_s or wait_s)))
    )


def store_proven(conn: Connection, proven: Sequence[tuple[Row[Any], int | None]], now: datetime) -> None:
    """Move rows, bases and receipts of what was seen in the city as meant: (row, the city's id)."""
    conn.execute(_PROVE, [{"b_id": row.id, "b_city_id": city_id, "b_at": now} for row, city_id in proven])
    store_agreed(conn, proven, now)


def store_agreed(conn: Connection, proven: Sequence[tuple[Row[Any], int | None]], now: datetime) -> None:
    """Move bases and receipts of what was seen in the city as meant; the operations stay what they are."""
    for is_delete, group in groupby(proven, key=lambda one: one[0].op == "delete"):
        _move_bases(conn, group, now, is_delete=is_delete)
    conn.execute(
        insert(receipt),
        [
            {
                "operation_id": row.id,
                "stage": "verified",
                "city_id": city_id,
                "digest": row.intent_digest if row.op != "delete" else None,
                "request_id": "",
                "at": now,
            }
            for row, city_id in proven
        ],
    )


def _move_bases(
    conn: Connection, proven: Iterable[tuple[Row[Any], int | None]], now: datetime, *, is_delete: bool
) -> None:
    if is_delete:
        for row, _ in proven:
            conn.execute(
                delete(base).where(base.c.place_id == row.place_id, base.c.kind == row.kind, base.c.ref == row.ref)
            )
        return
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
            for row, city_id in proven
        ],
        keys=("place_id", "kind", "ref"),
        update=("scope", "city_id", "object_key", "digest", "intent", "verified_at", "how"),
    )


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


__all__ = ["CHUNK_COUNT", "Scene", "Settled", "settle_scope", "store_proven"]
