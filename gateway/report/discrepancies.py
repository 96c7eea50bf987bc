"""Discrepancies for the people who settle them: pages, groups of one pattern, and one card with three columns.

Reads only. Pages go by number (keyset), so that the hundred-thousandth row costs what the first does. Names are shown to
the operator and go into no log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, Subquery, case, func, select, union_all

from gateway.audit.notes import get_note
from gateway.domain.city import Atom
from gateway.domain.discrepancies import LIVE, TYPE_TEXTS, Choice, DiscrepancyState, DiscrepancyType
from gateway.domain.identifiers import Kind
from gateway.domain.records import RECORD_TYPES
from gateway.mapping.atoms import atom_of_city, atom_of_intent
from gateway.mapping.doubts import CODE_WORDS, Code
from gateway.reconcile.acts import load_being_settled
from gateway.reconcile.discrepancies import Proposal, find_effect, is_fixed_to_cell, propose, severity_of
from gateway.reconcile.joins import same_record
from gateway.reconcile.resolve import CITY_TYPES, INTENT_TYPES
from gateway.reconcile.tables import discrepancy, discrepancy_step, record
from gateway.report.patterns import load_pattern_words
from gateway.report.plan_view import Words

WITH_RECORD = discrepancy.outerjoin(
    record,
    same_record(record, discrepancy),
)
"""Each discrepancy with the record of ours behind it, where there is one."""


class Sieve(msgspec.Struct, frozen=True, kw_only=True):
    """What to look at; empty fields let everything through.

    Attributes:
        states: Codes of `DiscrepancyState`; by default those in which somebody has to do something.
        is_overdue: Only what should have been settled by now.
    """

    states: Sequence[str] = tuple(state.value for state in LIVE)
    owner: str | None = None
    assignee: str | None = None
    type: str | None = None
    kind: str | None = None
    pattern: str | None = None
    is_overdue: bool = False


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One discrepancy in a list; sides are field → words.

    Attributes:
        being_settled: What was chosen for it by an act on many that goes on and comes to it in a moment; until then its state
            is the one before, and nobody else moves it.
    """

    id: int
    type: str
    state: str
    being_settled: Choice | None
    reason: str
    kind: str
    class_name: str
    pupil: str
    subject: str
    on: date | None
    ours: Mapping[str, str]
    base: Mapping[str, str]
    theirs: Mapping[str, str]
    theirs_read_at: datetime | None
    owner: str
    assignee: str | None
    severity: int
    opened_at: datetime
    changed_at: datetime
    due_at: datetime
    is_overdue: bool
    pattern: str
    offered: Sequence[Choice]
    proposal: Proposal | None
    ref: str


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Discrepancies of one pattern; `words` = what they are, as people read it."""

    pattern: str
    words: str
    type: str
    owner: str
    count: int
    overdue: int
    oldest_at: datetime
    precedents: Mapping[str, int]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One event in a discrepancy's life."""

    at: datetime
    step: str
    actor: str
    choice: str | None
    note: str | None


def load_lines(
    conn: Connection,
    place_id: int,
    sieve: Sieve,
    *,
    now: datetime,
    after_id: int = 0,
    limit: int = 50,
    covered: ColumnElement[bool] | None = None,
    words: Words | None = None,
) -> list[Line]:
    """Load one page, in the order of numbers.

    Args:
        conn: A read transaction.
        place_id: Where we are.
        sieve: What to look at.
        now: Aware UTC, for age and overdue.
        after_id: Number of the last row of the page before.
        limit: Rows a page.
        covered: Condition on `record` that a door puts on what it shows; None = the whole school.
        words: Names of the place, where the caller has loaded them already.
    """
    near = _near(place_id, sieve, now=now, after_id=after_id, limit=limit, covered=covered)
    query = (
        select(discrepancy, record.c.body)
        .select_from(WITH_RECORD.join(near, near.c.id == discrepancy.c.id))
        .order_by(discrepancy.c.id)
        .limit(limit)
    )
    rows = conn.execute(query).all()
    if not rows:
        return []
    words, settling = words or Words(conn, place_id), load_being_settled(conn, [row.id for row in rows])
    return [_line(row, words, now, settling.get(row.id)) for row in rows]


def load_ids(
    conn: Connection,
    place_id: int,
    sieve: Sieve,
    *,
    now: datetime,
    limit: int,
    excluded: Sequence[int] = (),
) -> list[int]:
    """Load the numbers of what a sieve lets through, for one act on all of them."""
    query = _sifted(select(discrepancy.c.id), place_id, sieve, now).order_by(discrepancy.c.id).limit(limit)
    left_out = set(excluded)
    return [number for number in conn.execute(query).scalars() if number not in left_out]


def load_groups(
    conn: Connection,
    place_id: int,
    sieve: Sieve,
    *,
    now: datetime,
    limit: int = 50,
    covered: ColumnElement[bool] | None = None,
    with_class: bool = True,
) -> list[Group]:
    """Load the patterns with most discrepancies, each with what was chosen for the like before.

    Args:
        covered: As for `load_lines`.
        with_class: As for `load_pattern_words`.
    """
    counted = select(
        discrepancy.c.pattern,
        func.min(discrepancy.c.type).label("type"),
        func.min(discrepancy.c.owner).label("owner"),
        func.count().label("how_many"),
        func.sum(case((discrepancy.c.due_at < now, 1), else_=0)).label("overdue"),
        func.min(discrepancy.c.opened_at).label("oldest_at"),
    )
    if covered is not None:
        counted = counted.select_from(WITH_RECORD).where(covered)
    # a state at a time, because only within one does the index keep a pattern together; then a few rows a pattern are added up
    parts = union_all(
        *(_sifted(counted, place_id, one, now).group_by(discrepancy.c.pattern) for one in _by_state(sieve))
    ).subquery("parts")
    rows = conn.execute(
        select(
            parts.c.pattern,
            func.min(parts.c.type).label("type"),
            func.min(parts.c.owner).label("owner"),
            func.sum(parts.c.how_many).label("how_many"),
            func.sum(parts.c.overdue).label("overdue"),
            func.min(parts.c.oldest_at).label("oldest_at"),
        )
        .group_by(parts.c.pattern)
        .order_by(func.sum(parts.c.how_many).desc(), parts.c.pattern)
        .limit(limit)
    ).all()
    precedents = load_precedents(conn, [row.pattern for row in rows])
    words = load_pattern_words(conn, place_id, [row.pattern for row in rows], with_class=with_class)
    return [
        Group(
            pattern=row.pattern,
            words=words[row.pattern],
            type=row.type,
            owner=row.owner,
            # PostgreSQL adds up counts as numerics
            count=int(row.how_many),
            overdue=int(row.overdue),
            oldest_at=row.oldest_at,
            precedents=precedents.get(row.pattern, {}),
        )
        for row in rows
    ]


def load_precedents(conn: Connection, patterns: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count what was chosen for each pattern before: pattern → choice → times."""
    rows = conn.execute(
        select(discrepancy_step.c.pattern, discrepancy_step.c.choice, func.count())
        .where(discrepancy_step.c.pattern.in_(list(patterns)), discrepancy_step.c.step == "chosen")
        .group_by(discrepancy_step.c.pattern, discrepancy_step.c.choice)
    )
    found: dict[str, dict[str, int]] = {}
    for pattern, choice, count in rows:
        found.setdefault(pattern, {})[choice] = count
    return found


def count_by_owner(conn: Connection, place_id: int, *, now: datetime) -> dict[str, tuple[int, int]]:
    """Count what waits for each post: owner → (all, overdue)."""
    overdue = func.sum(case((discrepancy.c.due_at < now, 1), else_=0))
    rows = conn.execute(
        _sifted(select(discrepancy.c.owner, func.count(), overdue), place_id, Sieve(), now).group_by(
            discrepancy.c.owner
        )
    )
    return {owner: (count, late) for owner, count, late in rows}


def load_steps(conn: Connection, number: int) -> list[Step]:
    """Load the life of one discrepancy, with what people wrote."""
    rows = conn.execute(
        select(discrepancy_step).where(discrepancy_step.c.discrepancy_id == number).order_by(discrepancy_step.c.id)
    ).all()
    return [
        Step(
            at=row.at,
            step=row.step,
            actor=row.actor,
            choice=row.choice,
            note=None if row.note_id is None else get_note(conn, row.note_id),
        )
        for row in rows
    ]


def load_one(conn: Connection, place_id: int, number: int, *, now: datetime, words: Words | None = None) -> Line | None:
    """Load one card, whatever its state; None where there is no such number at this place."""
    lines = load_lines(conn, place_id, Sieve(states=()), now=now, after_id=number - 1, limit=1, words=words)
    return lines[0] if lines and lines[0].id == number else None


def _near(
    place_id: int, sieve: Sieve, *, now: datetime, after_id: int, limit: int, covered: ColumnElement[bool] | None
) -> Subquery:
    """The next numbers in each state, to be merged: over several states at once no index keeps their order, and all are sorted."""
    parts = []
    for narrow in _by_state(sieve):
        part = select(discrepancy.c.id)
        if covered is not None:
            part = part.select_from(WITH_RECORD).where(covered)
        nearest = _sifted(part, place_id, narrow, now).where(discrepancy.c.id > after_id)
        parts.append(select(nearest.order_by(discrepancy.c.id).limit(limit).subquery().c.id))
    return union_all(*parts).subquery("near")


def _by_state(sieve: Sieve) -> list[Sieve]:
    """The same sieve for each of its states alone."""
    states = dict.fromkeys(sieve.states) or [one.value for one in DiscrepancyState]
    return [msgspec.structs.replace(sieve, states=(state,)) for state in states]


def _sifted(query: Select[Any], place_id: int, sieve: Sieve, now: datetime) -> Select[Any]:
    query = query.where(discrepancy.c.place_id == place_id)
    if sieve.states:
        query = query.where(discrepancy.c.state.in_(list(sieve.states)))
    for name in ("owner", "assignee", "type", "kind", "pattern"):
        wanted = getattr(sieve, name)
        if wanted is not None:
            query = query.where(discrepancy.c[name] == wanted)
    if sieve.is_overdue:
        query = query.where(discrepancy.c.due_at < now)
    return query


def _line(row: Row[Any], words: Words, now: datetime, being_settled: Choice | None) -> Line:
    type_ = DiscrepancyType(row.type)
    meant = row.intent if row.intent is not None else row.base_intent
    intent = None if meant is None else msgspec.json.decode(meant, type=INTENT_TYPES[row.kind])
    local = None
    if row.body is not None:
        local = msgspec.json.decode(row.body, type=RECORD_TYPES[Kind(row.kind)])
    cell = words.cell(row.kind, intent, local)
    shown = None if row.city_body is None else msgspec.json.decode(row.city_body, type=CITY_TYPES[row.kind])
    ours = _atom_of(row.kind, row.intent) if row.ours is not None else None
    theirs = None if shown is None else atom_of_city(shown)
    against = _tell_doubts(row.pattern) if type_ is DiscrepancyType.LINK_DOUBT else {}
    is_other_cell = is_fixed_to_cell(row.kind) and row.their_key is not None and row.their_key != row.object_key
    return Line(
        id=row.id,
        type=row.type,
        state=row.state,
        being_settled=being_settled,
        reason=row.reason,
        kind=row.kind,
        class_name=cell.class_name,
        pupil=cell.pupil,
        subject=cell.subject,
        on=row.on_date,
        ours=words.fields(ours),
        base=words.fields(_atom_of(row.kind, row.base_intent) if row.base is not None else None),
        theirs=words.fields(theirs) or against,
        theirs_read_at=row.theirs_read_at,
        owner=row.owner,
        assignee=row.assignee,
        severity=severity_of(
            type_,
            age=max(now - row.opened_at, timedelta(0)),
            period_left=words.period_left(intent, row.on_date, now),
        ),
        opened_at=row.opened_at,
        changed_at=row.changed_at,
        due_at=row.due_at,
        is_overdue=row.due_at < now,
        pattern=row.pattern,
        offered=[
            choice
            for choice in TYPE_TEXTS[type_].choices
            if find_effect(
                type_,
                choice,
                is_other_cell=is_other_cell,
                has_ours=row.ours is not None,
                has_theirs=row.theirs is not None,
            )
            is not None
        ],
        proposal=propose(
            type_,
            has_ours_moved=row.ours != row.base,
            has_theirs_moved=row.theirs != row.base,
            is_same_value=ours is not None and getattr(ours, "value", None) == getattr(theirs, "value", ""),
            is_other_cell=is_other_cell,
        ),
        ref=row.ref,
    )


def _tell_doubts(pattern: str) -> dict[str, str]:
    """What speaks against a link, in words; its codes are the fields of its pattern."""
    codes = pattern.split("/")[3].split("+")
    return {"против связи": "; ".join(CODE_WORDS[Code(code)] for code in codes)}


def _atom_of(kind: str, body: bytes | None) -> Atom | None:
    return None if body is None else atom_of_intent(msgspec.json.decode(body, type=INTENT_TYPES[kind]))
