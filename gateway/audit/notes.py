"""What people type when they approve or hold: kept beside the chain, which holds only the id and a salted digest.

A typed reason may name a child, so it must be erasable; a changed one is found by `read.verify`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, select, update

from gateway.audit.chain import salted_digest
from gateway.audit.table import human_note
from gateway.domain.errors import AuditError


class Note(msgspec.Struct, frozen=True):
    """A stored text as the chain refers to it: its id and its digest (64 hex digits)."""

    id: int
    digest: str


def write_note(
    conn: Connection, text: str, *, now: datetime, random: Callable[[int], bytes] = secrets.token_bytes
) -> Note:
    """Store a text in the caller's transaction.

    Args:
        text: As typed; NUL is dropped, because PostgreSQL can't keep it.
        now: Aware UTC.
        random: Source of the salt.
    """
    kept = text.replace("\x00", "")
    salt = random(16)
    row = insert(human_note).values(text=kept, salt=salt, written_at=now).returning(human_note.c.id)
    return Note(conn.execute(row).scalar_one(), salted_digest(salt, kept.encode()))


def get_note(conn: Connection, note_id: int) -> str | None:
    """The text; None when it was erased.

    Raises:
        AuditError: No such note.
    """
    row = conn.execute(select(human_note.c.text).where(human_note.c.id == note_id)).one_or_none()
    if row is None:
        raise AuditError(f"Примечания {note_id} нет")
    text: str | None = row.text
    return text


def erase_note(conn: Connection, note_id: int) -> None:
    """Destroy text and salt; the entry that refers to them stays and its chain verifies."""
    conn.execute(update(human_note).where(human_note.c.id == note_id).values(text=None, salt=None))
