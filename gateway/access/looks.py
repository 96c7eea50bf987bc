"""Looks: every time somebody is shown a child's data, one entry a child in the `access` chain, in one append.

Thirty pupils on a page are thirty entries, because the question asked later is «who looked at this child». A pupil's look
at his own data is not an access to somebody's. An entry names the child by the pseudonym that deliveries use, so both
chains meet in one statement for a parent.

Source: 152-ФЗ art. 19 part 2 items 6–9 (registration of all actions with personal data).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from gateway.access.roles import Reach, Role
from gateway.access.scope import Principal, Scope
from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.read import load_newest
from gateway.audit.redact import is_code
from gateway.audit.subjects import find_pseudonyms, pseudonyms_of
from gateway.domain.identifiers import Place


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One entry about a child, as its parent is shown it: a role and a number, never a name."""

    seq: int
    at: datetime
    actor: str
    role: str | None
    action: str
    object_type: str | None


def subject_ref(pupil_ref: str, city_ids: Mapping[str, int]) -> str:
    """Under which ref the audit knows a pupil: the city's id where he is linked, as deliveries do."""
    city_id = city_ids.get(pupil_ref)
    return pupil_ref if city_id is None else f"city-pupil:{city_id}"


def note_looks(
    conn: Connection,
    audit: AuditLog,
    scope: Scope,
    pupil_refs: Collection[str],
    city_ids: Mapping[str, int],
    *,
    object_type: str,
    request_id: str | None = None,
) -> int:
    """Write that these pupils' data is shown, in the caller's write transaction, before it is.

    Args:
        city_ids: Confirmed links, pupil ref → city id (`subject_ref`).
        object_type: What is shown: pupil, mark, absence, homework, decision, operation.

    Returns:
        Entries written.

    Raises:
        AuditError: They can't be written; then nothing may be shown.
    """
    principal = scope.principal
    if principal.role is Role.PUPIL or scope.reach is Reach.PSEUDONYMS or not pupil_refs:
        return 0
    wanted = sorted({subject_ref(ref, city_ids) for ref in pupil_refs})
    known = pseudonyms_of(conn, principal.place, wanted)
    deeds = [
        Deed(
            stream="access",
            action="pupil.shown",
            actor=principal.actor,
            originator=principal.originator,
            place=principal.place,
            object_type=object_type,
            subject=known[ref],
            outcome="shown",
            source_address=_address(principal),
            request_id=request_id,
        )
        for ref in wanted
    ]
    audit.append_many(conn, deeds)
    return len(deeds)


def note_shown(
    conn: Connection,
    audit: AuditLog,
    actor: Actor,
    place: Place,
    pupil_refs: Collection[str],
    city_ids: Mapping[str, int],
    *,
    what: str,
    within: str,
) -> None:
    """Write that a command shows children's data: one entry a command, with how far it reached, and one a child.

    The command line has no scope of the policy: its user has the machine and with it the database. What it shows is an
    access all the same, also where no single child is meant, and is written before it is shown.

    Args:
        pupil_refs: The pupils who are told apart in what is shown; whoever is city's only goes by `city-pupil:<id>`.
        city_ids: As for `note_looks`.
        what: The command, `plan_show`.
        within: How far it reached: school, a plan, a run; never a child's code.

    Raises:
        AuditError: It can't be written; then nothing may be shown.
    """
    wanted = sorted({subject_ref(ref, city_ids) for ref in pupil_refs})
    known = pseudonyms_of(conn, place, wanted)
    deeds = [
        Deed(
            stream="access",
            action="data.shown",
            actor=actor,
            place=place,
            object_type=what,
            object_id=within,
            outcome="shown",
            counts={"pupils": len(wanted)},
        )
    ]
    deeds += [
        Deed(
            stream="access",
            action="pupil.shown",
            actor=actor,
            place=place,
            object_type=what,
            subject=known[ref],
            outcome="shown",
        )
        for ref in wanted
    ]
    audit.append_many(conn, deeds)


def note_refusal(
    conn: Connection, audit: AuditLog, principal: Principal, asked: str, *, request_id: str | None
) -> None:
    """Write that an account asked for what is not its: one entry, without saying whether it exists."""
    audit.append(
        conn,
        Deed(
            stream="access",
            action="access.refused",
            actor=principal.actor,
            originator=principal.originator,
            place=principal.place,
            object_type="action",
            object_id=asked,
            outcome="refused",
            reason="NOT_VISIBLE",
            source_address=_address(principal),
            request_id=request_id,
        ),
    )


def load_looks(
    conn: Connection, scope: Scope, pupil_ref: str, city_ids: Mapping[str, int], *, after: int, limit: int
) -> list[Look]:
    """Load who looked at a child, the newest first.

    Args:
        after: Only entries with a smaller number than this; 0 = from the newest.
    """
    refs = {pupil_ref, subject_ref(pupil_ref, city_ids)}
    subjects = find_pseudonyms(conn, scope.principal.place, refs).values()
    return [
        Look(
            seq=entry.seq,
            at=entry.at,
            actor=entry.actor,
            role=entry.actor_role,
            action=entry.action,
            object_type=entry.object_type,
        )
        for entry in load_newest(conn, "access", subjects=subjects, before_seq=after, limit=limit)
    ]


def _address(principal: Principal) -> str | None:
    return principal.address if principal.address is not None and is_code(principal.address) else None
