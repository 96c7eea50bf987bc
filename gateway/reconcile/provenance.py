"""Who brought a record in: whose hands typed it, at whose word, who answers for it, and which way it came.

Read from the records themselves, those of other sources that are the same thing included, and from what people decided
about them since. For the audit entry of an operation and for the passport.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, literal, select, union_all

from gateway.domain.identifiers import PORTAL, source_of
from gateway.domain.records import Entry
from gateway.mapping.sources import PORTAL_NAME
from gateway.mapping.tables import record_link
from gateway.reconcile.joins import same_record
from gateway.reconcile.tables import correction, record

RESOLUTION = "resolution"
"""Way of a value that a person chose when two journals differed."""


class _Entered(msgspec.Struct):
    entry: Entry | None = None


_PLACE: BindParameter[int] = bindparam("place_id")
_KINDS: BindParameter[str] = bindparam("kinds", expanding=True)
_REFS: BindParameter[str] = bindparam("refs", expanding=True)
# built once: putting these together costs more than running them, and they stand before every batch of calls
_WORDS = union_all(
    select(record.c.kind, record.c.ref.label("canonical"), literal("").label("other"), record.c.body).where(
        record.c.place_id == _PLACE, record.c.kind.in_(_KINDS), record.c.ref.in_(_REFS)
    ),
    select(record.c.kind, record_link.c.canonical, record.c.ref, record.c.body)
    .join(
        record_link,
        same_record(record_link, record),
    )
    .where(
        record_link.c.place_id == _PLACE,
        record_link.c.kind.in_(_KINDS),
        record_link.c.canonical.in_(_REFS),
        record.c.gone.is_(None),
    ),
).order_by("other")
"""What sources say of records: their own word, then those of records that are the same."""
_CORRECTED = select(correction.c.kind, correction.c.ref, correction.c.actor).where(
    correction.c.place_id == _PLACE, correction.c.kind.in_(_KINDS), correction.c.ref.in_(_REFS)
)


def load_entries(conn: Connection, place_id: int, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
    """Load who brought records in.

    Args:
        conn: A read transaction.
        place_id: Where we are.
        keys: (kind, canonical ref) of the records.

    Returns:
        (kind, ref) → an entry whose `way` is never empty; of a record that nobody knows, the way is its source's name.
        Who answers may be empty: then it is the teacher whom the city's journal names.
    """
    kinds, refs = sorted({kind for kind, _ in keys}), sorted({ref for _, ref in keys})
    found: dict[tuple[str, str], Entry] = {}
    which = {"place_id": place_id, "kinds": kinds, "refs": refs}
    for kind, canonical, _, body in conn.execute(_WORDS, which):
        entry = _decoder().decode(body).entry
        if entry is not None:
            # its own word first, then the sources' by their names
            found.setdefault((kind, canonical), entry)
    for row in conn.execute(_CORRECTED, which):
        earlier = found.get((row.kind, row.ref), Entry())
        found[row.kind, row.ref] = Entry(typed_by=row.actor, answers=earlier.answers, way=RESOLUTION)
    return {key: _with_way(found.get(key, Entry()), key[1]) for key in keys}


def _with_way(entry: Entry, ref: str) -> Entry:
    if entry.way:
        return entry
    source = source_of(ref)
    return msgspec.structs.replace(entry, way=PORTAL_NAME if source == PORTAL else source)


@lru_cache(maxsize=1)
def _decoder() -> msgspec.json.Decoder[_Entered]:
    return msgspec.json.Decoder(_Entered)


__all__ = ["RESOLUTION", "load_entries"]
