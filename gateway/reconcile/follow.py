"""After each plan: discrepancies are opened, moved, reopened, proven or found to have vanished.

Stands between a sealed plan and the people. A discrepancy is one row a record over its whole life; what happened to it
stands in its steps. Nothing here decides: it reads what the plan decided and what both sides hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, case, insert, select

from gateway.domain.discrepancies import OUTSIDE_ASSIGNEE, Choice, DiscrepancyState, DiscrepancyType
from gateway.domain.reasons import NO_CITY_CALL
from gateway.mapping.atoms import atom_of_city, atom_of_intent
from gateway.reconcile.compare import Category
from gateway.reconcile.discrepancies import classify, differing_fields, owner_of, pattern_of
from gateway.reconcile.resolve import CITY_TYPES, INTENT_TYPES
from gateway.reconcile.tables import base, decision, discrepancy, discrepancy_step, shadow
from gateway.store.transaction import upsert

GATEWAY = "gateway"
"""Actor of the steps that no person takes."""
ASKS = (Category.HELD.value, Category.WAITING.value, Category.REJECTED.value)
_STANDING = (DiscrepancyState.IGNORED.value, DiscrepancyState.WAITING_OUTSIDE.value)
_KEPT = [
    "scope",
    "city_id",
    "object_key",
    "type",
    "reason",
    "state",
    "owner",
    "assignee",
    "pattern",
    "ours",
    "base",
    "theirs",
    "intent",
    "base_intent",
    "city_body",
    "their_key",
    "theirs_read_at",
    "on_date",
    "flips",
    "changed_at",
    "due_at",
    "until",
    "choice",
    "chosen",
    "plan_id",
]


class Followed(msgspec.Struct):
    """What one plan meant for the discrepancies; adds up over chunks."""

    opened: int = 0
    moved: int = 0
    reopened: int = 0
    proven: int = 0
    vanished: int = 0
    confirmed: int = 0


def follow_chunk(
    conn: Connection,
    place_id: int,
    plan_id: int,
    *,
    after_seq: int,
    limit: int,
    now: datetime,
    due_at: datetime,
    counts: Followed,
) -> int | None:
    """Take up a chunk of a sealed plan's decisions, in the caller's transaction.

    Args:
        conn: A write transaction.
        place_id: Where we are.
        plan_id: A sealed plan, no dry run.
        after_seq: The last decision of the chunk before; 0 at first.
        limit: Decisions a chunk.
        now: Aware UTC.
        due_at: When what is opened now should be settled; aware UTC.
        counts: Added to.

    Returns:
        The last decision taken up; None where there was none.
    """
    rows = _load_asking(conn, place_id, plan_id, after_seq, limit)
    if not rows:
        return None
    inserts: list[dict[str, Any]] = []
    steps: list[tuple[str, str, str, int | None]] = []  # (kind, ref, step, plan)
    for row in rows:
        is_back = row.d_state == DiscrepancyState.RESOLVED.value and row.d_choice is not None
        flips = (row.d_flips or 0) + int(is_back)
        type_ = classify(
            row.reason,
            is_rejected=row.category == Category.REJECTED.value,
            has_ours=row.ours is not None,
            has_theirs=row.theirs is not None,
            flips=flips,
        )
        if type_ is None and row.d_state == DiscrepancyState.WAITING_PROOF.value and _is_refused(row):
            type_ = DiscrepancyType.REFUSED  # what was chosen can't go: the choice is asked anew
        if type_ is None:
            continue
        is_same = (row.d_ours, row.d_base, row.d_theirs, row.d_reason) == (row.ours, row.base, row.theirs, row.reason)
        state, step = _next(row, type_, is_same=is_same, now=now)
        if step is not None:
            setattr(counts, step, getattr(counts, step) + 1)
            steps.append((row.kind, row.ref, step, plan_id))
        else:
            counts.confirmed += 1
        is_kept = step is None
        inserts.append(
            {
                "place_id": place_id,
                "kind": row.kind,
                "ref": row.ref,
                "scope": row.scope,
                "city_id": row.city_id,
                "object_key": row.object_key,
                "type": type_.value,
                "reason": row.reason,
                "state": state.value,
                "owner": owner_of(type_, row.reason),
                "assignee": None if step == "reopened" and is_outside(row.d_assignee) else row.d_assignee,
                "pattern": _pattern(row, type_),
                "ours": row.ours,
                "base": row.base,
                "theirs": row.theirs,
                "intent": row.intent,
                "base_intent": row.base_intent,
                "city_body": row.body,
                "their_key": row.their_key,
                "theirs_read_at": row.seen_at,
                "on_date": row.on_date,
                "flips": flips,
                "opened_at": row.d_opened_at if row.d_opened_at is not None and not is_back else now,
                "changed_at": row.d_changed_at if is_kept else now,
                "due_at": row.d_due_at if row.d_due_at is not None and not is_back else due_at,
                "until": row.d_until if is_kept else None,
                "choice": row.d_choice if is_kept else None,
                "chosen": row.d_chosen if is_kept else None,
                "plan_id": plan_id,
            }
        )
    upsert(conn, discrepancy, inserts, keys=("place_id", "kind", "ref"), update=(*_KEPT, "opened_at"))
    store_steps(conn, place_id, steps, now)
    return int(rows[-1].seq)


def is_outside(assignee: str | None) -> bool:
    """Whether it waits for nobody of the school."""
    return assignee is not None and assignee.startswith(OUTSIDE_ASSIGNEE)


def of_the_school() -> ColumnElement[str | None]:
    """The assignee of what is opened again: whoever is outside of the school is waited for no longer."""
    return case((discrepancy.c.assignee.startswith(OUTSIDE_ASSIGNEE), None), else_=discrepancy.c.assignee)


def _is_refused(row: Row[Any]) -> bool:
    """Whether the city said no to what was chosen, or has no call for it."""
    return bool(row.category == Category.REJECTED.value or row.reason == NO_CITY_CALL)


def _next(
    row: Row[Any], type_: DiscrepancyType, *, is_same: bool, now: datetime
) -> tuple[DiscrepancyState, str | None]:
    """Say where a discrepancy stands now that a plan has asked for it (again), and which step that is."""
    if row.d_state is None:
        return DiscrepancyState.OPEN, "opened"
    state = DiscrepancyState(row.d_state)
    if state is DiscrepancyState.RESOLVED:
        return DiscrepancyState.OPEN, "reopened"
    if state is DiscrepancyState.WAITING_PROOF:
        if row.d_choice == Choice.OURS.value and type_ is DiscrepancyType.ONLY_THERE:
            return state, None  # what was chosen is a delete, and that is asked by the plan's own approval
        return DiscrepancyState.OPEN, "reopened"
    if row.d_state in _STANDING:
        if row.d_until is not None and row.d_until <= now:
            return DiscrepancyState.OPEN, "reopened"
        return (state, None) if is_same else (DiscrepancyState.OPEN, "reopened")
    return (state, None) if is_same else (state, "moved")


def _load_asking(conn: Connection, place_id: int, plan_id: int, after_seq: int, limit: int) -> Sequence[Row[Any]]:
    """Load decisions that ask for a person, beside the city's object, the base and the discrepancy there is already."""
    known = discrepancy
    query: Any = (
        select(
            decision.c.seq,
            decision.c.kind,
            decision.c.ref,
            decision.c.scope,
            decision.c.city_id,
            decision.c.object_key,
            decision.c.category,
            decision.c.reason,
            decision.c.ours,
            decision.c.base,
            shadow.c.digest.label("theirs"),
            decision.c.intent,
            base.c.intent.label("base_intent"),
            decision.c.on_date,
            shadow.c.body,
            shadow.c.object_key.label("their_key"),
            shadow.c.seen_at,
            *(known.c[name].label(f"d_{name}") for name in _OF_KNOWN),
        )
        .select_from(
            decision.outerjoin(
                shadow,
                and_(
                    shadow.c.place_id == place_id,
                    shadow.c.kind == decision.c.kind,
                    shadow.c.city_id == decision.c.city_id,
                ),
            )
            .outerjoin(
                base,
                and_(base.c.place_id == place_id, base.c.kind == decision.c.kind, base.c.ref == decision.c.ref),
            )
            .outerjoin(
                known,
                and_(known.c.place_id == place_id, known.c.kind == decision.c.kind, known.c.ref == decision.c.ref),
            )
        )
        .where(
            decision.c.plan_id == plan_id,
            decision.c.seq > after_seq,
            decision.c.category.in_(ASKS),
            decision.c.ref.is_not(None),
        )
        .order_by(decision.c.seq)
        .limit(limit)
    )
    return list(conn.execute(query))


_OF_KNOWN = (
    "state",
    "ours",
    "base",
    "theirs",
    "reason",
    "assignee",
    "flips",
    "opened_at",
    "changed_at",
    "due_at",
    "until",
    "choice",
    "chosen",
)


def _pattern(row: Row[Any], type_: DiscrepancyType) -> str:
    ours = None if row.intent is None else atom_of_intent(msgspec.json.decode(row.intent, type=INTENT_TYPES[row.kind]))
    theirs = None if row.body is None else atom_of_city(msgspec.json.decode(row.body, type=CITY_TYPES[row.kind]))
    fields = differing_fields(ours, theirs)
    return pattern_of(type_, kind=row.kind, reason=row.reason, scope=row.scope, fields=fields)


def store_steps(
    conn: Connection, place_id: int, steps: Sequence[tuple[str, str, str, int | None]], now: datetime
) -> None:
    """Write (kind, ref, step, plan) into the lives of these discrepancies."""
    if not steps:
        return
    refs = {ref for _, ref, _, _ in steps}
    found = conn.execute(
        select(discrepancy.c.kind, discrepancy.c.ref, discrepancy.c.id, discrepancy.c.pattern).where(
            discrepancy.c.place_id == place_id, discrepancy.c.ref.in_(refs)
        )
    )
    known = {(row.kind, row.ref): (row.id, row.pattern) for row in found}
    conn.execute(
        insert(discrepancy_step),
        [
            {
                "discrepancy_id": known[kind, ref][0],
                "at": now,
                "step": step,
                "actor": GATEWAY,
                "choice": None,
                "pattern": known[kind, ref][1],
                "note_id": None,
                "plan_id": plan_id,
            }
            for kind, ref, step, plan_id in steps
        ],
    )
