"""The stored correlation of the school's own sources: which of their records are one thing, and where their words differ.

A pair is never taken apart by a machine. Runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from gateway.domain.identifiers import Kind
from gateway.mapping.joining import Conflict
from gateway.mapping.pairing import NewPair
from gateway.mapping.tables import record_link, source_conflict
from gateway.store.transaction import upsert

MACHINE = "gateway"
"""Actor of pairs found without a person."""


def load_pairs(conn: Connection, place_id: int, kind: Kind, *, group_ref: str | None = None) -> dict[str, str]:
    """Return ref → canonical ref of one kind, of one local group or of all."""
    where = [record_link.c.place_id == place_id, record_link.c.kind == kind.value]
    if group_ref is not None:
        where.append(record_link.c.group_ref == group_ref)
    rows = conn.execute(select(record_link.c.ref, record_link.c.canonical).where(*where).order_by(record_link.c.ref))
    return {row.ref: row.canonical for row in rows}


def save_pairs(
    conn: Connection,
    place_id: int,
    kind: Kind,
    pairs: Iterable[NewPair],
    now: datetime,
    *,
    group_ref: str = "",
    actor: str = MACHINE,
) -> int:
    """Store pairs; one whose canonical record has itself become part of another follows it.

    Returns:
        Pairs written.
    """
    rows = [
        {
            "place_id": place_id,
            "kind": kind.value,
            "ref": pair.ref,
            "canonical": pair.canonical,
            "group_ref": group_ref,
            "how": pair.how,
            "actor": actor,
            "decided_at": now,
        }
        for pair in pairs
    ]
    upsert(
        conn, record_link, rows, keys=("place_id", "kind", "ref"), update=("canonical", "how", "actor", "decided_at")
    )
    return len(rows)


def save_conflicts(
    conn: Connection,
    place_id: int,
    kinds: Collection[Kind],
    conflicts: Iterable[tuple[Kind, Conflict]],
    *,
    group_ref: str,
    rule_version: str,
    now: datetime,
    run_id: int,
) -> None:
    """Replace what was noted of these kinds of one group by what stands now; one that goes on keeps its first moment."""
    here = (
        source_conflict.c.place_id == place_id,
        source_conflict.c.group_ref == group_ref,
        source_conflict.c.kind.in_([kind.value for kind in kinds]),
    )
    known: Mapping[tuple[str, str, str], datetime] = {
        (row.kind, row.ref, row.field): row.seen_at
        for row in conn.execute(
            select(
                source_conflict.c.kind, source_conflict.c.ref, source_conflict.c.field, source_conflict.c.seen_at
            ).where(*here)
        )
    }
    rows = [
        {
            "place_id": place_id,
            "kind": kind.value,
            "ref": one.ref,
            "field": one.field,
            "group_ref": group_ref,
            "reason": one.reason,
            "owner": one.owner,
            "winner": one.winner,
            "others": list(one.others),
            "rule_version": rule_version,
            "seen_at": known.get((kind.value, one.ref, one.field), now),
            "run_id": run_id,
        }
        for kind, one in conflicts
    ]
    if known:
        conn.execute(delete(source_conflict).where(*here))
    if rows:
        conn.execute(insert(source_conflict), rows)


__all__ = ["MACHINE", "load_pairs", "save_conflicts", "save_pairs"]
