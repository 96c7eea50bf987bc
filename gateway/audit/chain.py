"""How entries are bound to one another: pure hashing, no database.

The hash is SHA-256 over one canonical JSON object: all fields but the hash itself, keys sorted, no spaces, ASCII only.
An exported line carries the same object, so twenty lines of any language's standard library verify it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

FORMAT = 1
"""Grows when a field is added, so that entries of both shapes stay verifiable."""

GENESIS = "0" * 64
"""`prev_hash` of the first entry of a stream."""

_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Encode all fields but `hash`: same fields, same bytes."""
    return _ENCODER.encode({name: value for name, value in fields.items() if name != "hash"})


def entry_hash(fields: Mapping[str, Any]) -> str:
    """64 hex digits over the fields, `prev_hash` included."""
    return hashlib.sha256(canonical(fields)).hexdigest()


def salted_digest(salt: bytes, value: bytes) -> str:
    """HMAC-SHA256 in hex. Without the salt five possible marks could be tried out; with it destroyed nobody can."""
    return hmac.new(salt, value, hashlib.sha256).hexdigest()


def to_text(moment: datetime) -> str:
    """Spell a moment as entries keep it: UTC, microseconds, fixed width, so that text order is time order.

    Raises:
        ValueError: `moment` is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("moment must be aware")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """Read such a moment back, aware UTC."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
