"""The first plans of a new epoch: late writes are waited for, the city is read whole, then the write lock falls (law 12).

What stands in the city is adopted by the plan itself: a record without a base meets its equal in the cell, one whose
base is older than what the city holds is decided by the truth table. Here is only what a new epoch adds to that.
"""

from __future__ import annotations

from gateway.audit.deed import Deed
from gateway.flows.gateway import Gateway
from gateway.reconcile.coverage import finish_place
from gateway.store.epoch import find_write_lock, get_epoch
from gateway.telemetry import get_logger

LOG = get_logger(__name__)


def await_late_writes(gateway: Gateway) -> None:
    """Wait until what the old epoch may still have on its way has arrived or never will.

    Operations sent after the backup are in no row of this database, so nobody knows when the last of them left; all of
    them left before the restore, and none is applied later than a call's deadline and the settle time after it.
    """
    with gateway.store.read() as conn:
        lock = find_write_lock(conn)
        now = gateway.store.now(conn)
    if lock is None:
        return
    wait_s = (lock.since + gateway.terms.untouchable - now).total_seconds()
    if wait_s > 0:
        gateway.progress("wait", int(wait_s))
        gateway.clock.wait(wait_s)


def finish_adoption(gateway: Gateway, run_id: int) -> None:
    """Say that the whole place was read in this epoch, and allow sending; nothing happens where nothing is locked."""
    with gateway.store.write() as conn:
        count = finish_place(conn, gateway.place_id(conn), read_at=gateway.store.now(conn), run_id=run_id)
        if count is None:
            return
        gateway.audit.append(
            conn,
            Deed(
                action="epoch.covered",
                actor=gateway.actor,
                place=gateway.place,
                object_type="epoch",
                object_id=f"epoch:{get_epoch(conn)}",
                run_id=run_id,
                outcome="confirmed",
                counts={"scopes": count},
            ),
        )
    LOG.info("epoch.covered", run_id=run_id, scope_count=count)
