"""Emergency stop: a person ends all new calls to a city, in every process, until a person allows them again.

One row, read right before each call (`queue.barrier`); no process is told and none has to be found. What is on the wire
is not torn off: its answer is taken, and where there is none the outcome is unknown and is read back as always.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, func, select

from gateway.audit.deed import Deed
from gateway.audit.notes import write_note
from gateway.domain.errors import ConfigurationError
from gateway.flows.gateway import Gateway
from gateway.queue.barrier import STOPPED, Stop, find_stop, lift_stop, set_stop, wake
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.telemetry import get_logger

LOG = get_logger(__name__)


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """How sending stands.

    Attributes:
        stop: The stop that holds; None = sending is allowed.
        is_changed: This command changed it.
        on_wire: Calls that were out at that moment; they end by themselves within the call deadline.
        waiting: Operations that wait in the queue.
    """

    stop: Stop | None
    is_changed: bool
    on_wire: int
    waiting: int


def stop_sending(gateway: Gateway, *, reason: str) -> Stopped:
    """End all new calls to the city.

    Args:
        gateway: The composed gateway.
        reason: Why, as typed; kept beside the audit. Empty = none was given: in an emergency nobody is asked to type.
    """
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        note = write_note(conn, reason, now=now) if reason.strip() else None
        is_changed = set_stop(conn, gateway.place.city, actor=gateway.actor.name, note=note, now=now)
        result = _standing(conn, gateway, is_changed=is_changed)
        if is_changed:
            gateway.audit.append(
                conn,
                Deed(
                    action="sending.stopped",
                    actor=gateway.actor,
                    originator=gateway.originator,
                    place=gateway.place,
                    object_type="sending",
                    reason=STOPPED,
                    outcome="decided",
                    counts={"on_wire": result.on_wire, "waiting": result.waiting},
                    note=note,
                ),
            )
    LOG.warning("sending.stopped", waiting_count=result.waiting, on_wire_count=result.on_wire)
    return result


def allow_sending(gateway: Gateway, *, reason: str) -> Stopped:
    """Allow calls again; what waited goes by its own rules.

    Raises:
        ConfigurationError: No reason: who lifts a stop says why.
    """
    if not reason.strip():
        raise ConfigurationError("Разрешить отправку можно только с причиной: --reason")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        is_changed = lift_stop(conn, gateway.place.city)
        if is_changed:
            wake(conn, gateway.place_id(conn), now=now)
            gateway.audit.append(
                conn,
                Deed(
                    action="sending.allowed",
                    actor=gateway.actor,
                    originator=gateway.originator,
                    place=gateway.place,
                    object_type="sending",
                    outcome="decided",
                    note=write_note(conn, reason, now=now),
                ),
            )
        result = _standing(conn, gateway, is_changed=is_changed)
    LOG.warning("sending.allowed", waiting_count=result.waiting)
    return result


def _standing(conn: Connection, gateway: Gateway, *, is_changed: bool) -> Stopped:
    place_id = gateway.place_id(conn)
    counts = {
        row[0]: row[1]
        for row in conn.execute(
            select(operation.c.state, func.count()).where(operation.c.place_id == place_id).group_by(operation.c.state)
        )
    }
    return Stopped(
        stop=find_stop(conn, gateway.place.city),
        is_changed=is_changed,
        on_wire=counts.get(State.SENDING.value, 0),
        waiting=counts.get(State.READY.value, 0) + counts.get(State.CLAIMED.value, 0),
    )
