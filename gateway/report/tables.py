"""Tables of what is kept at the school and goes nowhere: protocols of tests, and what people did at the portal.

No history is kept of them: what a test's settings have hidden must be gone, and not stand one version deeper.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table

from gateway.store.metadata import Digest, Json, UtcDateTime, metadata

attempt_protocol = Table(
    "attempt_protocol",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("ref", String(200), primary_key=True),
    Column("pupil", String(200), nullable=False),
    Column("group_ref", String(200)),
    Column("programme", String(200), nullable=False),
    Column("activity", String(200), nullable=False),
    Column("finished_at", UtcDateTime),
    Column("attempt_digest", Digest, nullable=False),
    Column("absent", Json, nullable=False),
    Column("digest", Digest),
    Column("body", LargeBinary),
    Column("problem", String(40)),
    Column("read_at", UtcDateTime, nullable=False),
    Index("ix_attempt_protocol_pupil", "place_id", "pupil"),
    Index("ix_attempt_protocol_finished", "finished_at"),
)

test_review = Table(
    "test_review",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("activity", String(200), primary_key=True),
    Column("review", Json, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

activity_event = Table(
    "activity_event",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("series", Integer, primary_key=True, autoincrement=False),
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("person", String(200), nullable=False),
    Column("about", String(200)),
    Column("programme", String(200)),
    Column("module", BigInteger),
    Column("component", String(100), nullable=False),
    Index("ix_activity_event_person", "place_id", "person", "at"),
    Index("ix_activity_event_at", "at"),
)

activity_taken = Table(
    "activity_taken",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("series", Integer, primary_key=True, autoincrement=False),
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
)

activity_unmapped = Table(
    "activity_unmapped",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("component", String(100), primary_key=True),
    Column("action", String(100), primary_key=True),
    Column("target", String(100), primary_key=True),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("count", BigInteger, nullable=False),
)
