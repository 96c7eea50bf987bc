"""A scope that may be skipped whole: its digests stand, its decision inputs stand, and nothing in it waits.

The memo holds what such a scope counts; it is written only where every record was unchanged, foreign or out of scope.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from gateway.reconcile.compare import Category
from gateway.reconcile.resolve import ScopeDecision
from gateway.reconcile.tables import scope_memo
from gateway.store.transaction import upsert

_SETTLED = (Category.UNCHANGED, Category.OUT_OF_SCOPE)

_MEMOS = select(scope_memo).where(
    scope_memo.c.place_id == bindparam("place_id"), scope_memo.c.scope.in_(bindparam("scopes", expanding=True))
)
_FORGET = delete(scope_memo).where(
    scope_memo.c.place_id == bindparam("place_id"), scope_memo.c.scope == bindparam("scope")
)


class Memo(msgspec.Struct, frozen=True, kw_only=True):
    """What a skipped scope counts, and the digest of everything that it was decided by."""

    inputs: bytes
    unchanged: int
    foreign_count: int
    out_of_scope: dict[str, int]


def load_memos(conn: Connection, place_id: int, scopes: Collection[str]) -> dict[str, Memo]:
    """Load the memos of these scopes; one counts only on exactly the inputs on which it was written."""
    rows = conn.execute(_MEMOS, {"place_id": place_id, "scopes": list(scopes)}).all()
    return {
        row.scope: Memo(
            inputs=row.inputs,
            unchanged=row.unchanged,
            foreign_count=row.foreign_count,
            out_of_scope=row.out_of_scope,
        )
        for row in rows
    }


def is_settled(decided: ScopeDecision) -> bool:
    """Whether nothing in the scope moved or waits, so that it may be remembered."""
    categories = [item.decision.category for item in decided.items] + [shared.category for shared in decided.shared]
    return not decided.is_busy and all(category in _SETTLED for category in categories)


def store_memo(
    conn: Connection, place_id: int, scope: str, inputs: bytes, decided: ScopeDecision, now: datetime
) -> None:
    """Remember a settled scope; forget it where anything in it moved or waits."""
    if not is_settled(decided):
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
