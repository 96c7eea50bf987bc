"""The same request twice starts its work once: an `Idempotency-Key` with the answer that it got.

The key belongs to its account. Same key and same body: the stored answer. Another body: refused. Still being worked on:
asked to come back. A key whose work died without an answer is free again after a while; what it started, if anything,
refuses a second time by itself (a plan is approved once, one whole run at a time).

Source: draft-ietf-httpapi-idempotency-key-header-07 §2; Stripe, idempotent requests (keys kept 24 h).
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.access.tables import idempotent_request

KEPT = timedelta(hours=24)
WORKED_ON = timedelta(minutes=2)
"""Longer than any route works before it answers; the long work itself goes on behind the answer."""


class Verdict(Enum):
    """What a key says of a request."""

    FRESH = "fresh"
    IN_FLIGHT = "in_flight"
    OTHER_REQUEST = "other_request"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it is kept: the status and the body's JSON tree."""

    status: int
    body: Any


def digest_request(method: str, path: str, body: bytes) -> bytes:
    """What makes two requests the same: method, path and body, byte by byte."""
    return hashlib.sha256(b"\x00".join((method.encode(), path.encode(), body))).digest()


def claim_key(conn: Connection, account_id: int, key: str, digest: bytes, *, now: datetime) -> Verdict | Answer:
    """Take a key for this request, or say what stands under it.

    In the caller's write transaction; on PostgreSQL the row is locked, on SQLite a write is alone anyway.
    """
    table = idempotent_request.c
    conn.execute(delete(idempotent_request).where(table.begun_at < now - KEPT))
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(idempotent_request)
    taken = conn.execute(
        insert.values(account_id=account_id, key=key, request_digest=digest, begun_at=now)
        .on_conflict_do_nothing(index_elements=["account_id", "key"])
        .returning(table.key)
    ).one_or_none()
    if taken is not None:
        return Verdict.FRESH
    row = conn.execute(
        select(idempotent_request).where(table.account_id == account_id, table.key == key).with_for_update()
    ).one_or_none()
    if row is None:
        return Verdict.IN_FLIGHT  # given back since: who asks again gets it
    if bytes(row.request_digest) != digest:
        return Verdict.OTHER_REQUEST
    if row.status is not None:
        return Answer(status=row.status, body=row.answer)
    if row.begun_at > now - WORKED_ON:
        return Verdict.IN_FLIGHT
    conn.execute(
        update(idempotent_request).where(table.account_id == account_id, table.key == key).values(begun_at=now)
    )
    return Verdict.FRESH


def keep_answer(conn: Connection, account_id: int, key: str, answer: Answer) -> None:
    """Keep what a request was answered."""
    table = idempotent_request.c
    conn.execute(
        update(idempotent_request)
        .where(table.account_id == account_id, table.key == key)
        .values(status=answer.status, answer=answer.body)
    )


def free_key(conn: Connection, account_id: int, key: str) -> None:
    """Give a key back: nothing was done under it."""
    table = idempotent_request.c
    conn.execute(
        delete(idempotent_request).where(table.account_id == account_id, table.key == key, table.status.is_(None))
    )
