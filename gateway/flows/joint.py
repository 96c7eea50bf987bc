"""Several sources of the school as one: what is stored of their pairs, read and written around the pure joining.

Between pull and plan. Where the portal is alone nothing here is asked for and nothing is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, select

from gateway.connectors.port import CityDirectory
from gateway.domain.identifiers import PORTAL, Kind, source_of, source_of_scope
from gateway.domain.records import Group, Lesson, Person, Record, Subject
from gateway.flows.scopes import LocalScope
from gateway.mapping.context import GroupContext, Mapped
from gateway.mapping.joining import Conflict, Same, Word, join
from gateway.mapping.joint import JointLessons, Standing, join_lessons, join_scope
from gateway.mapping.mesh import Sent
from gateway.mapping.normalise import class_key, name_key
from gateway.mapping.pairing import NewPair, Pairing, pair_groups, pair_people
from gateway.mapping.record_links import load_pairs, save_conflicts, save_pairs
from gateway.mapping.rules import Rules
from gateway.mapping.sources import JOURNAL
from gateway.mapping.tables import record_link
from gateway.queue.outbox import load_busy
from gateway.reconcile.gone import is_proven
from gateway.reconcile.joins import same_record
from gateway.reconcile.resolve import NOTHING_BUSY
from gateway.reconcile.tables import base, record

R = TypeVar("R", bound=Record)
SAME_NAMES: Mapping[str, Same] = {
    "person.names": lambda ours, theirs: _name(ours) == _name(theirs),
    "person.class_name": lambda ours, theirs: class_key(ours.class_name) == class_key(theirs.class_name),
    "group.class_name": lambda ours, theirs: class_key(ours.class_name) == class_key(theirs.class_name),
}
"""«7-а» and «7А», «Семёнова» and «Семенова» are no contradiction; a middle name that one source lacks is none either."""
_REFS_AT_ONCE = 500


class JointDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """People and groups of all sources, each once.

    Attributes:
        people: Ref of any source → canonical ref, only where they differ; `groups` likewise.
        waiting: Refs of people and groups that a person has to decide about first, with the reason.
    """

    persons: list[Person]
    group_records: list[Group]
    people: Mapping[str, str] = {}
    groups: Mapping[str, str] = {}
    waiting: Mapping[str, str] = {}

    @property
    def is_several(self) -> bool:
        """Whether anything has to be led to another source's ref."""
        return bool(self.people or self.groups)


def speaking_sources(sources: Iterable[str]) -> frozenset[str]:
    """Name the sources whose words count: those that are configured, the first as the portal, and the gateway's own."""
    names = list(sources)
    return frozenset({PORTAL, JOURNAL, *names[1:]})


def join_directory(
    conn: Connection,
    place_id: int,
    persons: list[Person],
    groups: list[Group],
    subjects: Mapping[str, Subject],
    *,
    directory: CityDirectory,
    rules: Rules,
    linked: Mapping[str, int],
    linked_groups: Mapping[str, int],
    rule_version: str,
    now: datetime,
    run_id: int,
) -> JointDirectory:
    """Make one directory of the people and groups of all sources; new pairs are stored.

    Args:
        conn: A write transaction.
        linked: Person ref → city pupil id, as it stands.
        linked_groups: Group ref → city group id, as it stands.
    """
    if len({source_of(one.ref) for one in (*persons, *groups)}) < 2:
        return JointDirectory(persons=persons, group_records=groups)
    city_ids = {pupil.id: pupil.person_id for pupil in directory.pupils if pupil.person_id}
    pairing = pair_people(
        persons,
        load_pairs(conn, place_id, Kind.PERSON),
        rules,
        city_ids={ref: city_ids[city_id] for ref, city_id in linked.items() if city_id in city_ids},
        sent=linked.keys(),
    )
    people, joined_people, conflicts = _settle(conn, place_id, Kind.PERSON, persons, pairing, rules, now)
    group_pairing = pair_groups(
        groups, subjects, load_pairs(conn, place_id, Kind.GROUP), rules, sent=linked_groups.keys()
    )
    group_refs, joined_groups, more = _settle(conn, place_id, Kind.GROUP, groups, group_pairing, rules, now)
    save_conflicts(
        conn,
        place_id,
        (Kind.PERSON, Kind.GROUP),
        [*((Kind.PERSON, one) for one in conflicts), *((Kind.GROUP, one) for one in more)],
        group_ref="",
        rule_version=rule_version,
        now=now,
        run_id=run_id,
    )
    return JointDirectory(
        persons=joined_people,
        group_records=joined_groups,
        people=people,
        groups=group_refs,
        waiting={**pairing.waiting, **group_pairing.waiting},
    )


def _settle(
    conn: Connection, place_id: int, kind: Kind, records: Sequence[R], pairing: Pairing, rules: Rules, now: datetime
) -> tuple[dict[str, str], list[R], list[Conflict]]:
    save_pairs(conn, place_id, kind, pairing.pairs, now)
    refs = load_pairs(conn, place_id, kind)
    words: dict[str, list[R]] = defaultdict(list)
    for one in records:
        words[refs.get(one.ref, one.ref)].append(one)
    things: list[R] = []
    conflicts: list[Conflict] = []
    for ref in sorted(words):
        if len(words[ref]) == 1 and words[ref][0].ref == ref:
            things.append(words[ref][0])
            continue
        joined = join([Word(record=one) for one in words[ref]], ref, rules.sources, same=SAME_NAMES)
        things.append(joined.record)  # type: ignore[arg-type]  # of one type with what it was made of
        conflicts.extend(joined.conflicts)
    return refs, things, conflicts


def load_standing(
    conn: Connection,
    place_id: int,
    kind: Kind,
    *,
    group_ref: str,
    city_scope: str,
    scopes: Collection[LocalScope],
    speaking: frozenset[str],
    missed_by: datetime,
) -> Standing:
    """Load what is known of one kind of a group beside its records.

    Args:
        group_ref: Canonical ref of the local group.
        city_scope: Scope of the city's side.
        scopes: The group's scopes of all sources.
        speaking: Sources whose words count.
        missed_by: A record must have been missed first before this moment for its absence to be proven.
    """
    mine = [scope for scope in scopes if scope.kind is kind]
    known = load_pairs(conn, place_id, kind, group_ref=group_ref)
    busy = load_busy(conn, place_id, [city_scope]).get(city_scope, NOTHING_BUSY)
    sent = set(
        conn.execute(
            select(base.c.ref).where(base.c.place_id == place_id, base.c.scope == city_scope, base.c.kind == kind.value)
        ).scalars()
    )
    return Standing(
        known=known,
        unread=frozenset(source_of_scope(scope.scope) for scope in mine if not scope.is_fresh),
        silenced=frozenset(source_of_scope(scope.scope) for scope in mine) - speaking,
        sent=frozenset(sent | {ref for _, ref in busy.parked}),
        busy=frozenset(ref for _, ref in busy.records),
        unproven=_load_unproven(conn, place_id, kind, group_ref, set(known.values()), missed_by),
    )


def _name(person: Person) -> tuple[str, str] | None:
    return name_key(person.last_name, person.first_name)


def is_joint(scopes: Collection[LocalScope]) -> bool:
    """Whether more than one source has scopes of a group."""
    return len({source_of_scope(scope.scope) for scope in scopes}) > 1


class GroupJoining:
    """Joins one group's records, and keeps what was found once the caller has a transaction to write in.

    Args:
        group_ref: Canonical ref of the local group.
        scopes: The group's scopes of all sources.
        speaking: Sources whose words count.
        missed_by: As in `load_standing`.
    """

    def __init__(
        self,
        place_id: int,
        group_ref: str,
        scopes: Collection[LocalScope],
        *,
        speaking: frozenset[str],
        rules: Rules,
        rule_version: str,
        run_id: int,
        missed_by: datetime,
    ) -> None:
        self._missed_by = missed_by
        self._place_id = place_id
        self._group_ref = group_ref
        self._scopes = scopes
        self._speaking = speaking
        self._rules = rules
        self._rule_version = rule_version
        self._run_id = run_id
        self._found: list[tuple[Kind, Sequence[NewPair], Sequence[Conflict]]] = []

    def lessons(self, conn: Connection, lessons: Sequence[Lesson]) -> JointLessons:
        """Join the group's lessons. Reads only."""
        joint = join_lessons(lessons, self._standing(conn, Kind.LESSON, ""), self._rules)
        self._found.append((Kind.LESSON, joint.pairs, joint.conflicts))
        return joint

    def map_scope(
        self,
        conn: Connection,
        kind: Kind,
        records: Sequence[Sent],
        context: GroupContext,
        city_scope: str,
    ) -> list[Mapped]:
        """Join one kind of the group and say what should stand in the city. Reads only."""
        joint = join_scope(kind, records, context, self._standing(conn, kind, city_scope))
        self._found.append((kind, joint.pairs, joint.conflicts))
        return list(joint.mapped)

    def map_again(
        self, conn: Connection, kind: Kind, records: Sequence[Sent], context: GroupContext, city_scope: str
    ) -> Sequence[Mapped]:
        """Say what should stand by other rules; what is found of the sources on the way is not kept. Reads only."""
        return join_scope(kind, records, context, self._standing(conn, kind, city_scope)).mapped

    def iter_inputs(self, conn: Connection, kind: Kind, city_scope: str) -> Iterator[bytes]:
        """Yield what this kind is decided by beside the records themselves."""
        yield msgspec.json.encode(sorted(self._speaking))
        for one in (Kind.LESSON, kind):
            yield msgspec.json.encode(self._standing(conn, one, city_scope), order="deterministic")

    def store_found(self, conn: Connection, now: datetime) -> None:
        """Keep the pairs and conflicts that were found since the last time."""
        found, self._found = self._found, []
        for kind, pairs, conflicts in found:
            self._keep(conn, kind, pairs, conflicts, now)

    def _standing(self, conn: Connection, kind: Kind, city_scope: str) -> Standing:
        return load_standing(
            conn,
            self._place_id,
            kind,
            group_ref=self._group_ref,
            city_scope=city_scope,
            scopes=self._scopes,
            speaking=self._speaking,
            missed_by=self._missed_by,
        )

    def _keep(
        self, conn: Connection, kind: Kind, pairs: Sequence[NewPair], conflicts: Sequence[Conflict], now: datetime
    ) -> None:
        save_pairs(conn, self._place_id, kind, pairs, now, group_ref=self._group_ref)
        save_conflicts(
            conn,
            self._place_id,
            (kind,),
            [(kind, one) for one in conflicts],
            group_ref=self._group_ref,
            rule_version=self._rule_version,
            now=now,
            run_id=self._run_id,
        )


def _load_unproven(
    conn: Connection, place_id: int, kind: Kind, group_ref: str, canonical: Collection[str], missed_by: datetime
) -> frozenset[str]:
    """Return the things of which some record is still there or not proven to be gone, its own or another source's."""
    columns = (record.c.gone, record.c.absent_reads, record.c.gone_at)
    rows = list(
        conn.execute(
            select(record_link.c.canonical, *columns)
            .select_from(
                record_link.join(
                    record,
                    same_record(record, record_link),
                )
            )
            .where(
                record_link.c.place_id == place_id,
                record_link.c.kind == kind.value,
                record_link.c.group_ref == group_ref,
            )
        )
    )
    refs = sorted(canonical)
    for start in range(0, len(refs), _REFS_AT_ONCE):
        rows += conn.execute(
            select(record.c.ref, *columns).where(
                record.c.place_id == place_id,
                record.c.kind == kind.value,
                record.c.ref.in_(refs[start : start + _REFS_AT_ONCE]),
            )
        )
    return frozenset(
        ref for ref, gone, reads, gone_at in rows if not is_proven(gone, reads, gone_at=gone_at, missed_by=missed_by)
    )
