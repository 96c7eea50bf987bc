"""Who is who as people decide it: who waits for a link, who may be meant, what speaks for it and against what stands.

Reads only. Evidence is told in words that hold neither a date nor a value. Names are shown to whoever may see that
pupil; a city profile that belongs to somebody else's child is shown without one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Select, select, union

from gateway.access.scope import Scope
from gateway.audit.notes import get_note
from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityPupil
from gateway.domain.errors import NotVisibleError
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import LINK_DOUBTED, REASONS
from gateway.domain.records import Person
from gateway.mapping.doubts import CODE_WORDS
from gateway.mapping.likeness import tell
from gateway.mapping.link_doubts import StoredDoubt, load_doubts
from gateway.mapping.links import MACHINE, load_candidates, load_links, load_waiting
from gateway.mapping.tables import link, link_candidate, link_doubt, link_rejection
from gateway.reconcile.tables import city_directory, record
from gateway.report.visible import Seen

HIDDEN = "другой ученик"
"""In the place of a name that this person may not see."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One profile of the city that may be meant.

    Attributes:
        score: 0…1; orders the list and decides nothing.
        evidence: What speaks for it and against it, a line each, in words.
        is_taken: It is linked to another pupil already.
    """

    city_id: int
    name: str
    class_name: str
    score: float
    evidence: list[str]
    is_taken: bool


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """A pupil of the portal about whom a person must say something."""

    ref: str
    name: str
    class_name: str
    reason: str
    what: str
    todo: str
    owner: str
    doubts: list[str]
    offers: list[Offer]


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A pair that a person refused, and why."""

    city_id: int
    actor: str
    at: datetime
    why: str | None


class LinkCard(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one pupil's link; `city_id` is None where there is none."""

    ref: str
    name: str
    class_name: str
    city_id: int | None
    city_name: str
    city_class: str
    how: str | None
    decided_by: str | None
    decided_at: datetime | None
    is_by_machine: bool
    evidence: list[str]
    asking: Asking | None
    refused: list[Refused]


def load_asking(
    conn: Connection, place_id: int, scope: Scope | None, *, after: str = "", limit: int = 1000
) -> list[Asking]:
    """Load who waits for a link or is doubted, by ref.

    Args:
        scope: Whose pupils; None = the operator at the machine, who sees all.
        after: The last ref of the page before.
    """
    refs = _load_refs(conn, place_id, scope, after=after, limit=limit)
    return _Board(conn, place_id, scope, refs).asking(refs)


def get_card(conn: Connection, place_id: int, scope: Scope | None, ref: str) -> LinkCard:
    """Load one pupil's link.

    Raises:
        NotVisibleError: There is no such pupil, or he is somebody else's.
    """
    known = select(record.c.ref).where(
        record.c.place_id == place_id, record.c.kind == Kind.PERSON.value, record.c.ref == ref
    )
    if scope is not None:
        known = known.where(record.c.ref.in_(Seen(conn, scope, place_id).pupil_refs()))
    if conn.execute(known).one_or_none() is None:
        raise NotVisibleError("Такого ученика нет")
    board = _Board(conn, place_id, scope, [ref])
    row = conn.execute(
        select(link).where(link.c.place_id == place_id, link.c.kind == Kind.PERSON.value, link.c.local_ref == ref)
    ).one_or_none()
    asking = board.asking([ref])
    city_id = None if row is None else int(row.city_id)
    return LinkCard(
        ref=ref,
        name=board.name_of(ref),
        class_name=board.class_of(ref),
        city_id=city_id,
        city_name="" if city_id is None else board.city_name(city_id),
        city_class="" if city_id is None else board.city_class(city_id),
        how=None if row is None else row.how,
        decided_by=None if row is None else row.actor,
        decided_at=None if row is None else row.decided_at,
        is_by_machine=row is not None and row.actor == MACHINE,
        evidence=[] if row is None else tell(row.evidence),
        asking=asking[0] if asking and (asking[0].reason or asking[0].doubts) else None,
        refused=_load_refused(conn, place_id, ref),
    )


def shown_pupils(asking: Sequence[Asking], links: Mapping[str, int]) -> set[str]:
    """Refs of the pupils whom such an answer names: those who wait, and who holds a profile that is named.

    Args:
        links: Local ref → city id, as they stand.
    """
    holders = {city_id: ref for ref, city_id in links.items()}
    named = {offer.city_id for one in asking for offer in one.offers if offer.name not in ("", HIDDEN)}
    return {one.ref for one in asking} | {holders[city_id] for city_id in named if city_id in holders}


def _load_refs(conn: Connection, place_id: int, scope: Scope | None, *, after: str, limit: int) -> list[str]:
    asked: list[Select[tuple[str]]] = [
        select(table.c.local_ref).where(
            table.c.place_id == place_id, table.c.kind == Kind.PERSON.value, table.c.local_ref > after
        )
        for table in (link_candidate, link_doubt)
    ]
    if scope is not None:
        mine = Seen(conn, scope, place_id).pupil_refs()
        asked = [query.where(query.selected_columns[0].in_(mine)) for query in asked]
    refs = union(*asked).subquery()
    return list(conn.execute(select(refs.c.local_ref).order_by(refs.c.local_ref).limit(limit)).scalars())


def _load_refused(conn: Connection, place_id: int, ref: str) -> list[Refused]:
    rows = conn.execute(
        select(link_rejection)
        .where(
            link_rejection.c.place_id == place_id,
            link_rejection.c.kind == Kind.PERSON.value,
            link_rejection.c.local_ref == ref,
        )
        .order_by(link_rejection.c.rejected_at)
    ).all()
    return [
        Refused(
            city_id=int(row.city_id),
            actor=row.actor,
            at=row.rejected_at,
            why=None if row.note_id is None else get_note(conn, row.note_id),
        )
        for row in rows
    ]


class _Board:
    """What several answers about people share: names, profiles, candidates and doubts of some refs."""

    def __init__(self, conn: Connection, place_id: int, scope: Scope | None, refs: Collection[str]) -> None:
        self._links = load_links(conn, place_id, Kind.PERSON)
        self._holders = {city_id: ref for ref, city_id in self._links.items()}
        self._waiting = load_waiting(conn, place_id, Kind.PERSON)
        self._candidates = [one for one in load_candidates(conn, place_id, Kind.PERSON) if one.local_ref in refs]
        now = conn.execute(select(city_directory).where(city_directory.c.place_id == place_id)).one_or_none()
        directory = None if now is None else msgspec.json.decode(now.body, type=CityDirectory)
        self._city: Mapping[int, CityPupil] = (
            {} if directory is None else {pupil.id: pupil for pupil in directory.pupils}
        )
        self._doubts: dict[str, list[StoredDoubt]] = {}
        for one in load_doubts(conn, place_id, Kind.PERSON):
            self._doubts.setdefault(one.local_ref, []).append(one)
        held = {self._holders[one.city_id] for one in self._candidates if one.city_id in self._holders}
        self._people = _load_people(conn, place_id, {*refs, *held})
        self._foreign = _load_foreign(conn, place_id, scope, held)

    def asking(self, refs: Sequence[str]) -> list[Asking]:
        """One line a ref."""
        return [self._ask(ref) for ref in refs]

    def name_of(self, ref: str) -> str:
        person = self._people.get(ref)
        return "—" if person is None else f"{person.last_name} {person.first_name}"

    def class_of(self, ref: str) -> str:
        person = self._people.get(ref)
        return "" if person is None else person.class_name or ""

    def city_name(self, city_id: int) -> str:
        pupil = self._city.get(city_id)
        if pupil is None:
            return ""
        if self._holders.get(city_id) in self._foreign:
            return HIDDEN
        return " ".join(part for part in (pupil.last_name, pupil.first_name) if part)

    def city_class(self, city_id: int) -> str:
        pupil = self._city.get(city_id)
        return "" if pupil is None or self._holders.get(city_id) in self._foreign else pupil.class_name or ""

    def _ask(self, ref: str) -> Asking:
        doubts = self._doubts.get(ref, [])
        reason = self._waiting.get(ref, LINK_DOUBTED if doubts else "")
        known = REASONS.get(reason)
        return Asking(
            ref=ref,
            name=self.name_of(ref),
            class_name=self.class_of(ref),
            reason=reason,
            what="" if known is None else known.what_ru,
            todo="" if known is None else known.todo_ru,
            owner="" if known is None else known.owner,
            doubts=[CODE_WORDS[one.code] for one in doubts],
            offers=[
                Offer(
                    city_id=one.city_id,
                    name=self.city_name(one.city_id),
                    class_name=self.city_class(one.city_id),
                    score=one.score,
                    evidence=tell(one.evidence),
                    is_taken=self._holders.get(one.city_id, ref) != ref,
                )
                for one in self._candidates
                if one.local_ref == ref
            ],
        )


def _load_people(conn: Connection, place_id: int, refs: Collection[str]) -> dict[str, Person]:
    rows = conn.execute(
        select(record.c.ref, record.c.body).where(
            record.c.place_id == place_id, record.c.kind == Kind.PERSON.value, record.c.ref.in_(sorted(refs))
        )
    )
    return {row.ref: msgspec.json.decode(row.body, type=Person) for row in rows}


def _load_foreign(conn: Connection, place_id: int, scope: Scope | None, refs: Collection[str]) -> set[str]:
    """Those of these pupils whom the scope may not be shown."""
    if scope is None:
        return set()
    seen = Seen(conn, scope, place_id).pupil_refs()
    mine = conn.execute(
        select(record.c.ref).where(
            record.c.place_id == place_id,
            record.c.kind == Kind.PERSON.value,
            record.c.ref.in_(sorted(refs)),
            record.c.ref.in_(seen),
        )
    ).scalars()
    return set(refs) - set(mine)


__all__ = ["HIDDEN", "Asking", "LinkCard", "Offer", "Refused", "get_card", "load_asking", "shown_pupils"]
