"""When a session or a token was last seen: written at most once a minute, because a page asks ten times a second."""

from __future__ import annotations

from datetime import datetime, timedelta

SIGHTING = timedelta(seconds=60)
"""Coarser than an idle time is judged by only by this much: a session of 30 minutes ends after 29 to 30."""


def is_sighting_due(seen_at: datetime | None, now: datetime) -> bool:
    """Whether the stored sighting is old enough to be written anew."""
    return seen_at is None or now - seen_at >= SIGHTING
