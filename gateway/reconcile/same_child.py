"""Whether a profile in the city is still the child's that it was when something was decided for it.

What should stand is decided anew by every plan, so a link that moved finds its way there. What an undo puts back is
taken from what once stood, at the profile of then; whose that is by now nobody else would ask.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from gateway.domain.city import Intent, pupils_of
from gateway.domain.identifiers import MOVED, Kind
from gateway.mapping.tables import link
from gateway.reconcile.relinks import load_unsure
from gateway.reconcile.resolve import INTENT_TYPES


class Children(msgspec.Struct, frozen=True, kw_only=True):
    """Whose each profile is.

    Attributes:
        linked: Profile in the city → the pupil it is linked to, and since when (aware UTC).
        unsure: Pupils whose link is doubted or being set right.
    """

    linked: Mapping[int, tuple[str, datetime]]
    unsure: Collection[str]

    def are_same(self, kind: str, ref: str, intent: bytes, *, since: datetime) -> bool:
        """Whether all pupils of an intent are linked, without a doubt, and have been to the same profiles since then."""
        if ref.startswith(MOVED):
            return False  # it was taken away from the wrong child
        meant: Intent = msgspec.json.decode(intent, type=INTENT_TYPES[kind])
        return all(self._is_same(pupil_id, since) for pupil_id in pupils_of(meant))

    def _is_same(self, pupil_id: int, since: datetime) -> bool:
        local_ref, decided_at = self.linked.get(pupil_id, (None, None))
        return decided_at is not None and decided_at <= since and local_ref not in self.unsure


def load_children(conn: Connection, place_id: int, *, now: datetime) -> Children:
    """Load whose each profile of a place is."""
    rows = conn.execute(
        select(link.c.city_id, link.c.local_ref, link.c.decided_at).where(
            link.c.place_id == place_id, link.c.kind == Kind.PERSON.value
        )
    )
    return Children(
        linked={int(row.city_id): (row.local_ref, row.decided_at) for row in rows},
        unsure=load_unsure(conn, place_id, now=now),
    )


__all__ = ["Children", "load_children"]
