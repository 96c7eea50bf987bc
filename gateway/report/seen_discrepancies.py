"""Discrepancies as a scope may see them: its own children's, and without names or values where it has no names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, or_, select

from gateway.access.scope import Scope
from gateway.domain.errors import NotVisibleError
from gateway.domain.identifiers import Kind
from gateway.mapping.links import load_links
from gateway.reconcile.joins import these
from gateway.reconcile.tables import discrepancy, record
from gateway.report.card import Card, build_card, without_names
from gateway.report.discrepancies import WITH_RECORD, Group, Line, Sieve, load_groups, load_lines
from gateway.report.nameless import Nameless
from gateway.report.plan_view import Words
from gateway.report.visible import Seen, body_field
from gateway.store.among import among


def load_seen_lines(
    conn: Connection,
    scope: Scope,
    place_id: int,
    sieve: Sieve,
    *,
    now: datetime,
    after: int,
    limit: int,
    words: Words | None = None,
) -> tuple[list[Line], set[str]]:
    """Load one page, and the refs of the pupils it shows.

    Args:
        conn: A write transaction where pseudonyms stand for names: they are made at the first question.
        words: As for `load_lines`.
    """
    covered = _covered(conn, scope, place_id)
    lines = load_lines(conn, place_id, sieve, now=now, after_id=after, limit=limit, covered=covered, words=words)
    pupils = _load_pupils(conn, [line.id for line in lines])
    if scope.is_named:
        return lines, set(pupils.values())
    return _without_names(conn, scope, place_id, lines, pupils), set()


def load_seen_groups(
    conn: Connection, scope: Scope, place_id: int, sieve: Sieve, *, now: datetime, limit: int
) -> list[Group]:
    """Load the patterns with most discrepancies among those that the scope sees."""
    return load_groups(
        conn, place_id, sieve, now=now, limit=limit, covered=_covered(conn, scope, place_id), with_class=scope.is_named
    )


def get_seen_card(
    conn: Connection, scope: Scope, place_id: int, number: int, *, now: datetime
) -> tuple[Card, set[str]]:
    """Load one card, whatever its state, and the ref of its pupil; typed reasons may name a child and need names.

    Raises:
        NotVisibleError: There is none, or it is of somebody else's child.
    """
    every, words = Sieve(states=()), Words(conn, place_id)
    lines, pupils = load_seen_lines(conn, scope, place_id, every, now=now, after=number - 1, limit=1, words=words)
    if not lines or lines[0].id != number:
        raise NotVisibleError("Такой записи нет")
    if scope.is_named:
        return build_card(conn, place_id, lines[0], words), pupils
    # the line's own ref is a pseudonym's by now, and what stands under it is nobody's
    (told,) = load_lines(conn, place_id, every, now=now, after_id=number - 1, limit=1, words=words)
    return msgspec.structs.replace(without_names(build_card(conn, place_id, told, words)), line=lines[0]), pupils


def load_seen_ids(conn: Connection, scope: Scope, place_id: int, ids: Sequence[int]) -> list[int]:
    """Which of these numbers the scope sees."""
    covered = _covered(conn, scope, place_id)
    query = (
        select(discrepancy.c.id)
        .select_from(WITH_RECORD)
        .where(
            these(conn, place_id, ids),
            *([] if covered is None else [covered]),
        )
    )
    return list(conn.execute(query.order_by(discrepancy.c.id)).scalars())


def _covered(conn: Connection, scope: Scope, place_id: int) -> ColumnElement[bool] | None:
    # the whole school needs no look at the records, which are wide
    if scope.is_whole:
        return None
    seen = Seen(conn, scope, place_id)
    return or_(seen.covers(record), and_(record.c.kind == Kind.PERSON.value, record.c.ref.in_(seen.pupil_refs())))


def _load_pupils(conn: Connection, ids: Sequence[int]) -> dict[int, str]:
    # a doubt about a link is about the pupil himself
    pupil = case((record.c.kind == Kind.PERSON.value, record.c.ref), else_=body_field(record.c.body, "pupil"))
    rows = conn.execute(
        select(discrepancy.c.id, pupil.label("pupil"))
        .select_from(WITH_RECORD)
        .where(among(conn, discrepancy.c.id, list(ids)), pupil.is_not(None))
    )
    return {row.id: row.pupil for row in rows}


def _without_names(
    conn: Connection, scope: Scope, place_id: int, lines: list[Line], pupils: dict[int, str]
) -> list[Line]:
    nameless = Nameless(conn, scope, set(pupils.values()), load_links(conn, place_id, Kind.PERSON))
    return [
        msgspec.structs.replace(
            line,
            pupil=nameless.name(pupils.get(line.id)),
            ref=nameless.ref(line.kind, line.ref, pupils.get(line.id)),
            class_name="",
            ours={},
            base={},
            theirs={},
        )
        for line in lines
    ]
