"""What the audit says of an operation: pseudonym, salted digests, ids and codes, never a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row

from gateway.audit.chain import salted_digest
from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.originator import originators_of
from gateway.audit.subjects import load_salts, pseudonyms_of
from gateway.domain.errors import AuditError
from gateway.domain.identifiers import Place
from gateway.domain.records import Entry
from gateway.reconcile.provenance import load_entries

DELIVERER = Actor(kind="service", name="delivery")
BROUGHT_IN = ("operation.intended", "operation.handed_over")
"""Entries that also say who brought the value in: one before each call, or before a person types it."""
CITY_TEACHER = "city-teacher:"
NOBODY = "group"
"""Subject ref of what concerns a whole group (homework)."""


class _Said(NamedTuple):
    """One entry about an operation before its person has a pseudonym."""

    row: Row[Any]
    action: str
    outcome: str
    reason: str | None
    city_id: int | None
    request_id: str | None
    actor: Actor


class Ledger:
    """Writes operations' entries in the caller's transaction."""

    def __init__(self, audit: AuditLog, place: Place) -> None:
        self._audit = audit
        self._place = place
        self._gathered: list[_Said | Deed] | None = None

    @contextmanager
    def gathered(self, conn: Connection) -> Iterator[Ledger]:
        """Entries written by the yielded ledger are appended together, in their order, when the block ends well.

        The log's head is locked from the first entry to the commit, and every process waits there; so entries come last,
        and a batch's people are looked up by one question.

        Raises:
            AuditError: They can't be written; the caller's transaction is gone with them (law 9).
        """
        ledger = Ledger(self._audit, self._place)
        gathered: list[_Said | Deed] = []
        ledger._gathered = gathered
        yield ledger
        self._append(conn, gathered)

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
        said = _Said(row, action, outcome, reason, city_id, request_id, actor)
        if self._gathered is not None:
            self._gathered.append(said)
        else:
            self._append(conn, [said])

    def note(self, conn: Connection, deed: Deed) -> None:
        """Append an entry that is not about one operation."""
        if self._gathered is not None:
            self._gathered.append(deed)
        else:
            self._audit.append(conn, deed)

    def _append(self, conn: Connection, gathered: Sequence[_Said | Deed]) -> None:
        subjects = {id(one): _subject_ref(one.row) for one in gathered if isinstance(one, _Said)}
        if subjects:
            pseudonyms = pseudonyms_of(conn, self._place, subjects.values())
            salts = load_salts(conn, pseudonyms.values())
        brought = self._load_originators(conn, [one for one in gathered if isinstance(one, _Said)])
        deeds = [
            one
            if isinstance(one, Deed)
            else self._to_deed(one, pseudonyms[subjects[id(one)]], salts, brought.get(id(one)))
            for one in gathered
        ]
        self._audit.append_many(conn, deeds)

    def _load_originators(self, conn: Connection, said: Sequence[_Said]) -> dict[int, str | None]:
        """Who brought in what is about to be sent, by `id` of what is said of it."""
        told = [one for one in said if one.action in BROUGHT_IN]
        if not told:
            return {}
        found = load_entries(conn, told[0].row.place_id, {(one.row.kind, one.row.ref) for one in told})
        entries = [with_teacher(found[one.row.kind, one.row.ref], one.row.intent) for one in told]
        return dict(zip(map(id, told), originators_of(conn, self._place, entries), strict=True))

    def _to_deed(self, said: _Said, subject: str, salts: dict[str, bytes], originator: str | None) -> Deed:
        row = said.row
        salt = salts.get(subject)
        if salt is None:
            raise AuditError(f"Лицо {subject} неизвестно или стёрто")
        return Deed(
            action=said.action,
            actor=said.actor,
            originator=originator,
            place=self._place,
            object_type=row.kind,
            object_id=f"operation:{row.id}",
            subject=subject,
            run_id=row.run_id,
            operation_id=row.id,
            fence=row.fence,
            reason=said.reason,
            rule_version=row.rule_version,
            old_digest=salted_digest(salt, row.old) if row.old is not None else None,
            new_digest=salted_digest(salt, row.intent) if row.op != "delete" else None,
            city_id=said.city_id,
            outcome=said.outcome,
            request_id=said.request_id,
        )


def with_teacher(entry: Entry, intent: bytes) -> Entry:
    """Say who answers where nobody else does: the teacher of the lesson or group, by his number in the city."""
    teacher_id = msgspec.json.decode(intent).get("teacher_id")
    if entry.answers or teacher_id is None:
        return entry
    return msgspec.structs.replace(entry, answers=f"{CITY_TEACHER}{teacher_id}")


def _subject_ref(row: Row[Any]) -> str:
    """Whom the operation concerns, by the city's pupil id (the record's ref names a gradebook cell, not a person)."""
    pupil_id = msgspec.json.decode(row.intent).get("pupil_id")
    return f"city-pupil:{pupil_id}" if pupil_id is not None else NOBODY
