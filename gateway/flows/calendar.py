"""The school's calendar in use: imported by a person, asked by schedules, held work and timetables.

Where none was imported the settings speak (`school.weekdays`, `school.holidays`, `schedule.silent`); where one was, it
counts for its year and what the settings add stays.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from sqlalchemy import Connection

from gateway.audit.deed import Deed
from gateway.domain.calendar import DayRange, SchoolCalendar
from gateway.domain.school_year import SchoolYear
from gateway.flows.gateway import Gateway
from gateway.mapping.calendars import StoredYear, find_year, save_year
from gateway.settings import DaySpan, GatewaySettings


def build_calendar(settings: GatewaySettings) -> SchoolCalendar:
    """Make the school's calendar of its settings alone."""

    def ranges(spans: tuple[DaySpan, ...]) -> tuple[DayRange, ...]:
        return tuple(DayRange(span.from_on, span.to_on) for span in spans)

    return SchoolCalendar(
        zone=settings.school.timezone,
        weekdays=frozenset(settings.school.weekdays),
        holidays=ranges(settings.school.holidays),
        silent=ranges(settings.schedule.silent),
    )


def load_calendar(gateway: Gateway, conn: Connection | None = None) -> SchoolCalendar:
    """Load what schedules ask about days: the imported calendar of the place's year over the settings.

    Args:
        gateway: The composed gateway.
        conn: The caller's transaction; None takes one of its own.
    """
    usual = build_calendar(gateway.settings)
    stored = load_year(gateway, conn)
    return usual if stored is None else stored.year.calendar(usual)


def load_year(gateway: Gateway, conn: Connection | None = None) -> StoredYear | None:
    """Load the imported calendar of the place's school year; None where there is none."""
    with nullcontext(conn) if conn is not None else gateway.store.read() as own:
        return find_year(own, gateway.place.year)


def import_calendar(gateway: Gateway, year: SchoolYear, path: Path) -> bool:
    """Store a calendar that a person has checked; what waits by the old one is decided anew at its next look.

    Returns:
        False where exactly this one stands already.
    """
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        is_new = save_year(conn, year, source=path.name, actor=gateway.actor.name, now=now)
        if is_new:
            deed = Deed(
                action="calendar.imported",
                actor=gateway.actor,
                place=gateway.place,
                object_type="calendar",
                outcome="decided",
            )
            gateway.audit.append(conn, deed)
    return is_new


__all__ = ["build_calendar", "import_calendar", "load_calendar", "load_year"]
