"""Tables of delivery: the outbox of operations, attempts, receipts, paused profiles.

An operation holds everything that an answer needs to be understood after a crash: what was meant, on what it was
planned, which ids stood in the cell before the call, when it was sent and when it may be touched again.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from gateway.store.metadata import BigId, Digest, Json, UtcDateTime, metadata

operation = Table(
    "operation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("plan_id", Integer, ForeignKey("plan.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("run_id", Integer, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("ref", String(200), nullable=False),
    Column("op", String(10), nullable=False),
    Column("scope", String(200), nullable=False),
    Column("object_key", String(120), nullable=False),
    Column("idempotency_key", String(64), nullable=False),
    Column("lane", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", String(40), nullable=False),
    Column("sentence", Text),
    Column("intent", LargeBinary, nullable=False),
    Column("old", LargeBinary),
    Column("intent_digest", Digest, nullable=False),
    Column("base_digest", Digest),
    Column("city_id", BigId),
    Column("ids_before", Json, nullable=False),
    Column("rule_version", String(64), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("claims", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("sent_at", UtcDateTime),
    Column("not_before", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("on_date", Date),
    Column("due_on", Date),
    UniqueConstraint("plan_id", "seq"),
    UniqueConstraint("place_id", "idempotency_key"),
    Index("ix_operation_due", "state", "not_before"),
    Index("ix_operation_object", "place_id", "object_key", "state"),
    Index("ix_operation_record", "place_id", "kind", "ref"),
    Index("ix_operation_lane", "place_id", "state", "lane", "due_on", "id"),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("operation_id", Integer, ForeignKey("operation.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("outcome", String(20), nullable=False),
    Column("error", String(40)),
    Column("request_id", String(64), nullable=False),
    Column("profile", String(100)),
    Column("status", Integer),
    Index("ix_attempt_operation", "operation_id"),
)

receipt = Table(
    "receipt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("operation_id", Integer, ForeignKey("operation.id"), nullable=False),
    Column("stage", String(10), nullable=False),
    Column("city_id", BigId),
    Column("digest", Digest),
    Column("request_id", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_receipt_operation", "operation_id"),
)

profile_pause = Table(
    "profile_pause",
    metadata,
    Column("city", String(200), primary_key=True),
    Column("profile", String(100), primary_key=True),
    Column("reason", String(40), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("is_lifted", Boolean, nullable=False),
)

sending_stop = Table(
    "sending_stop",
    metadata,
    Column("city", String(200), primary_key=True),
    Column("actor", String(200), nullable=False),
    Column("note_id", Integer),
    Column("since", UtcDateTime, nullable=False),
    Column("is_lifted", Boolean, nullable=False),
)

host_confirmation = Table(
    "host_confirmation",
    metadata,
    Column("host", String(200), primary_key=True),
    Column("profile", String(100), primary_key=True),
    Column("actor", String(200), nullable=False),
    Column("confirmed_at", UtcDateTime, nullable=False),
)

pace_bucket = Table(
    "pace_bucket",
    metadata,
    Column("city", String(200), primary_key=True),
    Column("free_at", UtcDateTime, nullable=False),
    Column("nightly_at", UtcDateTime, nullable=False),
    Column("demand_at", UtcDateTime),
    Column("held_until", UtcDateTime),
)

city_breaker = Table(
    "city_breaker",
    metadata,
    Column("city", String(200), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("trips", Integer, nullable=False),
    Column("retry_at", UtcDateTime),
    Column("changed_at", UtcDateTime, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("until", UtcDateTime, nullable=False),
)

period_signature = Table(
    "period_signature",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("class_name", String(50), nullable=False),
    Column("name", String(100), nullable=False),
    Column("periods", Json, nullable=False),
    Column("signed_by", String(200), nullable=False),
    Column("signed_at", UtcDateTime, nullable=False),
    Column("note_id", Integer),
    Column("ended_at", UtcDateTime),
    Index("ix_period_signature_class", "place_id", "ended_at", "class_name"),
)

period_opening = Table(
    "period_opening",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("signature_id", Integer, ForeignKey("period_signature.id"), nullable=False),
    Column("opened_by", String(200), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("note_id", Integer),
    Index("ix_period_opening_until", "signature_id", "until"),
)

period_approval = Table(
    "period_approval",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("plan_id", Integer, ForeignKey("plan.id"), nullable=False),
    Column("plan_hash", String(64), nullable=False),
    Column("pupils", Json, nullable=False),
    Column("with_deletes", Boolean, nullable=False),
    Column("items", Json),
    Column("signatures", Json),
    Column("account_id", Integer),
    Column("proposed_by", String(200), nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("note_id", Integer),
    Column("approved_by", String(200)),
    Column("approved_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
)

period_pass = Table(
    "period_pass",
    metadata,
    Column("plan_id", Integer, ForeignKey("plan.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("signature_id", Integer, ForeignKey("period_signature.id"), primary_key=True),
    Column("approval_id", Integer, ForeignKey("period_approval.id"), nullable=False),
)

outage_choice = Table(
    "outage_choice",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("choice", String(10), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("note_id", Integer),
    Column("chosen_at", UtcDateTime, nullable=False),
)
