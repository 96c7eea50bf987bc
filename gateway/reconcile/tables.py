"""Tables of reconciliation.

`record` ours as read (with its history in `record_version`) → `intended` ours in the city's terms; `shadow` the city's
objects as last read; `base` what both sides last agreed on. Three digests meet in one join.
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

_REF = String(200)
_SCOPE = String(200)

record = Table(
    "record",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("ref", _REF, primary_key=True),
    Column("scope", _SCOPE, nullable=False),
    Column("digest", Digest, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("gone", String(20)),
    Column("gone_at", UtcDateTime),
    Column("absent_reads", Integer, nullable=False, default=0),
    Column("run_id", Integer, nullable=False),
    Index("ix_record_scope", "place_id", "scope"),
)

record_version = Table(
    "record_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("ref", _REF, nullable=False),
    Column("digest", Digest, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("gone", String(20)),
    Column("run_id", Integer, nullable=False),
    Index("ix_record_version_ref", "place_id", "kind", "ref", "id"),
)

scope_state = Table(
    "scope_state",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("side", String(10), primary_key=True),
    Column("scope", _SCOPE, primary_key=True),
    Column("digest", Digest, nullable=False),
    Column("records", Integer, nullable=False),
    Column("from_on", Date),
    Column("to_on", Date),
    Column("tried_at", UtcDateTime, nullable=False),
    Column("complete_at", UtcDateTime),
    Column("complete_reads", Integer, nullable=False),
    Column("problem", String(40)),
    Column("run_id", Integer, nullable=False),
)

scope_share = Table(
    "scope_share",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("form", String(10), primary_key=True),
    Column("ref", _REF, primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("scope", _SCOPE, primary_key=True),
)

record_fault = Table(
    "record_fault",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("scope", _SCOPE, primary_key=True),
    Column("location", String(300), primary_key=True),
    Column("reason", String(40), nullable=False),
    Column("sentence", Text, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("run_id", Integer, nullable=False),
)

city_directory = Table(
    "city_directory",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
    Column("churn", Json),
)

intended = Table(
    "intended",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("ref", _REF, primary_key=True),
    Column("scope", _SCOPE, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", String(40), nullable=False),
    Column("digest", Digest, nullable=False),
    Column("object_key", String(120)),
    Column("intent", LargeBinary),
    Column("on_date", Date),
    Column("due_on", Date),
    Column("create_mode", String(10), nullable=False),
    Column("change_mode", String(10), nullable=False),
    Column("row_digest", Digest, nullable=False),
    Index("ix_intended_scope", "place_id", "scope"),
)

shadow = Table(
    "shadow",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("city_id", BigId, primary_key=True, autoincrement=False),
    Column("scope", _SCOPE, nullable=False),
    Column("object_key", String(120), nullable=False),
    Column("digest", Digest, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("on_date", Date),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("row_digest", Digest, nullable=False),
    Index("ix_shadow_scope", "place_id", "scope"),
    Index("ix_shadow_object", "place_id", "kind", "object_key"),
)

shadow_version = Table(
    "shadow_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("city_id", BigId, nullable=False),
    Column("body", LargeBinary),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("run_id", Integer, nullable=False),
    Index("ix_shadow_version_object", "place_id", "kind", "city_id", "id"),
)

base = Table(
    "base",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("ref", _REF, primary_key=True),
    Column("scope", _SCOPE, nullable=False),
    Column("city_id", BigId, nullable=False),
    Column("object_key", String(120), nullable=False),
    Column("digest", Digest, nullable=False),
    Column("intent", LargeBinary, nullable=False),
    Column("verified_at", UtcDateTime, nullable=False),
    Column("how", String(20), nullable=False),
    Index("ix_base_scope", "place_id", "scope"),
    UniqueConstraint("place_id", "kind", "city_id"),
)

epoch_scope = Table(
    "epoch_scope",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("scope", _SCOPE, primary_key=True),
    Column("read_at", UtcDateTime, nullable=False),
    Column("run_id", Integer, nullable=False),
)

scope_memo = Table(
    "scope_memo",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("scope", _SCOPE, primary_key=True),
    Column("inputs", Digest, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("foreign_count", Integer, nullable=False),
    Column("out_of_scope", Json, nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
)

plan = Table(
    "plan",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("run_id", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("hash", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sealed_at", UtcDateTime),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("rule_version", String(64), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("counters", Json, nullable=False),
    Column("by_reason", Json, nullable=False),
    Column("guards", Json, nullable=False),
    Column("is_dry_run", Boolean, nullable=False),
    Column("needs_approval", Boolean, nullable=False),
    Column("open_gates", Json, nullable=False),
    Column("approved_by", String(200)),
    Column("approved_at", UtcDateTime),
    Column("note_id", Integer),
    Column("undoes", Integer),
    Index("ix_plan_hash", "hash"),
)

decision = Table(
    "decision",
    metadata,
    Column("plan_id", Integer, ForeignKey("plan.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("ref", _REF),
    Column("city_id", BigId),
    Column("scope", _SCOPE, nullable=False),
    Column("category", String(20), nullable=False),
    Column("op", String(10)),
    Column("reason", String(40), nullable=False),
    Column("object_key", String(120)),
    Column("ours", Digest),
    Column("base", Digest),
    Column("theirs", Digest),
    Column("intent", LargeBinary),
    Column("old", LargeBinary),
    Column("on_date", Date),
    Column("due_on", Date),
    Column("gate", String(10), nullable=False),
    Column("outcome", String(20)),
    Index("ix_decision_ref", "kind", "ref"),
)

decision_scope = Table(
    "decision_scope",
    metadata,
    Column("plan_id", Integer, ForeignKey("plan.id"), primary_key=True),
    Column("scope", _SCOPE, primary_key=True),
    Column("reason", String(40), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("digest", Digest, nullable=False),
)

discrepancy = Table(
    "discrepancy",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("ref", _REF, nullable=False),
    Column("scope", _SCOPE, nullable=False),
    Column("city_id", BigId),
    Column("object_key", String(120)),
    Column("type", String(30), nullable=False),
    Column("reason", String(40), nullable=False),
    Column("state", String(20), nullable=False),
    Column("owner", String(20), nullable=False),
    Column("assignee", String(200)),
    Column("pattern", _REF, nullable=False),
    Column("ours", Digest),
    Column("base", Digest),
    Column("theirs", Digest),
    Column("intent", LargeBinary),
    Column("base_intent", LargeBinary),
    Column("city_body", LargeBinary),
    Column("their_key", String(120)),
    Column("theirs_read_at", UtcDateTime),
    Column("on_date", Date),
    Column("flips", Integer, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),
    Column("choice", String(20)),
    Column("chosen", Digest),
    Column("plan_id", Integer, nullable=False),
    UniqueConstraint("place_id", "kind", "ref"),
    Index("ix_discrepancy_state", "place_id", "state", "id"),
    # groups are counted in this index alone: the rows are wide
    Index("ix_discrepancy_pattern", "place_id", "state", "pattern", "owner", "type", "kind", "due_at", "opened_at"),
)

discrepancy_step = Table(
    "discrepancy_step",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("discrepancy_id", Integer, ForeignKey("discrepancy.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("step", String(20), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("choice", String(20)),
    Column("pattern", _REF, nullable=False),
    Column("note_id", Integer),
    Column("plan_id", Integer),
    Index("ix_discrepancy_step_life", "discrepancy_id", "id"),
    Index("ix_discrepancy_step_pattern", "pattern", "step", "choice"),
)

choice_act = Table(
    "choice_act",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("choice", String(20), nullable=False),
    Column("own_value", String(20)),
    Column("until", UtcDateTime),
    Column("is_removing", Boolean, nullable=False),
    Column("actor_kind", String(20), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("actor_role", String(40)),
    Column("is_authenticated", Boolean, nullable=False),
    Column("originator", String(200)),
    Column("note_id", Integer, nullable=False),
    Column("asked", Integer, nullable=False),
    Column("taken", Integer, nullable=False),
    Column("left_out", Json, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Index("ix_choice_act_finished", "place_id", "finished_at"),
)

# The key is the discrepancy's own number, which is found in `discrepancy` in the transaction that writes it here.
choice_member = Table(
    "choice_member",
    metadata,
    Column("discrepancy_id", Integer, primary_key=True, autoincrement=False),
    Column("act_id", Integer, ForeignKey("choice_act.id"), nullable=False),
    Column("seen_at", UtcDateTime),
)

correction = Table(
    "correction",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("ref", _REF, primary_key=True),
    Column("corrected", Digest, nullable=False),
    Column("atom", LargeBinary),
    Column("actor", String(200), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("discrepancy_id", Integer, ForeignKey("discrepancy.id"), nullable=False),
)

apart = Table(
    "apart",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("ref", _REF, primary_key=True),
    Column("city_id", BigId, primary_key=True, autoincrement=False),
    Column("scope", _SCOPE, nullable=False),
    Index("ix_apart_scope", "place_id", "scope"),
)

precedent = Table(
    "precedent",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("pattern", _REF, nullable=False),
    Column("choice", String(20), nullable=False),
    Column("state", String(12), nullable=False),
    Column("made_by", String(200), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("backtest", Json),
    Column("tested_at", UtcDateTime),
    Column("switched_on_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("used_count", Integer, nullable=False),
    Column("note_id", Integer),
    Index("ix_precedent_state", "place_id", "state"),
)

hold = Table(
    "hold",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("kind", String(20)),
    Column("op", String(10)),
    Column("ref", _REF),
    Column("city_pupil_id", BigId),
    Column("class_name", String(50)),
    Column("owner", String(200), nullable=False),
    Column("note_id", Integer),
    Column("placed_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("lifted_at", UtcDateTime),
    Column("plan_id", Integer),
    Column("shown", Digest),
    Index("ix_hold_until", "place_id", "until"),
    Index("ix_hold_record", "place_id", "ref", "plan_id"),
)

relink = Table(
    "relink",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("state", String(20), nullable=False),
    Column("moves", Json, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("proposed_by", String(200), nullable=False),
    Column("person_ref", _REF),
    Column("note_id", Integer, nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("approved_by", String(200)),
    Column("approved_at", UtcDateTime),
    Column("approval_note_id", Integer),
    Column("is_alone", Boolean, nullable=False),
    Column("plan_id", Integer, ForeignKey("plan.id")),
    Index("ix_relink_state", "place_id", "state"),
)

relink_item = Table(
    "relink_item",
    metadata,
    Column("relink_id", Integer, ForeignKey("relink.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("ref", _REF, nullable=False),
    Column("moved_ref", _REF, nullable=False),
    Column("scope", _SCOPE, nullable=False),
    Column("city_id", BigId, nullable=False),
    Column("object_key", String(120), nullable=False),
    Column("digest", Digest, nullable=False),
    Column("old", LargeBinary, nullable=False),
    Column("on_date", Date),
    Column("stood_since", UtcDateTime, nullable=False),
    Column("removal", String(10), nullable=False),
    Column("to_pupil_id", BigId),
    Column("to_object_key", String(120)),
    Column("to_digest", Digest),
    Index("ix_relink_item_record", "kind", "ref"),
)

incident = Table(
    "incident",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("relink_id", Integer, ForeignKey("relink.id"), nullable=False),
    Column("noticed_at", UtcDateTime, nullable=False),
    Column("notice_due_at", UtcDateTime, nullable=False),
    Column("findings_due_at", UtcDateTime, nullable=False),
    Column("noticed_by", String(200), nullable=False),
    Column("notified_at", UtcDateTime),
    Column("notified_by", String(200)),
    Column("notice_note_id", Integer),
    Column("found_at", UtcDateTime),
    Column("found_by", String(200)),
    Column("findings_note_id", Integer),
    Index("ix_incident_relink", "relink_id"),
)

run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("form", String(20), nullable=False),
    Column("state", String(30), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("want", Json, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("counters", Json, nullable=False),
    Column("problems", Json, nullable=False),
    Column("sentence", Text),
    Column("holder", String(200)),
    Column("heartbeat_at", UtcDateTime),
    Index("ix_run_state", "place_id", "state"),
)
