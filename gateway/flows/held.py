"""What a run holds back: counted, and due again at noon of the next working day.

Stands after planning. Nothing that is held goes out by itself: at its time the scheduler decides afresh, by the data of
that moment, and what a guard still holds is held again until the next noon. So nothing held is ever forgotten.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import and_, func, or_, select, update

from gateway.domain.calendar import DayRange, SchoolCalendar
from gateway.flows.gateway import Gateway
from gateway.reconcile.compare import Category
from gateway.reconcile.tables import decision
from gateway.settings import DaySpan, GatewaySettings


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """How much is held back, and when it is decided afresh (aware UTC)."""

    count: int
    due_at: datetime


def build_calendar(settings: GatewaySettings) -> SchoolCalendar:
    """Make the school's calendar of its settings."""

    def ranges(spans: tuple[DaySpan, ...]) -> tuple[DayRange, ...]:
        return tuple(DayRange(span.from_on, span.to_on) for span in spans)

    return SchoolCalendar(
        zone=settings.school.timezone,
        weekdays=frozenset(settings.school.weekdays),
        holidays=ranges(settings.school.holidays),
        silent=ranges(settings.schedule.silent),
    )


def note_held(gateway: Gateway, plan_id: int) -> Held | None:
    """Write on each held item of a plan when it is due; None where nothing is held.

    An item that is due at a day of its own (a lesson that has not been) keeps it.
    """
    calendar = build_calendar(gateway.settings)
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
            return None
        due_at = calendar.next_working_hour(gateway.store.now(conn), gateway.settings.school.held_until_hour)
        conn.execute(
            update(decision).where(is_held, decision.c.due_on.is_(None)).values(due_on=calendar.local(due_at).date())
        )
    return Held(count=count, due_at=due_at)
