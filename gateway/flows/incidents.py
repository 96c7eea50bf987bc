"""Incidents: marks of one child were shown at another. Opened when it is noticed, with the two clocks of the law.

The gateway tells nobody outside: it keeps when each deed is due and when a person says that it was done.

Source: 152-ФЗ art. 21 part 3.1 (notice within 24 hours, findings of the inner inquiry within 72 hours, both from the
moment at which it was found).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from gateway.audit.deed import Deed
from gateway.audit.notes import Note, write_note
from gateway.domain.errors import PlanRefusedError
from gateway.flows.gateway import Gateway
from gateway.reconcile.tables import incident

NOTICE_WITHIN = timedelta(hours=24)
FINDINGS_WITHIN = timedelta(hours=72)


def open_incident(
    gateway: Gateway,
    conn: Connection,
    place_id: int,
    relink_id: int,
    note: Note,
    *,
    older: Sequence[int] = (),
    now: datetime,
) -> int:
    """Open the incident of a unit, in the caller's transaction; one that an earlier proposal opened goes on with its clocks.

    Args:
        note: Why, as the proposer typed it.
        older: Units that this one takes the place of.

    Returns:
        Its number.
    """
    known: int | None = conn.execute(
        select(incident.c.id).where(incident.c.relink_id.in_(list(older))).order_by(incident.c.id).limit(1)
    ).scalar_one_or_none()
    if known is not None:
        conn.execute(update(incident).where(incident.c.id == known).values(relink_id=relink_id))
        return known
    number: int = conn.execute(
        insert(incident)
        .values(
            place_id=place_id,
            relink_id=relink_id,
            noticed_at=now,
            notice_due_at=now + NOTICE_WITHIN,
            findings_due_at=now + FINDINGS_WITHIN,
            noticed_by=gateway.actor.name,
        )
        .returning(incident.c.id)
    ).scalar_one()
    gateway.audit.append(conn, _deed(gateway, number, note, "decided", action="incident.opened"))
    return number


def note_incident(gateway: Gateway, number: int, what: Literal["notice", "findings"], *, text: str) -> bool:
    """Keep that the notice was given, or the findings were sent: when, by whom, and what was said.

    Returns:
        False where that was said already: the first word stands.

    Raises:
        PlanRefusedError: Nothing typed, no such incident, or findings before the notice.
    """
    if not text.strip():
        raise PlanRefusedError("Напишите, кому и что сообщено: --text", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        row = conn.execute(
            select(incident).where(incident.c.id == number, incident.c.place_id == gateway.place_id(conn))
        ).one_or_none()
        if row is None:
            raise PlanRefusedError(f"Инцидента {number} нет: gateway incidents", reason="NOTHING_THERE")
        if what == "findings" and row.notified_at is None:
            raise PlanRefusedError(
                "Сначала отметьте первичное уведомление: gateway incidents notified", reason="WRONG_STATE"
            )
        if (row.notified_at if what == "notice" else row.found_at) is not None:
            return False
        note = write_note(conn, text, now=now)
        moment, author, kept = (
            ("notified_at", "notified_by", "notice_note_id")
            if what == "notice"
            else ("found_at", "found_by", "findings_note_id")
        )
        conn.execute(
            update(incident)
            .where(incident.c.id == number)
            .values({moment: now, author: gateway.actor.name, kept: note.id})
        )
        if what == "notice":
            deed = _deed(gateway, number, note, "decided", action="incident.notified")
        else:
            deed = _deed(gateway, number, note, "decided", action="incident.found")
        gateway.audit.append(conn, deed)
    return True


def _deed(gateway: Gateway, number: int, note: Note, outcome: str, *, action: str) -> Deed:
    return Deed(
        action=action,
        actor=gateway.actor,
        originator=gateway.originator,
        place=gateway.place,
        object_type="incident",
        object_id=f"incident:{number}",
        outcome=outcome,
        note=note,
    )


__all__ = ["FINDINGS_WITHIN", "NOTICE_WITHIN", "note_incident", "open_incident"]
