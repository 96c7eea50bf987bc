"""Entries typed into the gateway by a door: within the reach of whoever asks, and under his account's number.

Stands before `journal`, as `asked` before `sync`: what lies outside of the scope is not there.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, null, select

from gateway.access.scope import Scope
from gateway.domain.errors import NotVisibleError
from gateway.flows.gateway import Gateway
from gateway.flows.journal import EntryLine, Typed, add_entry, to_line, withdraw_entry
from gateway.flows.tables import journal_entry
from gateway.report.pupils import require_group, require_pupil
from gateway.report.visible import Seen


def load_seen_entries(conn: Connection, scope: Scope, place_id: int, *, after: int, limit: int) -> list[EntryLine]:
    """Load the entries that a scope sees, the newest first.

    Args:
        after: Number of the last one of the page before; 0 = from the newest.
    """
    query = select(journal_entry).where(_seen(conn, scope, place_id)).order_by(journal_entry.c.id.desc()).limit(limit)
    if after:
        query = query.where(journal_entry.c.id < after)
    return [to_line(row) for row in conn.execute(query)]


def get_seen_entry(conn: Connection, scope: Scope, place_id: int, number: int) -> EntryLine:
    """Find one entry.

    Raises:
        NotVisibleError: There is none, or it is not the scope's.
    """
    row = conn.execute(
        select(journal_entry).where(_seen(conn, scope, place_id), journal_entry.c.id == number)
    ).one_or_none()
    if row is None:
        raise NotVisibleError("Такой записи нет")
    return to_line(row)


def add_asked_entry(gateway: Gateway, scope: Scope, place_id: int, typed: Typed) -> int:
    """Store an entry of a pupil and a group that the scope reaches; see `journal.add_entry`.

    Raises:
        NotVisibleError: The pupil or the group is not his.
        EntryRefusedError: With all that is wrong.
    """
    with gateway.store.read() as conn:
        require_group(conn, scope, place_id, typed.group)
        require_pupil(conn, scope, place_id, typed.pupil)
    return add_entry(gateway, typed)


def withdraw_asked_entry(gateway: Gateway, scope: Scope, place_id: int, number: int) -> EntryLine:
    """Take back an entry that the scope reaches.

    Raises:
        NotVisibleError: There is none, or it is not the scope's.
        ConfigurationError: It was taken back already.
    """
    with gateway.store.read() as conn:
        get_seen_entry(conn, scope, place_id, number)
    withdraw_entry(gateway, number)
    with gateway.store.read() as conn:
        return get_seen_entry(conn, scope, place_id, number)


def _seen(conn: Connection, scope: Scope, place_id: int) -> ColumnElement[bool]:
    table = journal_entry.c
    covered = Seen(conn, scope, place_id).covers_columns(pupil=table.pupil, group=table.group_ref, programme=null())
    return (table.place_id == place_id) & covered


__all__ = ["add_asked_entry", "get_seen_entry", "load_seen_entries", "withdraw_asked_entry"]
