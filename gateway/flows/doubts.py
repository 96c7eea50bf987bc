"""Doubts about links become discrepancies with an owner: one a pupil, open as long as something speaks against his link.

Stands inside correlation. While it is open nothing of the pupil is sent (`LINK_DOUBTED` on each of his records).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from gateway.connectors.port import CityDirectory
from gateway.domain.discrepancies import DiscrepancyState, DiscrepancyType
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import LINK_DOUBTED
from gateway.domain.records import Person
from gateway.flows.discrepancies import due_at
from gateway.flows.gateway import Gateway
from gateway.mapping.doubts import Doubt, baseline, find_doubts
from gateway.mapping.link_doubts import StoredDoubt, keep_evidence, load_doubts, load_standing, save_doubts
from gateway.reconcile.discrepancies import owner_of, pattern_of
from gateway.reconcile.follow import of_the_school, store_steps
from gateway.reconcile.relinks import stop_wanting
from gateway.reconcile.tables import discrepancy
from gateway.store.transaction import upsert

SCOPE = "person|links"
"""Scope of these discrepancies; no plan has one of that name, so no plan ends them."""
NO_PLAN = 0


def doubt_links(
    gateway: Gateway,
    conn: Connection,
    place_id: int,
    people: Iterable[Person],
    directory: CityDirectory,
    *,
    now: datetime,
) -> dict[str, str]:
    """Look at every link once more, in the caller's write transaction.

    Args:
        people: The school's people, each once.
        directory: The city's directory; of a part of it nothing is concluded.

    Returns:
        Local ref → reason, of the pupils whose records wait.
    """
    if directory.is_partial:
        return dict.fromkeys(_load_live(conn, place_id), LINK_DOUBTED)
    pupils = {pupil.id: pupil for pupil in directory.pupils}
    known = {person.ref: person for person in people if person.role == "pupil"}
    links = []
    for link in load_standing(conn, place_id, Kind.PERSON):
        person, there = known.get(link.local_ref), pupils.get(link.city_id)
        if person is not None and there is not None and (kept := baseline(link, person, there)) is not None:
            keep_evidence(conn, place_id, Kind.PERSON, link.local_ref, {**link.evidence, **kept})
        else:
            links.append(link)
    return _hold(gateway, conn, place_id, find_doubts(links, known, pupils), now)


def doubt_at_once(gateway: Gateway, conn: Connection, place_id: int, doubts: Sequence[Doubt], *, now: datetime) -> None:
    """Add doubts to those that stand, in the caller's write transaction: a pupil is held before any run looks at him."""
    standing = load_doubts(conn, place_id, Kind.PERSON)
    new = {(one.local_ref, one.code) for one in doubts}
    kept = [
        Doubt(local_ref=one.local_ref, city_id=one.city_id, code=one.code, fingerprint=one.fingerprint)
        for one in standing
        if (one.local_ref, one.code) not in new
    ]
    _hold(gateway, conn, place_id, [*kept, *doubts], now)


def _hold(gateway: Gateway, conn: Connection, place_id: int, found: Sequence[Doubt], now: datetime) -> dict[str, str]:
    doubts = save_doubts(conn, place_id, Kind.PERSON, found, now)
    ripe: dict[str, list[StoredDoubt]] = {}
    for one in doubts:
        if one.is_ripe(now):
            ripe.setdefault(one.local_ref, []).append(one)
    _follow(gateway, conn, place_id, ripe, now)
    return dict.fromkeys(ripe, LINK_DOUBTED)


def settle_doubt(conn: Connection, place_id: int, local_ref: str, *, now: datetime) -> None:
    """Close the discrepancy of a link that a person has looked at."""
    _end(conn, place_id, [local_ref], "settled", now)


def _load_live(conn: Connection, place_id: int) -> dict[str, Any]:
    """Local ref → row of what is not settled."""
    rows = conn.execute(
        select(discrepancy.c.ref, discrepancy.c.state, discrepancy.c.pattern, discrepancy.c.until).where(
            discrepancy.c.place_id == place_id,
            discrepancy.c.kind == Kind.PERSON.value,
            discrepancy.c.type == DiscrepancyType.LINK_DOUBT.value,
            discrepancy.c.state != DiscrepancyState.RESOLVED.value,
        )
    )
    return {row.ref: row for row in rows}


def _follow(
    gateway: Gateway, conn: Connection, place_id: int, ripe: Mapping[str, Sequence[StoredDoubt]], now: datetime
) -> None:
    live = _load_live(conn, place_id)
    _end(conn, place_id, sorted(live.keys() - ripe.keys()), "vanished", now)
    patterns = {
        ref: pattern_of(
            DiscrepancyType.LINK_DOUBT,
            kind=Kind.PERSON.value,
            reason=LINK_DOUBTED,
            scope=SCOPE,
            fields=tuple(sorted(one.code.value for one in found)),
        )
        for ref, found in ripe.items()
    }
    new = sorted(ref for ref in ripe if ref not in live)
    moved = sorted(ref for ref, row in live.items() if ref in ripe and row.pattern != patterns[ref])
    # no plan asks for a doubt: its day has to be looked at here
    back = sorted(
        ref
        for ref, row in live.items()
        if ref in ripe
        and row.state == DiscrepancyState.WAITING_OUTSIDE.value
        and (ref in moved or (row.until is not None and row.until <= now))
    )
    if not new and not moved and not back:
        return
    # a plan that waits for its approval was made before, and nothing of him need be planned now
    stop_wanting(conn, place_id, {ripe[ref][0].city_id for ref in (*new, *moved, *back)}, reason=LINK_DOUBTED)
    due = due_at(gateway, conn, now)
    rows = [
        {
            "place_id": place_id,
            "kind": Kind.PERSON.value,
            "ref": ref,
            "scope": SCOPE,
            "city_id": ripe[ref][0].city_id,
            "type": DiscrepancyType.LINK_DOUBT.value,
            "reason": LINK_DOUBTED,
            "state": DiscrepancyState.OPEN.value,
            "owner": owner_of(DiscrepancyType.LINK_DOUBT, LINK_DOUBTED),
            "assignee": None,
            "until": None,
            "pattern": patterns[ref],
            "flips": 0,
            "opened_at": now,
            "changed_at": now,
            "due_at": due,
            "plan_id": NO_PLAN,
        }
        for ref in new
    ]
    upsert(
        conn,
        discrepancy,
        rows,
        keys=("place_id", "kind", "ref"),
        update=("city_id", "state", "pattern", "assignee", "until", "opened_at", "changed_at", "due_at"),
    )
    reopened = {"state": DiscrepancyState.OPEN.value, "until": None, "assignee": of_the_school()}
    for ref in sorted({*moved, *back}):
        conn.execute(
            update(discrepancy)
            .where(
                discrepancy.c.place_id == place_id,
                discrepancy.c.kind == Kind.PERSON.value,
                discrepancy.c.ref == ref,
            )
            .values(pattern=patterns[ref], changed_at=now, **(reopened if ref in back else {}))
        )
    steps = [
        *((ref, "opened") for ref in new),
        *((ref, "moved") for ref in moved if ref not in back),
        *((ref, "reopened") for ref in back),
    ]
    store_steps(conn, place_id, [(Kind.PERSON.value, ref, step, None) for ref, step in steps], now)


def _end(conn: Connection, place_id: int, refs: Sequence[str], step: str, now: datetime) -> None:
    ended = (
        conn.execute(
            update(discrepancy)
            .where(
                discrepancy.c.place_id == place_id,
                discrepancy.c.kind == Kind.PERSON.value,
                discrepancy.c.ref.in_(refs),
                discrepancy.c.state != DiscrepancyState.RESOLVED.value,
            )
            .values(state=DiscrepancyState.RESOLVED.value, changed_at=now, until=None)
            .returning(discrepancy.c.ref)
        )
        .scalars()
        .all()
        if refs
        else []
    )
    store_steps(conn, place_id, [(Kind.PERSON.value, ref, step, None) for ref in sorted(ended)], now)


__all__ = ["doubt_at_once", "doubt_links", "settle_doubt"]
