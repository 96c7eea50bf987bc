"""Tables of the scheduler: what each schedule waits for, and one row a slot that was begun.

A schedule's `next_at` is compared and moved in the transaction that begins the run, so a slot belongs to one process.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from gateway.store.metadata import Json, UtcDateTime, metadata

schedule_state = Table(
    "schedule_state",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("rule", Text, nullable=False),
    Column("next_at", UtcDateTime),
    Column("passed_count", Integer, nullable=False),
    Column("want", Json),
)

schedule_slot = Table(
    "schedule_slot",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("slot_at", UtcDateTime, primary_key=True),
    Column("claimed_at", UtcDateTime, nullable=False),
    Column("holder", String(200), nullable=False),
    Column("passed_count", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("run_id", Integer, nullable=False),
    Column("mode", String(12), nullable=False),
    Column("retry_at", UtcDateTime),
    Index("ix_schedule_slot_run", "run_id"),
    Index("ix_schedule_slot_retry", "place_id", "retry_at"),
)
