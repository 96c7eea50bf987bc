"""One object of the city is one record's: what a choice would make two records' is left to be settled singly.

After a restore every record that would be created beside an object of the lost time is held by it, so one object may stand
in two discrepancies. Whose it is a person says of one of them; then the other one's ground has moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, exists, select

from gateway.domain.discrepancies import DiscrepancyType
from gateway.reconcile.choose import Excluded
from gateway.reconcile.discrepancies import Effect
from gateway.reconcile.joins import these
from gateway.reconcile.tables import base, discrepancy

Taken = Sequence[tuple[Row[Any], Effect]]


def leave_shared(conn: Connection, place_id: int, taken: Taken) -> tuple[list[tuple[Row[Any], Effect]], list[Excluded]]:
    """Leave out those by which an object would become a second record's.

    Args:
        conn: The transaction of the choice.
        place_id: Where we are.
        taken: From `sort_out`.
    """
    ids = [
        row.id for row, effect in taken if row.type == DiscrepancyType.TWO_CANDIDATES.value and effect.base == "theirs"
    ]
    if not ids:
        return list(taken), []
    is_anothers = exists().where(
        base.c.place_id == discrepancy.c.place_id,
        base.c.kind == discrepancy.c.kind,
        base.c.city_id == discrepancy.c.city_id,
        base.c.ref != discrepancy.c.ref,
    )
    rows = conn.execute(
        select(discrepancy.c.id, discrepancy.c.kind, discrepancy.c.city_id, is_anothers.label("is_anothers")).where(
            these(conn, place_id, ids)
        )
    ).all()
    wished = Counter((row.kind, row.city_id) for row in rows)
    why = {row.id: "moved" if row.is_anothers else "shared" for row in rows if row.is_anothers or wished[row[1:3]] > 1}
    excluded = [Excluded(number, word) for number, word in sorted(why.items())]
    return [one for one in taken if one[0].id not in why], excluded


__all__ = ["leave_shared"]
