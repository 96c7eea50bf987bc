"""Records for whoever may not see names: pupils by pseudonym, and refs that do not say whose they are.

The portal spells its user's number in the ref of each of his records, so a ref beside a pseudonym would undo it. The word
that stands for a ref is keyed by the pupil's own salt: the same each time, in every answer, and gone when he is erased.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from gateway.access.looks import subject_ref
from gateway.access.scope import Scope
from gateway.audit.chain import salted_digest
from gateway.audit.subjects import find_pseudonyms, load_salts, pseudonyms_of
from gateway.domain.identifiers import Kind, Place
from gateway.reconcile.tables import record
from gateway.report.visible import body_field

_VEILED = re.compile(r"[0-9a-f]{32}")
OF_NOBODY = frozenset({Kind.HOMEWORK.value, Kind.TOPICS.value})
"""Kinds whose refs name a group's work and no pupil."""


REF_CHUNK = 5_000
"""Records looked at together when a nameless ref is to be found."""


class Nameless:
    """Pseudonyms of some pupils.

    Args:
        conn: A write transaction: pseudonyms are made at the first question.
        refs: Refs of the pupils, as the portal spells them.
        links: Confirmed links, pupil ref → city id.
    """

    def __init__(self, conn: Connection, scope: Scope, refs: Collection[str], links: Mapping[str, int]) -> None:
        subjects = {ref: subject_ref(ref, links) for ref in refs}
        known = pseudonyms_of(conn, scope.principal.place, sorted(set(subjects.values())))
        self._names = {ref: known[subject] for ref, subject in subjects.items()}
        self._salts = load_salts(conn, self._names.values())

    def name(self, pupil: str | None) -> str:
        """A pupil's pseudonym; empty where nobody is meant."""
        return "" if pupil is None else self._names.get(pupil, "")

    def ref(self, kind: str, ref: str, pupil: str | None) -> str:
        """What stands for a record's ref: `<kind>:` and 32 hex digits; empty where it is not known whose it is.

        What is no single pupil's keeps its ref.
        """
        salt = self._salts.get(self.name(pupil))
        if salt is None:
            return ref if kind in OF_NOBODY else ""
        return f"{kind}:{salted_digest(salt, f'{kind}/{ref}'.encode())[:32]}"


def find_ref(conn: Connection, place: Place, place_id: int, veiled: str, links: Mapping[str, int]) -> str | None:
    """Find the record that a nameless ref stands for; None where it stands for none that is still known.

    The word is made with the pupil's salt and can't be turned back, so the records of its kind are tried, a chunk at a
    time: about half a second over a hundred thousand, and only who sees no names asks so.

    Args:
        veiled: `<kind>:` and 32 hex digits, as `Nameless.ref` gives it.
        links: Confirmed links, pupil ref → city id.
    """
    kind, _, digest = veiled.partition(":")
    if not _VEILED.fullmatch(digest):
        return None
    pupil = body_field(record.c.body, "pupil")
    after = ""
    while True:
        rows = conn.execute(
            select(record.c.ref, pupil.label("pupil"))
            .where(record.c.place_id == place_id, record.c.kind == kind, record.c.ref > after, pupil.is_not(None))
            .order_by(record.c.ref)
            .limit(REF_CHUNK)
        ).all()
        if not rows:
            return None
        subjects = {row.pupil: subject_ref(row.pupil, links) for row in rows}
        known = find_pseudonyms(conn, place, set(subjects.values()))
        salts = load_salts(conn, known.values())
        for row in rows:
            salt = salts.get(known.get(subjects[row.pupil], ""))
            if salt is not None and salted_digest(salt, f"{kind}/{row.ref}".encode())[:32] == digest:
                return str(row.ref)
        after = rows[-1].ref
