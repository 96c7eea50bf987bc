"""What a choice lays down: what is agreed from now on, and what stands over ours; and how it is taken back. Set by set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, literal, select, update

from gateway.reconcile.joins import is_here, same_record, these
from gateway.reconcile.tables import base, correction, discrepancy, intended, record, scope_memo
from gateway.store.among import among, listed
from gateway.store.metadata import UtcDateTime
from gateway.store.transaction import upsert, upsert_from

NO_DIGEST = bytes(16)
"""Stands where there is no content to take a digest of."""


def move_bases(conn: Connection, place_id: int, bodies: Sequence[tuple[int, bytes]], now: datetime) -> None:
    """As `store_bases`, of what is agreed in this very place: only its content moves, and no index has to be written."""
    meant = listed(conn, bodies)
    found = (
        select(discrepancy.c.kind, discrepancy.c.ref, discrepancy.c.theirs, meant.c.body)
        .select_from(discrepancy.join(meant, meant.c.id == discrepancy.c.id))
        .where(is_here(place_id))
        .subquery("found")
    )
    conn.execute(
        update(base)
        .where(base.c.place_id == place_id, base.c.kind == found.c.kind, base.c.ref == found.c.ref)
        .values(digest=found.c.theirs, intent=found.c.body, verified_at=now, how="chosen")
    )


def store_bases(conn: Connection, place_id: int, bodies: Sequence[tuple[int, bytes]], now: datetime) -> None:
    """The city's values as last read become what is agreed: a person has seen them."""
    meant = listed(conn, bodies)
    found = (
        select(
            discrepancy.c.place_id,
            discrepancy.c.kind,
            discrepancy.c.ref,
            discrepancy.c.scope,
            discrepancy.c.city_id,
            discrepancy.c.their_key,
            discrepancy.c.theirs,
            meant.c.body,
            literal(now, UtcDateTime()),
            literal("chosen"),
        )
        .select_from(discrepancy.join(meant, meant.c.id == discrepancy.c.id))
        .where(is_here(place_id))
    )
    named = ("scope", "city_id", "object_key", "digest", "intent", "verified_at", "how")
    upsert_from(conn, base, ("place_id", "kind", "ref", *named), found, keys=("place_id", "kind", "ref"), update=named)


def store_corrections(
    conn: Connection,
    place_id: int,
    source: Any,
    where: ColumnElement[bool],
    atom: Any,
    actor: str,
    now: datetime,
    update_columns: Sequence[str],
) -> None:
    """Lay what was chosen over the records of some discrepancies, each bound to what its source says now."""
    meant_now = (
        select(intended.c.digest).where(same_record(intended, discrepancy)).correlate(discrepancy).scalar_subquery()
    )
    found = (
        select(
            discrepancy.c.place_id,
            discrepancy.c.kind,
            discrepancy.c.ref,
            # asked only where there is no record: most have one
            func.coalesce(record.c.digest, meant_now, literal(NO_DIGEST)),
            atom,
            literal(actor),
            literal(now, UtcDateTime()),
            discrepancy.c.id,
        )
        .select_from(source.outerjoin(record, same_record(record, discrepancy)))
        .where(is_here(place_id), where)
    )
    columns = ("place_id", "kind", "ref", "corrected", "atom", "actor", "made_at", "discrepancy_id")
    upsert_from(conn, correction, columns, found, keys=("place_id", "kind", "ref"), update=update_columns)


def take_back(conn: Connection, place_id: int, ids: Sequence[int], now: datetime) -> None:
    """Undo what choices have laid down, so that the difference is there again for who disputes them to choose.

    What was agreed before the choice is agreed again, and nothing is laid over ours: the next plan meets the same three
    legs and holds the record. Where the city was already corrected by an ordinary plan both sides say the same by now, and
    there is nothing to take back.
    """
    rows = conn.execute(
        select(
            *(discrepancy.c[name] for name in ("id", "kind", "ref", "scope", "city_id", "object_key")),
            discrepancy.c.base,
            discrepancy.c.base_intent,
            correction.c.discrepancy_id.label("laid"),
            base.c.how,
        )
        .select_from(
            discrepancy.outerjoin(correction, correction.c.discrepancy_id == discrepancy.c.id).outerjoin(
                base, same_record(base, discrepancy)
            )
        )
        .where(these(conn, place_id, ids))
    ).all()
    touched = [row for row in rows if row.laid is not None or row.how == "chosen"]
    if not touched:
        return
    conn.execute(delete(correction).where(among(conn, correction.c.discrepancy_id, [row.id for row in touched])))
    keys = [{"b_kind": row.kind, "b_ref": row.ref} for row in touched]
    conn.execute(
        delete(base).where(
            base.c.place_id == place_id, base.c.kind == bindparam("b_kind"), base.c.ref == bindparam("b_ref")
        ),
        keys,
    )
    agreed = [row for row in touched if row.base is not None and row.city_id is not None]
    taken = {
        (kind, city_id)
        for kind, city_id in conn.execute(
            select(base.c.kind, base.c.city_id).where(
                base.c.place_id == place_id, among(conn, base.c.city_id, [row.city_id for row in agreed])
            )
        )
    }
    upsert(
        conn,
        base,
        [
            {
                "place_id": place_id,
                "kind": row.kind,
                "ref": row.ref,
                "scope": row.scope,
                "city_id": row.city_id,
                "object_key": row.object_key,
                "digest": row.base,
                "intent": row.base_intent,
                "verified_at": now,
                "how": "disputed",
            }
            for row in agreed
            if (row.kind, row.city_id) not in taken
        ],
        keys=("place_id", "kind", "ref"),
        update=("scope", "city_id", "object_key", "digest", "intent", "verified_at", "how"),
    )
    scopes = sorted({row.scope for row in touched})
    conn.execute(delete(scope_memo).where(scope_memo.c.place_id == place_id, scope_memo.c.scope.in_(scopes)))
