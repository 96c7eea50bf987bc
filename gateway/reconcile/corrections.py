"""What people decided about ours: the city's value, or a third one, laid over the portal's until the portal moves.

Stands between mapping and `intended`. A correction holds as long as the portal shows the very record that was corrected;
its first edit there wins again, by the ordinary table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select

from gateway.domain.city import AbsenceAtom, Atom, CommentAtom, FinalAtom, HomeworkAtom, MarkAtom, TopicsAtom
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import LEFT_TO_CITY
from gateway.mapping.atoms import atom_digest, atom_of_intent, with_atom
from gateway.mapping.mesh import Mapped
from gateway.reconcile.tables import apart, correction, discrepancy, discrepancy_step, record

ATOM_TYPES: Mapping[str, type[Atom]] = {
    Kind.MARK.value: MarkAtom,
    Kind.ABSENCE.value: AbsenceAtom,
    Kind.HOMEWORK.value: HomeworkAtom,
    Kind.COMMENT.value: CommentAtom,
    Kind.FINAL.value: FinalAtom,
    Kind.TOPICS.value: TopicsAtom,
}
_APART = select(apart.c.ref, apart.c.city_id).where(
    apart.c.place_id == bindparam("place_id"), apart.c.scope == bindparam("scope")
)


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about a record of ours.

    Attributes:
        corrected: Digest of the portal's record that was corrected; of topics, of what was meant for the city.
        atom: What is meant instead; None = the record is left to the city.
    """

    corrected: bytes
    atom: Atom | None
    discrepancy_id: int


def load_apart(conn: Connection, place_id: int, scope: str) -> frozenset[tuple[str, str]]:
    """Load (ref, city id as text) of the pairs that a person called two different things."""
    rows = conn.execute(_APART, {"place_id": place_id, "scope": scope})
    return frozenset((row.ref, str(row.city_id)) for row in rows)


def load_corrections(conn: Connection, place_id: int) -> dict[tuple[str, str], Correction]:
    """Load all corrections of a place: (kind, ref) → what was decided. People make them, so there are few."""
    rows = conn.execute(
        select(
            correction.c.kind, correction.c.ref, correction.c.corrected, correction.c.atom, correction.c.discrepancy_id
        ).where(correction.c.place_id == place_id)
    )
    return {
        (row.kind, row.ref): Correction(
            corrected=row.corrected,
            atom=None if row.atom is None else msgspec.json.decode(row.atom, type=ATOM_TYPES[row.kind]),
            discrepancy_id=row.discrepancy_id,
        )
        for row in rows
    }


def lay_over(mapped: Mapped, corrected: Correction) -> Mapped:
    """Put what was decided in the place of what mapping says. Pure.

    A record that mapping can't put into the city's terms stays what it is: there is nothing to lay over.
    """
    if corrected.atom is None:
        return Mapped(ref=mapped.ref, kind=mapped.kind, state="out_of_scope", reason=LEFT_TO_CITY, on=mapped.on)
    if mapped.intent is None:
        return mapped
    return msgspec.structs.replace(mapped, intent=with_atom(mapped.intent, corrected.atom))


class Corrected(msgspec.Struct, frozen=True):
    """What mapping says with the corrections laid over it, and those that end because their record has moved at the portal."""

    mapped: Sequence[Mapped]
    ended: Mapping[tuple[str, str], Correction]


def load_digests(
    conn: Connection, place_id: int, found: Mapping[tuple[str, str], Correction], mapped: Sequence[Mapped]
) -> dict[tuple[str, str], bytes]:
    """Load what stands now in the place of the records that were corrected: (kind, ref) → digest.

    As it is stored: a record of a second source is mapped with its references led to the first one's people. A group's
    topics are no stored record; they are what mapping makes of them.
    """
    wanted = [item for item in mapped if (item.kind.value, item.ref) in found]
    digests = {
        (item.kind.value, item.ref): atom_digest(atom_of_intent(item.intent))
        for item in wanted
        if item.kind is Kind.TOPICS and item.intent is not None
    }
    stored = [item for item in wanted if item.kind is not Kind.TOPICS]
    if stored:
        rows = conn.execute(
            select(record.c.kind, record.c.ref, record.c.digest).where(
                record.c.place_id == place_id,
                record.c.kind.in_({item.kind.value for item in stored}),
                record.c.ref.in_([item.ref for item in stored]),
                record.c.gone.is_(None),
            )
        )
        digests |= {(row.kind, row.ref): row.digest for row in rows}
    return digests


def apply_corrections(
    found: Mapping[tuple[str, str], Correction],
    digests: Mapping[tuple[str, str], bytes],
    mapped: Sequence[Mapped],
) -> Corrected:
    """Lay corrections over what mapping says. Pure; those that end are ended by `end_corrections`.

    Args:
        found: From `load_corrections`.
        digests: From `load_digests`.
        mapped: What mapping says.
    """
    if not digests:
        return Corrected(mapped, {})
    ended = {key: found[key] for key, digest in digests.items() if digest != found[key].corrected}
    laid = [
        lay_over(item, found[key]) if (key := (item.kind.value, item.ref)) in digests and key not in ended else item
        for item in mapped
    ]
    return Corrected(laid, ended)


def end_corrections(
    conn: Connection, place_id: int, ended: Mapping[tuple[str, str], Correction], now: datetime
) -> None:
    """End corrections whose record has moved at the portal, each with a step of its discrepancy.

    Args:
        conn: The caller's write transaction.
        place_id: Where we are.
        ended: From `apply_corrections`.
        now: Aware UTC.
    """
    if not ended:
        return
    conn.execute(
        delete(correction).where(
            correction.c.place_id == place_id,
            correction.c.kind == bindparam("b_kind"),
            correction.c.ref == bindparam("b_ref"),
        ),
        [{"b_kind": kind, "b_ref": ref} for kind, ref in ended],
    )
    ids = [one.discrepancy_id for one in ended.values()]
    rows = conn.execute(select(discrepancy.c.id, discrepancy.c.pattern).where(discrepancy.c.id.in_(ids)))
    patterns = {row.id: row.pattern for row in rows}
    conn.execute(
        insert(discrepancy_step),
        [
            {
                "discrepancy_id": one.discrepancy_id,
                "at": now,
                "step": "portal_moved",
                "actor": "portal",
                "choice": None,
                "pattern": patterns[one.discrepancy_id],
                "note_id": None,
                "plan_id": None,
            }
            for one in ended.values()
        ],
    )
