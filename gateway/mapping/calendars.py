"""The stored calendar of each school year: the newest edition counts, the older ones are kept.

Runs in the caller's transaction; the audit entry of an import is the caller's.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, select

from gateway.domain.records import digest_of, to_body
from gateway.domain.school_year import SchoolYear
from gateway.mapping.tables import school_calendar


class StoredYear(msgspec.Struct, frozen=True, kw_only=True):
    """An edition of a year's calendar; `source` is the file's name."""

    number: int
    year: SchoolYear
    source: str
    actor: str
    imported_at: datetime


def find_year(conn: Connection, year: str) -> StoredYear | None:
    """Return the newest edition of a year; None where none was imported."""
    row = conn.execute(
        select(school_calendar).where(school_calendar.c.year == year).order_by(school_calendar.c.id.desc()).limit(1)
    ).one_or_none()
    if row is None:
        return None
    return StoredYear(
        number=row.id,
        year=msgspec.json.decode(row.body, type=SchoolYear),
        source=row.source,
        actor=row.actor,
        imported_at=row.imported_at,
    )


def save_year(conn: Connection, year: SchoolYear, *, source: str, actor: str, now: datetime) -> bool:
    """Store an edition.

    Returns:
        False where exactly this one is the newest already.
    """
    body = to_body(year)
    before = find_year(conn, year.year)
    if before is not None and before.year == year:
        return False
    conn.execute(
        insert(school_calendar).values(
            year=year.year, digest=digest_of(body), body=body, source=source[:200], actor=actor, imported_at=now
        )
    )
    return True
