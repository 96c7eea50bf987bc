"""A link that was wrong and made nothing yet: taken away by a person, with what waited for it.

Where something stands in the city under the wrong child it is taken apart as one unit instead, by two persons and with the
sheet of the incident (`flows.relink`): forgotten here, it would stand there as nobody's.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import delete, select, update

from gateway.audit.deed import Deed
from gateway.audit.notes import write_note
from gateway.audit.subjects import pseudonym_of
from gateway.domain.errors import ConfigurationError, PlanRefusedError
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import NOT_LINKED
from gateway.flows.despite import refuse_while_moving
from gateway.flows.doubts import settle_doubt
from gateway.flows.gateway import Gateway
from gateway.flows.links import refuse_pair
from gateway.mapping.link_doubts import drop_doubts
from gateway.mapping.links import load_links
from gateway.mapping.tables import link
from gateway.queue.signed import stand_alone
from gateway.queue.states import IN_FLIGHT, State
from gateway.queue.tables import operation
from gateway.reconcile.relinks import cells_of, stop_wanting
from gateway.reconcile.tables import base


class Unlinked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a wrong link.

    Attributes:
        city_id: The wrong child's number in the city.
        dropped: Operations that had not been sent and never will be.
    """

    city_id: int
    dropped: int


def drop_link(gateway: Gateway, local_ref: str, *, reason: str) -> Unlinked:
    """Take a pupil's link away.

    Args:
        gateway: The composed gateway.
        local_ref: The portal's code, `user:3`.
        reason: Why, as typed; kept beside the audit.

    Raises:
        ConfigurationError: There is no such link.
        PlanRefusedError: No reason; something of this child stands in the city, or is on its way: first stop sending and let
            it be read back; or the link is being set right.
    """
    if not reason.strip():
        raise PlanRefusedError("Связь убирается только с причиной: --reason", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        now = gateway.store.now(conn)
        city_id = load_links(conn, place_id, Kind.PERSON).get(local_ref)
        if city_id is None:
            raise ConfigurationError("Такой связи нет: gateway links list")
        refuse_while_moving(conn, place_id, local_ref, city_id, now)
        stand_alone(conn, place_id)
        # homework has no single pupil: what names him is not wanted as it is, and the next plan names the others
        ours = (operation.c.place_id == place_id, cells_of(operation.c.object_key, [city_id]))
        if conn.execute(select(operation.c.id).where(*ours, operation.c.state.in_(IN_FLIGHT)).limit(1)).one_or_none():
            raise PlanRefusedError(
                "Отметки этого ученика сейчас в пути: gateway stop-sending, затем gateway verify, и повторите",
                reason="IN_WORK",
            )
        stands = select(base.c.ref).where(base.c.place_id == place_id, cells_of(base.c.object_key, [city_id])).limit(1)
        if conn.execute(stands).one_or_none() is not None:
            raise PlanRefusedError(
                "По этой связи записи уже стоят в журнале, у другого ученика они останутся ничьими. Разберите её вдвоём: "
                "gateway links split КОД --reason ПОЧЕМУ, верный номер: --to НОМЕР",
                reason="WRONG_STATE",
            )
        note = write_note(conn, reason, now=now)
        dropped = conn.execute(
            update(operation)
            .where(*ours, operation.c.state.in_((State.READY.value, State.PARKED.value)))
            .values(state=State.SUPERSEDED.value, reason="MANUAL_CANCEL", changed_at=now)
        ).rowcount
        stop_wanting(conn, place_id, [city_id], reason=NOT_LINKED)
        refuse_pair(conn, place_id, local_ref, city_id, actor=gateway.actor.name, note_id=note.id, now=now)
        drop_doubts(conn, place_id, Kind.PERSON, local_ref)
        settle_doubt(conn, place_id, local_ref, now=now)
        conn.execute(
            delete(link).where(
                link.c.place_id == place_id, link.c.kind == Kind.PERSON.value, link.c.local_ref == local_ref
            )
        )
        gateway.audit.append(
            conn,
            Deed(
                action="link.dropped",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type="link",
                subject=pseudonym_of(conn, gateway.place, f"city-pupil:{city_id}"),
                city_id=city_id,
                outcome="undone",
                counts={"dropped": dropped},
                note=note,
            ),
        )
    return Unlinked(city_id=city_id, dropped=dropped)
