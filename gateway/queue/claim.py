"""Claim: the first step of delivery. Rows become a worker's for a lease, several in one transaction.

The charge is committed before the work, so that a kill counts; nothing has been sent. Two workers never hold one row, nor
two operations of one cell, which would not see each other's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, func, select, update

from gateway.queue.barrier import UNREAD, Gate, load_gate
from gateway.queue.breaker import try_pass
from gateway.queue.deeds import Ledger
from gateway.queue.moves import is_held, move
from gateway.queue.redelivery import PAUSE_S
from gateway.queue.states import IN_FLIGHT, State
from gateway.queue.tables import operation
from gateway.queue.terms import Terms
from gateway.reconcile.coverage import is_locked
from gateway.store.transaction import Store


class Claimed(NamedTuple):
    """Rows that are ours now, in the order in which they are served, and the states of those that came to an end."""

    rows: list[Row[Any]]
    ended: dict[int, State]


NOTHING = Claimed([], {})


class Claims:
    """Takes rows for one worker and gives them back.

    Args:
        store: The store.
        ledger: Writes the audit entries.
        terms: The numbers.
        city: Key of the city.
    """

    def __init__(self, store: Store, ledger: Ledger, terms: Terms, city: str) -> None:
        self._store = store
        self._ledger = ledger
        self._terms = terms
        self._city = city

    def take(self, operation_ids: Sequence[int]) -> Claimed:
        """Take these rows, as far as they are due and free."""
        return self._take(
            _candidates().where(operation.c.id.in_(operation_ids)).order_by(operation.c.id), len(operation_ids)
        )

    def take_beside(self, operation_id: int, count: int) -> Claimed:
        """Take up to `count` rows that stand first in an operation's lane: it was rung, but the most urgent goes first.

        One that failed before, or whose worker was killed, is taken alone: a kill is charged to whatever was claimed with it.
        """
        rung = operation.alias()
        return self._take(
            _candidates()
            .where(
                operation.c.place_id == _of(rung, rung.c.place_id, operation_id),
                operation.c.lane == _of(rung, rung.c.lane, operation_id),
            )
            .order_by(operation.c.due_on, operation.c.id),
            count,
            is_suspect_alone=True,
        )

    def put_back(
        self,
        conn: Connection,
        rows: Sequence[Row[Any]],
        now: datetime,
        *,
        reason: str | None = None,
        wait_s: float = PAUSE_S,
    ) -> None:
        """Give unsent claims back uncharged: a person, a restore or the pace is in the way, not the operations.

        Args:
            reason: Code of what is in the way; None leaves the one that stands there.
        """
        values: dict[str, Any] = {} if reason is None else {"reason": reason}
        conn.execute(
            update(operation)
            .where(is_held(rows, State.CLAIMED))
            .values(
                state=State.READY.value,
                claims=operation.c.claims - 1,
                lease_until=None,
                not_before=now + timedelta(seconds=wait_s),
                changed_at=now,
                **values,
            )
        )

    def _take(self, candidates: Select[Any], count: int, *, is_suspect_alone: bool = False) -> Claimed:
        with self._store.write() as conn, self._ledger.gathered(conn) as ledger:
            gate = load_gate(conn, self._store, self._city)
            if gate.obstacle is not None or gate.wait_until is not None:
                return NOTHING
            # of a breaker that is not closed one caller tries, with one operation
            found = self._load_free(conn, candidates, gate, count if gate.is_breaker_closed else 1)
            ids = self._lock_cells(conn, _apart(found) if is_suspect_alone else found)
            if not ids:
                return NOTHING
            rows = conn.execute(
                update(operation)
                .where(operation.c.id.in_(ids), _is_due(gate.now), ~_is_busy())
                .values(
                    state=State.CLAIMED.value,
                    claims=operation.c.claims + 1,
                    fence=operation.c.fence + 1,
                    lease_until=gate.now + timedelta(seconds=self._terms.lease_s),
                    changed_at=gate.now,
                )
                .returning(operation)
            ).all()
            return self._sift(conn, ledger, sorted(rows, key=lambda row: ids.index(row.id)), gate)

    def _load_free(self, conn: Connection, candidates: Select[Any], gate: Gate, count: int) -> Sequence[Row[Any]]:
        """Load due rows that no other worker is just claiming, of cells in which nothing is in flight."""
        query = candidates.where(_is_due(gate.now), ~_is_busy()).limit(count)
        if self._store.dialect == "postgresql":  # SQLite has one writer
            query = query.with_for_update(skip_locked=True, of=operation)
        return conn.execute(query).all()

    def _lock_cells(self, conn: Connection, rows: Sequence[Row[Any]]) -> list[int]:
        """Choose rows of different cells, in none of which another worker is just claiming; their ids.

        A cell's lock and not its rows': two claims of two rows of one cell would each see the other's as free.
        """
        first: dict[tuple[int, str], int] = {}
        for row in rows:
            first.setdefault((row.place_id, row.object_key), row.id)
        if not first or self._store.dialect != "postgresql":
            return list(first.values())
        locked = conn.execute(select(*(func.pg_try_advisory_xact_lock(_lock_key(*cell)) for cell in first))).one()
        return [one for one, is_ours in zip(first.values(), locked, strict=True) if is_ours]

    def _sift(self, conn: Connection, ledger: Ledger, rows: Sequence[Row[Any]], gate: Gate) -> Claimed:
        """Park those that killed their workers too often, give back those whose scope may not be written yet."""
        kept: list[Row[Any]] = []
        ended: dict[int, State] = {}
        unread: list[Row[Any]] = []
        for row in rows:
            if gate.is_locked and is_locked(conn, row.place_id, row.scope):
                unread.append(row)
            elif row.claims > self._terms.max_claims:
                move(
                    conn,
                    ledger,
                    row,
                    State.PARKED,
                    gate.now,
                    reason="POISON",
                    action="operation.parked",
                    outcome="held",
                )
                ended[row.id] = State.PARKED
            else:
                kept.append(row)
        if unread:
            self.put_back(conn, unread, gate.now, reason=UNREAD)
        if kept and not gate.is_breaker_closed and not try_pass(conn, self._city, self._terms.breaker, gate.now):
            # somebody else became the one who tries since we looked
            self.put_back(conn, kept, gate.now, wait_s=0.0)
            kept = []
        return Claimed(kept, ended)


def _candidates() -> Select[Any]:
    return select(
        operation.c.id, operation.c.place_id, operation.c.object_key, operation.c.claims, operation.c.attempts
    )


def _apart(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """The first row alone where it is suspect, else those that are not."""
    if rows and _is_suspect(rows[0]):
        return rows[:1]
    return [row for row in rows if not _is_suspect(row)]


def _is_suspect(row: Row[Any]) -> bool:
    """Whether the row failed before, or was claimed by a worker that did not come to its end with it."""
    return bool(row.claims > 0 or row.attempts > 0)


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(operation.c.state == State.READY.value, operation.c.not_before <= now)


def _is_busy() -> ColumnElement[bool]:
    """Whether another operation of the cell is in flight."""
    other = operation.alias()
    return exists().where(
        other.c.place_id == operation.c.place_id,
        other.c.object_key == operation.c.object_key,
        other.c.id != operation.c.id,
        other.c.state.in_(IN_FLIGHT),
    )


def _of(rung: Any, column: Any, operation_id: int) -> Any:
    return select(column).where(rung.c.id == operation_id).scalar_subquery()


def _lock_key(place_id: int, object_key: str) -> int:
    """A cell as one signed 64-bit number; two cells of one number only wait for each other."""
    digest = hashlib.blake2b(f"{place_id}:{object_key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


__all__ = ["NOTHING", "Claimed", "Claims"]
