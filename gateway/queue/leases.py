"""Leases by name: work that one process at a time should do, though doing it twice would break nothing.

Reading a group back and ringing the doorbell are such. A lease is judged by the store's time and ends by itself when its
owner dies; whoever writes under it checks it once more in the same transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, or_, select, update

from gateway.queue.tables import lease
from gateway.store.transaction import Store, upsert

_TAKE = (
    update(lease)
    .where(
        lease.c.name == bindparam("b_name"),
        or_(lease.c.owner == bindparam("b_owner"), lease.c.until <= bindparam("b_now")),
    )
    .values(owner=bindparam("b_owner"), until=bindparam("b_until"))
)
_LEASE = select(lease.c.owner, lease.c.until).where(lease.c.name == bindparam("name")).with_for_update()
_END = (
    update(lease)
    .where(lease.c.name == bindparam("b_name"), lease.c.owner == bindparam("b_owner"))
    .values(until=bindparam("b_until"))
)


def take_lease(store: Store, name: str, owner: str, *, seconds: float) -> bool:
    """Take or prolong a lease; False where somebody else has it.

    Args:
        store: The store.
        name: What is leased.
        owner: Who asks; unique to a process and its start.
        seconds: How long it holds without being prolonged.
    """
    with store.write() as conn:
        now = store.now(conn)
        upsert(conn, lease, [{"name": name, "owner": "", "until": now}], keys=("name",), update=())
        until = now + timedelta(seconds=seconds)
        taken = conn.execute(_TAKE, {"b_name": name, "b_owner": owner, "b_now": now, "b_until": until})
        return taken.rowcount == 1


def holds_lease(conn: Connection, name: str, owner: str, now: datetime) -> bool:
    """Whether the lease is still the owner's; on PostgreSQL nobody can take it before the caller's commit."""
    row = conn.execute(_LEASE, {"name": name}).one_or_none()
    return row is not None and row.owner == owner and row.until > now


def end_lease(store: Store, name: str, owner: str) -> None:
    """Give a lease back before its time; one that is another's by now stays so."""
    with store.write() as conn:
        conn.execute(_END, {"b_name": name, "b_owner": owner, "b_until": store.now(conn)})


def count_leases(conn: Connection, prefix: str, now: datetime) -> int:
    """How many leases of names with that beginning hold."""
    return conn.execute(
        select(func.count()).select_from(lease).where(lease.c.name.startswith(prefix), lease.c.until > now)
    ).scalar_one()


__all__ = ["count_leases", "end_lease", "holds_lease", "take_lease"]
