"""Claim: the first step of delivery. Rows become a worker's for a lease, several in one transaction.

The charge is committed before the work, so that a kill counts; nothing has been sent. Two workers never hold one row, nor
two operations of one cell, which would not see each other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Integer, Row, Select, and_, bindparam, exists, func, select, update

from gateway.queue.barrier import UNREAD, Gate, load_gate
from gateway.queue.breaker import UNREACHED, try_pass
from gateway.queue.deeds import Ledger
from gateway.queue.moves import is_held, move
from gateway.queue.redelivery import PAUSE_S
from gateway.queue.states import IN_FLIGHT, State
from gateway.queue.tables import attempt, operation
from gateway.queue.terms import Terms
from gateway.reconcile.coverage import is_locked
from gateway.store.transaction import Store
from gateway.store.turns import try_turns

Form = Literal["these", "beside", "try"]
"""Which rows are looked at: those of `operation_ids`; those that stand in the lane of `operation_id`; all of its place, of which
one tries for all whether the city is there."""

# built once: putting these together costs more than running them
_OTHER = operation.alias("other")
_RUNG = operation.alias("rung")
_IS_BUSY = exists().where(
    _OTHER.c.place_id == operation.c.place_id,
    _OTHER.c.object_key == operation.c.object_key,
    _OTHER.c.id != operation.c.id,
    _OTHER.c.state.in_(IN_FLIGHT),
)
"""Whether another operation of the cell is in flight."""
_IS_FREE = and_(
    operation.c.state == State.READY.value,
    operation.c.not_before <= bindparam("now", type_=operation.c.not_before.type),
    ~_IS_BUSY,
)
_CLAIM = (
    update(operation)
    .where(operation.c.id.in_(bindparam("claimed_ids", expanding=True)), _IS_FREE)
    .values(
        state=State.CLAIMED.value,
        claims=operation.c.claims + 1,
        fence=operation.c.fence + 1,
        lease_until=bindparam("until"),
        changed_at=bindparam("now"),
    )
    .returning(operation)
)


@cache
def _build_free(dialect: str, form: Form) -> Select[Any]:
    """Due rows that no other worker is just claiming, of cells in which nothing is in flight."""
    query: Select[Any] = select(
        operation.c.id, operation.c.place_id, operation.c.object_key, operation.c.claims, operation.c.attempts
    ).where(_IS_FREE)
    if form == "these":
        query = query.where(operation.c.id.in_(bindparam("operation_ids", expanding=True))).order_by(operation.c.id)
    else:
        rung = _RUNG.c.id == bindparam("operation_id")
        query = query.where(operation.c.place_id == select(_RUNG.c.place_id).where(rung).scalar_subquery())
        if form == "beside":
            lane = select(_RUNG.c.lane).where(rung).scalar_subquery()
            query = query.where(operation.c.lane == lane).order_by(operation.c.due_on, operation.c.id)
        else:
            # The most urgent row would try again and again, and where only its own kind is not answered the others would
            # never be asked for.
            tried = (
                select(_OTHER.c.kind, func.max(attempt.c.finished_at).label("at"))
                .join_from(_OTHER, attempt, attempt.c.operation_id == _OTHER.c.id)
                .where(
                    _OTHER.c.place_id == select(_RUNG.c.place_id).where(rung).scalar_subquery(),
                    _OTHER.c.state == State.READY.value,
                    attempt.c.outcome == UNREACHED,
                )
                .group_by(_OTHER.c.kind)
                .subquery()
            )
            query = query.join_from(operation, tried, tried.c.kind == operation.c.kind, isouter=True).order_by(
                tried.c.at.nulls_first(), operation.c.lane, operation.c.due_on, operation.c.id
            )
    query = query.limit(bindparam("most", type_=Integer))
    if dialect == "postgresql":  # SQLite has one writer
        query = query.with_for_update(skip_locked=True, of=operation)
    return query


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
        return self._take("these", {"operation_ids": list(operation_ids)}, len(operation_ids))

    def take_beside(self, operation_id: int, count: int) -> Claimed:
        """Take up to `count` rows that stand first in an operation's lane: it was rung, but the most urgent goes first.

        One that failed before, or whose worker was killed, is taken alone: a kill is charged to whatever was claimed with it.
        While the city does not answer, one row of either lane tries for all, of a kind that has not tried for longest.
        """
        return self._take("beside", {"operation_id": operation_id}, count, is_suspect_alone=True)

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

    def _take(self, form: Form, which: Mapping[str, Any], count: int, *, is_suspect_alone: bool = False) -> Claimed:
        with self._store.write() as conn, self._ledger.gathered(conn) as ledger:
            gate = load_gate(conn, self._store, self._city)
            if gate.obstacle is not None or gate.wait_until is not None:
                return NOTHING
            # of a breaker that is not closed one caller tries, with one operation
            most = count if gate.is_breaker_closed else 1
            if form == "beside" and not gate.is_breaker_closed:
                form = "try"
            free = _build_free(self._store.dialect, form)
            found = conn.execute(free, {**which, "now": gate.now, "most": most}).all()
            ids = self._lock_cells(conn, _apart(found) if is_suspect_alone else found)
            if not ids:
                return NOTHING
            lease_until = gate.now + timedelta(seconds=self._terms.lease_s)
            rows = conn.execute(_CLAIM, {"claimed_ids": ids, "now": gate.now, "until": lease_until}).all()
            return self._sift(conn, ledger, sorted(rows, key=lambda row: ids.index(row.id)), gate)

    def _lock_cells(self, conn: Connection, rows: Sequence[Row[Any]]) -> list[int]:
        """Choose rows of different cells, in none of which another worker is just claiming; their ids.

        A cell's lock and not its rows': two claims of two rows of one cell would each see the other's as free.
        """
        first: dict[tuple[int, str], int] = {}
        for row in rows:
            first.setdefault((row.place_id, row.object_key), row.id)
        locked = try_turns(conn, [f"cell {place_id}:{object_key}" for place_id, object_key in first])
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


def _apart(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """The first row alone where it is suspect, else those that are not."""
    if rows and _is_suspect(rows[0]):
        return rows[:1]
    return [row for row in rows if not _is_suspect(row)]


def _is_suspect(row: Row[Any]) -> bool:
    """Whether the row failed before, or was claimed by a worker that did not come to its end with it."""
    return bool(row.claims > 0 or row.attempts > 0)


__all__ = ["NOTHING", "Claimed", "Claims"]
