"""Ours in the city's terms: one row a record, sendable or with the reason why not.

Written by the planning flow from what mapping says; only rows that differ are touched. A record that is gone has no row
here: then only `base` speaks for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from gateway.domain.records import digest_of, to_body
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.mesh import Mapped
from gateway.mapping.rules import Mode
from gateway.reconcile.tables import intended
from gateway.store.transaction import upsert


class IntendedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `intended` without its place and scope."""

    kind: str
    ref: str
    state: str
    reason: str
    digest: bytes
    object_key: str | None
    intent: bytes | None
    on_date: date | None
    due_on: date | None
    create_mode: Mode
    change_mode: Mode
    row_digest: bytes


def to_row(mapped: Mapped) -> IntendedRow:
    """Turn mapping's answer into a row; `row_digest` covers everything that a later run could see differently."""
    intent = to_body(mapped.intent) if mapped.intent is not None else None
    digest = atom_digest(atom_of_intent(mapped.intent)) if mapped.intent is not None else bytes(16)
    create, change = (mapped.mode.create, mapped.mode.change) if mapped.mode is not None else ("off", "off")
    tail = f"|{mapped.state}|{mapped.reason}|{mapped.on}|{mapped.due_on}|{create}|{change}".encode()
    return IntendedRow(
        kind=mapped.kind.value,
        ref=mapped.ref,
        state=mapped.state,
        reason=mapped.reason,
        digest=digest,
        object_key=mapped.intent.object_key if mapped.intent is not None else None,
        intent=intent,
        on_date=mapped.on,
        due_on=mapped.due_on,
        create_mode=create,
        change_mode=change,
        row_digest=digest_of((intent or b"") + tail),
    )


def store_intended(conn: Connection, place_id: int, scope: str, rows: Iterable[IntendedRow]) -> int:
    """Store what a scope should hold, in the caller's transaction.

    Returns:
        Rows written or removed.
    """
    known = {
        (row.kind, row.ref): row.row_digest
        for row in conn.execute(
            select(intended.c.kind, intended.c.ref, intended.c.row_digest).where(
                intended.c.place_id == place_id, intended.c.scope == scope
            )
        )
    }
    changed: list[dict[str, object]] = []
    for row in rows:
        if known.pop((row.kind, row.ref), None) == row.row_digest:
            continue
        changed.append(
            {
                "place_id": place_id,
                "kind": row.kind,
                "ref": row.ref,
                "scope": scope,
                "state": row.state,
                "reason": row.reason,
                "digest": row.digest,
                "object_key": row.object_key,
                "intent": row.intent,
                "on_date": row.on_date,
                "due_on": row.due_on,
                "create_mode": row.create_mode,
                "change_mode": row.change_mode,
                "row_digest": row.row_digest,
            }
        )
    upsert(
        conn,
        intended,
        changed,
        keys=("place_id", "kind", "ref"),
        update=(
            "scope",
            "state",
            "reason",
            "digest",
            "object_key",
            "intent",
            "on_date",
            "due_on",
            "create_mode",
            "change_mode",
            "row_digest",
        ),
    )
    if known:
        conn.execute(
            delete(intended).where(
                intended.c.place_id == place_id,
                intended.c.kind == bindparam("b_kind"),
                intended.c.ref == bindparam("b_ref"),
            ),
            [{"b_kind": kind, "b_ref": ref} for kind, ref in known],
        )
    return len(changed) + len(known)
