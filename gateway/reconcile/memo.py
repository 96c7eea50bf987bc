"""A scope that may be skipped whole: its digests stand, its decision inputs stand, and nothing in it waits.

The memo holds what such a scope counts; it is written only where every record was unchanged, foreign or out of scope.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from gateway.reconcile.compare import Category
from gateway.reconcile.resolve import ScopeDecision
from gateway.reconcile.tables import scope_memo
from gateway.store.transaction import upsert

_SETTLED = (Category.UNCHANGED, Category.OUT_OF_SCOPE)

_HERE = (scope_memo.c.place_id == bindparam("place_id"), scope_memo.c.scope == bindparam("scope"))
_MEMO = select(scope_memo).where(*_HERE)
_FORGET = delete(scope_memo).where(*_HERE)


class Memo(msgspec.Struct, frozen=True, kw_only=True):
    """What a skipped scope counts."""

    unchanged: int
    foreign_count: int
    out_of_scope: dict[str, int]


def find_memo(conn: Connection, place_id: int, scope: str, inputs: bytes) -> Memo | None:
    """Find the scope's memo if it was written on exactly these inputs."""
    row = conn.execute(_MEMO, {"place_id": place_id, "scope": scope}).one_or_none()
    if row is None or row.inputs != inputs:
        return None
    return Memo(unchanged=row.unchanged, foreign_count=row.foreign_count, out_of_scope=row.out_of_scope)


def store_memo(
    conn: Connection, place_id: int, scope: str, inputs: bytes, decided: ScopeDecision, now: datetime
) -> None:
    """Remember a settled scope; forget it where anything in it moved or waits."""
    categories = [item.decision.category for item in decided.items] + [shared.category for shared in decided.shared]
    if decided.is_busy or any(category not in _SETTLED for category in categories):
        conn.execute(_FORGET, {"place_id": place_id, "scope": scope})
        return
    shared = {item.reason: item.count for item in decided.shared}
    reasons = Counter(item.decision.reason for item in decided.items)
    reasons.update({reason: count for reason, count in shared.items() if reason not in ("NO_CHANGE", "FOREIGN")})
    upsert(
        conn,
        scope_memo,
        [
            {
                "place_id": place_id,
                "scope": scope,
                "inputs": inputs,
                "unchanged": shared.get("NO_CHANGE", 0),
                "foreign_count": shared.get("FOREIGN", 0),
                "out_of_scope": dict(reasons),
                "decided_at": now,
            }
        ],
        keys=("place_id", "scope"),
        update=("inputs", "unchanged", "foreign_count", "out_of_scope", "decided_at"),
    )
