"""What an undo keeps undone: holds that a plan laid when it was let out, one a record.

The source still says what was undone, so the next plan would send it all again. Such a hold lets it wait, by a person's
decision and with his reason, as long as the source shows what it showed then; its first edit there ends the hold, and so
does a person, or an undo operation that found its ground moved and was not done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from gateway.mapping.tables import rule_binding
from gateway.reconcile.joins import same_record
from gateway.reconcile.tables import discrepancy, hold, intended, plan, record, record_version
from gateway.reconcile.triples import COMPARED
from gateway.store.among import among

UNDONE_FOR = timedelta(days=366)
"""Longer than the school year that a place is of: what was undone comes back by an edit or a person, not by a day."""
NOTHING_SHOWN = bytes(16)
"""Stands for a source that shows nothing: the record is gone there, or there never was one."""


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What one undo keeps undone.

    Attributes:
        run_id: The run that was undone.
        count: Records still kept.
        owner: Who let the undo out.
    """

    run_id: int
    plan_id: int
    count: int
    owner: str
    note_id: int | None
    placed_at: datetime


def _live(place_id: Any) -> tuple[ColumnElement[bool], ...]:
    return hold.c.place_id == place_id, hold.c.plan_id.is_not(None), hold.c.lifted_at.is_(None)


# built once: it is asked before every batch
_UNDONE_BY = select(hold.c.kind, hold.c.ref, hold.c.plan_id).where(
    *_live(bindparam("place_id")), hold.c.ref.in_(bindparam("refs", expanding=True))
)


def load_undone(conn: Connection, place_id: int) -> frozenset[tuple[str, str]]:
    """Load (kind, ref) of everything that is kept undone."""
    rows = conn.execute(select(hold.c.kind, hold.c.ref).where(*_live(place_id)))
    return frozenset((row.kind, row.ref) for row in rows)


def load_undone_by(conn: Connection, place_id: int, refs: Collection[str]) -> dict[tuple[str, str], int]:
    """Load which plan keeps these records undone: (kind, ref) → plan."""
    rows = conn.execute(_UNDONE_BY, {"place_id": place_id, "refs": sorted(refs)})
    return {(row.kind, row.ref): row.plan_id for row in rows}


def load_undone_runs(conn: Connection, place_id: int) -> list[Undone]:
    """Load what is kept undone, run by run, the latest first."""
    rows = conn.execute(
        select(
            plan.c.undoes,
            hold.c.plan_id,
            func.count().label("how_many"),
            func.min(hold.c.owner).label("owner"),
            func.min(hold.c.note_id).label("note_id"),
            func.min(hold.c.placed_at).label("placed_at"),
        )
        .join(plan, plan.c.id == hold.c.plan_id)
        .where(*_live(place_id))
        .group_by(plan.c.undoes, hold.c.plan_id)
        .order_by(hold.c.plan_id.desc())
    )
    return [
        Undone(
            run_id=row.undoes,
            plan_id=row.plan_id,
            count=row.how_many,
            owner=row.owner,
            note_id=row.note_id,
            placed_at=row.placed_at,
        )
        for row in rows
    ]


def lay_undone(
    conn: Connection,
    place_id: int,
    plan_id: int,
    rows: Sequence[Row[Any]],
    *,
    wrote_at: Mapping[tuple[str, str], datetime],
    owner: str,
    note_id: int | None,
    now: datetime,
) -> None:
    """Keep undone what a plan is about to undo, in the transaction of its operations.

    Where the source says the very thing that is written now (an undo that is undone), nothing has to be kept.

    Args:
        conn: The caller's write transaction.
        place_id: Where we are.
        plan_id: The plan that undoes.
        rows: Its decisions that become operations now.
        wrote_at: (kind, record) → when what is undone was let out (aware UTC). What the source says since then was never
            undone: it ends the hold with the next plan, as an edit that comes later does.
        owner: Who let it out.
        note_id: Why, as typed.
        now: Aware UTC.
    """
    if not rows:
        return
    refs = sorted({row.ref for row in rows})
    conn.execute(
        update(hold)
        .where(*_live(place_id), hold.c.kind == bindparam("b_kind"), hold.c.ref == bindparam("b_ref"))
        .values(lifted_at=now),
        [{"b_kind": row.kind, "b_ref": row.ref} for row in rows],
    )
    wanted = {
        (row.kind, row.ref): row.digest
        for row in conn.execute(
            select(intended.c.kind, intended.c.ref, intended.c.digest).where(
                intended.c.place_id == place_id, intended.c.ref.in_(refs), intended.c.state.in_(COMPARED)
            )
        )
    }
    shown = {
        (row.kind, row.ref): NOTHING_SHOWN if row.gone is not None else row.digest
        for row in conn.execute(
            select(record.c.kind, record.c.ref, record.c.digest, record.c.gone).where(
                record.c.place_id == place_id, record.c.ref.in_(refs)
            )
        )
    } | _load_shown_then(conn, place_id, refs, wrote_at)
    kept = [row for row in rows if wanted.get((row.kind, row.ref)) != row.ours]
    if not kept:
        return
    # it is to be sent anew one day, by whatever rules count then
    conn.execute(
        delete(rule_binding).where(
            rule_binding.c.place_id == place_id,
            rule_binding.c.kind == bindparam("b_kind"),
            rule_binding.c.ref == bindparam("b_ref"),
        ),
        [{"b_kind": row.kind, "b_ref": row.ref} for row in kept],
    )
    conn.execute(
        insert(hold),
        [
            {
                "place_id": place_id,
                "kind": row.kind,
                "op": None,
                "ref": row.ref,
                "city_pupil_id": None,
                "class_name": None,
                "owner": owner,
                "note_id": note_id,
                "placed_at": now,
                "until": now + UNDONE_FOR,
                "lifted_at": None,
                "plan_id": plan_id,
                # of a lesson plan no source has a record of its own: what it comes to in the city's terms stands for it
                "shown": shown.get((row.kind, row.ref), wanted.get((row.kind, row.ref), NOTHING_SHOWN)),
            }
            for row in kept
        ],
    )


def _load_shown_then(
    conn: Connection, place_id: int, refs: Sequence[str], wrote_at: Mapping[tuple[str, str], datetime]
) -> dict[tuple[str, str], bytes]:
    """Load what the source showed of these records when they were written, as far as it was read by then."""
    version = record_version.c
    found = {}
    for row in conn.execute(
        select(version.kind, version.ref, version.digest, version.gone, version.valid_from)
        .where(version.place_id == place_id, version.ref.in_(refs))
        .order_by(version.id)
    ):
        key = (row.kind, row.ref)
        if key in wrote_at and row.valid_from <= wrote_at[key]:
            found[key] = NOTHING_SHOWN if row.gone is not None else row.digest
    return found


def end_moved(conn: Connection, place_id: int, *, given_up: ColumnElement[bool], now: datetime) -> int:
    """End what the source has moved from since, and what was not undone after all.

    Args:
        conn: A write transaction.
        place_id: Where we are.
        given_up: Condition on a `hold` row: its operation was dropped.
        now: Aware UTC.

    Returns:
        How many ended.
    """
    here = same_record(record, hold)
    meant = same_record(intended, hold)
    of_record = select(case((record.c.gone.is_(None), record.c.digest), else_=NOTHING_SHOWN)).where(here)
    of_intent = select(intended.c.digest).where(meant, intended.c.state.in_(COMPARED))
    now_shown = func.coalesce(of_record.scalar_subquery(), of_intent.scalar_subquery(), NOTHING_SHOWN)
    return conn.execute(
        update(hold).where(*_live(place_id), or_(now_shown != hold.c.shown, given_up)).values(lifted_at=now)
    ).rowcount


def lift_run(conn: Connection, place_id: int, run_id: int, *, now: datetime) -> int:
    """End everything that the undo of one run keeps undone; how many."""
    plans = select(plan.c.id).where(plan.c.place_id == place_id, plan.c.undoes == run_id)
    return conn.execute(update(hold).where(*_live(place_id), hold.c.plan_id.in_(plans)).values(lifted_at=now)).rowcount


def lift_chosen(conn: Connection, place_id: int, ids: Collection[int], *, now: datetime) -> int:
    """End what is kept undone of records whose discrepancies a person has just settled; how many."""
    settled = exists().where(
        discrepancy.c.place_id == hold.c.place_id,
        discrepancy.c.kind == hold.c.kind,
        discrepancy.c.ref == hold.c.ref,
        among(conn, discrepancy.c.id, ids),
    )
    return conn.execute(update(hold).where(*_live(place_id), settled).values(lifted_at=now)).rowcount


__all__ = [
    "Undone",
    "end_moved",
    "lay_undone",
    "lift_chosen",
    "lift_run",
    "load_undone",
    "load_undone_by",
    "load_undone_runs",
]
