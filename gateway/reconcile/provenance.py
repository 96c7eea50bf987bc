"""Who brought a record in: whose hands typed it, at whose word, who answers for it, and which way it came.

Read from the records themselves, those of other sources that are the same thing included, and from what people decided
about them since. For the audit entry of an operation and for the passport.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import CompoundSelect, Connection, literal, select, union_all

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
    for kind, canonical, _, body in conn.execute(_words_of(place_id, kinds, refs)):
        entry = _decoder().decode(body).entry
        if entry is not None:
            # its own word first, then the sources' by their names
            found.setdefault((kind, canonical), entry)
    for row in conn.execute(
        select(correction.c.kind, correction.c.ref, correction.c.actor).where(
            correction.c.place_id == place_id, correction.c.kind.in_(kinds), correction.c.ref.in_(refs)
        )
    ):
        earlier = found.get((row.kind, row.ref), Entry())
        found[row.kind, row.ref] = Entry(typed_by=row.actor, answers=earlier.answers, way=RESOLUTION)
    return {key: _with_way(found.get(key, Entry()), key[1]) for key in keys}


def _words_of(place_id: int, kinds: list[str], refs: list[str]) -> CompoundSelect[Any]:
    own = select(record.c.kind, record.c.ref.label("canonical"), literal("").label("other"), record.c.body).where(
        record.c.place_id == place_id, record.c.kind.in_(kinds), record.c.ref.in_(refs)
    )
    others = (
        select(record.c.kind, record_link.c.canonical, record.c.ref, record.c.body)
        .join(
            record_link,
            same_record(record_link, record),
        )
        .where(
            record_link.c.place_id == place_id,
            record_link.c.kind.in_(kinds),
            record_link.c.canonical.in_(refs),
            record.c.gone.is_(None),
        )
    )
    return union_all(own, others).order_by("other")


def _with_way(entry: Entry, ref: str) -> Entry:
    if entry.way:
        return entry
    source = source_of(ref)
    return msgspec.structs.replace(entry, way=PORTAL_NAME if source == PORTAL else source)


@lru_cache(maxsize=1)
def _decoder() -> msgspec.json.Decoder[_Entered]:
    return msgspec.json.Decoder(_Entered)


__all__ = ["RESOLUTION", "load_entries"]
