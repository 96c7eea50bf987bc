"""Links that a person decides: an imported list of the school's office, or one by one. Each is a deed with its author."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection

from gateway.access.scope import Principal
from gateway.audit.deed import Deed
from gateway.audit.notes import Note, write_note
from gateway.audit.subjects import pseudonym_of
from gateway.domain.city import CityPupil
from gateway.domain.clock import moscow_day
from gateway.domain.errors import ConfigurationError, PlanRefusedError
from gateway.domain.identifiers import PORTAL, Kind, source_of
from gateway.domain.reasons import LINK_DOUBTED
from gateway.domain.records import Person
from gateway.flows.city_reads import find_whole_directory
from gateway.flows.correlate import correlate
from gateway.flows.despite import against, find_standing, judge_pair, refuse_join, refuse_while_moving
from gateway.flows.doubts import doubt_at_once, settle_doubt
from gateway.flows.gateway import Gateway
from gateway.mapping.doubts import Code, look, settled_field
from gateway.mapping.likeness import compare, contradictions, fingerprint, tell
from gateway.mapping.link_doubts import drop_doubts, drop_rejection, keep_evidence, load_doubts, save_rejection
from gateway.mapping.links import confirm, drop_candidate, load_links
from gateway.mapping.record_links import load_pairs
from gateway.mapping.roster import ImportPlan, plan_import
from gateway.mapping.roster_file import RosterRead
from gateway.reconcile.snapshot import load_records

_NEVER_READ = bytes(16)
"""Fingerprint of a refused pair of which a side is not known: whatever comes to be known of it is new."""


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
                drop_rejection(conn, place_id, Kind.PERSON, found.local_ref, found.city_id)
                gateway.audit.append(conn, _deed(gateway, conn, found.city_id, action="link.confirmed"))
    return _to_result(plan, is_dry_run=is_dry_run)


def confirm_link(
    gateway: Gateway,
    local_ref: str,
    city_id: int,
    *,
    despite_evidence: bool = False,
    reason: str = "",
    principal: Principal | None = None,
) -> bool:
    """Confirm one link by hand, with what both sides say of themselves at that moment kept beside it.

    Where the link stands already and something speaks against it, this is the word that it is right all the same: the
    doubt is settled, and only new evidence opens another.

    Args:
        gateway: The composed gateway.
        local_ref: The portal's code, `user:3`.
        city_id: The profile's number in the city.
        despite_evidence: Confirm a pair of which the two sides say otherwise; the pupil's records wait then until another
            person has said the same.
        reason: Why, as typed; needed for that.
        principal: The account that confirms, where it is one.

    Returns:
        False where exactly this link stands already and nothing speaks against it.

    Raises:
        AmbiguousMatchError: Either side is linked to another; nothing is overwritten.
        ConfigurationError: Nobody of that code or number is known.
        PlanRefusedError: The two sides contradict each other and it was not said that it is so all the same, and why; or a
            link of this pupil is being set right.
        SecondPersonError: It was confirmed against the evidence by the same person.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        now = gateway.store.now(conn)
        person, pupil = get_pair(conn, place_id, local_ref, city_id)
        refuse_while_moving(conn, place_id, local_ref, city_id, now)
        doubts = [one for one in load_doubts(conn, place_id, Kind.PERSON) if one.local_ref == local_ref]
        evidence = {**compare(person, pupil), **look(person, pupil)}
        by = judge_pair(
            conn,
            gateway,
            find_standing(conn, place_id, local_ref, city_id),
            evidence,
            doubts,
            despite_evidence=despite_evidence,
            reason=reason,
            principal=principal,
            now=now,
        )
        if by.is_against:
            refuse_join(conn, place_id, local_ref, city_id)
        made = confirm(
            conn,
            place_id,
            Kind.PERSON,
            local_ref,
            city_id,
            actor=gateway.actor.name,
            how="confirmed",
            evidence={**evidence, **by.kept},
            now=now,
        )
        if not made and not doubts and not by.kept:
            return False
        # the first word of two settles nothing that a first word before it has left open
        looked_at = [one for one in doubts if not (by.is_against and one.code is Code.AGAINST)]
        settled = {settled_field(one.code): one.fingerprint.hex() for one in looked_at}
        if not made or settled:
            keep_evidence(conn, place_id, Kind.PERSON, local_ref, {**evidence, **by.kept, **settled})
        drop_doubts(conn, place_id, Kind.PERSON, local_ref)
        drop_rejection(conn, place_id, Kind.PERSON, local_ref, city_id)
        settle_doubt(conn, place_id, local_ref, now=now)
        if by.is_against:
            doubt_at_once(gateway, conn, place_id, [against(local_ref, city_id, by.kept)], now=now)
        counts = {"doubts": len(doubts), "against": len(by.contradictions), "alone": int(by.is_alone)}
        note = write_note(conn, reason, now=now) if reason.strip() else None
        gateway.audit.append(conn, _deed(gateway, conn, city_id, action="link.confirmed", counts=counts, note=note))
    return True


def reject_link(gateway: Gateway, local_ref: str, city_id: int, *, reason: str) -> None:
    """Say that a candidate is another child: the pair is not offered again until either side says something new of itself.

    Raises:
        PlanRefusedError: No reason, nobody of that code or number is known, or the link stands: a standing one is taken
            apart by `gateway links split`.
    """
    if not reason.strip():
        raise PlanRefusedError("Отказ без причины не принимается: --reason", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        now = gateway.store.now(conn)
        if load_links(conn, place_id, Kind.PERSON).get(local_ref) == city_id:
            raise PlanRefusedError(
                "Эта связь подтверждена: неверную разбирает gateway links split", reason="WRONG_STATE"
            )
        if None in find_pair(conn, place_id, local_ref, city_id):
            raise PlanRefusedError(
                "Такого ученика на портале или в городском журнале нет: gateway links candidates",
                reason="NOTHING_THERE",
            )
        note = write_note(conn, reason, now=now)
        refuse_pair(conn, place_id, local_ref, city_id, actor=gateway.actor.name, note_id=note.id, now=now)
        drop_candidate(conn, place_id, Kind.PERSON, local_ref, city_id)
        gateway.audit.append(conn, _deed(gateway, conn, city_id, action="link.rejected", note=note))


def refuse_pair(
    conn: Connection, place_id: int, local_ref: str, city_id: int, *, actor: str, note_id: int, now: datetime
) -> None:
    """Keep a refusal: the machine never links the pair, and offers it only when a side says something new of itself."""
    person, pupil = find_pair(conn, place_id, local_ref, city_id)
    save_rejection(
        conn,
        place_id,
        Kind.PERSON,
        local_ref,
        city_id,
        fingerprint=_NEVER_READ if person is None or pupil is None else fingerprint(person, pupil),
        actor=actor,
        note_id=note_id,
        now=now,
    )


def find_pair(conn: Connection, place_id: int, local_ref: str, city_id: int) -> tuple[Person | None, CityPupil | None]:
    """Find both sides of a pair as they were last read; None for the one that is not known."""
    person = next((one for one in load_records(conn, place_id, Person) if one.ref == local_ref), None)
    directory = find_whole_directory(conn, place_id)
    pupils = () if directory is None else directory.pupils
    return person, next((one for one in pupils if one.id == city_id), None)


def get_pair(conn: Connection, place_id: int, local_ref: str, city_id: int) -> tuple[Person, CityPupil]:
    """Get both sides of a pair as they were last read.

    Raises:
        ConfigurationError: One of them is not known.
        PlanRefusedError: The city's directory was never read.
    """
    person, pupil = find_pair(conn, place_id, local_ref, city_id)
    if person is None:
        raise ConfigurationError(
            "Такого ученика на портале нет: gateway links list --waiting; новых читает gateway pull"
        )
    if pupil is None and find_whole_directory(conn, place_id) is None:
        raise PlanRefusedError(
            "Справочник города не прочитан: выполните gateway plan и повторите", reason="CITY_UNREAD"
        )
    if pupil is None:
        raise ConfigurationError(
            "Ученика с таким номером в городском журнале нет: сверьте номер по gateway links candidates; "
            "нового в журнале прочитает gateway plan"
        )
    return person, pupil


def refuse_stranger(conn: Connection, place_id: int, local_ref: str, city_id: int) -> None:
    """Refuse to take a profile for the same child's where what it says of him is of another one.

    Raises:
        PlanRefusedError: It is; names in words what differs.
    """
    found = contradictions(evidence_now(conn, place_id, local_ref, city_id))
    if found:
        raise PlanRefusedError(
            f"Похоже, это другой ребёнок: {', '.join(tell(found))}. Неверную связь разбирают вдвоём: gateway links split",
            reason=LINK_DOUBTED,
        )


def evidence_now(conn: Connection, place_id: int, local_ref: str, city_id: int) -> dict[str, str]:
    """What speaks for a pair and what was seen, for whoever confirms it; empty where a side was never read."""
    person, pupil = find_pair(conn, place_id, local_ref, city_id)
    return {} if person is None or pupil is None else {**compare(person, pupil), **look(person, pupil)}


def _deed(
    gateway: Gateway,
    conn: Connection,
    city_id: int,
    *,
    action: str,
    counts: dict[str, int] | None = None,
    note: Note | None = None,
) -> Deed:
    return Deed(
        action=action,
        actor=gateway.actor,
        originator=gateway.originator,
        place=gateway.place,
        object_type="link",
        subject=pseudonym_of(conn, gateway.place, f"city-pupil:{city_id}"),
        city_id=city_id,
        outcome="decided",
        counts={name: count for name, count in (counts or {}).items() if count} or None,
        note=note,
    )


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
