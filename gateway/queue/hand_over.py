"""Onto the list «enter by hand» and off it again: what the city refuses for a closed period, or can't take for hours.

Beside `claim`: an operation is either in the queue or on the list, and goes from one to the other in one transaction. What a
worker has in its hands, or what may have reached the city, is refused with a word: it would be written twice. `queue.by_hand`
closes the lines by what the city shows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, and_, case, exists, insert, or_, select, update

from gateway.audit.deed import Actor
from gateway.domain.reasons import ENTER_BY_HAND, PERIOD_SIGNED, WINDOW_CLOSED, WINDOW_EDIT_OVER
from gateway.queue.breaker import BreakerState
from gateway.queue.deeds import Ledger
from gateway.queue.ground import Standing, load_ground, load_standing
from gateway.queue.held_back import find_stopped
from gateway.queue.outbox import build_operation
from gateway.queue.signed import stand_beside
from gateway.queue.states import IN_FLIGHT, State
from gateway.queue.tables import city_breaker, operation, outage_choice
from gateway.reconcile.compare import Category
from gateway.reconcile.plan import load_plan
from gateway.reconcile.tables import decision
from gateway.reconcile.triples import COMPARED, SENDABLE
from gateway.store.epoch import get_epoch
from gateway.store.transaction import upsert

CHUNK_ROWS = 200
"""Rows a transaction: each is looked at beside its cell, some 100 ms together."""
CLOSED = (WINDOW_CLOSED, WINDOW_EDIT_OVER)
_GIVEN_UP = ("TRANSPORT", "QUOTA", "TOO_MANY_ATTEMPTS")
_PARKED = (*CLOSED, *_GIVEN_UP, "REJECTED_TARGET")
"""Reasons of parked operations of which it is known that nothing of them stands in the city."""
_SILENT = ("TRANSPORT", "QUOTA", "UNKNOWN_OUTCOME")
"""Reasons of waiting operations that say that the city could not take them."""
Why = Literal[
    "unknown", "on_the_way", "listed", "over", "may_stand", "moved", "signed", "held", "not_listed", "unread", "typed"
]
WHY_RU: dict[Why, str] = {
    "unknown": "такой операции нет",
    "on_the_way": "уже отправляется: дождитесь ответа города",
    "listed": "уже в списке",
    "over": "уже решена",
    "may_stand": "может уже стоять в журнале: сначала решите расхождение",
    "moved": "с тех пор изменилась: решит следующий план",
    "signed": "период подписан: сначала разрешение завуча",
    "held": "её удерживают: gateway holds",
    "not_listed": "не в списке",
    "unread": "журнал сейчас не читается: вернуть нельзя, пока не видно, не внесено ли уже",
    "typed": "уже внесено: подтверждено чтением",
}


class Refused(msgspec.Struct, frozen=True, order=True):
    """An operation that was left where it is, and why."""

    id: int
    why: Why


class HandedOver(msgspec.Struct, frozen=True, kw_only=True):
    """What went onto the list, or came off it, and what did not."""

    taken: list[int]
    refused: list[Refused]


def put_by_hand(
    conn: Connection, ledger: Ledger, place_id: int, ids: Collection[int], *, actor: Actor, now: datetime
) -> HandedOver:
    """Take operations out of the queue and put them on the list, in the caller's write.

    Args:
        ids: At most `CHUNK_ROWS`.
    """
    stand_beside(conn, place_id)
    rows = conn.execute(
        select(operation)
        .where(operation.c.place_id == place_id, operation.c.id.in_(sorted(ids)))
        .order_by(operation.c.id)
        .with_for_update()
    ).all()
    refused = [Refused(number, "unknown") for number in sorted(set(ids) - {row.id for row in rows})]
    open_rows: list[Row[Any]] = []
    for row in rows:
        why = _why_not(row)
        if why is None:
            open_rows.append(row)
        else:
            refused.append(Refused(row.id, why))
    taken: list[int] = []
    if open_rows:
        epoch = get_epoch(conn)
        standing = _as_if_open(load_standing(conn, open_rows, now=now))
        stopped = find_stopped(conn, place_id, open_rows, now=now)
        for row in open_rows:
            if row.id in stopped:
                refused.append(Refused(row.id, "signed" if stopped[row.id] == PERIOD_SIGNED else "held"))
            elif row.epoch != epoch or not standing.still_holds(row):
                refused.append(Refused(row.id, "moved"))
            else:
                _put(conn, ledger, row, standing.ids_in_cell(row), actor, now)
                taken.append(row.id)
    return HandedOver(taken=taken, refused=sorted(refused))


def _why_not(row: Row[Any]) -> Why | None:
    state = State(row.state)
    if state is State.READY:
        return None
    if state is State.PARKED:
        return None if row.reason in _PARKED else "may_stand"
    if state is State.BY_HAND:
        return "listed"
    return "on_the_way" if state in IN_FLIGHT else "over"


def _as_if_open(standing: Standing) -> Standing:
    """What a closed period holds back is meant all the same."""
    wanted = {key: (SENDABLE if state in COMPARED else state, *what) for key, (state, *what) in standing.wanted.items()}
    return msgspec.structs.replace(standing, wanted=wanted)


def _put(
    conn: Connection, ledger: Ledger, row: Row[Any], ids_before: Sequence[int], actor: Actor, now: datetime
) -> None:
    moved = conn.execute(
        update(operation)
        .where(operation.c.id == row.id)
        .values(
            state=State.BY_HAND.value,
            reason=ENTER_BY_HAND,
            sentence=None,
            lease_until=None,
            claims=0,
            fence=operation.c.fence + 1,
            sent_at=now,
            not_before=now,
            ids_before=list(ids_before),
            changed_at=now,
        )
        .returning(operation)
    ).one()
    ledger.write(conn, moved, "operation.handed_over", "held", reason=ENTER_BY_HAND, actor=actor)


def load_refused_for_period(conn: Connection, place_id: int) -> list[int]:
    """Load the operations that the city has refused because their period is closed."""
    return list(
        conn.execute(
            select(operation.c.id)
            .where(
                operation.c.place_id == place_id,
                operation.c.state == State.PARKED.value,
                operation.c.reason.in_(CLOSED),
            )
            .order_by(operation.c.id)
        ).scalars()
    )


def queue_closed(conn: Connection, place_id: int, plan_id: int, *, now: datetime) -> list[int]:
    """Make operations of what a plan holds because its period is known to be closed, for `put_by_hand` in the same write.

    They are never seen in the queue: whoever calls this puts them on the list, or takes them back, before the commit.

    Returns:
        Their numbers, at most `CHUNK_ROWS`.
    """
    found = load_plan(conn, plan_id)
    op = case((decision.c.base.is_(None), "create"), else_="change")
    held = and_(
        decision.c.plan_id == plan_id,
        decision.c.category == Category.HELD.value,
        decision.c.reason.in_(CLOSED),
        decision.c.outcome.is_(None),
        decision.c.intent.is_not(None),
    )
    query: Any = (
        select(*(column for column in decision.c if column.name != "op"), op.label("op"))
        .where(held)
        .order_by(decision.c.seq)
        .limit(CHUNK_ROWS)
    )
    rows: Sequence[Row[Any]] = conn.execute(query).all()
    if not rows:
        return []
    ground = load_ground(conn, place_id, plan_id, rows, now=now)
    going = [row for row in rows if ground.still_holds(row)]
    for outcome, some in (("dropped", [row for row in rows if row not in going]), ("queued", going)):
        conn.execute(
            update(decision)
            .where(decision.c.plan_id == plan_id, decision.c.seq.in_([row.seq for row in some]))
            .values(outcome=outcome, op=op)
        )
    made = [
        build_operation(place_id, found.run_id, plan_id, found.rule_version, row, "demand", now, conn) for row in going
    ]
    if not made:
        return []
    return list(conn.execute(insert(operation).returning(operation.c.id), made).scalars())


def drop_unlisted(conn: Connection, ids: Collection[int], *, now: datetime) -> None:
    """Take back what `queue_closed` made and the list did not take."""
    conn.execute(
        update(operation)
        .where(operation.c.id.in_(list(ids)), operation.c.state == State.READY.value)
        .values(state=State.SUPERSEDED.value, reason="BASE_MOVED", changed_at=now)
    )


def take_back(
    conn: Connection, ledger: Ledger, place_id: int, ids: Collection[int], *, actor: Actor, now: datetime
) -> HandedOver:
    """Take operations off the list: the next plan decides about their records afresh, twins and all.

    What stands in the city is to be read and judged (`by_hand.settle_by_hand`) before.
    """
    rows = conn.execute(
        select(operation)
        .where(operation.c.place_id == place_id, operation.c.id.in_(sorted(ids)))
        .order_by(operation.c.id)
        .with_for_update()
    ).all()
    refused = [Refused(number, "unknown") for number in sorted(set(ids) - {row.id for row in rows})]
    taken: list[int] = []
    for row in rows:
        if row.state != State.BY_HAND.value:
            refused.append(Refused(row.id, "typed" if row.state == State.VERIFIED.value else "not_listed"))
            continue
        moved = conn.execute(
            update(operation)
            .where(operation.c.id == row.id)
            .values(state=State.SUPERSEDED.value, reason="MANUAL_CANCEL", changed_at=now)
            .returning(operation)
        ).one()
        ledger.write(conn, moved, "operation.dropped", "held", reason="MANUAL_CANCEL", actor=actor)
        taken.append(row.id)
    return HandedOver(taken=taken, refused=sorted(refused))


class OutageChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What the deputy head wants of a kind while the city can't take it: `wait`, or `by_hand`."""

    kind: str
    choice: Literal["wait", "by_hand"]
    actor: str | None = None
    chosen_at: datetime | None = None


def load_outage_choices(conn: Connection, place_id: int) -> dict[str, OutageChoice]:
    """Load what was chosen; a kind without a row waits."""
    rows = conn.execute(select(outage_choice).where(outage_choice.c.place_id == place_id))
    return {
        row.kind: OutageChoice(kind=row.kind, choice=row.choice, actor=row.actor, chosen_at=row.chosen_at)
        for row in rows
    }


def store_outage_choice(
    conn: Connection, place_id: int, kind: str, choice: str, *, actor: str, note_id: int, now: datetime
) -> None:
    """Store what was chosen for a kind."""
    values = {"choice": choice, "actor": actor, "note_id": note_id, "chosen_at": now}
    upsert(
        conn,
        outage_choice,
        [{"place_id": place_id, "kind": kind, **values}],
        keys=("place_id", "kind"),
        update=tuple(values),
    )


def load_overdue(
    conn: Connection, place_id: int, city: str, *, now: datetime, after: timedelta, after_id: int = 0
) -> list[int]:
    """Load operations of the kinds typed by hand that the city could not take for so long, at most `CHUNK_ROWS`.

    Only while it is silent (the breaker is not closed): what waits while the city answers goes by itself in a moment.
    """
    is_silent = exists().where(city_breaker.c.city == city, city_breaker.c.state != BreakerState.CLOSED.value)
    by_hand = select(outage_choice.c.kind).where(
        outage_choice.c.place_id == place_id, outage_choice.c.choice == "by_hand"
    )
    return list(
        conn.execute(
            select(operation.c.id)
            .where(
                is_silent,
                operation.c.place_id == place_id,
                operation.c.id > after_id,
                operation.c.kind.in_(by_hand),
                operation.c.created_at <= now - after,
                or_(
                    and_(operation.c.state == State.READY.value, operation.c.reason.in_(("", *_SILENT))),
                    and_(operation.c.state == State.PARKED.value, operation.c.reason.in_(_GIVEN_UP)),
                ),
            )
            .order_by(operation.c.id)
            .limit(CHUNK_ROWS)
        ).scalars()
    )


__all__ = [
    "CHUNK_ROWS",
    "CLOSED",
    "WHY_RU",
    "HandedOver",
    "OutageChoice",
    "Refused",
    "drop_unlisted",
    "load_outage_choices",
    "load_overdue",
    "load_refused_for_period",
    "put_by_hand",
    "queue_closed",
    "store_outage_choice",
    "take_back",
]
