"""Signed periods: the deputy head signs, opens until an hour, and lets named pupils through once.

Nothing here is sent: what an opening or an approval lets out goes by the queue, whose last step asks the locks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, func, select

from gateway.audit.deed import Deed
from gateway.audit.notes import write_note
from gateway.connectors.port import CityDirectory
from gateway.domain.clock import moscow_day
from gateway.domain.errors import ConfigurationError, PlanRefusedError
from gateway.flows.calendar import load_year
from gateway.flows.freshen import freshen
from gateway.flows.gateway import Gateway
from gateway.mapping.chosen import parts_of_year
from gateway.mapping.context import periods_of_group
from gateway.mapping.normalise import class_key, normal_text
from gateway.queue.outbox import Released, release
from gateway.queue.signed import Signature, SignedDays, load_signatures
from gateway.queue.signing import (
    Swept,
    find_signature,
    lay_signature,
    load_plans_with_locked,
    open_plan,
    open_signature,
    sweep_signed,
)
from gateway.queue.tables import operation
from gateway.reconcile.plan import PlanState, load_plan
from gateway.reconcile.tables import city_directory

LONGEST_OPENING = timedelta(days=14)
"""Two school weeks: a period that has to stay open for longer was signed too early."""


class SignedPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A signature that was laid, and what it found in the queue."""

    signature: Signature
    swept: Swept


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An opening, and what it let out of plans that may still go."""

    signature: Signature
    until: datetime
    released: Released


def load_signed(gateway: Gateway) -> list[Signature]:
    """Load the signatures that stand, the latest first."""
    with gateway.store.write() as conn:
        return load_signatures(conn, gateway.place_id(conn), now=gateway.store.now(conn))


def sign_period(gateway: Gateway, class_name: str, period: str, *, reason: str) -> SignedPeriod:
    """Sign a period for a class: from the commit on nothing dated in it leaves without an approval that names the pupils.

    Args:
        gateway: The composed gateway.
        class_name: As people write it.
        period: Its name, or its number within the year, of the schedules by which the class's groups are taught.
        reason: Why, as typed; kept beside the audit.

    Raises:
        PlanRefusedError: No reason, it has not begun, it is signed already, or the city was never read.
        ConfigurationError: An unknown class or period.
    """
    if not reason.strip():
        raise PlanRefusedError("Подпись без причины не принимается: --reason", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        place_id = gateway.place_id(conn)
        key, name, days = _find_days(conn, gateway, place_id, class_name, period)
        if min(one.from_on for one in days) > moscow_day(now):
            raise PlanRefusedError("Этот период ещё не начался: подписывать нечего", reason="WRONG_STATE")
        for one in load_signatures(conn, place_id, now=now):
            if one.class_name == key and set(one.periods) == set(days) and one.open_until is None:
                raise PlanRefusedError(f"Период уже подписан: № {one.id}, gateway periods show", reason="WRONG_STATE")
        note = write_note(conn, reason, now=now)
        number = lay_signature(
            conn,
            place_id,
            class_name=key,
            name=name,
            periods=days,
            signed_by=gateway.actor.name,
            note_id=note.id,
            now=now,
        )
        gateway.audit.append(
            conn,
            Deed(
                action="period.signed",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type="period",
                object_id=f"period:{number}",
                outcome="decided",
                note=note,
            ),
        )
        signature = find_signature(conn, place_id, number, now=now)
    assert signature is not None  # noqa: S101  # laid a moment ago
    swept = sweep_signed(gateway.store, gateway.ledger, place_id, actor=gateway.actor)
    return SignedPeriod(signature=signature, swept=swept)


def reopen_period(gateway: Gateway, number: int, *, until: datetime, reason: str) -> Opened:
    """Open a signed period until a moment: what it held is let out by its own gates, and it locks again by itself.

    Args:
        gateway: The composed gateway.
        number: Of the signature.
        until: Aware UTC, at most 14 days away.
        reason: Why, as typed; kept beside the audit.

    Raises:
        PlanRefusedError: No reason, no such signature, open already, or a moment that is over or too far.
    """
    if not reason.strip():
        raise PlanRefusedError("Открыть период без причины нельзя: --reason", reason="REASON_MISSING")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        if not now < until <= now + LONGEST_OPENING:
            raise PlanRefusedError(
                "Назовите, до какого часа открыть, не дальше 14 дней: --until", reason="DAY_OUT_OF_REACH"
            )
        place_id = gateway.place_id(conn)
        signature = find_signature(conn, place_id, number, now=now)
        if signature is None:
            raise PlanRefusedError(f"Подписи {number} нет: gateway periods show", reason="NOTHING_THERE")
        if signature.open_until is not None:
            raise PlanRefusedError("Период уже открыт: подпишите его снова или дождитесь часа", reason="WRONG_STATE")
        note = write_note(conn, reason, now=now)
        open_signature(conn, place_id, signature, until=until, opened_by=gateway.actor.name, note_id=note.id, now=now)
        gateway.audit.append(
            conn,
            Deed(
                action="period.reopened",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type="period",
                object_id=f"period:{number}",
                outcome="decided",
                counts={"minutes": max(1, round((until - now).total_seconds() / 60))},
                note=note,
            ),
        )
    released = replay_opened(gateway, place_id, signature)
    return Opened(signature=signature, until=until, released=released)


def replay_opened(gateway: Gateway, place_id: int, signature: Signature) -> Released:
    """Let out what an open signature held in plans that may still go; can be called again after a crash.

    The groups are read again before. What asked for an approval of its own asks for it still, and a plan that waits for a
    person waits for him.
    """
    with gateway.store.read() as conn:
        began = gateway.store.now(conn)
        plan_ids = load_plans_with_locked(conn, place_id, began)
    total = Released()
    for plan_id in plan_ids:
        if not open_plan(gateway.store, place_id, plan_id, signature):
            continue
        with gateway.store.read() as conn:
            state = load_plan(conn, plan_id).state
        if state in (PlanState.USED, PlanState.APPROVED):
            freshen(gateway, plan_id)
            total = total.plus(
                release(gateway.store, gateway.audit, gateway.place, plan_id, lane="demand", actor=gateway.actor)
            )
    if not total.queued:
        return total
    with gateway.store.read() as conn:
        return msgspec.structs.replace(total, queued=_count_records(conn, place_id, plan_ids, since=began))


def _count_records(conn: Connection, place_id: int, plan_ids: Sequence[int], *, since: datetime) -> int:
    """How many records these plans have let out: several plans may hold one, and the newest takes the place of the others."""
    let_out = (
        select(operation.c.kind, operation.c.ref)
        .where(operation.c.place_id == place_id, operation.c.plan_id.in_(plan_ids), operation.c.changed_at >= since)
        .distinct()
    )
    return conn.execute(select(func.count()).select_from(let_out.subquery())).scalar_one()


def _find_days(
    conn: Connection, gateway: Gateway, place_id: int, class_name: str, period: str
) -> tuple[str, str, tuple[SignedDays, ...]]:
    """The class in comparable form, the period's name and its days: by the schedules of its groups."""
    key = class_key(class_name)
    body = conn.execute(select(city_directory.c.body).where(city_directory.c.place_id == place_id)).scalar_one_or_none()
    if body is None:
        raise PlanRefusedError("Справочники города ещё не прочитаны: сначала gateway plan", reason="CITY_UNREAD")
    directory = msgspec.json.decode(body, type=CityDirectory)
    own = [one for one in directory.classes if class_key(one.name) == key]
    if not key or not own:
        raise ConfigurationError("Такого класса в городском журнале нет")
    stored = load_year(gateway, conn)
    year = None if stored is None else stored.year
    found: dict[SignedDays, str] = {}
    names: list[str] = []
    for group in directory.groups:
        if own[0].id not in group.class_ids:
            continue
        listed = periods_of_group(group, directory.periods, year)
        # a group that points to no schedule is of any (R13), where the school has no calendar of its own either
        parts = parts_of_year(listed or (directory.periods if group.schedule_id is None else ()))
        own_names = [one.name for one in parts]
        names += own_names
        for one in (parts[place] for place in _positions(own_names, period)):
            found[SignedDays(period_id=one.id, from_on=one.begins_on, to_on=one.ends_on)] = one.name
    if not found:
        known = ", ".join(dict.fromkeys(names)) or "ни одного"
        raise ConfigurationError(f"Такого периода у класса нет; есть: {known}")
    ordered = tuple(sorted(found, key=lambda one: (one.from_on, one.to_on, one.period_id)))
    return key, found[ordered[0]], ordered


def _positions(names: Sequence[str], wanted: str) -> list[int]:
    """Where in the year a period stands that is meant by its number or its name."""
    if wanted.strip().isdecimal():
        return [place for place in range(len(names)) if place + 1 == int(wanted)]
    return [place for place, name in enumerate(names) if normal_text(name) == normal_text(wanted)]


__all__ = [
    "Opened",
    "SignedPeriod",
    "load_signed",
    "reopen_period",
    "replay_opened",
    "sign_period",
]
