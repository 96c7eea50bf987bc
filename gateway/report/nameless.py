"""Records for whoever may not see names: pupils by pseudonym, and refs that do not say whose they are.

The portal spells its user's number in the ref of each of his records, so a ref beside a pseudonym would undo it. The word
that stands for a ref is keyed by the pupil's own salt: the same each time, in every answer, and gone when he is erased.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from gateway.access.looks import subject_ref
from gateway.access.scope import Scope
from gateway.audit.chain import salted_digest
from gateway.audit.subjects import load_salts, pseudonyms_of
from gateway.domain.identifiers import Kind

OF_NOBODY = frozenset({Kind.HOMEWORK.value, Kind.TOPICS.value})
"""Kinds whose refs name a group's work and no pupil."""


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
