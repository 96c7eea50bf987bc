"""Tables of correlation: places, links, candidates, dictionaries, rule sets and the life of their versions, the lesson
chosen for a mark, what several sources of the school have in common, and the school's own calendar.

`place_id` stands for (city, portal, school year) and belongs to every key (law 15).
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
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

place = Table(
    "place",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("city", String(200), nullable=False),
    Column("portal", String(100), nullable=False),
    Column("year", String(9), nullable=False),
    UniqueConstraint("city", "portal", "year"),
)

link = Table(
    "link",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("local_ref", String(200), primary_key=True),
    Column("city_id", String(100), nullable=False),
    Column("how", String(30), nullable=False),
    Column("evidence", Json, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    # One city object stands for one local object: two children on one profile would mix their marks.
    UniqueConstraint("place_id", "kind", "city_id"),
)

link_candidate = Table(
    "link_candidate",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("local_ref", String(200), primary_key=True),
    Column("city_id", String(100), primary_key=True),
    Column("reason", String(40), nullable=False),
    Column("score", Float, nullable=False),
    Column("evidence", Json, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

link_rejection = Table(
    "link_rejection",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("local_ref", String(200), primary_key=True),
    Column("city_id", String(100), primary_key=True),
    # what both sides said of themselves then: the pair is offered again only when that has changed
    Column("fingerprint", Digest, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("note_id", Integer),
    Column("rejected_at", UtcDateTime, nullable=False),
)

link_doubt = Table(
    "link_doubt",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("local_ref", String(200), primary_key=True),
    Column("code", String(20), primary_key=True),
    Column("city_id", String(100), nullable=False),
    Column("fingerprint", Digest, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

dictionary_entry = Table(
    "dictionary_entry",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("local_value", String(300), primary_key=True),
    Column("city_value", String(300), nullable=False),
    Column("is_seeded", Boolean, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

rule_set = Table(
    "rule_set",
    metadata,
    Column("version", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    Column("first_used_at", UtcDateTime, nullable=False),
)

mapping_version = Table(
    "mapping_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    # Numbered within the place, from 1.
    Column("number", Integer, nullable=False),
    # What `rule_version` says of its rules; their body stands in `rule_set`.
    Column("version", String(64), nullable=False),
    Column("state", String(12), nullable=False),
    # The TOML as the school wrote it, comments and all.
    Column("source", Text, nullable=False),
    Column("drafted_by", String(200), nullable=False),
    Column("drafted_at", UtcDateTime, nullable=False),
    Column("proposed_by", String(200)),
    Column("activated_at", UtcDateTime),
    Column("backtest", Json),
    UniqueConstraint("place_id", "number"),
)

mapping_step = Table(
    "mapping_step",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version_id", Integer, ForeignKey("mapping_version.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("step", String(20), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("since", UtcDateTime),
    Column("note_id", Integer),
    Index("ix_mapping_step_version", "version_id", "id"),
)

mapping_case = Table(
    "mapping_case",
    metadata,
    Column("version_id", Integer, ForeignKey("mapping_version.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("ref", String(200), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("old_reason", String(40), nullable=False),
    Column("new_reason", String(40), nullable=False),
    Column("old", LargeBinary),
    Column("new", LargeBinary),
    Column("is_delivered", Boolean, nullable=False),
)

rule_binding = Table(
    "rule_binding",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("ref", String(200), primary_key=True),
    # Rules that made what the city holds, and the digest of the record that they made it of.
    Column("rule_version", String(64), nullable=False),
    Column("facts", Digest, nullable=False),
    # Activation that is to correct it; empty = it keeps its version's value.
    Column("correction_id", Integer),
    Index("ix_rule_binding_correction", "correction_id"),
)

unmapped_value = Table(
    "unmapped_value",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("scope", String(200), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("local_value", String(300), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

mark_lesson = Table(
    "mark_lesson",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("mark_ref", String(200), primary_key=True),
    Column("city_lesson_id", BigId, nullable=False),
    Column("lesson_starts_at", UtcDateTime, nullable=False),
    Column("rule", String(20), nullable=False),
    Column("rule_version", String(64), nullable=False),
    Column("chosen_at", UtcDateTime, nullable=False),
)

school_calendar = Table(
    "school_calendar",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("year", String(9), nullable=False),
    Column("digest", Digest, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("source", String(200), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
    Index("ix_school_calendar_year", "year", "id"),
)

record_link = Table(
    "record_link",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("ref", String(200), primary_key=True),
    Column("canonical", String(200), nullable=False),
    # Local group of dated records, by its canonical ref; empty for people and groups.
    Column("group_ref", String(200), nullable=False),
    Column("how", String(30), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    Index("ix_record_link_canonical", "place_id", "kind", "canonical"),
    Index("ix_record_link_group", "place_id", "group_ref"),
)

source_conflict = Table(
    "source_conflict",
    metadata,
    Column("place_id", Integer, ForeignKey("place.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("ref", String(200), primary_key=True),
    Column("field", String(40), primary_key=True),
    Column("group_ref", String(200), nullable=False),
    Column("reason", String(40), nullable=False),
    Column("owner", String(20), nullable=False),
    Column("winner", String(200), nullable=False),
    Column("others", Json, nullable=False),
    Column("rule_version", String(64), nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("run_id", Integer, nullable=False),
    Index("ix_source_conflict_group", "place_id", "group_ref"),
)
