"""Rules from precedents as people move them, and their use after each plan.

A rule is made of an offer, tried on history, switched on by a person, and ends by itself. What it settles is settled like a
person's choice: with a step that names the rule, a way to dispute it, and no write by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from gateway.audit.deed import Actor, Deed
from gateway.audit.notes import Note, write_note
from gateway.domain.discrepancies import Choice
from gateway.domain.errors import PlanRefusedError
from gateway.flows.discrepancies import LONGEST_AWAY
from gateway.flows.gateway import Gateway
from gateway.flows.settling import load_held
from gateway.queue.states import OPEN, State
from gateway.reconcile.acts import take_turn
from gateway.reconcile.choose import load_for_choice, sort_out, store_choice
from gateway.reconcile.discrepancies import Effect
from gateway.reconcile.one_object import leave_shared
from gateway.reconcile.precedents import (
    RULED_CHOICES,
    Precedent,
    PrecedentState,
    actor_of,
    add_rule,
    change_rule,
    get_rule,
    load_history,
    load_offers,
    load_rules,
    load_waiting_ids,
    note_used,
)
from gateway.reconcile.undone import load_undone_by

CHUNK_ROWS = 500


def make_rule(gateway: Gateway, pattern: str, choice: Choice, *, until: datetime, reason: str) -> Precedent:
    """Make a rule of an offer; it does nothing before it was tried and switched on.

    Raises:
        PlanRefusedError: No reason, no day within 120 days, or nothing like it is offered.
    """
    _require(reason)
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        if not now < until <= now + LONGEST_AWAY:
            raise PlanRefusedError(
                "Назовите день, когда правило кончится, не дальше 120 дней: --until", reason="DAY_OUT_OF_REACH"
            )
        place_id = gateway.place_id(conn)
        offers = load_offers(conn, place_id, at_least=gateway.settings.school.precedent_count)
        if choice not in RULED_CHOICES or not any(
            (one.pattern, one.choice) == (pattern, choice.value) for one in offers
        ):
            raise PlanRefusedError(
                "Так правило не предлагается: gateway discrepancies precedents", reason="WRONG_STATE"
            )
        note = write_note(conn, reason, now=now)
        made = add_rule(
            conn, place_id, pattern, choice, until=until, actor=gateway.actor.name, note_id=note.id, now=now
        )
        gateway.audit.append(conn, _deed(gateway, made.id, action="precedent.made", note=note))
        return made


def backtest_rule(gateway: Gateway, number: int) -> Precedent:
    """Try a rule on what people chose before, and on what waits now.

    Raises:
        ConfigurationError: There is no such rule.
        PlanRefusedError: It is over.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    with gateway.store.read() as conn:
        found = get_rule(conn, place_id, number)
        if found.state is PrecedentState.ENDED:
            raise PlanRefusedError(f"Правило {number} уже кончилось", reason="WRONG_STATE")
        history = load_history(conn, place_id, found.pattern, found.choice)
        waiting = _try_on_waiting(conn, place_id, found)
    tested = {**msgspec.structs.asdict(history), **waiting}
    with gateway.store.write() as conn:
        change_rule(conn, number, backtest=tested, tested_at=gateway.store.now(conn))
        gateway.audit.append(conn, _deed(gateway, number, action="precedent.backtested", counts=tested))
        return get_rule(conn, place_id, number)


def switch_on(gateway: Gateway, number: int, *, reason: str, with_others: bool = False) -> Precedent:
    """Put a rule in force until its day.

    Args:
        gateway: The composed gateway.
        number: A rule with a fresh back-test.
        reason: Why, as typed.
        with_others: Also where people have chosen otherwise before, or what they chose did not hold.

    Raises:
        ConfigurationError: There is no such rule.
        PlanRefusedError: No reason, not tried lately, over, or history speaks against it.
    """
    _require(reason)
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        found = get_rule(conn, gateway.place_id(conn), number)
        lasts = timedelta(hours=gateway.settings.school.backtest_fresh_hours)
        if found.state is not PrecedentState.MADE or found.until <= now:
            raise PlanRefusedError(f"Правило {number} уже включено или кончилось", reason="WRONG_STATE")
        if found.backtest is None or found.tested_at is None or found.tested_at < now - lasts:
            raise PlanRefusedError(
                f"Сначала проверьте его на прошлом: gateway discrepancies precedents backtest {number}",
                reason="NOT_TESTED",
            )
        against = found.backtest["other"] + found.backtest["overturned"]
        if against and not with_others:
            raise PlanRefusedError(
                f"Прежде решали иначе или решение не устояло: {against}; всё равно: --with-others", reason="NOT_TESTED"
            )
        note = write_note(conn, reason, now=now)
        change_rule(conn, number, state=PrecedentState.ON.value, switched_on_at=now)
        gateway.audit.append(conn, _deed(gateway, number, action="precedent.switched_on", note=note))
        return get_rule(conn, gateway.place_id(conn), number)


def switch_off(gateway: Gateway, number: int, *, reason: str) -> Precedent:
    """End a rule before its day; what it has settled stays settled and may be disputed.

    Raises:
        ConfigurationError: There is no such rule.
        PlanRefusedError: No reason, or it is over.
    """
    _require(reason)
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        found = get_rule(conn, gateway.place_id(conn), number)
        if found.state is PrecedentState.ENDED:
            raise PlanRefusedError(f"Правило {number} уже кончилось", reason="WRONG_STATE")
        note = write_note(conn, reason, now=now)
        change_rule(conn, number, state=PrecedentState.ENDED.value, ended_at=now)
        gateway.audit.append(conn, _deed(gateway, number, action="precedent.switched_off", note=note))
        return get_rule(conn, gateway.place_id(conn), number)


def apply_precedents(gateway: Gateway, place_id: int) -> int:
    """Let the rules in force settle what nobody has touched, a chunk a transaction; those whose day has come end.

    Returns:
        Discrepancies settled.
    """
    with gateway.store.read() as conn:
        rules = load_rules(conn, place_id, states=(PrecedentState.ON,))
    total = 0
    for rule in rules:
        if rule.until <= gateway.now():
            with gateway.store.write() as conn:
                change_rule(conn, rule.id, state=PrecedentState.ENDED.value, ended_at=gateway.store.now(conn))
            continue
        after: int | None = 0
        while after is not None:
            with gateway.store.write() as conn:
                after, taken = _apply_chunk(conn, gateway, place_id, rule, after)
            total += taken
    return total


def _apply_chunk(
    conn: Connection, gateway: Gateway, place_id: int, rule: Precedent, after: int
) -> tuple[int | None, int]:
    take_turn(conn, place_id)
    now = gateway.store.now(conn)
    rule = get_rule(conn, place_id, rule.id, is_kept=True)
    if rule.state is not PrecedentState.ON or rule.until <= now:
        return None, 0  # switched off since the chunk before
    ids = load_waiting_ids(conn, place_id, rule.pattern, after=after, limit=CHUNK_ROWS)
    if not ids:
        return None, 0
    taken = _find_taken(conn, place_id, rule, ids)
    if taken:
        store_choice(
            conn,
            place_id,
            taken,
            rule.choice,
            own_value=None,
            until=None,
            actor=actor_of(rule.id),
            note_id=rule.note_id,
            now=now,
        )
        note_used(conn, rule.id, len(taken))
        acting = replace(gateway, actor=Actor(kind="service", name=actor_of(rule.id)))
        counts = {f"choice.{rule.choice.value}": len(taken), "excluded": len(ids) - len(taken)}
        deed = _deed(acting, rule.id, action="precedent.applied", counts=counts, originator=rule.made_by)
        gateway.audit.append(conn, deed)
    return ids[-1], len(taken)


def _try_on_waiting(conn: Connection, place_id: int, rule: Precedent) -> dict[str, int]:
    """Count what of the open ones the rule would take and what it would leave, now."""
    counts: Counter[str] = Counter(waiting=0, taken=0)
    after = 0
    while ids := load_waiting_ids(conn, place_id, rule.pattern, after=after, limit=CHUNK_ROWS):
        counts["waiting"] += len(ids)
        counts["taken"] += len(_find_taken(conn, place_id, rule, ids))
        after = ids[-1]
    return dict(counts)


def _find_taken(conn: Connection, place_id: int, rule: Precedent, ids: Sequence[int]) -> list[tuple[Row[Any], Effect]]:
    """What a rule takes of these: nothing that goes by it, nothing that a person has laid aside in another way.

    What the city has refused, and what an undo keeps undone, would wait for a proof that can't come before a person lets it go.
    """
    rows = load_for_choice(conn, place_id, ids)
    busy = load_held(conn, place_id, ids, (*OPEN, State.PARKED))
    busy |= load_undone_by(conn, place_id, [row.ref for row in rows]).keys()
    taken, _ = sort_out(rows, rule.choice, busy=busy)
    taken, _ = leave_shared(conn, place_id, taken)
    return [(row, effect) for row, effect in taken if not effect.is_removing]


def _require(reason: str) -> None:
    if not reason.strip():
        raise PlanRefusedError("Правило без причины не меняют: --reason", reason="REASON_MISSING")


def _deed(
    gateway: Gateway,
    number: int,
    *,
    action: str,
    note: Note | None = None,
    counts: dict[str, int] | None = None,
    originator: str | None = None,
) -> Deed:
    return Deed(
        action=action,
        actor=gateway.actor,
        originator=originator or gateway.originator,
        place=gateway.place,
        object_type="precedent",
        object_id=f"precedent:{number}",
        outcome="decided",
        counts=counts,
        note=note,
    )


__all__ = ["apply_precedents", "backtest_rule", "make_rule", "switch_off", "switch_on"]
