"""Rules from precedents: «17 like this were settled: theirs» becomes a rule of one pattern, with an end.

What people chose before is counted from the steps of discrepancies; what a rule chose is never counted as a precedent. A
rule takes only what nobody has touched yet, never what may end as a delete, and never what was disputed.

Source: design, N9 (rule from precedent, back-tested, expiring).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, case, exists, func, insert, select, update

from gateway.domain.discrepancies import Choice, DiscrepancyState, DiscrepancyType
from gateway.domain.errors import ConfigurationError
from gateway.reconcile.acts import not_being_settled
from gateway.reconcile.discrepancies import find_effect
from gateway.reconcile.tables import discrepancy, discrepancy_step, precedent

RULED_TYPES = (DiscrepancyType.FIELDS_DIFFER, DiscrepancyType.TWO_CANDIDATES, DiscrepancyType.ONLY_HERE)
"""Types a rule may settle: no deletes, no quarrels of two writers, nothing about who is who."""
RULED_CHOICES = (Choice.OURS, Choice.THEIRS, Choice.DISTINCT)
AGREED_RATIO = 0.9
"""Share of one choice among all of a pattern from which a rule is offered."""
_ACTOR = "precedent:"
_OVER = ("disputed", "reopened")
"""Steps after a choice that say that it did not hold."""
_TOUCHED = ("chosen", "disputed")


class PrecedentState(StrEnum):
    """Where a rule is in its life."""

    MADE = "made"
    ON = "on"
    ENDED = "ended"


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern that people have settled alike so often that a rule could do it.

    Attributes:
        times: How often it was this choice; `others` how often another one.
        waiting: Open discrepancies of the pattern now.
    """

    pattern: str
    choice: str
    times: int
    others: int
    waiting: int


class Precedent(msgspec.Struct, frozen=True, kw_only=True):
    """A rule: of this pattern, this choice, until then.

    Attributes:
        backtest: What it would have done on history; None = not tested.
        used_count: Discrepancies that it has settled.
    """

    id: int
    pattern: str
    choice: Choice
    state: PrecedentState
    made_by: str
    made_at: datetime
    until: datetime
    backtest: dict[str, int] | None
    tested_at: datetime | None
    used_count: int
    note_id: int | None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What people chose for a pattern: the same as a rule would, another thing, and what of the same did not hold."""

    same: int
    other: int
    overturned: int


def actor_of(number: int) -> str:
    """How a rule is named where a person would be."""
    return f"{_ACTOR}{number}"


def load_offers(conn: Connection, place_id: int, *, at_least: int, limit: int = 100) -> list[Offer]:
    """Load patterns settled alike at least so often, and not ruled yet; the most frequent first."""
    rows = conn.execute(
        select(discrepancy_step.c.pattern, discrepancy_step.c.choice, func.count().label("times"))
        .join(discrepancy, discrepancy.c.id == discrepancy_step.c.discrepancy_id)
        .where(
            discrepancy.c.place_id == place_id,
            discrepancy.c.type.in_([one.value for one in RULED_TYPES]),
            *_chosen_by_people(),
        )
        .group_by(discrepancy_step.c.pattern, discrepancy_step.c.choice)
    ).all()
    total: dict[str, int] = {}
    best: dict[str, Row[Any]] = {}
    for row in rows:
        total[row.pattern] = total.get(row.pattern, 0) + row.times
        if _may_be_ruled(row) and (row.pattern not in best or row.times > best[row.pattern].times):
            best[row.pattern] = row
    ruled = set(
        conn.execute(
            select(precedent.c.pattern).where(
                precedent.c.place_id == place_id, precedent.c.state != PrecedentState.ENDED.value
            )
        ).scalars()
    )
    found = [
        row
        for pattern, row in best.items()
        if row.times >= at_least and row.times >= AGREED_RATIO * total[pattern] and pattern not in ruled
    ]
    found.sort(key=lambda row: (-row.times, row.pattern))
    waiting = _count_waiting(conn, place_id, [row.pattern for row in found[:limit]])
    return [
        Offer(
            pattern=row.pattern,
            choice=row.choice,
            times=row.times,
            others=total[row.pattern] - row.times,
            waiting=waiting.get(row.pattern, 0),
        )
        for row in found[:limit]
    ]


def load_history(conn: Connection, place_id: int, pattern: str, choice: Choice) -> History:
    """Count how a rule would have agreed with what people chose for its pattern."""
    later = discrepancy_step.alias("later")
    is_over = exists(
        select(later.c.id).where(
            later.c.discrepancy_id == discrepancy_step.c.discrepancy_id,
            later.c.id > discrepancy_step.c.id,
            later.c.step.in_(_OVER),
        )
    )
    is_same = discrepancy_step.c.choice == choice.value
    row = conn.execute(
        select(
            func.coalesce(func.sum(case((is_same, 1), else_=0)), 0).label("same"),
            func.coalesce(func.sum(case((is_same, 0), else_=1)), 0).label("other"),
            func.coalesce(func.sum(case((and_(is_same, is_over), 1), else_=0)), 0).label("overturned"),
        )
        .select_from(discrepancy_step)
        .join(discrepancy, discrepancy.c.id == discrepancy_step.c.discrepancy_id)
        .where(discrepancy.c.place_id == place_id, discrepancy_step.c.pattern == pattern, *_chosen_by_people())
    ).one()
    return History(same=int(row.same), other=int(row.other), overturned=int(row.overturned))


def load_waiting_ids(conn: Connection, place_id: int, pattern: str, *, after: int = 0, limit: int) -> Sequence[int]:
    """Load the numbers of open discrepancies of a pattern that nobody has touched, in their order."""
    touched = exists(
        select(discrepancy_step.c.id).where(
            discrepancy_step.c.discrepancy_id == discrepancy.c.id, discrepancy_step.c.step.in_(_TOUCHED)
        )
    )
    return (
        conn.execute(
            select(discrepancy.c.id)
            .where(
                discrepancy.c.place_id == place_id,
                discrepancy.c.state == DiscrepancyState.OPEN.value,
                discrepancy.c.pattern == pattern,
                discrepancy.c.type.in_([one.value for one in RULED_TYPES]),
                discrepancy.c.flips == 0,
                discrepancy.c.id > after,
                ~touched,
                not_being_settled(),
            )
            .order_by(discrepancy.c.id)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def load_rules(conn: Connection, place_id: int, *, states: Sequence[PrecedentState] = ()) -> list[Precedent]:
    """Load rules, the newest first; no states = all of them."""
    query = select(precedent).where(precedent.c.place_id == place_id)
    if states:
        query = query.where(precedent.c.state.in_([one.value for one in states]))
    return [_to_rule(row) for row in conn.execute(query.order_by(precedent.c.id.desc()))]


def get_rule(conn: Connection, place_id: int, number: int, *, is_kept: bool = False) -> Precedent:
    """Return one rule.

    Args:
        is_kept: Nobody switches it off before this write transaction ends.

    Raises:
        ConfigurationError: There is none of that number.
    """
    query = select(precedent).where(precedent.c.place_id == place_id, precedent.c.id == number)
    row = conn.execute(query.with_for_update() if is_kept else query).one_or_none()
    if row is None:
        raise ConfigurationError(f"Правила {number} по прецедентам нет: gateway discrepancies precedents")
    return _to_rule(row)


def add_rule(
    conn: Connection,
    place_id: int,
    pattern: str,
    choice: Choice,
    *,
    until: datetime,
    actor: str,
    note_id: int,
    now: datetime,
) -> Precedent:
    """Store a rule that is not in force yet."""
    number = conn.execute(
        insert(precedent)
        .values(
            place_id=place_id,
            pattern=pattern,
            choice=choice.value,
            state=PrecedentState.MADE.value,
            made_by=actor,
            made_at=now,
            until=until,
            used_count=0,
            note_id=note_id,
        )
        .returning(precedent.c.id)
    ).scalar_one()
    return get_rule(conn, place_id, number)


def change_rule(conn: Connection, number: int, **values: object) -> None:
    """Set columns of a rule."""
    conn.execute(update(precedent).where(precedent.c.id == number).values(**values))


def note_used(conn: Connection, number: int, count: int) -> None:
    """Count what a rule has settled."""
    conn.execute(update(precedent).where(precedent.c.id == number).values(used_count=precedent.c.used_count + count))


def _count_waiting(conn: Connection, place_id: int, patterns: Sequence[str]) -> dict[str, int]:
    rows = conn.execute(
        select(discrepancy.c.pattern, func.count().label("how_many"))
        .where(
            discrepancy.c.place_id == place_id,
            discrepancy.c.state == DiscrepancyState.OPEN.value,
            discrepancy.c.pattern.in_(list(patterns)),
        )
        .group_by(discrepancy.c.pattern)
    )
    return {row.pattern: row.how_many for row in rows}


def _may_be_ruled(row: Row[Any]) -> bool:
    """Whether a rule could make the choice: by what a pattern's type makes of it nothing goes, which a rule never does."""
    if row.choice not in RULED_CHOICES:
        return False
    named = row.pattern.partition("/")[0]
    types = [one for one in RULED_TYPES if one.value == named]
    effects = [find_effect(one, Choice(row.choice)) for one in types]
    return any(effect is not None and not effect.is_removing for effect in effects)


def _chosen_by_people() -> tuple[ColumnElement[bool], ...]:
    return (
        discrepancy_step.c.step == "chosen",
        discrepancy_step.c.choice.not_in([Choice.HOLD.value, Choice.IGNORE.value]),
        discrepancy_step.c.actor.not_like(f"{_ACTOR}%"),
    )


def _to_rule(row: Row[Any]) -> Precedent:
    return Precedent(
        id=row.id,
        pattern=row.pattern,
        choice=Choice(row.choice),
        state=PrecedentState(row.state),
        made_by=row.made_by,
        made_at=row.made_at,
        until=row.until,
        backtest=row.backtest,
        tested_at=row.tested_at,
        used_count=row.used_count,
        note_id=row.note_id,
    )


__all__ = [
    "RULED_CHOICES",
    "RULED_TYPES",
    "History",
    "Offer",
    "Precedent",
    "PrecedentState",
    "actor_of",
    "add_rule",
    "change_rule",
    "get_rule",
    "load_history",
    "load_offers",
    "load_rules",
    "load_waiting_ids",
    "note_used",
]
