"""How discrepancies end: by a read of the city that shows what was chosen, or because the difference went away by itself.

Stands after the plan's decisions were taken up (`reconcile.follow`) and after each delivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, or_, select, update

from gateway.domain.discrepancies import DiscrepancyState
from gateway.reconcile.follow import ASKS, Followed, store_steps
from gateway.reconcile.joins import same_object, same_record
from gateway.reconcile.tables import base, decision, decision_scope, discrepancy, intended, shadow

NO_DIGEST = bytes(16)
"""Stands in `intended` for what has no content to take a digest of."""


def settle_chunk(
    conn: Connection,
    place_id: int,
    plan_id: int,
    *,
    is_whole: bool,
    after_id: int,
    limit: int,
    now: datetime,
    counts: Followed,
) -> int | None:
    """Take up a chunk of what the plan looked at and did not ask for: proven, or gone by itself.

    Call after the last `follow_chunk` of the plan. What is on its way, or was not read, stays as it is.

    Args:
        is_whole: The plan names every pupil and day of its scopes. Of one that looked at a part, a record without a line of
            its own was left out, not found in order: it ends only where all three legs agree.

    Returns:
        The last discrepancy looked at; None where there was none.
    """
    seen = decision.alias()
    looked_at = or_(
        exists().where(decision_scope.c.plan_id == plan_id, decision_scope.c.scope == discrepancy.c.scope),
        exists().where(seen.c.plan_id == plan_id, seen.c.scope == discrepancy.c.scope),
    )
    is_unread = exists().where(
        decision_scope.c.plan_id == plan_id,
        decision_scope.c.scope == discrepancy.c.scope,
        decision_scope.c.reason == "UNREAD_TARGET",
    )
    rows = conn.execute(
        _standing(
            discrepancy.c.place_id == place_id,
            discrepancy.c.id > after_id,
            discrepancy.c.state != DiscrepancyState.RESOLVED.value,
            discrepancy.c.plan_id < plan_id,
            looked_at,
            ~is_unread,
        )
        .add_columns(decision.c.category)
        .join(
            decision,
            and_(
                decision.c.plan_id == plan_id,
                decision.c.kind == discrepancy.c.kind,
                decision.c.ref == discrepancy.c.ref,
            ),
            isouter=True,
        )
        .order_by(discrepancy.c.id)
        .limit(limit)
    ).all()
    met = [row for row in rows if is_whole or row.category is not None or _do_agree(row)]
    _end(conn, place_id, [row for row in met if row.category not in ASKS], plan_id, now, counts)
    return int(rows[-1].id) if rows else None


def prove_chunk(
    conn: Connection, place_id: int, *, after_id: int, limit: int, now: datetime, counts: Followed
) -> int | None:
    """Close what was chosen and has been read back since; to be called after a delivery.

    Returns:
        The last discrepancy looked at; None where there was none.
    """
    rows = conn.execute(
        _standing(
            discrepancy.c.place_id == place_id,
            discrepancy.c.id > after_id,
            discrepancy.c.state == DiscrepancyState.WAITING_PROOF.value,
        )
        .order_by(discrepancy.c.id)
        .limit(limit)
    ).all()
    # an empty group leaves no row in a plan: what nobody holds any more is not asked for by any
    ended = [row for row in rows if row.chosen is not None or (row.now_ours is None and row.now_base is None)]
    _end(conn, place_id, ended, None, now, counts)
    return int(rows[-1].id) if rows else None


def _end(
    conn: Connection, place_id: int, rows: Sequence[Row[Any]], plan_id: int | None, now: datetime, counts: Followed
) -> None:
    ended: list[int] = []
    steps: list[tuple[str, str, str, int | None]] = []
    for row in rows:
        if row.state == DiscrepancyState.WAITING_PROOF.value:
            if is_proven(row.chosen, ours=row.now_ours, base=row.now_base, theirs=row.now_theirs):
                counts.proven += 1
                steps.append((row.kind, row.ref, "proven", plan_id))
            elif row.now_ours not in (None, NO_DIGEST) and row.now_ours == row.now_base == row.now_theirs:
                # all three agree on something else: an edit at the source has overtaken the choice and was carried out
                counts.vanished += 1
                steps.append((row.kind, row.ref, "portal_moved", plan_id))
            elif row.now_base is None and (row.now_ours is None or (plan_id is not None and row.now_ours == NO_DIGEST)):
                # the portal let go of it meanwhile, and nothing of ours stands there: there is nothing left to prove
                counts.vanished += 1
                steps.append((row.kind, row.ref, "vanished", plan_id))
            else:
                continue
        else:
            counts.vanished += 1
            steps.append((row.kind, row.ref, "vanished", plan_id))
        ended.append(row.id)
    if ended:
        conn.execute(
            update(discrepancy)
            .where(discrepancy.c.id.in_(ended))
            .values(state=DiscrepancyState.RESOLVED.value, changed_at=now, until=None)
        )
    store_steps(conn, place_id, steps, now)


def _do_agree(row: Row[Any]) -> bool:
    return bool(row.now_ours == row.now_base == row.now_theirs)


def is_proven(chosen: bytes | None, *, ours: bytes | None, base: bytes | None, theirs: bytes | None) -> bool:
    """Whether what was chosen is what stands, by a read of the city.

    Args:
        chosen: Digest of what was chosen; None where the choice was that we hold nothing there any more.
        ours: What should stand by now.
        base: What both sides agreed on by now.
        theirs: What the city showed under the base's id when it was last read.
    """
    if chosen is None:
        return base is None
    return ours == base == theirs == chosen


def _standing(*conditions: Any) -> Any:
    """Discrepancies beside the three legs as they stand now."""
    return (
        select(
            discrepancy.c.id,
            discrepancy.c.kind,
            discrepancy.c.ref,
            discrepancy.c.state,
            discrepancy.c.chosen,
            intended.c.digest.label("now_ours"),
            base.c.digest.label("now_base"),
            shadow.c.digest.label("now_theirs"),
        )
        .select_from(
            discrepancy.outerjoin(
                intended,
                same_record(intended, discrepancy),
            )
            .outerjoin(
                base,
                same_record(base, discrepancy),
            )
            .outerjoin(
                shadow,
                same_object(),
            )
        )
        .where(*conditions)
    )
