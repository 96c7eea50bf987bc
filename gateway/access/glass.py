"""Breaking the glass: an admin sees names for an hour, after a written reason and with an alert to those who lead.

Three records: the deed in the `access` chain, the row that lets him in, and the alert; and every look meanwhile is an
entry like anybody's.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, insert, select

from gateway.access.scope import Principal, Scope, account_code
from gateway.access.tables import access_alert, account, broken_glass
from gateway.audit.deed import Deed
from gateway.audit.log import AuditLog
from gateway.audit.notes import get_note, write_note
from gateway.domain.errors import ConfigurationError
from gateway.store.transaction import Store
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
SHORTEST_REASON = 10
"""Characters of a reason: «надо» is none."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What those who lead are told: which account did what, why as typed, until when."""

    id: int
    kind: str
    account: str
    login: str
    reason: str | None
    raised_at: datetime
    until_at: datetime | None


def break_glass(store: Store, audit: AuditLog, principal: Principal, *, reason: str, lasts: timedelta) -> datetime:
    """Let an admin see names for a while.

    Returns:
        Until when, aware UTC.

    Raises:
        ConfigurationError: No reason that deserves the name.
    """
    if len(reason.strip()) < SHORTEST_REASON:
        raise ConfigurationError(f"Причина короче {SHORTEST_REASON} знаков: её прочтёт директор")
    with store.write() as conn:
        now = store.now(conn)
        note = write_note(conn, reason, now=now)
        ends_at = now + lasts
        conn.execute(
            insert(broken_glass).values(
                account_id=principal.account_id, note_id=note.id, begins_at=now, ends_at=ends_at
            )
        )
        conn.execute(
            insert(access_alert).values(
                kind="glass_broken", account_id=principal.account_id, note_id=note.id, raised_at=now, until_at=ends_at
            )
        )
        audit.append(
            conn,
            Deed(
                stream="access",
                action="glass.broken",
                actor=principal.actor,
                place=principal.place,
                object_type="account",
                object_id=account_code(principal.account_id),
                outcome="applied",
                note=note,
                source_address=principal.address,
            ),
        )
    LOG.warning("glass.broken")
    return ends_at


def load_alerts(conn: Connection, scope: Scope, *, before: int, limit: int) -> list[Alert]:
    """Load alerts, the newest first; `before` pages them by number, 0 = from the newest."""
    del scope  # that there is one is the condition: whoever may read alerts reads all of them
    query = select(access_alert, account.c.login).join(account, account.c.id == access_alert.c.account_id)
    if before:
        query = query.where(access_alert.c.id < before)
    return [
        Alert(
            id=row.id,
            kind=row.kind,
            account=account_code(row.account_id),
            login=row.login,
            reason=None if row.note_id is None else get_note(conn, row.note_id),
            raised_at=row.raised_at,
            until_at=row.until_at,
        )
        for row in conn.execute(query.order_by(access_alert.c.id.desc()).limit(limit)).all()
    ]
