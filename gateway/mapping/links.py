"""The stored correlation of one place: links, what waits for a person, and the lesson chosen for each mark.

A link is never moved by a machine: what stands is kept, and a second local object on one city object is refused, by the
table itself as well. Runs in the caller's transaction; the audit entry of a person's confirmation is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from gateway.domain.city import CityLesson, MarkIntent
from gateway.domain.errors import AmbiguousMatchError
from gateway.domain.identifiers import Kind, Place, source_of
from gateway.domain.reasons import NO_CANDIDATE
from gateway.mapping.correlate import Candidate, Correlation
from gateway.mapping.likeness import Evidence
from gateway.mapping.mesh import Mapped
from gateway.mapping.pairing import NewPair
from gateway.mapping.record_links import load_pairs, save_pairs
from gateway.mapping.tables import link, link_candidate, mark_lesson, place
from gateway.store.transaction import upsert

MACHINE = "gateway"
"""Actor of links made without a person."""
_NOBODY = ""  # city id of a row that says: waits, and there is no candidate
_REFS_AT_ONCE = 500  # SQLite allows 999 variables in builds still about
_PLACE_ID = select(place.c.id).where(
    place.c.city == bindparam("city"), place.c.portal == bindparam("portal"), place.c.year == bindparam("year")
)
_LINKS = select(link.c.local_ref, link.c.city_id).where(
    link.c.place_id == bindparam("place_id"), link.c.kind == bindparam("kind")
)
_CHOSEN_LESSONS = select(mark_lesson.c.mark_ref, mark_lesson.c.city_lesson_id, mark_lesson.c.lesson_starts_at).where(
    mark_lesson.c.place_id == bindparam("place_id"), mark_lesson.c.mark_ref.in_(bindparam("refs", expanding=True))
)


def get_place_id(conn: Connection, where: Place) -> int:
    """Return the number of a place, made at first use (needs a write transaction then)."""
    row = {"city": where.city, "portal": where.portal, "year": where.year}
    found = conn.execute(_PLACE_ID, row).scalar_one_or_none()
    if found is None:
        upsert(conn, place, [row], keys=("city", "portal", "year"), update=())
        found = conn.execute(_PLACE_ID, row).scalar_one()
    return int(found)


def lock_place(conn: Connection, place_id: int) -> None:
    """Let one transaction at a time look what stands at a place and add to it; on SQLite a write transaction is alone anyway."""
    conn.execute(select(place.c.id).where(place.c.id == place_id).with_for_update(key_share=True))


def load_links(conn: Connection, place_id: int, kind: Kind) -> dict[str, int]:
    """Return local ref → city id."""
    rows = conn.execute(_LINKS, {"place_id": place_id, "kind": kind.value})
    return {row.local_ref: int(row.city_id) for row in rows}


def load_machine_links(conn: Connection, place_id: int, kind: Kind) -> frozenset[str]:
    """Return the local refs whose link no person has decided."""
    rows = conn.execute(
        select(link.c.local_ref).where(link.c.place_id == place_id, link.c.kind == kind.value, link.c.actor == MACHINE)
    )
    return frozenset(rows.scalars())


def save_correlation(conn: Connection, place_id: int, kind: Kind, correlation: Correlation, now: datetime) -> int:
    """Store new links, and replace what waits by what waits now.

    A link that would move a local object, or put a second one on a city object, is not written: the caller correlated on
    links that have changed since, and the next run sees it.

    Args:
        correlation: Of all local objects of the kind: whoever is not in it no longer waits.

    Returns:
        Links made.
    """
    linked = load_links(conn, place_id, kind)
    taken = set(linked.values())
    new = [one for one in correlation.links if one.local_ref not in linked and one.city_id not in taken]
    rows = [
        {
            "place_id": place_id,
            "kind": kind.value,
            "local_ref": one.local_ref,
            "city_id": str(one.city_id),
            "how": one.how,
            "evidence": one.evidence,
            "actor": MACHINE,
            "decided_at": now,
        }
        for one in new
    ]
    if rows:
        conn.execute(insert(link), rows)
    conn.execute(
        delete(link_candidate).where(link_candidate.c.place_id == place_id, link_candidate.c.kind == kind.value)
    )
    waiting = [
        _candidate_row(place_id, kind, one.local_ref, str(one.city_id), one.reason, one.score, one.evidence, now)
        for one in correlation.candidates
    ]
    with_candidates = {one.local_ref for one in correlation.candidates}
    waiting += [
        _candidate_row(place_id, kind, ref, _NOBODY, reason, 0.0, {}, now)
        for ref, reason in correlation.waiting.items()
        if ref not in with_candidates
    ]
    if waiting:
        conn.execute(insert(link_candidate), waiting)
    return len(rows)


def confirm(
    conn: Connection,
    place_id: int,
    kind: Kind,
    local_ref: str,
    city_id: int,
    *,
    actor: str,
    how: str,
    evidence: Evidence,
    now: datetime,
) -> bool:
    """Store a link that a person has decided; its audit entry is the caller's, in the same transaction.

    Args:
        actor: Who decided, as the audit names him.
        how: `confirmed` by hand, `roster` by an imported list.

    Returns:
        False when exactly this link stands already by a person's word; one that a machine made becomes the person's.

    Raises:
        AmbiguousMatchError: Either side is linked to another already; nothing is overwritten. A record of another source
            on the city's side is no other: the two become one thing.
    """
    linked = load_links(conn, place_id, kind)
    if linked.get(local_ref) == city_id:
        return _take_over(conn, place_id, kind, local_ref, actor=actor, how=how, evidence=evidence, now=now)
    if local_ref in linked:
        raise AmbiguousMatchError("Эта запись портала уже связана с другой записью городского журнала")
    holder = next((ref for ref, found in linked.items() if found == city_id), None)
    if holder is not None:
        if source_of(holder) == source_of(local_ref):
            raise AmbiguousMatchError("Эта запись городского журнала уже связана с другой записью портала")
        return _join(conn, place_id, kind, NewPair(ref=local_ref, canonical=holder, how=how), actor=actor, now=now)
    conn.execute(
        insert(link).values(
            place_id=place_id,
            kind=kind.value,
            local_ref=local_ref,
            city_id=str(city_id),
            how=how,
            evidence=evidence,
            actor=actor,
            decided_at=now,
        )
    )
    _no_longer_waits(conn, place_id, kind, local_ref)
    return True


def _join(conn: Connection, place_id: int, kind: Kind, pair: NewPair, *, actor: str, now: datetime) -> bool:
    """Make a person's record in a second source one with the one that is linked already."""
    known = load_pairs(conn, place_id, kind)
    if known.get(pair.ref) == pair.canonical:
        return False
    if pair.ref in known:
        raise AmbiguousMatchError("Эта запись уже признана той же, что другая запись школы")
    save_pairs(conn, place_id, kind, [pair], now, actor=actor)
    _no_longer_waits(conn, place_id, kind, pair.ref)
    return True


def _no_longer_waits(conn: Connection, place_id: int, kind: Kind, local_ref: str) -> None:
    conn.execute(
        delete(link_candidate).where(
            link_candidate.c.place_id == place_id,
            link_candidate.c.kind == kind.value,
            link_candidate.c.local_ref == local_ref,
        )
    )


def _take_over(
    conn: Connection,
    place_id: int,
    kind: Kind,
    local_ref: str,
    *,
    actor: str,
    how: str,
    evidence: Evidence,
    now: datetime,
) -> bool:
    """Put a person's name under a link that a machine made, so that it no longer waits when name or id change."""
    taken = conn.execute(
        update(link)
        .where(
            link.c.place_id == place_id,
            link.c.kind == kind.value,
            link.c.local_ref == local_ref,
            link.c.actor == MACHINE,
        )
        .values(actor=actor, how=how, evidence=evidence, decided_at=now)
    ).rowcount
    if taken:
        _no_longer_waits(conn, place_id, kind, local_ref)
    return bool(taken)


def drop_candidate(conn: Connection, place_id: int, kind: Kind, local_ref: str, city_id: int) -> None:
    """Take one candidate off the list; whoever has none left still waits, and says so."""
    here = (
        link_candidate.c.place_id == place_id,
        link_candidate.c.kind == kind.value,
        link_candidate.c.local_ref == local_ref,
    )
    gone = conn.execute(
        delete(link_candidate)
        .where(*here, link_candidate.c.city_id == str(city_id))
        .returning(link_candidate.c.seen_at)
    ).scalar_one_or_none()
    if gone is not None and conn.execute(select(link_candidate.c.city_id).where(*here).limit(1)).one_or_none() is None:
        conn.execute(
            insert(link_candidate), [_candidate_row(place_id, kind, local_ref, _NOBODY, NO_CANDIDATE, 0.0, {}, gone)]
        )


def load_candidates(conn: Connection, place_id: int, kind: Kind) -> list[Candidate]:
    """Return what waits for a person's choice, best first within a local ref."""
    rows = conn.execute(
        select(link_candidate)
        .where(
            link_candidate.c.place_id == place_id,
            link_candidate.c.kind == kind.value,
            link_candidate.c.city_id != _NOBODY,
        )
        .order_by(link_candidate.c.local_ref, link_candidate.c.score.desc(), link_candidate.c.city_id)
    )
    return [
        Candidate(
            local_ref=row.local_ref,
            city_id=int(row.city_id),
            reason=row.reason,
            score=row.score,
            evidence=row.evidence,
        )
        for row in rows
    ]


def load_waiting(conn: Connection, place_id: int, kind: Kind) -> dict[str, str]:
    """Return local ref → reason for all that wait, also those without any candidate."""
    rows = conn.execute(
        select(link_candidate.c.local_ref, link_candidate.c.reason).where(
            link_candidate.c.place_id == place_id, link_candidate.c.kind == kind.value
        )
    )
    return {row.local_ref: row.reason for row in rows}


def load_chosen_lessons(
    conn: Connection, place_id: int, mark_refs: Sequence[str], lessons: Sequence[CityLesson]
) -> dict[str, int]:
    """Return mark ref → city lesson id chosen earlier.

    A republished timetable gives the same lessons other ids (§7.5): one that is gone is found again by its beginning.

    Args:
        lessons: The group's lessons as they are now.
    """
    chosen: dict[str, int] = {}
    present = {lesson.id for lesson in lessons}
    by_start: dict[datetime, list[int]] = {}
    for lesson in lessons:
        by_start.setdefault(lesson.starts_at, []).append(lesson.id)
    for first in range(0, len(mark_refs), _REFS_AT_ONCE):
        refs = list(mark_refs[first : first + _REFS_AT_ONCE])
        rows = conn.execute(_CHOSEN_LESSONS, {"place_id": place_id, "refs": refs})
        for row in rows:
            again = by_start.get(row.lesson_starts_at, [])
            is_republished = row.city_lesson_id not in present and len(again) == 1
            chosen[row.mark_ref] = again[0] if is_republished else row.city_lesson_id
    return chosen


def save_chosen_lessons(
    conn: Connection,
    place_id: int,
    mapped: Iterable[Mapped],
    lessons: Sequence[CityLesson],
    version: str,
    now: datetime,
) -> None:
    """Store the lessons chosen just now; one chosen earlier is never moved.

    Args:
        lessons: The group's lessons that were chosen from.
        version: `rule_version` of the rules that chose.
    """
    starts = {lesson.id: lesson.starts_at for lesson in lessons}
    rows = [
        {
            "place_id": place_id,
            "mark_ref": one.ref,
            "city_lesson_id": one.intent.lesson_id,
            "lesson_starts_at": starts[one.intent.lesson_id],
            "rule": one.lesson_rule,
            "rule_version": version,
            "chosen_at": now,
        }
        for one in mapped
        if isinstance(one.intent, MarkIntent) and one.lesson_rule not in (None, "chosen")
    ]
    upsert(conn, mark_lesson, rows, keys=("place_id", "mark_ref"), update=())


def _candidate_row(
    place_id: int,
    kind: Kind,
    local_ref: str,
    city_id: str,
    reason: str,
    score: float,
    evidence: Evidence,
    now: datetime,
) -> dict[str, object]:
    return {
        "place_id": place_id,
        "kind": kind.value,
        "local_ref": local_ref,
        "city_id": city_id,
        "reason": reason,
        "score": score,
        "evidence": evidence,
        "seen_at": now,
    }


__all__ = [
    "MACHINE",
    "confirm",
    "drop_candidate",
    "get_place_id",
    "load_candidates",
    "load_chosen_lessons",
    "load_links",
    "load_machine_links",
    "load_waiting",
    "save_chosen_lessons",
    "save_correlation",
]
