"""The school year is over: what an earlier one left undelivered comes to an end that somebody sees.

The year is part of every key (law 15), so workers of the new year do not look at rows of the old one. What the city never
answered, could not take for weeks, or nobody typed, would stand there for ever, neither sent nor told: the first run of the new year
parks it.

Source: reliability.md D8; found by the simulation of two years.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from gateway.audit.log import AuditLog
from gateway.domain.identifiers import Place
from gateway.domain.reasons import YEAR_OVER
from gateway.mapping.tables import place
from gateway.queue.deeds import Ledger
from gateway.queue.states import OPEN, State
from gateway.queue.tables import operation

_OPEN = [state.value for state in (*OPEN, State.BY_HAND)]
"""What was to be typed too: the list is of the new year, and nobody would be told of it any more."""


def park_earlier_years(conn: Connection, audit: AuditLog, where: Place, now: datetime) -> dict[str, int]:
    """Park the open operations of earlier years at this city and portal, in the caller's transaction.

    What somebody holds at this moment is left for the next run.

    Args:
        conn: A write transaction.
        audit: Each operation gets its entry, at the place of its year.
        where: Where we are now.
        now: Aware UTC by the store.

    Returns:
        Year → operations parked.
    """
    years = conn.execute(
        select(place.c.id, place.c.year).where(
            place.c.city == where.city, place.c.portal == where.portal, place.c.year < where.year
        )
    ).all()
    parked: dict[str, int] = {}
    for year in years:
        rows = conn.execute(
            update(operation)
            .where(
                operation.c.place_id == year.id,
                operation.c.state.in_(_OPEN),
                or_(operation.c.lease_until.is_(None), operation.c.lease_until <= now),
            )
            .values(state=State.PARKED.value, reason=YEAR_OVER, lease_until=None, changed_at=now)
            .returning(operation)
        ).all()
        with Ledger(audit, Place(city=where.city, portal=where.portal, year=year.year)).gathered(conn) as ledger:
            for row in rows:
                ledger.write(conn, row, "operation.parked", "held", reason=YEAR_OVER)
        if rows:
            parked[year.year] = len(rows)
    return parked


__all__ = ["park_earlier_years"]
