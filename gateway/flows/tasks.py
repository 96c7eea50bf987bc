"""A teacher's word that what was chosen on his behalf now stands at the portal; the portal's next read proves it."""

from __future__ import annotations

from sqlalchemy import insert, select

from gateway.audit.deed import Deed
from gateway.flows.gateway import Gateway
from gateway.reconcile.tables import correction, discrepancy, discrepancy_step
from gateway.report.tasks import SAID_DONE


def say_done(gateway: Gateway, number: int) -> bool:
    """Keep a teacher's word that the portal was corrected; the task ends when the portal shows another record.

    Args:
        number: Of the discrepancy whose choice lies over the record.

    Returns:
        False where nothing lies over ours by that number: it was corrected already, or disputed.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        pattern = conn.execute(
            select(discrepancy.c.pattern)
            .join(correction, correction.c.discrepancy_id == discrepancy.c.id)
            .where(discrepancy.c.place_id == place_id, discrepancy.c.id == number)
        ).scalar_one_or_none()
        if pattern is None:
            return False
        now = gateway.store.now(conn)
        conn.execute(
            insert(discrepancy_step).values(
                discrepancy_id=number, at=now, step=SAID_DONE, actor=gateway.actor.name, pattern=pattern
            )
        )
        gateway.audit.append(
            conn,
            Deed(
                action="task.said_done",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type="discrepancy",
                object_id=f"discrepancy:{number}",
                outcome="decided",
            ),
        )
    return True
