"""Tables of access. Secrets are kept as digests only: a stolen database opens no session and no token.

Roles and relations belong to a city and a portal, not to a school year: a guardian stays one in September. They end by
their dates, or by being taken back; rows are kept, because rights of a past day are asked for (152-ФЗ art. 19).
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, ForeignKey, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from gateway.store.metadata import Json, UtcDateTime, metadata

_LOGIN = String(80)
_REF = String(200)

account = Table(
    "account",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("login", _LOGIN, nullable=False),
    Column("password", String(200)),
    Column("person_ref", _REF),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    UniqueConstraint("login"),
)

account_role = Table(
    "account_role",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("city", String(200), nullable=False),
    Column("portal", String(100), nullable=False),
    Column("role", String(20), nullable=False),
    Column("begins_on", Date),
    Column("ends_on", Date),
    Column("deputises_for", Integer, ForeignKey("account.id")),
    Column("given_at", UtcDateTime, nullable=False),
    Column("taken_at", UtcDateTime),
    Index("ix_account_role_account", "account_id"),
)

account_relation = Table(
    "account_relation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("city", String(200), nullable=False),
    Column("portal", String(100), nullable=False),
    Column("tie", String(20), nullable=False),
    Column("object_ref", _REF, nullable=False),
    Column("begins_on", Date),
    Column("ends_on", Date),
    Column("is_restricted", Boolean, nullable=False),
    Column("substitutes", _REF),
    Column("given_at", UtcDateTime, nullable=False),
    Column("taken_at", UtcDateTime),
    Index("ix_account_relation_account", "account_id", "tie"),
)

account_session = Table(
    "account_session",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("role", String(20), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("proved_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("ix_account_session_account", "account_id"),
)

account_token = Table(
    "account_token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("name", String(80), nullable=False),
    Column("role", String(20), nullable=False),
    Column("actions", Json, nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    UniqueConstraint("digest"),
    Index("ix_account_token_account", "account_id"),
)

login_attempt = Table(
    "login_attempt",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),
    Column("window_at", UtcDateTime, nullable=False),
    Column("failures", Integer, nullable=False),
)

broken_glass = Table(
    "broken_glass",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("note_id", Integer, nullable=False),
    Column("begins_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Index("ix_broken_glass_account", "account_id", "ends_at"),
)

access_alert = Table(
    "access_alert",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("note_id", Integer),
    Column("raised_at", UtcDateTime, nullable=False),
    Column("until_at", UtcDateTime),
)

idempotent_request = Table(
    "idempotent_request",
    metadata,
    Column("account_id", Integer, ForeignKey("account.id"), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("request_digest", LargeBinary(32), nullable=False),
    Column("begun_at", UtcDateTime, nullable=False),
    Column("status", Integer),
    Column("answer", Json),
)
