"""The one `MetaData`, the column types that behave alike on both databases, and the store's own two tables.

Every floor above declares its tables on `metadata`; `gateway.migrations.models` gathers them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in, aware UTC out, to the microsecond, on both databases.

    SQLite keeps no zone, so that a naive moment would come back as a different one: it is refused at the door.

    Raises:
        ValueError: A naive moment is bound (SQLAlchemy wraps it in `StatementError`, whose `orig` it is).
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect  # the same on both
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive moment refused: the store keeps aware UTC")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder()


class Json(TypeDecorator[Any]):
    """Plain data as UTF-8 JSON text: same value, same bytes. None is NULL.

    Text and not JSONB: digests are taken over what is stored, and JSONB reorders keys.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else _ENCODER.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        del dialect
        return None if value is None else _DECODER.decode(value)


class _Bytes(LargeBinary):
    """Bytes that both drivers give as bytes: copying them once more costs a third of reading a digest."""

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """Take what the driver gives."""
        del dialect, coltype


Digest = _Bytes(16)
"""128 bits from `domain.records.digest_of`."""

BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit integer. `Integer` has 32 bits on PostgreSQL; SQLite gives rowids only to a key spelled INTEGER."""

gateway_instance = Table(
    "gateway_instance",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("instance_id", String(36), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("city", String(200)),
    Column("portal", String(200)),
    Column("epoch_begun_at", UtcDateTime),
    Column("epoch_after_run", Integer),
    Column("write_locked_reason", String(40)),
    Column("pseudonym_key", LargeBinary(32)),
    CheckConstraint("id = 1", name="one_row"),
)

watermark = Table(
    "watermark",
    metadata,
    Column("city", String(200), primary_key=True),
    Column("portal", String(200), primary_key=True),
    Column("year", String(9), primary_key=True),
    Column("scope", String(200), primary_key=True),
    Column("value", Text, nullable=False),
    Column("moved_at", UtcDateTime, nullable=False),
)
