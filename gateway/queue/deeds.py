"""What the audit says of an operation: pseudonym, salted digests, ids and codes, never a value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.subjects import digest_value, pseudonym_of
from gateway.domain.identifiers import Place

DELIVERER = Actor(kind="service", name="delivery")
NOBODY = "group"
"""Subject ref of what concerns a whole group (homework)."""


class Ledger:
    """Writes operations' entries in the caller's transaction."""

    def __init__(self, audit: AuditLog, place: Place) -> None:
        self._audit = audit
        self._place = place
        self._gathered: list[Deed] | None = None

    @contextmanager
    def gathered(self, conn: Connection) -> Iterator[Ledger]:
        """Entries written by the yielded ledger are appended together, in their order, when the block ends well.

        The log's head is locked from the first entry to the commit, and every process waits there; so entries come last.

        Raises:
            AuditError: They can't be written; the caller's transaction is gone with them (law 9).
        """
        deeds: list[Deed] = []
        ledger = Ledger(self._audit, self._place)
        ledger._gathered = deeds
        yield ledger
        self._audit.append_many(conn, deeds)

    def write(
        self,
        conn: Connection,
        row: Row[Any],
        action: str,
        outcome: str,
        *,
        reason: str | None = None,
        city_id: int | None = None,
        request_id: str | None = None,
        actor: Actor = DELIVERER,
    ) -> None:
        """Append one entry about an operation.

        Raises:
            AuditError: It can't be written; the caller's transaction is gone with it (law 9).
        """
        subject = pseudonym_of(conn, self._place, _subject_ref(row))
        self.note(
            conn,
            Deed(
                action=action,
                actor=actor,
                place=self._place,
                object_type=row.kind,
                object_id=f"operation:{row.id}",
                subject=subject,
                run_id=row.run_id,
                operation_id=row.id,
                fence=row.fence,
                reason=reason,
                rule_version=row.rule_version,
                old_digest=digest_value(conn, subject, row.old) if row.old is not None else None,
                new_digest=digest_value(conn, subject, row.intent) if row.op != "delete" else None,
                city_id=city_id,
                outcome=outcome,
                request_id=request_id,
            ),
        )

    def note(self, conn: Connection, deed: Deed) -> None:
        """Append an entry that is not about one operation."""
        if self._gathered is not None:
            self._gathered.append(deed)
        else:
            self._audit.append(conn, deed)


def _subject_ref(row: Row[Any]) -> str:
    """Whom the operation concerns, by the city's pupil id (the record's ref names a gradebook cell, not a person)."""
    pupil_id = msgspec.json.decode(row.intent).get("pupil_id")
    return f"city-pupil:{pupil_id}" if pupil_id is not None else NOBODY
