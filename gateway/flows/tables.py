"""Tables of the scheduler (what each schedule waits for, one row a slot that was begun) and of approval by two persons.

A schedule's `next_at` is compared and moved in the transaction that begins the run, so a slot belongs to one process.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

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

plan_proposal = Table(
    "plan_proposal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("plan_id", Integer, ForeignKey("plan.id"), nullable=False),
    Column("plan_hash", String(64), nullable=False),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("with_deletes", Boolean, nullable=False),
    Column("with_held", Boolean, nullable=False),
    Column("note_id", Integer, nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Index("ix_plan_proposal_plan", "plan_id"),
)

journal_entry = Table(
    "journal_entry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("group_ref", String(200), nullable=False),
    Column("pupil", String(200), nullable=False),
    Column("lesson", String(200), nullable=False),
    Column("lesson_at", UtcDateTime, nullable=False),
    Column("value", Integer),
    Column("work", String(200), nullable=False),
    Column("form", String(10)),
    Column("typed_by", String(200), nullable=False),
    Column("on_behalf_of", String(200), nullable=False),
    Column("answers", String(200), nullable=False),
    Column("entered_at", UtcDateTime, nullable=False),
    Column("withdrawn_at", UtcDateTime),
    Column("withdrawn_by", String(200)),
    Index("ix_journal_entry_group", "place_id", "group_ref"),
)
