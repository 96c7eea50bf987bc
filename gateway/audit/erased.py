"""Who was erased, so that a restored backup does not revive him (reliability.md §7.5).

Two witnesses: the database that is being replaced, and the lines that the second sink or an export keeps outside it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Connection, select

from gateway.audit.subjects import erase
from gateway.audit.table import audit_subject

ERASED_ACTION = "subject.erased"


def load_erased(conn: Connection) -> set[str]:
    """Load the pseudonyms whose link and salt are gone."""
    return set(conn.execute(select(audit_subject.c.pseudonym).where(audit_subject.c.salt.is_(None))).scalars())


def read_erased(path: Path) -> set[str]:
    """Read from exported lines whom the chain says was erased; a torn last line is passed over.

    Raises:
        OSError: The file can't be read.
    """
    found: set[str] = set()
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if ERASED_ACTION not in line:
                continue
            try:
                fields = json.loads(line)
            except ValueError:
                continue  # a crash while it was being written; the entry stands in its database
            if fields.get("action") == ERASED_ACTION and isinstance(fields.get("subject"), str):
                found.add(fields["subject"])
    return found


def erase_again(conn: Connection, pseudonyms: Collection[str]) -> int:
    """Erase those of them whom a restored backup knows again; how many there were."""
    known = conn.execute(select(audit_subject.c.pseudonym).where(audit_subject.c.salt.is_not(None))).scalars()
    revived = sorted(set(known) & set(pseudonyms))
    for pseudonym in revived:
        erase(conn, pseudonym)
    return len(revived)
