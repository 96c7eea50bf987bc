"""Holding back and letting go again, by a person with a reason and until a day.

What is on its way to the city is not called back; what only waits in the queue is taken out in the transaction of the
hold, so that nothing of it leaves a moment later. The next plan shows it as held.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, insert, or_, select, update

from gateway.audit.deed import Deed
from gateway.audit.notes import write_note
from gateway.audit.subjects import pseudonym_of
from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityGroup
from gateway.domain.errors import ConfigurationError, PlanRefusedError
from gateway.domain.identifiers import SENT_KINDS, Kind
from gateway.domain.reasons import MARKED_HOLD
from gateway.flows.gateway import Gateway
from gateway.mapping.links import load_links
from gateway.mapping.normalise import class_key
from gateway.queue.signed import stand_alone
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.reconcile.compare import Op
from gateway.reconcile.holds import PUPIL_KINDS, Hold, load_holds
from gateway.reconcile.plan import PlanState
from gateway.reconcile.shadow import city_scope
from gateway.reconcile.tables import base, city_directory, decision, hold, intended, plan, record

LONGEST_HOLD = timedelta(days=120)
"""A term and its holidays; what is held must come back to somebody's eyes."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A hold that was placed, and how many waiting operations it took out of the queue."""

    id: int
    dropped: int
    until: datetime


def place_hold(
    gateway: Gateway,
    *,
    reason: str,
    until: datetime,
    kind: Kind | None = None,
    op: Op | None = None,
    ref: str | None = None,
    pupil: str | None = None,
    class_name: str | None = None,
) -> Held:
    """Keep something from being sent.

    Args:
        gateway: The composed gateway.
        reason: Why, as typed; kept beside the audit.
        until: When it ends by itself; aware UTC, at most 120 days away.
        kind: Only this kind.
        op: Only this operation.
        ref: Only this record.
        pupil: Only this pupil, by the portal's code; he must be linked.
        class_name: Only this class, as people write it.

    Raises:
        PlanRefusedError: No reason, no day, or nothing named: to stop everything there is `stop-sending`.
        ConfigurationError: An unknown pupil or record, a class that can't be read as one, or that the city has not.
    """
    if not reason.strip():
        raise PlanRefusedError("Задержка без причины не принимается: --reason", reason="REASON_MISSING")
    if all(one is None for one in (kind, op, ref, pupil, class_name)):
        raise PlanRefusedError("Назовите, что удержать; остановить всё: gateway stop-sending", reason="NOTHING_NAMED")
    if kind is not None and kind not in SENT_KINDS:
        raise ConfigurationError(f"Вид {kind.value} в город не передаётся, удерживать нечего")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        if not now < until <= now + LONGEST_HOLD:
            raise PlanRefusedError(
                "Назовите день, когда задержка кончится, не дальше 120 дней: --until", reason="DAY_OUT_OF_REACH"
            )
        place_id = gateway.place_id(conn)
        city_pupil_id = None
        if pupil is not None:
            city_pupil_id = load_links(conn, place_id, Kind.PERSON).get(pupil)
            if city_pupil_id is None:
                raise ConfigurationError("Ученик не связан с городом: gateway links list")
        name = class_key(class_name)
        if class_name is not None and not name:
            raise ConfigurationError("--class: класс вида 7А")
        if name:
            _require_class(conn, place_id, name)
        if ref is not None:
            _require_record(conn, place_id, ref)
        note = write_note(conn, reason, now=now)
        # what is just being marked as sent went before it; what comes after asks for it
        stand_alone(conn, place_id)
        number = conn.execute(
            insert(hold)
            .values(
                place_id=place_id,
                kind=None if kind is None else kind.value,
                op=op,
                ref=ref,
                city_pupil_id=city_pupil_id,
                class_name=name,
                owner=gateway.actor.name,
                note_id=note.id,
                placed_at=now,
                until=until,
            )
            .returning(hold.c.id)
        ).scalar_one()
        (placed,) = (one for one in load_holds(conn, place_id, now=now) if one.id == number)
        dropped = _take_out(conn, gateway, place_id, placed, now)
        gateway.audit.append(
            conn,
            Deed(
                action="hold.placed",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type="hold",
                object_id=f"hold:{number}",
                subject=None
                if city_pupil_id is None
                else pseudonym_of(conn, gateway.place, f"city-pupil:{city_pupil_id}"),
                outcome="held",
                counts={"dropped": dropped},
                note=note,
            ),
        )
    return Held(id=number, dropped=dropped, until=until)


def lift_hold(gateway: Gateway, number: int, *, reason: str) -> None:
    """Let go of what was held; the next plan decides about it as about anything else.

    Raises:
        PlanRefusedError: No reason, or nothing is held under that number.
    """
    if not reason.strip():
        raise PlanRefusedError("Снять задержку без причины нельзя: --reason", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        lifted = conn.execute(
            update(hold)
            .where(
                hold.c.id == number,
                hold.c.place_id == gateway.place_id(conn),
                hold.c.plan_id.is_(None),  # what an undo keeps is listed by its run and lifted by it
                hold.c.lifted_at.is_(None),
                hold.c.until > now,
            )
            .values(lifted_at=now)
        ).rowcount
        if not lifted:
            raise PlanRefusedError(
                f"Задержки {number} нет, или она уже кончилась: gateway holds; удержанное отменой запуска снимает --run",
                reason="NOTHING_THERE",
            )
        gateway.audit.append(
            conn,
            Deed(
                action="hold.lifted",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type="hold",
                object_id=f"hold:{number}",
                outcome="undone",
                note=write_note(conn, reason, now=now),
            ),
        )


def _require_class(conn: Connection, place_id: int, name: str) -> None:
    """A hold on a class that there is none of would hold nothing and look as if it did."""
    known = sorted(
        set().union(*load_classes(conn, place_id).values()),
        key=lambda one: (int("".join(filter(str.isdigit, one)) or 0), one),
    )
    if known and name not in known:
        raise ConfigurationError(f"Класса {name} в городе нет; есть: {', '.join(known)}")


def _require_record(conn: Connection, place_id: int, ref: str) -> None:
    """A mistyped record would go on being sent while its hold looks as if it stood."""
    for table in (record, intended, base):
        if conn.execute(select(table.c.ref).where(table.c.place_id == place_id, table.c.ref == ref).limit(1)).first():
            return
    raise ConfigurationError("Такой записи нет; её номер вида mark:5:25 — в плане и в расхождении")


def classes_of_scopes(groups: Collection[CityGroup]) -> Mapping[str, frozenset[str]]:
    """Say of which class every scope of the city is; one of a metagroup is of none and is held by pupil or record."""
    return {
        city_scope(kind.value, group.id): frozenset([name])
        for group in groups
        if (name := class_key(group.class_name))
        for kind in SENT_KINDS
    }


def _take_out(conn: Connection, gateway: Gateway, place_id: int, placed: Hold, now: datetime) -> int:
    """Take what only waits out of the queue and out of plans not yet let out; the next plan shows it as held."""
    scopes = None
    if placed.class_name is not None:
        scopes = [scope for scope, names in load_classes(conn, place_id).items() if placed.class_name in names]
    rows = conn.execute(
        update(operation)
        .where(
            operation.c.place_id == place_id,
            operation.c.state == State.READY.value,
            *_matching(operation, placed, scopes),
        )
        .values(state=State.SUPERSEDED.value, reason=MARKED_HOLD, changed_at=now)
        .returning(operation)
    ).all()
    unreleased = select(plan.c.id).where(
        plan.c.place_id == place_id, plan.c.state.in_((PlanState.WAITING, PlanState.READY, PlanState.APPROVED))
    )
    conn.execute(
        update(decision)
        .where(
            decision.c.plan_id.in_(unreleased),
            decision.c.outcome.is_(None),
            decision.c.op.is_not(None),
            *_matching(decision, placed, scopes),
        )
        .values(outcome="dropped")
    )
    with gateway.ledger.gathered(conn) as ledger:
        for row in rows:
            ledger.write(conn, row, "operation.dropped", "held", reason=MARKED_HOLD, actor=gateway.actor)
    return len(rows)


def _matching(table: Table, placed: Hold, scopes: Sequence[str] | None) -> list[ColumnElement[bool]]:
    """What a hold takes of a table with the columns of a decision; the same as `reconcile.holds` says of an item."""
    pairs = ((table.c.kind, placed.kind), (table.c.op, placed.op), (table.c.ref, placed.ref))
    conditions: list[ColumnElement[bool]] = [column == wanted for column, wanted in pairs if wanted is not None]
    if placed.city_pupil_id is not None:
        cells = [f"{kind}/{placed.city_pupil_id}/" for kind in PUPIL_KINDS]
        conditions.append(or_(*(table.c.object_key.startswith(cell, autoescape=True) for cell in cells)))
    if scopes is not None:
        conditions.append(table.c.scope.in_(scopes))
    return conditions


def load_classes(conn: Connection, place_id: int) -> Mapping[str, frozenset[str]]:
    """Load of which class every scope of the city is."""
    body = conn.execute(select(city_directory.c.body).where(city_directory.c.place_id == place_id)).scalar_one_or_none()
    return {} if body is None else classes_of_scopes(msgspec.json.decode(body, type=CityDirectory).groups)
