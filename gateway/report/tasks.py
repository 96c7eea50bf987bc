"""What teachers have to correct at the portal: records over which somebody's choice lies until the portal shows it.

A choice about a mark is made on its teacher's behalf, so it is told here with who made it and why, and may be disputed. A
task ends by itself with the first edit of that record at the portal; a teacher's word that it is done only waits for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select

from gateway.access.scope import Scope
from gateway.audit.notes import get_note
from gateway.domain.identifiers import Kind
from gateway.mapping.links import load_links
from gateway.reconcile.corrections import ATOM_TYPES
from gateway.reconcile.snapshot import PORTAL_SIDE
from gateway.reconcile.tables import correction, discrepancy, discrepancy_step, record, scope_state
from gateway.report.discrepancies import WITH_RECORD, Line, Sieve, load_lines
from gateway.report.nameless import Nameless
from gateway.report.plan_view import Words
from gateway.report.visible import Seen, body_field
from gateway.store.among import among

SAID_DONE = "said_done"
"""Step of a discrepancy: its teacher says that the portal was corrected."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One record to correct at the portal.

    Attributes:
        number: Of the discrepancy whose choice asks for it; to dispute the choice is to dispute that.
        portal: What the portal shows, field → words.
        wanted: What was chosen instead, field → words; empty = the record is left to the city, and is to go at the portal.
        choice: theirs or own.
        decided_by: Account, OS user, or the rule from precedents that chose.
        reason: Why, as typed; null to whoever sees no names.
        state: `open`; `said_done`, and the portal was not read since; `not_seen`, read since and still the old value.
    """

    number: int
    kind: str
    ref: str
    class_name: str
    pupil: str
    subject: str
    on: date | None
    portal: Mapping[str, str]
    wanted: Mapping[str, str]
    choice: str
    decided_by: str
    decided_at: datetime
    reason: str | None
    state: Literal["open", "said_done", "not_seen"]
    said_at: datetime | None


def load_tasks(
    conn: Connection, scope: Scope | None, place_id: int, *, now: datetime, after: int, limit: int
) -> tuple[list[Task], set[str]]:
    """Load one page in the order of numbers, and the refs of the pupils it shows.

    Args:
        conn: A write transaction where pseudonyms stand for names: they are made at the first question.
        scope: Whose records; None = the whole school, for the command line.
        now: Aware UTC.
        after: Number of the last row of the page before.
    """
    is_task: ColumnElement[bool] = discrepancy.c.id.in_(
        select(correction.c.discrepancy_id).where(correction.c.place_id == place_id)
    )
    covered = is_task
    if scope is not None and not scope.is_whole:
        covered = and_(is_task, Seen(conn, scope, place_id).covers(record))
    lines = load_lines(conn, place_id, Sieve(states=()), now=now, after_id=after, limit=limit, covered=covered)
    rows = _load_corrections(conn, place_id, [line.id for line in lines])
    steps = _load_steps(conn, list(rows))
    words = Words(conn, place_id)
    tasks = [_task(conn, line, rows[line.id], steps, words) for line in lines if line.id in rows]
    pupils = {row.id: row.pupil for row in rows.values() if row.pupil is not None}
    if scope is None or scope.is_named:
        return tasks, set(pupils.values())
    nameless = Nameless(conn, scope, set(pupils.values()), load_links(conn, place_id, Kind.PERSON))
    return [
        msgspec.structs.replace(
            task,
            pupil=nameless.name(pupils.get(task.number)),
            ref=nameless.ref(task.kind, task.ref, pupils.get(task.number)),
            class_name="",
            portal={},
            wanted={},
            reason=None,
        )
        for task in tasks
    ], set()


def find_task(conn: Connection, scope: Scope | None, place_id: int, number: int) -> bool:
    """Whether there is such a task for this scope."""
    query = (
        select(correction.c.discrepancy_id)
        .select_from(WITH_RECORD.join(correction, correction.c.discrepancy_id == discrepancy.c.id))
        .where(discrepancy.c.place_id == place_id, discrepancy.c.id == number)
    )
    if scope is not None and not scope.is_whole:
        query = query.where(Seen(conn, scope, place_id).covers(record))
    return conn.execute(query).first() is not None


def _load_corrections(conn: Connection, place_id: int, ids: Sequence[int]) -> dict[int, Row[Any]]:
    pupil = body_field(record.c.body, "pupil")
    rows = conn.execute(
        select(
            discrepancy.c.id,
            correction.c.kind,
            correction.c.atom,
            correction.c.actor,
            correction.c.made_at,
            scope_state.c.complete_at,
            pupil.label("pupil"),
        )
        .select_from(
            WITH_RECORD.join(correction, correction.c.discrepancy_id == discrepancy.c.id).outerjoin(
                scope_state,
                and_(
                    scope_state.c.place_id == record.c.place_id,
                    scope_state.c.side == PORTAL_SIDE,
                    scope_state.c.scope == record.c.scope,
                ),
            )
        )
        .where(correction.c.place_id == place_id, among(conn, discrepancy.c.id, list(ids)))
    )
    return {row.id: row for row in rows}


def _load_steps(conn: Connection, ids: Sequence[int]) -> dict[tuple[int, str], Row[Any]]:
    """The last choice and the last word that it is done, of each discrepancy."""
    last = (
        select(func.max(discrepancy_step.c.id))
        .where(
            among(conn, discrepancy_step.c.discrepancy_id, list(ids)),
            or_(discrepancy_step.c.step == "chosen", discrepancy_step.c.step == SAID_DONE),
        )
        .group_by(discrepancy_step.c.discrepancy_id, discrepancy_step.c.step)
    )
    rows = conn.execute(select(discrepancy_step).where(discrepancy_step.c.id.in_(last)))
    return {(row.discrepancy_id, row.step): row for row in rows}


def _task(conn: Connection, line: Line, row: Row[Any], steps: Mapping[tuple[int, str], Row[Any]], words: Words) -> Task:
    chosen, said = steps.get((line.id, "chosen")), steps.get((line.id, SAID_DONE))
    said_at = said.at if said is not None and said.at >= row.made_at else None
    atom = None if row.atom is None else msgspec.json.decode(row.atom, type=ATOM_TYPES[row.kind])
    is_read_since = said_at is not None and row.complete_at is not None and row.complete_at > said_at
    return Task(
        number=line.id,
        kind=line.kind,
        ref=line.ref,
        class_name=line.class_name,
        pupil=line.pupil,
        subject=line.subject,
        on=line.on,
        portal=line.ours,
        wanted=words.fields(atom),
        choice="" if chosen is None else chosen.choice or "",
        decided_by=row.actor,
        decided_at=row.made_at,
        reason=None if chosen is None or chosen.note_id is None else get_note(conn, chosen.note_id),
        state="open" if said_at is None else "not_seen" if is_read_since else "said_done",
        said_at=said_at,
    )
