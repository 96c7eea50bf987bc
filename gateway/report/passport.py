"""The passport of a record: one sentence of verdict, the last decision in five steps, and everything that happened to it.

Reads what every floor kept (versions of both sides, decisions, operations, attempts, receipts, discrepancies) and adds
nothing of its own. «As of» a moment is answered from the same versions: what stood in either journal then, as far as it
had been read.

Source: product.md N1, N8, N14; design, "Passport".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, or_, select

from gateway.domain.city import Atom, Intent
from gateway.domain.discrepancies import DiscrepancyState
from gateway.domain.reasons import ENTER_BY_HAND, REASONS, UNDONE
from gateway.mapping.atoms import atom_of_intent
from gateway.mapping.tables import mark_lesson
from gateway.queue.states import OPEN, State
from gateway.queue.tables import operation
from gateway.reconcile.acts import load_being_settled
from gateway.reconcile.bindings import load_versions_of
from gateway.reconcile.resolve import CITY_TYPES, INTENT_TYPES
from gateway.reconcile.snapshot import CITY_SIDE
from gateway.reconcile.tables import (
    base,
    decision,
    decision_scope,
    discrepancy,
    intended,
    plan,
    record,
    scope_state,
    shadow,
)
from gateway.reconcile.undone import load_undone_by
from gateway.report.entered import Entered, load_entered
from gateway.report.life import STATE_WORDS, Event, city_atom, iter_events, local_words, record_of
from gateway.report.plan_view import Words

CONFIRMED = "Подтверждено чтением города"
"""How the one verdict begins that says a value."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One of the five steps of the last decision: read, in_scope, matched, mapped, decided."""

    name: str
    is_passed: bool
    words: str
    reason: str = ""


class Passport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one record.

    Attributes:
        verdict: One sentence, never more than is known.
        whose_move: The post whose turn it is; empty where nobody has to do anything.
        entered: Who brought it in.
        theirs_read_at: When the city's scope of it was last read whole; None = never: then nothing is called missing.
    """

    kind: str
    ref: str
    class_name: str
    pupil: str
    subject: str
    on: date | None
    verdict: str
    whose_move: str
    ours: Mapping[str, str]
    base: Mapping[str, str]
    theirs: Mapping[str, str]
    ours_read_at: datetime | None
    base_at: datetime | None
    theirs_read_at: datetime | None
    city_id: int | None
    rule_version: str
    entered: Entered
    steps: Sequence[Step]
    events: Sequence[Event]
    discrepancy_id: int | None


class _Ground(msgspec.Struct, frozen=True):
    """The rows that a passport stands on."""

    record: Row[Any] | None
    intended: Row[Any] | None
    base: Row[Any] | None
    shown: Row[Any] | None
    decision: Row[Any] | None
    operation: Row[Any] | None
    discrepancy: Row[Any] | None
    scope: str | None
    theirs_read_at: datetime | None
    is_undone: bool
    is_being_settled: bool


def find_refs(
    conn: Connection, place_id: int, *, city_pupil_id: int, on: date | None = None, limit: int = 100
) -> list[tuple[str, str]]:
    """Find (kind, ref) of a pupil's records by his number in the city, of one day where it is given."""
    cells = or_(
        *(
            intended.c.object_key.startswith(f"{kind}/{city_pupil_id}/", autoescape=True)
            for kind in ("mark", "absence", "comment", "final")
        )
    )
    query = select(intended.c.kind, intended.c.ref).where(intended.c.place_id == place_id, cells)
    if on is not None:
        query = query.where(intended.c.on_date == on)
    rows = conn.execute(query.order_by(intended.c.on_date, intended.c.kind, intended.c.ref).limit(limit))
    return [(row.kind, row.ref) for row in rows]


def find_kinds(conn: Connection, place_id: int, ref: str) -> list[str]:
    """Find under which kinds a ref is known, at the portal or in what was agreed."""
    sent = list(CITY_TYPES)
    found = {
        row[0]
        for table in (record, base, intended)
        for row in conn.execute(
            select(table.c.kind).where(table.c.place_id == place_id, table.c.ref == ref, table.c.kind.in_(sent))
        )
    }
    return sorted(found)


def load_passport(conn: Connection, place_id: int, kind: str, ref: str) -> Passport | None:
    """Load the passport of a record; None where nothing was ever known of it.

    Args:
        conn: A read transaction.
        place_id: Where we are.
        kind: Kind of the record.
        ref: Its ref.
    """
    ground = _load_ground(conn, place_id, kind, ref)
    if ground.record is None and ground.base is None and ground.intended is None:
        return None
    words = Words(conn, place_id)
    meant = _first_body(ground)
    intent = None if meant is None else _intent_of(kind, meant)
    local = None if ground.record is None else record_of(kind, ground.record.body)
    cell = words.cell(kind, intent, local)
    ours = None if ground.intended is None else _atom_of(kind, ground.intended.intent)
    agreed = None if ground.base is None else _atom_of(kind, ground.base.intent)
    shown = None if ground.shown is None else city_atom(kind, ground.shown.body)
    verdict, whose_move = _verdict(ground, words, shown)
    found = ground.intended
    # what was sent by an earlier version keeps its value: then that one says why
    kept = load_versions_of(conn, place_id, [(kind, ref)]).get((kind, ref))
    discrepancy_id = None if ground.discrepancy is None else ground.discrepancy.id
    return Passport(
        kind=kind,
        ref=ref,
        class_name=cell.class_name,
        pupil=cell.pupil,
        subject=cell.subject,
        on=None if found is None else found.on_date,
        verdict=verdict,
        whose_move=whose_move,
        ours=words.fields(ours),
        base=words.fields(agreed),
        theirs=words.fields(shown),
        ours_read_at=None if ground.record is None else ground.record.changed_at,
        base_at=None if ground.base is None else ground.base.verified_at,
        theirs_read_at=ground.theirs_read_at,
        city_id=None if ground.base is None else ground.base.city_id,
        rule_version=kept or ("" if ground.decision is None else ground.decision.rule_version),
        entered=load_entered(conn, place_id, kind, ref, intent=meant, words=words),
        steps=_build_steps(conn, place_id, kind, ref, ground, words, ours),
        events=sorted(
            iter_events(conn, place_id, kind, ref, words, discrepancy_id=discrepancy_id), key=lambda event: event.at
        ),
        discrepancy_id=discrepancy_id,
    )


def _load_ground(conn: Connection, place_id: int, kind: str, ref: str) -> _Ground:
    def one(table: Any) -> Row[Any] | None:
        query = select(table).where(table.c.place_id == place_id, table.c.kind == kind, table.c.ref == ref)
        return conn.execute(query).one_or_none()

    meant, agreed = one(intended), one(base)
    scope = meant.scope if meant is not None else agreed.scope if agreed is not None else None
    shown = None
    if agreed is not None:
        shown = conn.execute(
            select(shadow).where(
                shadow.c.place_id == place_id, shadow.c.kind == kind, shadow.c.city_id == agreed.city_id
            )
        ).one_or_none()
    decided = conn.execute(
        select(decision, plan.c.hash, plan.c.rule_version, plan.c.created_at)
        .join(plan, plan.c.id == decision.c.plan_id)
        .where(plan.c.place_id == place_id, plan.c.hash.is_not(None), decision.c.kind == kind, decision.c.ref == ref)
        .order_by(decision.c.plan_id.desc())
        .limit(1)
    ).one_or_none()
    moved = conn.execute(
        select(operation)
        .where(operation.c.place_id == place_id, operation.c.kind == kind, operation.c.ref == ref)
        .order_by(operation.c.id.desc())
        .limit(1)
    ).one_or_none()
    read_at = None
    if scope is not None:
        read_at = conn.execute(
            select(scope_state.c.complete_at).where(
                scope_state.c.place_id == place_id, scope_state.c.side == CITY_SIDE, scope_state.c.scope == scope
            )
        ).scalar_one_or_none()
    differs = one(discrepancy)
    return _Ground(
        record=one(record),
        intended=meant,
        base=agreed,
        shown=shown,
        decision=decided,
        operation=moved,
        discrepancy=differs,
        scope=scope,
        theirs_read_at=read_at,
        is_undone=(kind, ref) in load_undone_by(conn, place_id, [ref]),
        is_being_settled=differs is not None and bool(load_being_settled(conn, [differs.id])),
    )


def _verdict(ground: _Ground, words: Words, shown: Atom | None) -> tuple[str, str]:
    """Say in one sentence how the record stands, and whose move it is."""
    moved = ground.operation
    if moved is not None and moved.state in {state.value for state in OPEN}:
        return f"В пути: {STATE_WORDS[State(moved.state)]}.", ""
    if moved is not None and moved.state == State.BY_HAND.value:
        return _by_reason("Внести вручную", ENTER_BY_HAND)
    if moved is not None and moved.state == State.PARKED.value:
        return _by_reason("Отложено", moved.reason)
    open_one = ground.discrepancy
    if open_one is not None and ground.is_being_settled:
        return f"Расхождение № {open_one.id} решается вместе с другими.", ""
    if open_one is not None and open_one.state in (DiscrepancyState.OPEN.value, DiscrepancyState.ASSIGNED.value):
        sentence, _ = _by_reason(f"Расхождение № {open_one.id}", open_one.reason)
        return sentence, open_one.owner
    if ground.is_undone:
        return _by_reason("Отменено", UNDONE)
    legs = [None if row is None else row.digest for row in (ground.intended, ground.base, ground.shown)]
    if legs[0] is not None and legs[0] == legs[1] == legs[2]:
        value = ", ".join(words.fields(shown).values())
        return f"{CONFIRMED}: стоит «{value}».", ""
    if ground.intended is not None and ground.intended.reason:
        return _by_reason("Не передано", ground.intended.reason)
    if ground.decision is not None and ground.decision.reason in REASONS:
        return _by_reason("Последнее решение", ground.decision.reason)
    if ground.theirs_read_at is None:
        return "Городской журнал для этой записи ещё не читали: есть ли она там, неизвестно.", ""
    return "Ждёт следующего плана.", ""


def _by_reason(what: str, code: str) -> tuple[str, str]:
    reason = REASONS.get(code)
    if reason is None:
        return f"{what}: {code}.", ""
    needs_somebody = reason.category in ("held", "waiting", "rejected", "delivery", "fault")
    todo = f" {reason.todo_ru}" if needs_somebody else ""
    return f"{what}: {reason.what_ru}{todo}", reason.owner if needs_somebody else ""


def _build_steps(
    conn: Connection, place_id: int, kind: str, ref: str, ground: _Ground, words: Words, ours: Atom | None
) -> list[Step]:
    """The five steps of the last decision, up to the first that stopped it."""
    kept, meant = ground.record, ground.intended
    if kept is None or kept.gone is not None:
        gone = "записи на портале нет" if kept is None else f"с портала исчезла ({kept.gone})"
        return [Step(name="read", is_passed=False, words=gone)]
    steps = [Step(name="read", is_passed=True, words=local_words(kind, kept.body))]
    if meant is None:
        return [*steps, Step(name="in_scope", is_passed=False, words="ни один план её ещё не видел")]
    reason = REASONS.get(meant.reason)
    told = "" if reason is None else reason.what_ru
    if meant.state == "out_of_scope":
        return [*steps, Step(name="in_scope", is_passed=False, words=told, reason=meant.reason)]
    steps.append(Step(name="in_scope", is_passed=True, words="по правилам школы передаётся"))
    if meant.intent is None:
        name = "matched" if meant.state == "waiting" else "mapped"
        if name == "mapped":
            steps.append(Step(name="matched", is_passed=True, words="ученик и группа найдены в городе"))
        return [*steps, Step(name=name, is_passed=False, words=told, reason=meant.reason)]
    lesson = conn.execute(
        select(mark_lesson).where(mark_lesson.c.place_id == place_id, mark_lesson.c.mark_ref == ref)
    ).one_or_none()
    chosen = "" if lesson is None else f", урок {lesson.city_lesson_id} по правилу {lesson.rule}"
    steps.append(Step(name="matched", is_passed=True, words=f"ученик и группа найдены в городе{chosen}"))
    value = ", ".join(f"{name} {text}" for name, text in words.fields(ours).items())
    steps.append(Step(name="mapped", is_passed=True, words=value))
    steps.append(_decided(conn, place_id, ground))
    return steps


def _decided(conn: Connection, place_id: int, ground: _Ground) -> Step:
    """A row of its own, or the row that its scope's unchanged records share; whichever plan is the newer."""
    shared = conn.execute(
        select(decision_scope.c.reason, plan.c.id, plan.c.hash)
        .join(plan, plan.c.id == decision_scope.c.plan_id)
        .where(
            plan.c.place_id == place_id,
            decision_scope.c.scope == ground.scope,
            decision_scope.c.reason.in_(("NO_CHANGE", "UNREAD_TARGET")),
            plan.c.hash.is_not(None),
        )
        .order_by(plan.c.id.desc())
        .limit(1)
    ).one_or_none()
    own = ground.decision
    if own is None and shared is None:
        return Step(name="decided", is_passed=False, words="ни один план её ещё не решал")
    if own is None or (shared is not None and shared.id > own.plan_id):
        code, plan_hash = shared.reason, shared.hash  # type: ignore[union-attr]  # one of the two is there
    else:
        code, plan_hash = own.reason, own.hash
    reason = REASONS.get(code)
    text = "" if reason is None else reason.what_ru
    return Step(name="decided", is_passed=True, words=f"{text} План {plan_hash[:12]}.", reason=code)


def _first_body(ground: _Ground) -> bytes | None:
    for row in (ground.intended, ground.base):
        if row is not None and row.intent is not None:
            return bytes(row.intent)
    return None


def _intent_of(kind: str, body: bytes) -> Intent:
    intent: Intent = msgspec.json.decode(body, type=INTENT_TYPES[kind])
    return intent


def _atom_of(kind: str, body: bytes | None) -> Atom | None:
    return None if body is None else atom_of_intent(_intent_of(kind, body))
