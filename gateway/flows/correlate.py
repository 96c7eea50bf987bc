"""Who is who: people and groups of the school's sources against the city's directory, before anything is compared.

New certain links are stored, candidates are replaced, and what waits waits with its reason. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import Connection

from gateway.connectors.port import CityDirectory
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import RELINKING
from gateway.domain.records import Group, Membership, Person, Record, Subject
from gateway.flows.churn import judge_directory
from gateway.flows.city_reads import find_whole_directory
from gateway.flows.doubts import doubt_links
from gateway.flows.gateway import Gateway
from gateway.flows.joint import JointDirectory, join_directory
from gateway.mapping.correlate import Correlation, correlate_groups
from gateway.mapping.likeness import overlap
from gateway.mapping.link_doubts import load_rejections
from gateway.mapping.links import load_links, load_machine_links, save_correlation
from gateway.mapping.people import correlate_people
from gateway.mapping.rules import Rules, rule_version
from gateway.mapping.versions import load_counting_rules
from gateway.reconcile.relinks import load_links_stamp, load_open_moves
from gateway.reconcile.snapshot import load_records
from gateway.reconcile.tables import city_directory
from gateway.store.transaction import upsert


class WhoIsWho(msgspec.Struct, frozen=True, kw_only=True):
    """Links and waiting reasons of one place.

    Attributes:
        pupils: Local person ref → city pupil id.
        pupils_waiting: Local person ref → why there is no link, or why the one there is waits for a person.
        groups: Local group ref → city group id; `groups_waiting` likewise.
        joint: How the refs of several sources lead to these.
        links_stamp: Of the links (`reconcile.relinks.load_links_stamp`).
    """

    pupils: Mapping[str, int]
    pupils_waiting: Mapping[str, str]
    groups: Mapping[str, int]
    groups_waiting: Mapping[str, str]
    local_groups: Mapping[str, Group]
    subjects: Mapping[str, Subject]
    joint: JointDirectory
    links_stamp: tuple[Any, ...]


def correlate(gateway: Gateway, directory: CityDirectory, run_id: int = 0) -> WhoIsWho:
    """Correlate people and groups and store what is certain: of the sources among themselves, then with the city.

    Args:
        gateway: The composed gateway.
        directory: The city's directory, just read.
        run_id: The run it belongs to; 0 = none.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        if not directory.is_partial or find_whole_directory(conn, place_id) is None:
            _store_directory(conn, place_id, directory, gateway)
        rules = load_counting_rules(conn, place_id, gateway.rules)
        now = gateway.store.now(conn)
        who = correlate_by(conn, place_id, directory, rules, now=now, run_id=run_id)
        doubted = doubt_links(gateway, conn, place_id, who.joint.persons, directory, now=now)
        doubted |= dict.fromkeys(load_open_moves(conn, place_id, now=now), RELINKING)
    # why somebody waits for a link says more than that his link is doubted
    return msgspec.structs.replace(who, pupils_waiting={**doubted, **who.pupils_waiting}) if doubted else who


def correlate_by(
    conn: Connection, place_id: int, directory: CityDirectory, rules: Rules, *, now: datetime, run_id: int = 0
) -> WhoIsWho:
    """Correlate by the given rules, in the caller's write transaction; one that only tries them rolls it back.

    Args:
        conn: A write transaction.
        place_id: Where we are.
        directory: The city's directory.
        rules: Whose dictionaries of subjects and classes count.
        now: Aware UTC.
        run_id: The run it belongs to; 0 = none.
    """
    subjects = {subject.ref: subject for subject in load_records(conn, place_id, Subject)}
    linked = load_links(conn, place_id, Kind.PERSON)
    linked_groups = load_links(conn, place_id, Kind.GROUP)
    joint = join_directory(
        conn,
        place_id,
        load_records(conn, place_id, Person),
        load_records(conn, place_id, Group),
        subjects,
        directory=directory,
        rules=rules,
        linked=linked,
        linked_groups=linked_groups,
        rule_version=rule_version(rules),
        now=now,
        run_id=run_id,
    )
    people = [one for one in joint.persons if one.role == "pupil" and one.ref not in joint.waiting]
    groups = [one for one in joint.group_records if one.ref not in joint.waiting]
    by_machine = load_machine_links(conn, place_id, Kind.PERSON)
    found = correlate_people(
        people,
        directory.pupils,
        linked,
        by_machine=by_machine,
        rejected=load_rejections(conn, place_id, Kind.PERSON),
        overlap_of=_Groups(conn, place_id, directory, linked_groups, joint).overlap_of,
    )
    save_correlation(conn, place_id, Kind.PERSON, _with(found, joint, joint.persons), now)
    found_groups = correlate_groups(groups, subjects, directory, rules, linked_groups)
    save_correlation(conn, place_id, Kind.GROUP, _with(found_groups, joint, joint.group_records), now)
    known_pupils = {pupil.id for pupil in directory.pupils}
    known_groups = {group.id for group in directory.groups}
    stamp = load_links_stamp(
        conn, place_id
    )  # before what it stands for: a change between them is taken for a later one
    pupils = load_links(conn, place_id, Kind.PERSON)
    group_links = load_links(conn, place_id, Kind.GROUP)
    lost = {ref: "LINK_LOST" for ref, city_id in pupils.items() if city_id not in known_pupils}
    lost_groups = {ref: "LINK_LOST" for ref, city_id in group_links.items() if city_id not in known_groups}
    return WhoIsWho(
        pupils={ref: city_id for ref, city_id in pupils.items() if city_id in known_pupils},
        pupils_waiting={**joint.waiting, **found.waiting, **lost},
        groups={ref: city_id for ref, city_id in group_links.items() if city_id in known_groups},
        groups_waiting={**joint.waiting, **found_groups.waiting, **lost_groups},
        local_groups={group.ref: group for group in joint.group_records},
        subjects=subjects,
        joint=joint,
        links_stamp=stamp,
    )


def _with(found: Correlation, joint: JointDirectory, records: Sequence[Record]) -> Correlation:
    """Add what waits because the sources themselves do not tell who it is."""
    own = {record.ref: joint.waiting[record.ref] for record in records if record.ref in joint.waiting}
    return msgspec.structs.replace(found, waiting={**found.waiting, **own}) if own else found


class _Groups:
    """Who is in whose groups, on both sides; read at the first question, because most runs have nobody to ask about."""

    def __init__(
        self,
        conn: Connection,
        place_id: int,
        directory: CityDirectory,
        linked_groups: Mapping[str, int],
        joint: JointDirectory,
    ) -> None:
        self._conn = conn
        self._place_id = place_id
        self._directory = directory
        self._linked = linked_groups
        self._joint = joint

    def overlap_of(self, local_ref: str, city_id: int) -> tuple[int, int] | None:
        """How many of a person's linked groups the city has the pupil in, and of how many; None where none is linked."""
        mine = self._ours.get(local_ref)
        return overlap(mine, self._theirs.get(city_id, ())) if mine else None

    @cached_property
    def _ours(self) -> Mapping[str, set[int]]:
        found: dict[str, set[int]] = {}
        for one in load_records(self._conn, self._place_id, Membership):
            city_id = self._linked.get(self._joint.groups.get(one.group, one.group))
            if city_id is not None:
                found.setdefault(self._joint.people.get(one.person, one.person), set()).add(city_id)
        return found

    @cached_property
    def _theirs(self) -> Mapping[int, set[int]]:
        found = {pupil.id: {one.group_id for one in pupil.memberships} for pupil in self._directory.pupils}
        for group in self._directory.groups:
            for pupil_id in group.pupil_ids:
                found.setdefault(pupil_id, set()).add(group.id)
        return found


def _store_directory(conn: Connection, place_id: int, directory: CityDirectory, gateway: Gateway) -> None:
    churn = judge_directory(conn, gateway, place_id, directory)
    upsert(
        conn,
        city_directory,
        [
            {
                "place_id": place_id,
                "body": msgspec.json.encode(directory),
                "read_at": gateway.store.now(conn),
                "churn": churn,
            }
        ],
        keys=("place_id",),
        update=("body", "read_at", "churn"),
    )
