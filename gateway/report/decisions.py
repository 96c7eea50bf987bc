"""Decisions of a plan and operations on their way, as a scope may see them, a page at a time.

Whose a row is stands in the record behind it. Whoever reaches the whole school without names (an admin) gets reasons,
states and pseudonyms: neither the pupil nor the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, Row, and_, exists, or_, select

from gateway.access.scope import Scope
from gateway.domain.errors import NotVisibleError
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import REASONS
from gateway.mapping.links import load_links
from gateway.queue.tables import operation
from gateway.reconcile.tables import decision, record
from gateway.report.nameless import Nameless
from gateway.report.plan_view import PlanLine, build_plan_lines
from gateway.report.standing import load_standing, stands
from gateway.report.visible import Seen, body_field

OPEN_CATEGORIES = ("held", "waiting", "rejected")
"""What is not sent and is somebody's move."""
SEQ_BITS = 24
"""Of a cursor over several plans the lower bits are the line's number; with the plan's it stays exact in a browser."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of lines.

    Attributes:
        pupils: Refs of the pupils whose data it shows; each of them is a look.
        next_seq: Where the next page begins (`after`); None = this is the last.
    """

    lines: list[PlanLine]
    pupils: frozenset[str]
    next_seq: int | None


class OperationView(msgspec.Struct, frozen=True, kw_only=True):
    """An operation without its value; `pupil` is a ref, or a pseudonym where names are not shown."""

    id: int
    kind: str
    pupil: str | None
    op: str
    state: str
    reason: str
    what: str
    todo: str
    owner: str
    attempts: int
    run_id: int


def load_decisions(
    conn: Connection,
    scope: Scope,
    place_id: int,
    plan_id: int,
    *,
    after: int,
    limit: int,
    category: str | None = None,
) -> Page:
    """Load lines of a plan that a scope sees, by number.

    Args:
        conn: A write transaction where the scope is shown pseudonyms: they are made at the first question.
        after: Number of the last line of the page before; 0 = from the first.
    """
    where = [decision.c.plan_id == plan_id, decision.c.seq > after]
    if category is not None:
        where.append(decision.c.category == category)
    return _load_page(conn, scope, place_id, where, limit, lambda last: last.seq)


def load_open_decisions(conn: Connection, scope: Scope, place_id: int, *, after: int, limit: int) -> Page:
    """Load what is not sent and is somebody's move, of each scope by the newest plan that decided it (`stands`).

    Args:
        conn: As for `load_decisions`.
        after: `next_seq` of the page before; 0 = from the first.
    """
    plan_id, seq = divmod(after, 1 << SEQ_BITS)
    where = [
        stands(load_standing(conn, place_id)),
        decision.c.category.in_(OPEN_CATEGORIES),
        # what was put on its way in spite of that is not waiting any more
        decision.c.outcome.is_distinct_from("queued"),
        or_(decision.c.plan_id > plan_id, and_(decision.c.plan_id == plan_id, decision.c.seq > seq)),
    ]
    return _load_page(conn, scope, place_id, where, limit, lambda last: (last.plan_id << SEQ_BITS) + last.seq)


def _load_page(
    conn: Connection,
    scope: Scope,
    place_id: int,
    where: Sequence[ColumnElement[bool]],
    limit: int,
    number_of: Callable[[Row[Any]], int],
) -> Page:
    rows = conn.execute(
        select(decision, record.c.body, body_field(record.c.body, "pupil").label("pupil_ref"))
        .select_from(_with_record(decision, place_id))
        .where(*where, Seen(conn, scope, place_id).covers(record))
        .order_by(decision.c.plan_id, decision.c.seq)
        .limit(limit + 1)
    ).all()
    shown = rows[:limit]
    links = load_links(conn, place_id, Kind.PERSON)
    by_city = {city_id: ref for ref, city_id in links.items()}
    pupils = [row.pupil_ref or _pupil_of(row, by_city) for row in shown]
    lines = build_plan_lines(conn, place_id, shown)
    if not scope.is_named:
        nameless = Nameless(conn, scope, {ref for ref in pupils if ref is not None}, links)
        lines = [_without_names(nameless, line, ref) for line, ref in zip(lines, pupils, strict=True)]
    return Page(
        lines=lines,
        pupils=frozenset(ref for ref in pupils if ref is not None),
        next_seq=number_of(shown[-1]) if len(rows) > limit else None,
    )


def load_seen_operations(
    conn: Connection, scope: Scope, place_id: int, *, state: str | None, after: int, limit: int
) -> list[OperationView]:
    """Load operations that a scope sees, the newest first; `after` is the smallest number of the page before."""
    query = (
        select(operation, body_field(record.c.body, "pupil").label("pupil_ref"))
        .select_from(_with_record(operation, place_id))
        .where(operation.c.place_id == place_id, Seen(conn, scope, place_id).covers(record))
    )
    if state is not None:
        query = query.where(operation.c.state == state)
    if after:
        query = query.where(operation.c.id < after)
    rows = conn.execute(query.order_by(operation.c.id.desc()).limit(limit)).all()
    if scope.is_named:
        return [_to_operation(row, row.pupil_ref) for row in rows]
    links = load_links(conn, place_id, Kind.PERSON)
    nameless = Nameless(conn, scope, {row.pupil_ref for row in rows} - {None}, links)
    return [_to_operation(row, nameless.name(row.pupil_ref) or None) for row in rows]


def require_operation(conn: Connection, scope: Scope, place_id: int, operation_id: int) -> None:
    """Let an operation that the scope sees pass.

    Raises:
        NotVisibleError: It is somebody else's, or none.
    """
    mine = (
        select(operation.c.id)
        .select_from(_with_record(operation, place_id))
        .where(
            operation.c.place_id == place_id,
            operation.c.id == operation_id,
            Seen(conn, scope, place_id).covers(record),
        )
    )
    if not conn.execute(select(exists(mine))).scalar_one():
        raise NotVisibleError("Такой записи нет")


def _with_record(rows: FromClause, place_id: int) -> FromClause:
    return rows.outerjoin(
        record, and_(record.c.place_id == place_id, record.c.kind == rows.c.kind, record.c.ref == rows.c.ref)
    )


def _pupil_of(row: Row[Any], by_city: Mapping[int, str]) -> str | None:
    """Whose a row is that no record stands behind: by the city's id in what would be sent."""
    body = row.intent if row.intent is not None else row.old
    city_id = None if body is None else msgspec.json.decode(body).get("pupil_id")
    return None if city_id is None else by_city.get(city_id, f"city-pupil:{city_id}")


def _without_names(nameless: Nameless, line: PlanLine, pupil: str | None) -> PlanLine:
    ref = nameless.ref(line.kind, line.ref, pupil) if line.ref else ""
    return msgspec.structs.replace(line, pupil=nameless.name(pupil), ref=ref, words="", class_name="")


def _to_operation(row: Row[Any], pupil: str | None) -> OperationView:
    reason = REASONS.get(row.reason)
    return OperationView(
        id=row.id,
        kind=row.kind,
        pupil=pupil,
        op=row.op,
        state=row.state,
        reason=row.reason,
        what=reason.what_ru if reason else "",
        todo=reason.todo_ru if reason else "",
        owner=reason.owner if reason else "",
        attempts=row.attempts,
        run_id=row.run_id,
    )
