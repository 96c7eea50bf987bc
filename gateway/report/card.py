"""The card of one discrepancy: the three columns, since when each is known, whose word each is, and everything that was done.

Reads only, one discrepancy at a time: what a list of fifty must not cost stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection, and_, select

from gateway.queue.deeds import CITY_TEACHER
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.reconcile.joins import same_record
from gateway.reconcile.resolve import CITY_TYPES
from gateway.reconcile.snapshot import PORTAL_SIDE
from gateway.reconcile.tables import base, discrepancy, record, scope_state
from gateway.report.discrepancies import Line, Step, load_one, load_steps
from gateway.report.entered import load_entered
from gateway.report.plan_view import Words


class Sides(msgspec.Struct, frozen=True, kw_only=True):
    """Since when each column is known, and who spoke last on each side.

    Attributes:
        ours_read_at: When the record's scope was last read whole at the school.
        ours_changed_at: When its value was first seen as it is.
        ours_by: Who brought it in, role → name, as in its passport; the portal does not say whose hands typed.
        base_at: When both sides were last seen to agree.
        theirs_read_at: When the city was read.
        theirs_changed_at: When it was changed there, by the city's clock; None where the city does not say.
        theirs_by: The teacher whom the city's journal names; empty where it names none.
    """

    ours_read_at: datetime | None = None
    ours_changed_at: datetime | None = None
    ours_by: Mapping[str, str] = {}
    base_at: datetime | None = None
    theirs_read_at: datetime | None = None
    theirs_changed_at: datetime | None = None
    theirs_by: str = ""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One discrepancy with its life.

    Attributes:
        refusal: What the city said when it refused the record, or why its operation was put aside; None where it was not.
    """

    line: Line
    sides: Sides
    refusal: str | None
    steps: list[Step]


def load_card(conn: Connection, place_id: int, number: int, *, now: datetime) -> Card | None:
    """Load a card, whatever its state; None where there is no such number at this place."""
    words = Words(conn, place_id)
    line = load_one(conn, place_id, number, now=now, words=words)
    return None if line is None else build_card(conn, place_id, line, words)


def build_card(conn: Connection, place_id: int, line: Line, words: Words) -> Card:
    """Add to a line what its card says besides; `words` = names of the place."""
    return Card(
        line=line,
        sides=_load_sides(conn, place_id, line, words),
        refusal=_find_refusal(conn, place_id, line),
        steps=load_steps(conn, line.id),
    )


def without_names(card: Card) -> Card:
    """What is left for whoever may not see names: moments and steps, nobody's word."""
    return Card(
        line=card.line,
        sides=msgspec.structs.replace(card.sides, ours_by={}, theirs_by=""),
        refusal=None,
        steps=[msgspec.structs.replace(step, note=None) for step in card.steps],
    )


def _load_sides(conn: Connection, place_id: int, line: Line, words: Words) -> Sides:
    is_read = and_(
        scope_state.c.place_id == record.c.place_id,
        scope_state.c.side == PORTAL_SIDE,
        scope_state.c.scope == record.c.scope,
    )
    row = conn.execute(
        select(
            discrepancy.c.intent,
            discrepancy.c.base_intent,
            discrepancy.c.city_body,
            record.c.changed_at,
            scope_state.c.complete_at,
            base.c.verified_at,
        )
        .select_from(
            discrepancy.outerjoin(record, same_record(record, discrepancy))
            .outerjoin(scope_state, is_read)
            # what a choice has moved since is not what this column shows
            .outerjoin(base, and_(same_record(base, discrepancy), base.c.digest == discrepancy.c.base))
        )
        .where(discrepancy.c.id == line.id)
    ).one()
    theirs_changed_at, theirs_by = _tell_theirs(line.kind, row.city_body, words)
    meant = row.intent if row.intent is not None else row.base_intent
    entered = (
        {} if line.kind not in CITY_TYPES
        else load_entered(conn, place_id, line.kind, line.ref, intent=meant, words=words).words
    )  # fmt: skip
    return Sides(
        ours_read_at=row.complete_at,
        ours_changed_at=row.changed_at,
        ours_by=entered,
        base_at=row.verified_at,
        theirs_read_at=line.theirs_read_at,
        theirs_changed_at=theirs_changed_at,
        theirs_by=theirs_by,
    )


def _tell_theirs(kind: str, body: bytes | None, words: Words) -> tuple[datetime | None, str]:
    if body is None:
        return None, ""
    shown = msgspec.json.decode(body, type=CITY_TYPES[kind])
    teacher = getattr(shown, "teacher_id", None)
    changed_at = getattr(shown, "updated_at", None) or getattr(shown, "created_at", None)
    return changed_at, "" if teacher is None else words.who(f"{CITY_TEACHER}{teacher}")


def _find_refusal(conn: Connection, place_id: int, line: Line) -> str | None:
    last = conn.execute(
        select(operation.c.state, operation.c.sentence)
        .where(operation.c.place_id == place_id, operation.c.kind == line.kind, operation.c.ref == line.ref)
        .order_by(operation.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if last is None or last.state != State.PARKED.value else last.sentence


__all__ = ["Card", "Sides", "build_card", "load_card", "without_names"]
