"""Who is who: people and groups of the portal against the city's directory, before anything is compared.

New certain links are stored, candidates are replaced, and what waits waits with its reason. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection

from gateway.connectors.port import CityDirectory
from gateway.domain.identifiers import Kind
from gateway.domain.records import Group, Person, Subject
from gateway.flows.gateway import Gateway
from gateway.mapping.correlate import correlate_groups, correlate_people
from gateway.mapping.dictionaries import load_subjects
from gateway.mapping.links import load_links, load_machine_links, save_correlation
from gateway.reconcile.snapshot import load_records
from gateway.reconcile.tables import city_directory
from gateway.store.transaction import upsert


class WhoIsWho(msgspec.Struct, frozen=True, kw_only=True):
    """Links and waiting reasons of one place.

    Attributes:
        pupils: Local person ref → city pupil id.
        pupils_waiting: Local person ref → why there is no link, or why the one there is waits for a person.
        groups: Local group ref → city group id; `groups_waiting` likewise.
    """

    pupils: Mapping[str, int]
    pupils_waiting: Mapping[str, str]
    groups: Mapping[str, int]
    groups_waiting: Mapping[str, str]
    local_groups: Mapping[str, Group]
    subjects: Mapping[str, Subject]


def correlate(gateway: Gateway, directory: CityDirectory) -> WhoIsWho:
    """Correlate people and groups and store what is certain.

    Args:
        gateway: The composed gateway.
        directory: The city's directory, just read.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        now = gateway.store.now(conn)
        _store_directory(conn, place_id, directory, gateway)
        people = [person for person in load_records(conn, place_id, Person) if person.role == "pupil"]
        groups = load_records(conn, place_id, Group)
        subjects = {subject.ref: subject for subject in load_records(conn, place_id, Subject)}
        linked = load_links(conn, place_id, Kind.PERSON)
        by_machine = load_machine_links(conn, place_id, Kind.PERSON)
        found = correlate_people(people, directory.pupils, linked, by_machine=by_machine)
        save_correlation(conn, place_id, Kind.PERSON, found, now)
        rules = load_subjects(conn, place_id, gateway.rules)
        linked_groups = load_links(conn, place_id, Kind.GROUP)
        found_groups = correlate_groups(groups, subjects, directory, rules, linked_groups)
        save_correlation(conn, place_id, Kind.GROUP, found_groups, now)
        known_pupils = {pupil.id for pupil in directory.pupils}
        known_groups = {group.id for group in directory.groups}
        pupils = load_links(conn, place_id, Kind.PERSON)
        group_links = load_links(conn, place_id, Kind.GROUP)
    lost = {ref: "LINK_LOST" for ref, city_id in pupils.items() if city_id not in known_pupils}
    lost_groups = {ref: "LINK_LOST" for ref, city_id in group_links.items() if city_id not in known_groups}
    return WhoIsWho(
        pupils={ref: city_id for ref, city_id in pupils.items() if city_id in known_pupils},
        pupils_waiting={**found.waiting, **lost},
        groups={ref: city_id for ref, city_id in group_links.items() if city_id in known_groups},
        groups_waiting={**found_groups.waiting, **lost_groups},
        local_groups={group.ref: group for group in groups},
        subjects=subjects,
    )


def _store_directory(conn: Connection, place_id: int, directory: CityDirectory, gateway: Gateway) -> None:
    upsert(
        conn,
        city_directory,
        [
            {
                "place_id": place_id,
                "body": msgspec.json.encode(directory),
                "read_at": gateway.store.now(conn),
            }
        ],
        keys=("place_id",),
        update=("body", "read_at"),
    )
