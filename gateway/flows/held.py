"""What a run holds back: counted, and due again at noon of the next working day.

Stands after planning. Nothing that is held goes out by itself: at its time the scheduler decides afresh, by the data of
that moment, and what a guard still holds is held again until the next noon. So nothing held is ever forgotten.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, func, or_, select, update

from gateway.connectors.port import Want
from gateway.flows.calendar import load_calendar
from gateway.flows.gateway import Gateway
from gateway.flows.tables import schedule_state
from gateway.flows.turns import merge_wants, store_wish, to_want
from gateway.reconcile.compare import Category
from gateway.reconcile.tables import decision

HELD = "held"
"""Name under which the run that decides afresh about what is held waits for its time."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """How much is held back, and when it is decided afresh (aware UTC)."""

    count: int
    due_at: datetime


def note_held(gateway: Gateway, plan_id: int, want: Want, *, mode: str) -> Held | None:
    """Write on each held item of a plan when it is due, and ask the scheduler for a run at that time.

    An item that is due at a day of its own (a lesson that has not been) keeps it.

    Args:
        gateway: The composed gateway.
        plan_id: The plan, after its free items were let out.
        want: What the plan looked at.
        mode: How the run that decides afresh may go on: `automatic`, or `approve` where the plan as a whole waits.

    Returns:
        None where nothing is held.
    """
    calendar = load_calendar(gateway)
    is_held = and_(
        decision.c.plan_id == plan_id,
        decision.c.outcome.is_(None),
        or_(
            decision.c.category == Category.HELD.value,
            and_(decision.c.op.is_not(None), decision.c.gate != "none"),
        ),
    )
    with gateway.store.write() as conn:
        count = conn.execute(select(func.count()).select_from(decision).where(is_held)).scalar_one()
        if not count:
            _clear(conn, gateway, want)
            return None
        due_at = calendar.next_working_hour(gateway.store.now(conn), gateway.settings.school.held_until_hour)
        conn.execute(
            update(decision).where(is_held, decision.c.due_on.is_(None)).values(due_on=calendar.local(due_at).date())
        )
        _ask(conn, gateway, want, mode, due_at)
    return Held(count=count, due_at=due_at)


def _clear(conn: Connection, gateway: Gateway, want: Want) -> None:
    place_id = gateway.place_id(conn)
    stored = _find_wish(conn, place_id)
    if stored is not None and want.covers(to_want(stored.want)):
        store_wish(conn, place_id, HELD, next_at=None, want=None, mode="automatic")


def _ask(conn: Connection, gateway: Gateway, want: Want, mode: str, due_at: datetime) -> None:
    """What an earlier run holds and this one did not look at keeps its earlier time; the more careful mode wins."""
    place_id = gateway.place_id(conn)
    stored = _find_wish(conn, place_id)
    if stored is not None and not want.covers(to_want(stored.want)):
        want = merge_wants(to_want(stored.want), want)
        mode = "approve" if "approve" in (mode, stored.rule) else mode
        due_at = min(due_at, stored.next_at)
    store_wish(conn, place_id, HELD, next_at=due_at, want=want, mode=mode)


def _find_wish(conn: Connection, place_id: int) -> Row[Any] | None:
    return conn.execute(
        select(schedule_state).where(
            schedule_state.c.place_id == place_id,
            schedule_state.c.name == HELD,
            schedule_state.c.next_at.is_not(None),
        )
    ).one_or_none()
