"""Ours in the city's terms: one row a record, sendable or with the reason why not.

Written by the planning flow from what mapping says; only rows that differ are touched. A record that is gone has no row
here: then only `base` speaks for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from sqlalchemy import Connection, bindparam, delete, select

from gateway.domain.records import digest_of, to_body
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.mesh import Mapped
from gateway.reconcile.tables import intended
from gateway.store.transaction import upsert

_KEY = attrgetter("kind", "ref")
_SEEN_LATER = attrgetter("intent", "state", "reason", "on", "due_on", "mode")
"""Everything that a later run could see differently."""
_KNOWN = select(intended.c.kind, intended.c.ref, intended.c.row_digest).where(
    intended.c.place_id == bindparam("place_id"), intended.c.scope == bindparam("scope")
)


def store_intended(conn: Connection, place_id: int, scope: str, mapped: Iterable[Mapped]) -> int:
    """Store what a scope should hold, in the caller's transaction.

    Returns:
        Rows written or removed.
    """
    rows = conn.execute(_KNOWN, {"place_id": place_id, "scope": scope}).all()
    known = {(kind, ref): digest for kind, ref, digest in rows}
    changed: list[dict[str, object]] = []
    # On an ordinary night nearly every record is as it was, so nothing more is made of it than its digest.
    found = list(mapped)
    digests = map(digest_of, map(to_body, map(_SEEN_LATER, found)))
    for item, key, row_digest in zip(found, map(_KEY, found), digests, strict=True):
        if known.pop(key, None) != row_digest:
            changed.append(_to_columns(place_id, scope, item, row_digest))
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


def _to_columns(place_id: int, scope: str, mapped: Mapped, row_digest: bytes) -> dict[str, object]:
    intent = mapped.intent
    return {
        "place_id": place_id,
        "kind": mapped.kind.value,
        "ref": mapped.ref,
        "scope": scope,
        "state": mapped.state,
        "reason": mapped.reason,
        "digest": atom_digest(atom_of_intent(intent)) if intent is not None else bytes(16),
        "object_key": intent.object_key if intent is not None else None,
        "intent": to_body(intent) if intent is not None else None,
        "on_date": mapped.on,
        "due_on": mapped.due_on,
        "create_mode": mapped.mode.create if mapped.mode is not None else "off",
        "change_mode": mapped.mode.change if mapped.mode is not None else "off",
        "row_digest": row_digest,
    }
