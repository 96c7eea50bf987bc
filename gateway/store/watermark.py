"""How far a source has been read, a scope at a time. Moves only in the transaction that stored the page."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from gateway.domain.identifiers import Place
from gateway.store.metadata import watermark
from gateway.store.transaction import upsert


class Watermark(msgspec.Struct, frozen=True):
    """A position in the source's own terms, and when it was reached (aware UTC)."""

    value: str
    moved_at: datetime


def find_watermark(conn: Connection, place: Place, scope: str) -> Watermark | None:
    """The stored position; None when the scope has never been read."""
    table = watermark.c
    row = conn.execute(
        select(table.value, table.moved_at).where(
            table.city == place.city, table.portal == place.portal, table.year == place.year, table.scope == scope
        )
    ).one_or_none()
    return None if row is None else Watermark(row.value, row.moved_at)


def set_watermark(conn: Connection, place: Place, scope: str, value: str, *, now: datetime) -> None:
    """Store the position in the caller's transaction."""
    row = {
        "city": place.city,
        "portal": place.portal,
        "year": place.year,
        "scope": scope,
        "value": value,
        "moved_at": now,
    }
    upsert(conn, watermark, [row], ["city", "portal", "year", "scope"], ["value", "moved_at"])
