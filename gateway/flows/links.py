"""Links that a person decides: an imported list of the school's office, or one by one. Each is a deed with its author."""

from __future__ import annotations

import msgspec

from gateway.audit.deed import Deed
from gateway.audit.subjects import pseudonym_of
from gateway.domain.clock import moscow_day
from gateway.domain.identifiers import PORTAL, Kind, source_of
from gateway.domain.records import Person
from gateway.flows.correlate import correlate
from gateway.flows.gateway import Gateway
from gateway.mapping.links import confirm, load_links
from gateway.mapping.record_links import load_pairs
from gateway.mapping.roster import ImportPlan, plan_import
from gateway.mapping.roster_file import RosterRead
from gateway.reconcile.snapshot import load_records


class LinksImported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did or would do."""

    confirmed: int
    unchanged: int
    refused: list[dict[str, str]]
    is_dry_run: bool


def import_roster(gateway: Gateway, read: RosterRead, *, is_dry_run: bool) -> LinksImported:
    """Link pupils by an imported list; every row must agree with both sides or is refused with its reason.

    Args:
        gateway: The composed gateway.
        read: The file as read.
        is_dry_run: Only say what would be done.

    Raises:
        ConnectorError: The city's directory can't be read.
    """
    directory = gateway.city.fetch_directory(moscow_day(gateway.now()))
    correlate(gateway, directory)  # whoever the portal's own person_id tells is no matter of the list
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        # The list names the portal's accounts; what another source knows of the same child is joined to them.
        people = [person for person in load_records(conn, place_id, Person) if source_of(person.ref) == PORTAL]
        linked = load_links(conn, place_id, Kind.PERSON)
        joined = load_pairs(conn, place_id, Kind.PERSON)
        linked |= {ref: linked[canonical] for ref, canonical in joined.items() if canonical in linked}
        plan = plan_import(read.rows, people, directory.pupils, linked)
        if not is_dry_run:
            now = gateway.store.now(conn)
            for found in plan.confirm:
                confirm(
                    conn,
                    place_id,
                    Kind.PERSON,
                    found.local_ref,
                    found.city_id,
                    actor=gateway.actor.name,
                    how="roster",
                    evidence=found.evidence,
                    now=now,
                )
                gateway.audit.append(
                    conn,
                    Deed(
                        action="link.confirmed",
                        actor=gateway.actor,
                        place=gateway.place,
                        object_type="link",
                        subject=pseudonym_of(conn, gateway.place, f"city-pupil:{found.city_id}"),
                        city_id=found.city_id,
                        outcome="decided",
                    ),
                )
    return _to_result(plan, is_dry_run=is_dry_run)


def confirm_link(gateway: Gateway, local_ref: str, city_id: int) -> bool:
    """Confirm one link by hand.

    Returns:
        False where exactly this link stands already.

    Raises:
        AmbiguousMatchError: Either side is linked to another; nothing is overwritten.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        made = confirm(
            conn,
            place_id,
            Kind.PERSON,
            local_ref,
            city_id,
            actor=gateway.actor.name,
            how="confirmed",
            evidence={},
            now=gateway.store.now(conn),
        )
        if made:
            gateway.audit.append(
                conn,
                Deed(
                    action="link.confirmed",
                    actor=gateway.actor,
                    place=gateway.place,
                    object_type="link",
                    subject=pseudonym_of(conn, gateway.place, f"city-pupil:{city_id}"),
                    city_id=city_id,
                    outcome="decided",
                ),
            )
    return made


def _to_result(plan: ImportPlan, *, is_dry_run: bool) -> LinksImported:
    return LinksImported(
        confirmed=len(plan.confirm),
        unchanged=plan.unchanged,
        refused=[
            {"sheet": row.sheet, "row": str(row.number), "portal_id": row.portal_id, "reason": refusal.value}
            for row, refusal in plan.refuse
        ],
        is_dry_run=is_dry_run,
    )
