"""Discrepancies: taken up after each plan, settled by people, proven by the city.

Every act of a person is one transaction with its audit entry and the reason as typed. A choice sends nothing: it moves
what is agreed or what is meant, and the next plan proposes the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from gateway.audit.notes import write_note
from gateway.connectors.port import CityDirectory
from gateway.domain.discrepancies import LIVE, PUT_ASIDE, Choice, DiscrepancyState
from gateway.domain.errors import PlanRefusedError
from gateway.flows.acts import PART_ROWS
from gateway.flows.calendar import load_calendar
from gateway.flows.gateway import Gateway
from gateway.flows.settling import let_go, load_held, write_deed
from gateway.mapping.versions import load_counting_rules
from gateway.queue.states import OPEN
from gateway.reconcile.acts import load_being_settled, not_being_settled, store_act, take_turn
from gateway.reconcile.choose import (
    Excluded,
    Shown,
    find_unseen,
    load_for_choice,
    sort_out,
    store_choice,
)
from gateway.reconcile.discrepancies import Effect
from gateway.reconcile.follow import Followed, follow_chunk, of_the_school
from gateway.reconcile.joins import these
from gateway.reconcile.laid_down import take_back
from gateway.reconcile.one_object import leave_shared
from gateway.reconcile.own_value import find_off_scale, is_own_value
from gateway.reconcile.proof import prove_chunk, settle_chunk
from gateway.reconcile.tables import city_directory, discrepancy, discrepancy_step
from gateway.reconcile.undone import lift_chosen

CHUNK_ROWS = 1_000
"""Rows a transaction: about 50 ms on SQLite (law 2: none over 250 ms)."""
MOST_AT_ONCE = 5_000
"""Discrepancies one act may settle: more than that is no longer one person's look at one pattern."""
LONGEST_AWAY = timedelta(days=120)
"""Longest time for which something may be put aside: a term and its holidays; what is put aside must come back."""
_NAMED_COUNT = 10


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What one act took, what dropped out and why, and whether it was only shown.

    Attributes:
        is_removing: By it records go: from the city by a later plan, or from ours because they are gone from the city.
        act: Number under which the choice about so many is carried out after the answer (`flows.acts`); until then what
            it took says that it is being settled. None = it is done.
    """

    choice: Choice
    taken: list[int]
    excluded: list[Excluded]
    is_preview: bool
    is_removing: bool = False
    act: int | None = None


def follow_discrepancies(gateway: Gateway, place_id: int, plan_id: int, *, is_whole: bool) -> Followed:
    """Take up a sealed plan's decisions, a chunk a transaction; can be called again after a crash.

    Args:
        gateway: The composed gateway.
        place_id: Where we are.
        plan_id: A sealed plan, no dry run.
        is_whole: It names every pupil and day of its scopes.
    """
    counts = Followed()
    after: int | None = 0
    while after is not None:
        with gateway.store.write() as conn:
            take_turn(conn, place_id)
            now = gateway.store.now(conn)
            after = follow_chunk(
                conn,
                place_id,
                plan_id,
                after_seq=after,
                limit=CHUNK_ROWS,
                now=now,
                due_at=due_at(gateway, conn, now),
                counts=counts,
            )
    after = 0
    while after is not None:
        with gateway.store.write() as conn:
            take_turn(conn, place_id)
            after = settle_chunk(
                conn,
                place_id,
                plan_id,
                is_whole=is_whole,
                after_id=after,
                limit=CHUNK_ROWS,
                now=gateway.store.now(conn),
                counts=counts,
            )
    return counts


def prove_discrepancies(gateway: Gateway) -> Followed:
    """Close what was chosen and stands in the city by the read-back of this delivery."""
    counts = Followed()
    after: int | None = 0
    while after is not None:
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
            take_turn(conn, place_id)
            after = prove_chunk(
                conn,
                place_id,
                after_id=after,
                limit=CHUNK_ROWS,
                now=gateway.store.now(conn),
                counts=counts,
            )
    return counts


def choose(
    gateway: Gateway,
    ids: Sequence[int],
    choice: Choice,
    *,
    reason: str,
    own_value: str | None = None,
    until: datetime | None = None,
    is_preview: bool = False,
    with_removals: bool = False,
    shown: Shown | None = None,
) -> Settlement:
    """Settle discrepancies by one choice; what moved since it was shown drops out and is listed.

    More than `PART_ROWS` are judged and taken here, and carried out afterwards by `flows.acts.carry_out`, which whoever
    calls this calls next; what breaks off in between goes on by itself.

    Args:
        gateway: The composed gateway.
        ids: Numbers of the discrepancies, at most `MOST_AT_ONCE`.
        choice: What the person wants.
        reason: Why, as typed; kept beside the audit.
        own_value: The third value of a mark on the scale of its control form, for `Choice.OWN`.
        until: When what is put aside comes back; aware UTC, at most 120 days away.
        is_preview: Only say what would be taken.
        with_removals: The person knows that by this choice several records go; asked for nothing else.
        shown: What he had before him; what has changed since drops out as moved. None = all is taken as it stands.

    Raises:
        PlanRefusedError: No reason, no day, a value that is none, too many, removals mixed with changes, or several
            removals that nobody has confirmed.
    """
    _refuse_incomplete(gateway, ids, choice, reason=reason, own_value=own_value, until=until)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        if not is_preview:
            take_turn(conn, place_id)
        now = gateway.store.now(conn)  # whoever looks from now on sees what is chosen here as changed
        asked = sorted(set(ids))
        is_many = len(asked) > PART_ROWS
        is_done_here = not (is_preview or is_many)
        rows = load_for_choice(conn, place_id, asked, has_bodies=is_done_here or choice is Choice.OWN)
        missing = [Excluded(number, "unknown") for number in sorted(set(asked) - {row[0] for row in rows})]
        if settling := load_being_settled(conn, asked):
            missing += [Excluded(number, "being_settled") for number in settling]
            rows = [row for row in rows if row.id not in settling]
        if shown is not None and (unseen := find_unseen(conn, place_id, [row.id for row in rows], shown)):
            missing += [Excluded(number, "moved") for number in sorted(unseen)]
            rows = [row for row in rows if row.id not in unseen]
        taken, excluded = sort_out(rows, choice, busy=load_held(conn, place_id, asked, OPEN))
        taken, shared = leave_shared(conn, place_id, taken)
        excluded += shared
        removing = {effect.is_removing for _, effect in taken}
        if len(removing) > 1:
            raise PlanRefusedError(
                "Удаления решаются отдельно от правок: выберите записи одного рода", reason="PLAN_MIXED"
            )
        if removing == {True} and len(taken) > 1 and not (is_preview or with_removals):
            raise PlanRefusedError(
                f"Этим решением уйдут записи, их {len(taken)}: проверьте список (--preview) и подтвердите --with-removals",
                reason="REMOVALS_UNCONFIRMED",
            )
        if choice is Choice.OWN and own_value is not None:
            _refuse_off_scale(conn, gateway, place_id, taken, own_value)
        settlement = Settlement(
            choice=choice,
            taken=[row[0] for row, _ in taken],
            excluded=[*excluded, *missing],
            is_preview=is_preview,
            is_removing=True in removing,
        )
        if is_preview or not taken:
            return settlement
        note = write_note(conn, reason, now=now)
        if is_many:
            number = store_act(
                conn,
                place_id,
                settlement.taken,
                choice,
                own_value=own_value,
                until=until,
                is_removing=settlement.is_removing,
                actor=gateway.actor,
                originator=gateway.originator,
                note_id=note.id,
                now=now,
            )
            settlement = msgspec.structs.replace(settlement, act=number)
        else:
            store_choice(
                conn,
                place_id,
                taken,
                choice,
                own_value=own_value,
                until=until,
                actor=gateway.actor.name,
                note_id=note.id,
                now=now,
            )
            if choice not in PUT_ASIDE:
                let_go(conn, gateway, place_id, settlement.taken, now)
                # who says what stands there releases what an undo keeps
                lift_chosen(conn, place_id, settlement.taken, now=now)
        write_deed(
            conn,
            gateway,
            settlement.taken,
            note,
            action="discrepancy.chosen",
            counts={f"choice.{choice.value}": len(taken), "excluded": len(settlement.excluded)},
        )
    return settlement


def assign(gateway: Gateway, ids: Sequence[int], assignee: str, *, reason: str) -> list[int]:
    """Give open discrepancies to one person by the code of his account.

    Returns:
        Numbers of those that were given; a settled one is not.

    Raises:
        PlanRefusedError: No reason, or nobody named.
    """
    if not reason.strip() or not assignee.strip():
        raise PlanRefusedError(
            "Назначение без имени учётной записи или причины не принимается", reason="REASON_MISSING"
        )
    return move(
        gateway,
        ids,
        step="assigned",
        action="discrepancy.assigned",
        states=LIVE,
        values={"state": DiscrepancyState.ASSIGNED.value, "assignee": assignee},
        reason=reason,
    )


def dispute(gateway: Gateway, number: int, *, reason: str) -> bool:
    """Reopen what another person settled on one's behalf, with what was agreed before; nothing is written by it.

    What the choice has laid over ours goes, so that the next plan holds the same difference. What was corrected in the
    city meanwhile stands there.

    Returns:
        False where there is nothing settled to dispute.

    Raises:
        PlanRefusedError: No reason.
    """
    if not reason.strip():
        raise PlanRefusedError("Возражение без причины не принимается: --reason", reason="REASON_MISSING")
    return bool(
        move(
            gateway,
            [number],
            step="disputed",
            action="discrepancy.disputed",
            states=(
                DiscrepancyState.WAITING_PROOF,
                DiscrepancyState.RESOLVED,
                DiscrepancyState.IGNORED,
                DiscrepancyState.WAITING_OUTSIDE,
            ),
            values={"state": DiscrepancyState.OPEN.value, "until": None, "assignee": of_the_school()},
            reason=reason,
        )
    )


def move(
    gateway: Gateway,
    ids: Sequence[int],
    *,
    step: str,
    action: str,
    states: Sequence[DiscrepancyState],
    values: dict[str, object],
    reason: str,
) -> list[int]:
    """Move discrepancies in their life without choosing a value: one step each, one audit entry `action`.

    Args:
        states: Only those in one of these.
        values: Columns of the discrepancy.

    Returns:
        Numbers of those that were moved.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        take_turn(conn, place_id)
        now = gateway.store.now(conn)
        moved = conn.execute(
            update(discrepancy)
            .where(
                these(conn, place_id, list(ids)[:MOST_AT_ONCE]),
                not_being_settled(),
                discrepancy.c.state.in_([state.value for state in states]),
            )
            .values(changed_at=now, **values)
            .returning(discrepancy.c.id, discrepancy.c.pattern)
        ).all()
        if not moved:
            return []
        note = write_note(conn, reason, now=now)
        conn.execute(
            insert(discrepancy_step),
            [
                {
                    "discrepancy_id": row.id,
                    "at": now,
                    "step": step,
                    "actor": gateway.actor.name,
                    "choice": None,
                    "pattern": row.pattern,
                    "note_id": note.id,
                    "plan_id": None,
                }
                for row in moved
            ],
        )
        numbers = sorted(row.id for row in moved)
        if step == "disputed":
            take_back(conn, place_id, numbers, now)
        write_deed(conn, gateway, numbers, note, action=action, counts={"taken": len(numbers)})
    return numbers


def _refuse_incomplete(
    gateway: Gateway,
    ids: Sequence[int],
    choice: Choice,
    *,
    reason: str,
    own_value: str | None,
    until: datetime | None,
) -> None:
    if not reason.strip():
        raise PlanRefusedError("Решение без причины не принимается: --reason", reason="REASON_MISSING")
    if len(set(ids)) > MOST_AT_ONCE:
        raise PlanRefusedError(
            f"За один раз решают не больше {MOST_AT_ONCE} расхождений: сузьте отбор", reason="TOO_MANY"
        )
    if choice is Choice.OWN and (own_value is None or not is_own_value(own_value)):
        raise PlanRefusedError(
            "Своё значение — целое число по шкале отметки, не больше 100: --value", reason="OFF_SCALE"
        )
    if choice in PUT_ASIDE:
        now = gateway.now()
        if until is None or not now < until <= now + LONGEST_AWAY:
            raise PlanRefusedError(
                "Назовите день, когда к этому вернуться, не дальше 120 дней: --until", reason="DAY_OUT_OF_REACH"
            )


def _refuse_off_scale(
    conn: Connection, gateway: Gateway, place_id: int, taken: Sequence[tuple[Row[Any], Effect]], own_value: str
) -> None:
    """The city refuses what is not on the scale of the mark's control form: say so now, with what would fit."""
    body = conn.execute(select(city_directory.c.body).where(city_directory.c.place_id == place_id)).scalar_one_or_none()
    forms = () if body is None else msgspec.json.decode(body, type=CityDirectory).forms
    numbers, fitting = find_off_scale(
        taken,
        own_value,
        {form.id: form.grade_system for form in forms},
        load_counting_rules(conn, place_id, gateway.rules),
    )
    if not numbers:
        return
    named = ", ".join(map(str, numbers[:_NAMED_COUNT])) + (" …" if len(numbers) > _NAMED_COUNT else "")
    if not fitting:
        raise PlanRefusedError(
            f"У расхождений {named} нет общей числовой шкалы: решайте их порознь, ours или theirs", reason="OFF_SCALE"
        )
    spread = f"от {fitting[0]} до {fitting[-1]}" if len(fitting) > _NAMED_COUNT else ", ".join(map(str, fitting))
    raise PlanRefusedError(
        f"Значение не по шкале отметки у расхождений {named}; можно: {spread} (--value)", reason="OFF_SCALE"
    )


def due_at(gateway: Gateway, conn: Connection, now: datetime) -> datetime:
    """When what is opened now should be settled: noon (`school.held_until_hour`) of a working day to come; aware UTC."""
    calendar = load_calendar(gateway, conn)
    due = now
    for _ in range(gateway.settings.school.discrepancy_due_days):
        due = calendar.next_working_hour(due, gateway.settings.school.held_until_hour)
    return due
