"""What is held back as a scope may see it: whose, what, by whom, why and until when; without names where it has none."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection

from gateway.access.scope import Scope
from gateway.audit.notes import get_note
from gateway.domain.identifiers import Kind
from gateway.mapping.links import load_links
from gateway.reconcile.holds import Hold, load_holds
from gateway.reconcile.undone import load_undone_runs
from gateway.report.nameless import Nameless
from gateway.report.whose import load_pupils_of


class HoldLine(msgspec.Struct, frozen=True, kw_only=True):
    """One hold that is in force; what is null does not narrow it.

    Attributes:
        pupil: Ref of the pupil, or his pseudonym; null where the hold names none, or he is linked no more.
        reason: Why, as typed; null to whoever sees no names, because it may name a child.
    """

    id: int
    kind: str | None
    op: str | None
    class_name: str | None
    pupil: str | None
    ref: str | None
    owner: str
    reason: str | None
    placed_at: datetime
    until: datetime


class UndoneLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the undo of one run keeps undone, until the portal's records move or a person lets go."""

    run: int
    count: int
    owner: str
    reason: str | None
    placed_at: datetime


def load_seen_holds(conn: Connection, scope: Scope, place_id: int, *, now: datetime) -> tuple[list[HoldLine], set[str]]:
    """Load what is held, the latest first, and the refs of the pupils whom it names.

    Args:
        conn: A write transaction where pseudonyms stand for names: they are made at the first question.
        now: Aware UTC.
    """
    links = load_links(conn, place_id, Kind.PERSON)
    by_city = {city_id: ref for ref, city_id in links.items()}
    found = load_holds(conn, place_id, now=now)
    owners = load_pupils_of(conn, place_id, [one.ref for one in found if one.ref is not None])
    pupils = {one.id: _pupil_of(one, by_city, owners) for one in found}
    refs = {pupil for pupil in pupils.values() if pupil is not None}
    if scope.is_named:
        return [_line(one, pupils[one.id], one.ref, _note(conn, one.note_id)) for one in found], refs
    nameless = Nameless(conn, scope, refs, links)
    return [
        msgspec.structs.replace(
            _line(
                one,
                nameless.name(pupils[one.id]) or None,
                None if one.ref is None else nameless.ref(one.kind or "record", one.ref, pupils[one.id]),
                None,
            ),
            class_name=None,
        )
        for one in found
    ], set()


def load_seen_undone(conn: Connection, scope: Scope, place_id: int) -> list[UndoneLine]:
    """Load what is kept undone, run by run, the latest first."""
    return [
        UndoneLine(
            run=one.run_id,
            count=one.count,
            owner=one.owner,
            reason=_note(conn, one.note_id) if scope.is_named else None,
            placed_at=one.placed_at,
        )
        for one in load_undone_runs(conn, place_id)
    ]


def _pupil_of(one: Hold, by_city: dict[int, str], owners: dict[str, str]) -> str | None:
    if one.city_pupil_id is not None:
        return by_city.get(one.city_pupil_id, f"city-pupil:{one.city_pupil_id}")
    return None if one.ref is None else owners.get(one.ref)


def _note(conn: Connection, number: int | None) -> str | None:
    return None if number is None else get_note(conn, number)


def _line(one: Hold, pupil: str | None, ref: str | None, reason: str | None) -> HoldLine:
    return HoldLine(
        id=one.id,
        kind=one.kind,
        op=one.op,
        class_name=one.class_name,
        pupil=pupil,
        ref=ref,
        owner=one.owner,
        reason=reason,
        placed_at=one.placed_at,
        until=one.until,
    )
