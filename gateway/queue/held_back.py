"""What people keep from leaving, asked anew wherever an operation would leave: by a call, or by the hand of who types the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from gateway.domain.city import Intent
from gateway.domain.reasons import MARKED_HOLD, PERIOD_SIGNED
from gateway.queue.signed import Signed, find_locked
from gateway.reconcile.holds import Hold, is_held_by, load_holds
from gateway.reconcile.resolve import INTENT_TYPES


def find_held(
    conn: Connection, place_id: int, rows: Sequence[Row[Any]], signed: Signed, *, now: datetime
) -> frozenset[int]:
    """Ids of the operations that a hold takes: laid while a plan was made, it found nothing yet that it could take out."""
    holds = load_holds(conn, place_id, now=now)
    if not holds:
        return frozenset()
    classes = signed.classes(conn, place_id) if any(one.class_name for one in holds) else None

    def takes(one: Hold, row: Row[Any]) -> bool:
        is_here = one.class_name is None or (
            classes is not None and classes.of_group(to_intent(row).group_id) == one.class_name
        )
        return is_here and is_held_by(one, kind=row.kind, op=row.op, ref=row.ref, object_key=row.object_key)

    return frozenset(row.id for row in rows if any(takes(one, row) for one in holds))


def find_stopped(conn: Connection, place_id: int, rows: Sequence[Row[Any]], *, now: datetime) -> Mapping[int, str]:
    """Operations that may not be typed by hand now, and the code of what stops them: a hold, or a signature.

    A signature stops also what was put on the list while its period was open: the hour ends by itself.
    """
    if not rows:
        return {}
    signed = Signed()
    locks = signed.load(conn, place_id, now)
    locked = find_locked(conn, locks, rows, now) if locks else frozenset()
    found = {row.id: PERIOD_SIGNED for row in rows if (row.plan_id, row.seq) in locked}
    return found | dict.fromkeys(find_held(conn, place_id, rows, signed, now=now), MARKED_HOLD)


def to_intent(row: Row[Any]) -> Intent:
    """What an operation means, out of its row."""
    intent: Intent = msgspec.json.decode(row.intent, type=INTENT_TYPES[row.kind])
    return intent


__all__ = ["find_held", "find_stopped", "to_intent"]
