"""Tables of the audit: the two chains, their checkpoints, what ails the second sink,
the people's pseudonyms, and what people typed.

Only `audit.log` writes `audit_entry`, and `audit.checkpoint` for it `audit_checkpoint`; triggers refuse everybody
else's UPDATE, DELETE and TRUNCATE. Entries hold no names and no values: a person is a random pseudonym, a value a
digest under that person's salt, so that an erasure (salt and link destroyed in `audit_subject`) never breaks a chain.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from gateway.store.metadata import BigId, UtcDateTime, metadata

CODE_LENGTH = 200
"""Longest code or id in an entry, in characters."""

_CODE = String(CODE_LENGTH)

# Columns are plain text and integers, `at` too: a hash is taken over exactly what is stored, whichever the database,
# and a tampered value can be read and named instead of failing in a type's conversion.
audit_entry = Table(
    "audit_entry",
    metadata,
    Column("stream", String(10), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("format", Integer, nullable=False),
    Column("at", String(27), nullable=False),
    Column("tick_ns", BigInteger, nullable=False),
    Column("environment", _CODE, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("code_version", _CODE, nullable=False),
    Column("actor_kind", String(10), nullable=False),
    Column("actor", _CODE, nullable=False),
    Column("actor_role", _CODE),
    Column("is_authenticated", Integer, nullable=False),
    Column("originator", _CODE),
    Column("action", _CODE, nullable=False),
    Column("place", String(32)),
    Column("object_type", _CODE),
    Column("object_id", _CODE),
    Column("subject", String(33)),
    Column("run_id", BigInteger),
    Column("operation_id", BigInteger),
    Column("fence", BigInteger),
    Column("plan_hash", _CODE),
    Column("reason", _CODE),
    Column("rule_version", _CODE),
    Column("old_digest", String(64)),
    Column("new_digest", String(64)),
    Column("city_id", _CODE),
    Column("outcome", _CODE),
    Column("counts", Text),
    Column("note_id", BigInteger),
    Column("note_digest", String(64)),
    Column("source_address", _CODE),
    Column("request_id", _CODE),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_entry_run", "run_id"),
    Index("ix_audit_entry_operation", "operation_id"),
    Index("ix_audit_entry_subject", "subject"),
    info={"append_only": True},
)

# No foreign key to the entries: a checkpoint must survive, and tell, the removal of what it closes.
audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("stream", String(10), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", String(64), nullable=False),
    Column("head_hash", String(64), nullable=False),
    Column("at", String(27), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("run_id", BigInteger),
    Column("frontier", Text, nullable=False),
    info={"append_only": True},
)

audit_sink = Table(
    "audit_sink",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("failing_since", UtcDateTime, nullable=False),
)

audit_subject = Table(
    "audit_subject",
    metadata,
    Column("pseudonym", String(33), primary_key=True),
    Column("city", String(200), nullable=False),
    Column("portal", String(200), nullable=False),
    Column("year", String(9), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("ref", String(300)),
    Column("salt", LargeBinary(16)),
    UniqueConstraint("city", "portal", "year", "kind", "ref"),
)

human_note = Table(
    "human_note",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("text", Text),
    Column("salt", LargeBinary(16)),
    Column("written_at", UtcDateTime, nullable=False),
)
