"""The life of a record, event by event, and what stood in either journal at a moment.

Reads the versions that every floor keeps: of the portal's record, of the city's objects, of decisions, operations and
discrepancies. Each event stands at the moment at which the gateway learnt of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, case, func, select

from gateway.domain.city import Atom
from gateway.domain.discrepancies import CHOICE_WORDS, LIFE_WORDS, Choice
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import REASONS
from gateway.domain.records import RECORD_TYPES, Record
from gateway.mapping.atoms import atom_of_city
from gateway.queue.states import State
from gateway.queue.tables import attempt, operation, receipt
from gateway.reconcile.resolve import CITY_TYPES
from gateway.reconcile.tables import base, decision, discrepancy_step, hold, plan, record_version, shadow_version
from gateway.report.plan_view import Words

MOST_EVENTS = 500
"""Events of one kind in a passport: a mark that was touched more often than that is a fault, and its newest tell it."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, by the moment at which we learnt of it; `note` has codes and numbers, never a payload."""

    at: datetime
    what: str
    words: str
    note: str = ""


class AsOf(msgspec.Struct, frozen=True, kw_only=True):
    """What stood in either journal at a moment, as far as it had been read by then.

    Attributes:
        is_ours_known: Ours had been read at all by then; otherwise it is unknown and not absent.
        is_theirs_known: The same of the city's object.
    """

    at: datetime
    is_ours_known: bool
    ours: str
    ours_since: datetime | None
    is_theirs_known: bool
    theirs: Mapping[str, str]
    theirs_since: datetime | None


def load_as_of(conn: Connection, place_id: int, kind: str, ref: str, at: datetime) -> AsOf:
    """Say what stood in either journal at a moment.

    Args:
        conn: A read transaction.
        place_id: Where we are.
        kind: Kind of the record.
        ref: Its ref.
        at: Aware UTC.
    """
    ours = conn.execute(
        select(record_version)
        .where(
            record_version.c.place_id == place_id,
            record_version.c.kind == kind,
            record_version.c.ref == ref,
            record_version.c.valid_from <= at,
        )
        .order_by(record_version.c.id.desc())
        .limit(1)
    ).one_or_none()
    city_ids = load_city_ids(conn, place_id, kind, ref)
    theirs = _find_theirs(conn, place_id, kind, city_ids, at)
    body = None if theirs is None else theirs.body
    return AsOf(
        at=at,
        is_ours_known=ours is not None,
        ours="" if ours is None or ours.gone is not None else local_words(kind, ours.body),
        ours_since=None if ours is None else ours.valid_from,
        is_theirs_known=theirs is not None,
        theirs=Words(conn, place_id).fields(None if body is None else city_atom(kind, body)),
        theirs_since=None if theirs is None else theirs.valid_from,
    )


def _find_theirs(conn: Connection, place_id: int, kind: str, city_ids: Sequence[int], at: datetime) -> Row[Any] | None:
    """The object that stood at a moment under any of these numbers; else the newest that was gone by then.

    Of one that was deleted and another that took its place one read tells both, and in no order.
    """
    own = (
        shadow_version.c.place_id == place_id,
        shadow_version.c.kind == kind,
        shadow_version.c.city_id.in_(city_ids),
        shadow_version.c.valid_from <= at,
    )
    newest = select(func.max(shadow_version.c.id)).where(*own).group_by(shadow_version.c.city_id)
    return conn.execute(
        select(shadow_version)
        .where(shadow_version.c.id.in_(newest))
        .order_by(case((shadow_version.c.body.is_(None), 1), else_=0), shadow_version.c.id.desc())
        .limit(1)
    ).one_or_none()


STATE_WORDS = {
    State.READY: "в очереди",
    State.CLAIMED: "взято в работу",
    State.SENDING: "отправляется",
    State.UNKNOWN: "ответа не было, будет проверено чтением",
    State.ACCEPTED: "город принял, ещё не подтверждено чтением",
    State.VERIFIED: "подтверждено чтением",
    State.BY_HAND: "в списке «внести вручную»",
    State.PARKED: "отложено",
    State.SUPERSEDED: "снято, решено заново",
}


OP_WORDS = {"create": "создать", "change": "изменить", "delete": "удалить"}
TRY_WORDS = {
    "sending": "отправлено, ответа не записано",
    "unreached": "город не ответил на соединение, ничего не отправлено",
    State.ACCEPTED.value: "город принял",
    State.READY.value: "не вышло, будет отправлено снова",
    State.UNKNOWN.value: "ответа не было, будет проверено чтением",
    State.PARKED.value: "не принято, отложено",
    State.SUPERSEDED.value: "снято, решено заново",
}
"""How one try ended."""


def iter_events(
    conn: Connection, place_id: int, kind: str, ref: str, words: Words, *, discrepancy_id: int | None
) -> Iterator[Event]:
    """Yield everything that happened to a record, kind of event by kind.

    Args:
        discrepancy_id: The record's discrepancy, where there ever was one.
    """
    here = (record_version.c.place_id == place_id, record_version.c.kind == kind, record_version.c.ref == ref)
    query = select(record_version).where(*here).order_by(record_version.c.id.desc()).limit(MOST_EVENTS)
    for row in conn.execute(query):
        text = f"исчезла с портала ({row.gone})" if row.gone is not None else local_words(kind, row.body)
        yield Event(at=row.valid_from, what="portal.read", words=text, note=f"run {row.run_id}")
    yield from _iter_decisions(conn, place_id, kind, ref)
    yield from _iter_delivery(conn, place_id, kind, ref)
    yield from _iter_undone(conn, place_id, kind, ref)
    city_ids = load_city_ids(conn, place_id, kind, ref)
    seen = select(shadow_version).where(
        shadow_version.c.place_id == place_id, shadow_version.c.kind == kind, shadow_version.c.city_id.in_(city_ids)
    )
    for row in conn.execute(seen.order_by(shadow_version.c.id.desc()).limit(MOST_EVENTS)):
        fields = words.fields(None if row.body is None else city_atom(kind, row.body))
        text = ", ".join(fields.values()) if fields else "в городе этого больше нет"
        yield Event(at=row.valid_from, what="city.read", words=text, note=f"city id {row.city_id}")
    if discrepancy_id is not None:
        steps = select(discrepancy_step).where(discrepancy_step.c.discrepancy_id == discrepancy_id)
        for row in conn.execute(steps.order_by(discrepancy_step.c.id.desc()).limit(MOST_EVENTS)):
            note = " ".join(part for part in (row.actor, row.choice) if part)
            chosen = f" «{CHOICE_WORDS[Choice(row.choice)]}»" if row.choice else ""
            text = f"№ {discrepancy_id}: {LIFE_WORDS.get(row.step, row.step)}{chosen}"
            yield Event(at=row.at, what=f"discrepancy.{row.step}", words=text, note=note)


def _iter_decisions(conn: Connection, place_id: int, kind: str, ref: str) -> Iterator[Event]:
    query = (
        select(decision.c.reason, decision.c.outcome, plan.c.hash, plan.c.created_at, plan.c.rule_version)
        .join(plan, plan.c.id == decision.c.plan_id)
        .where(plan.c.place_id == place_id, plan.c.hash.is_not(None), decision.c.kind == kind, decision.c.ref == ref)
        .order_by(decision.c.plan_id.desc())
        .limit(MOST_EVENTS)
    )
    for row in conn.execute(query):
        reason = REASONS.get(row.reason)
        outcome = f", {row.outcome}" if row.outcome else ""
        yield Event(
            at=row.created_at,
            what="plan.decided",
            words=row.reason if reason is None else reason.what_ru,
            note=f"{row.reason}{outcome}, plan {row.hash[:12]}, rules {row.rule_version[:12]}",
        )


def _iter_delivery(conn: Connection, place_id: int, kind: str, ref: str) -> Iterator[Event]:
    here = and_(operation.c.place_id == place_id, operation.c.kind == kind, operation.c.ref == ref)
    for row in conn.execute(select(operation).where(here).order_by(operation.c.id.desc()).limit(MOST_EVENTS)):
        number = f"operation {row.id}"
        yield Event(at=row.created_at, what="operation.queued", words=OP_WORDS[row.op], note=number)
        if row.state in (State.PARKED.value, State.SUPERSEDED.value):
            text = STATE_WORDS[State(row.state)] + (f": {row.sentence}" if row.sentence else "")
            yield Event(at=row.changed_at, what=f"operation.{row.state}", words=text, note=f"{number}, {row.reason}")
    tries = select(attempt).join(operation, operation.c.id == attempt.c.operation_id).where(here)
    for row in conn.execute(tries.order_by(attempt.c.id.desc()).limit(MOST_EVENTS)):
        answer = f", {row.status}" if row.status is not None else ""
        note = f"operation {row.operation_id}, try {row.number}{answer}, request {row.request_id}"
        yield Event(at=row.started_at, what="operation.sent", words=TRY_WORDS.get(row.outcome, row.outcome), note=note)
    proofs = select(receipt).join(operation, operation.c.id == receipt.c.operation_id).where(here)
    for row in conn.execute(proofs.order_by(receipt.c.id.desc()).limit(MOST_EVENTS)):
        text = "город принял" if row.stage == "accepted" else "подтверждено чтением города"
        yield Event(
            at=row.at, what=f"operation.{row.stage}", words=text, note=f"receipt {row.id}, city id {row.city_id}"
        )


def _iter_undone(conn: Connection, place_id: int, kind: str, ref: str) -> Iterator[Event]:
    """When an undo of a run kept the record undone, by whose word, and when that ended."""
    query = (
        select(hold, plan.c.undoes)
        .join(plan, plan.c.id == hold.c.plan_id)
        .where(hold.c.place_id == place_id, hold.c.kind == kind, hold.c.ref == ref)
        .order_by(hold.c.id.desc())
        .limit(MOST_EVENTS)
    )
    for row in conn.execute(query):
        text = f"отмена запуска {row.undoes}: не передаётся до правки на портале"
        yield Event(at=row.placed_at, what="hold.undone", words=text, note=f"hold {row.id}, {row.owner}")
        if row.lifted_at is not None:
            yield Event(at=row.lifted_at, what="hold.ended", words="отмена больше не держит", note=f"hold {row.id}")


def load_city_ids(conn: Connection, place_id: int, kind: str, ref: str) -> list[int]:
    """Numbers that the record has or had in the city."""
    found = {
        row[0]
        for table in (base, operation)
        for row in conn.execute(
            select(table.c.city_id).where(
                table.c.place_id == place_id,
                table.c.kind == kind,
                table.c.ref == ref,
                table.c.city_id.is_not(None),
            )
        )
    }
    return sorted(found)


def city_atom(kind: str, body: bytes) -> Atom:
    """What of a stored object of the city is compared."""
    return atom_of_city(msgspec.json.decode(body, type=CITY_TYPES[kind]))


def record_of(kind: str, body: bytes) -> Record:
    """The stored record."""
    found: Record = msgspec.json.decode(body, type=RECORD_TYPES[Kind(kind)])
    return found


def local_words(kind: str, body: bytes) -> str:
    """The portal's own value in its own terms: raw points of so many, an absence's form, a homework's length."""
    item = record_of(kind, body)
    points = getattr(item, "raw_points", None)
    if points is not None:
        scale = getattr(item, "scale", None)
        shown = getattr(item, "word", None) or f"{points:g}"
        return f"{shown} из {scale.maximum:g}" if scale is not None else shown
    form = getattr(item, "form", None)
    return f"{kind}: {form}" if isinstance(form, str) else kind
