"""Nothing dated in a signed period reaches the city without its approval, in whatever order people and workers come."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError

from gateway.audit.deed import Actor
from gateway.connectors.port import Accepted
from gateway.domain.city import FinalIntent, HomeworkIntent, Intent, MarkIntent, TopicsIntent
from gateway.domain.errors import GatewayError, UnreachableError
from gateway.domain.identifiers import Kind
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.mesh import Mapped
from gateway.mapping.rules import Modes
from gateway.queue.outbox import release
from gateway.queue.signed import (
    Classes,
    Members,
    Signature,
    Signed,
    SignedDays,
    is_of,
    keep_signed,
    load_signatures,
    stand_alone,
    stand_beside,
)
from gateway.queue.signing import (
    find_lockable,
    find_signature,
    lay_signature,
    let_through,
    load_plans_with_locked,
    open_plan,
    open_signature,
    sweep_signed,
)
from gateway.queue.states import State
from gateway.queue.tables import operation, period_approval
from gateway.reconcile.compare import Category, Decision
from gateway.reconcile.intend import store_intended
from gateway.reconcile.plan import PlanDraft
from gateway.reconcile.resolve import Item, ScopeDecision
from gateway.reconcile.tables import city_directory, decision
from gateway.reconcile.triples import Triple

AUTUMN = SignedDays(period_id=11, from_on=date(2026, 9, 1), to_on=date(2026, 10, 25))
WINTER = SignedDays(period_id=12, from_on=date(2026, 11, 2), to_on=date(2026, 12, 27))
IN_AUTUMN, IN_WINTER = date(2026, 10, 5), date(2026, 11, 10)
CLASS_OF = {1: "7А", 2: "7А", 3: "7Б", 4: "7Б"}
GROUPS = {1: "7А", 2: "7Б", 3: None}
"""The third is of both classes."""
MEMBERS = {
    "groups": [
        {"id": 1, "class_ids": [71], "class_name": "7А", "schedule_id": None},
        {"id": 2, "class_ids": [72], "class_name": "7-б", "schedule_id": None},
        {"id": 3, "class_ids": [71, 72], "class_name": None, "schedule_id": None},
    ],
    "pupils": [{"id": pupil, "class_name": name} for pupil, name in CLASS_OF.items()],
    "classes": [{"id": 71, "name": "7А"}, {"id": 72, "name": "7Б"}],
    "periods": [],
}
ACTOR = Actor("service", "test")
CLASSES = Classes(msgspec.convert(MEMBERS, Members))


def mark(pupil: int, group: int, on: date, lesson: int = 1) -> MarkIntent:
    return MarkIntent(
        pupil_id=pupil,
        lesson_id=lesson,
        group_id=group,
        subject_id=1,
        teacher_id=9,
        on=on,
        value="5",
        weight=1,
        form_id=1,
        grade_system_id=1,
    )


def homework(group: int, pupils: tuple[int, ...], on: date) -> HomeworkIntent:
    later = on + timedelta(days=1)
    return HomeworkIntent(
        group_id=group, subject_id=1, teacher_id=9, assigned_on=on, prepared_for=later, text="№ 5", pupil_ids=pupils
    )


def final(period_id: int, on: date, form: Any = "period") -> FinalIntent:
    return FinalIntent(
        pupil_id=1,
        group_id=1,
        subject_id=1,
        teacher_id=9,
        on=on,
        form=form,
        period_id=period_id,
        value="5",
        grade_system="five",
    )


def signature(class_name: str = "7А", *days: SignedDays) -> Signature:
    return Signature(
        id=1,
        class_name=class_name,
        name="1 четверть",
        periods=days or (AUTUMN,),
        signed_by="account:1",
        signed_at=datetime.fromisoformat("2026-10-26T12:00:00+00:00"),
        note_id=None,
    )


@pytest.mark.parametrize(
    ("intent", "is_locked"),
    [
        (mark(1, 1, IN_AUTUMN), True),
        (mark(1, 1, AUTUMN.to_on), True),
        (mark(1, 1, IN_WINTER), False),
        (mark(3, 2, IN_AUTUMN), False),
        (mark(1, 3, IN_AUTUMN), True),  # of a pupil of the class in a group of several
        (mark(3, 3, IN_AUTUMN), False),
        (mark(9, 3, IN_AUTUMN), True),  # nobody knows whose he is
        (mark(3, 1, IN_AUTUMN), True),  # he has changed his class, the page is the class's
        (mark(1, 2, IN_AUTUMN), True),
        (mark(1, 99, IN_AUTUMN), True),  # of a group that nobody knows
        (homework(3, (3, 4), IN_AUTUMN), False),
        (homework(3, (1, 3), IN_AUTUMN), True),
        (homework(1, (1, 2), IN_WINTER), False),
        (final(11, AUTUMN.to_on), True),
        (final(11, date(2026, 10, 30)), True),  # the city has moved the period's end since
        (final(12, WINTER.to_on), False),
        (final(0, AUTUMN.to_on, "year"), True),
    ],
)
def test_a_signature_locks_its_period_of_its_class_and_nothing_else(intent: Intent, is_locked: bool) -> None:
    assert is_of(signature(), intent, CLASSES) is is_locked


def test_a_lesson_plan_is_of_the_whole_year_and_of_no_period() -> None:
    plan = TopicsIntent(
        plan_id=1, calendar_id=None, group_id=1, subject_id=1, teacher_id=9, on=AUTUMN.from_on, name="КТП", lessons=()
    )

    assert not is_of(signature(), plan, CLASSES)


class Effect(NamedTuple):
    """One call that the city took."""

    intent: MarkIntent
    at: datetime


class Judging:
    """A city that keeps what it is told, and can't be reached now and then."""

    def __init__(self, school: School) -> None:
        self.school = school
        self.effects: list[Effect] = []

    def create(self, intent: Intent, *, request_id: str) -> Accepted:
        assert isinstance(intent, MarkIntent)
        if self.school.dice.random() < 0.15:
            raise UnreachableError("нет связи", system="city", method="POST", request_id=request_id)
        self.school.judge(intent)
        self.effects.append(Effect(intent, self.school.desk.clock.now()))
        return Accepted(city_id=len(self.effects), request_id=request_id, status=200, profile="main")


class School:
    """Marks of four pupils in three groups and two periods; signatures, openings and approvals as a model of their own."""

    def __init__(self, desk: Any, seed: int) -> None:
        self.desk = desk
        self.dice = random.Random(seed)
        self.sink = Judging(self)
        desk.sink = self.sink
        self.signatures: dict[int, dict[str, Any]] = {}
        self.passes: dict[tuple[int, int], list[tuple[datetime, set[int]]]] = {}
        self.cells: dict[str, MarkIntent] = {}
        with desk.store.write() as conn:
            now = desk.store.now(conn)
            body = msgspec.json.encode(MEMBERS)
            conn.execute(insert(city_directory).values(place_id=desk.place_id, body=body, read_at=now))
        lessons = 0
        for pupil, group in ((1, 1), (2, 1), (3, 2), (4, 2), (1, 3), (3, 3)):
            for on in (IN_AUTUMN, IN_WINTER):
                lessons += 1
                self.cells[f"mark:{lessons}"] = mark(pupil, group, on, lessons)
        self.store_ours()

    def store_ours(self) -> None:
        modes = Modes("automatic", "automatic", "automatic")
        wanted = [
            Mapped(ref=ref, kind=Kind.MARK, state="sendable", reason="", intent=intent, on=intent.on, mode=modes)
            for ref, intent in self.cells.items()
        ]
        with self.desk.store.write() as conn:
            store_intended(conn, self.desk.place_id, "mark|city-group:1", wanted)

    # what must be true, said once more in other words

    def locking(self, intent: MarkIntent) -> set[int]:
        now = self.desk.clock.now()
        found = set()
        for number, one in self.signatures.items():
            names = {GROUPS[intent.group_id] or CLASS_OF[intent.pupil_id], CLASS_OF[intent.pupil_id]}
            is_open = any(since <= now < until for since, until in one["openings"])
            if one["class"] in names and one["from"] <= intent.on <= one["to"] and not one["ended"] and not is_open:
                found.add(number)
        return found

    def judge(self, intent: MarkIntent) -> None:
        locking = self.locking(intent)
        passes = self.passes.get((intent.pupil_id, intent.lesson_id), ())
        is_passed = any(until > self.desk.clock.now() and locking <= through for until, through in passes)
        assert not locking or is_passed, "a call for what is dated in a signed period"

    # what people and workers do

    def plan(self) -> None:
        """A fresh plan of everything that is not on its way, as the planner makes it, let out at once."""
        desk = self.desk
        with desk.store.read() as conn:
            rows = conn.execute(select(operation.c.ref, operation.c.state))
            busy = {row.ref for row in rows if row.state not in (State.READY.value, State.SUPERSEDED.value)}
            locks = Signed().load(conn, desk.place_id, desk.store.now(conn))
        items = [self.item(ref, intent) for ref, intent in self.cells.items() if ref not in busy]
        draft = PlanDraft(
            desk.store, place_id=desk.place_id, run_id=1, rule_version="r1", epoch=1, is_dry_run=False, ttl_hours=18.0
        )
        decided = ScopeDecision(scope="mark|city-group:1", items=items, shared=(), guards=(), read=len(items))
        draft.add(keep_signed(decided, locks))
        if self.dice.random() < 0.2:
            self.sign()  # while the plan is made
        self.release(draft.seal().id)

    @staticmethod
    def item(ref: str, intent: MarkIntent) -> Item:
        triple = Triple(
            kind="mark",
            ref=ref,
            scope="mark|city-group:1",
            state="sendable",
            reason="",
            ours=atom_digest(atom_of_intent(intent)),
            base=None,
            theirs=None,
            city_id=None,
            object_key=intent.object_key,
            intent=msgspec.json.encode(intent),
            old=None,
            on_date=intent.on,
            due_on=None,
        )
        return Item(triple=triple, decision=Decision(Category.CREATE, "CREATE", "create"), gate="none", city_id=None)

    def release(self, plan_id: int) -> None:
        desk = self.desk
        release(desk.store, desk.audit, desk.place, plan_id, lane="nightly", actor=ACTOR)

    def sign(self) -> None:
        desk, days = self.desk, self.dice.choice((AUTUMN, WINTER))
        class_name = self.dice.choice(("7А", "7Б"))
        with desk.store.write() as conn:
            number = lay_signature(
                conn,
                desk.place_id,
                class_name=class_name,
                name="четверть",
                periods=(days,),
                signed_by="account:1",
                note_id=1,
                now=desk.store.now(conn),
            )
        for one in self.signatures.values():
            if (one["class"], one["from"]) == (class_name, days.from_on):
                one["ended"] = True
        self.signatures[number] = {
            "class": class_name,
            "from": days.from_on,
            "to": days.to_on,
            "openings": [],
            "ended": False,
        }
        if self.dice.random() < 0.5:  # else it was killed between the two
            sweep_signed(desk.store, desk.ledger, desk.place_id, actor=ACTOR)

    def reopen(self) -> None:
        standing = [number for number, one in self.signatures.items() if not one["ended"]]
        if not standing:
            return
        desk, number = self.desk, self.dice.choice(standing)
        with desk.store.write() as conn:
            now = desk.store.now(conn)
            found = find_signature(conn, desk.place_id, number, now=now)
            assert found is not None
            until = now + timedelta(minutes=self.dice.choice((10, 45)))
            open_signature(conn, desk.place_id, found, until=until, opened_by="account:1", note_id=1, now=now)
        self.signatures[number]["openings"].append((now, until))
        for plan_id in self.plans():
            if open_plan(desk.store, desk.place_id, plan_id, found):
                self.release(plan_id)

    def plans(self) -> list[int]:
        with self.desk.store.read() as conn:
            return list(load_plans_with_locked(conn, self.desk.place_id, self.desk.store.now(conn)))

    def approve(self) -> None:
        plans = self.plans()
        if not plans:
            return
        desk, pupil = self.desk, self.dice.choice(sorted(CLASS_OF))
        with desk.store.read() as conn:
            asked = find_lockable(
                conn, desk.place_id, plans[-1], pupils=[pupil], with_deletes=False, now=desk.store.now(conn)
            )
        signatures = {number for numbers in asked.values() for number in numbers}
        mine = [intent for intent in self.cells.values() if intent.pupil_id == pupil]
        through = {(intent.pupil_id, intent.lesson_id): self.locking(intent) for intent in mine}
        if self.dice.random() < 0.3:
            self.sign()  # between the two words
        with desk.store.write() as conn:
            now = desk.store.now(conn)
            until = now + timedelta(hours=1)
            number = conn.execute(
                insert(period_approval)
                .values(
                    place_id=desk.place_id,
                    plan_id=plans[-1],
                    plan_hash="",
                    pupils=[pupil],
                    with_deletes=False,
                    proposed_by="account:2",
                    proposed_at=now,
                    approved_at=now,
                    expires_at=until,
                )
                .returning(period_approval.c.id)
            ).scalar_one()
            let_through(
                conn,
                desk.place_id,
                plans[-1],
                number,
                pupils=[pupil],
                with_deletes=False,
                items=asked,
                signatures=signatures,
                now=now,
            )
        for cell, numbers in through.items():
            self.passes.setdefault(cell, []).append((until, numbers))
        self.release(plans[-1])

    def deliver(self) -> None:
        """A worker claims; somebody may sign before it marks its rows."""
        delivery = self.desk.delivery()
        with self.desk.store.read() as conn:
            ids = conn.execute(select(operation.c.id).where(operation.c.state == State.READY.value)).scalars().all()
        claimed = delivery._claims.take(ids)
        if self.dice.random() < 0.3:
            self.sign()
        delivery._work_off(claimed)

    def advance(self) -> None:
        self.desk.clock.advance(self.dice.choice((60, 1200, 3000)))


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.row("D10")
def test_nothing_dated_in_a_signed_period_reaches_the_city_without_its_approval(desk: Any, seed: int) -> None:
    school = School(desk, seed)
    deeds = (school.sign, school.reopen, school.approve, school.plan, school.deliver, school.advance)
    for _ in range(90):
        school.dice.choice(deeds)()

    # everything may go in the end, once, and nothing was lost on the way
    with desk.store.write() as conn:
        conn.execute(update(period_approval).values(expires_at=desk.store.now(conn)))
        for one in load_signatures(conn, desk.place_id, now=desk.store.now(conn)):
            until = desk.store.now(conn) + timedelta(days=9)
            open_signature(conn, desk.place_id, one, until=until, opened_by="x", note_id=1, now=desk.store.now(conn))
            school.signatures[one.id]["openings"].append((desk.store.now(conn), until))
    school.dice = random.Random(0)
    school.dice.random = lambda: 1.0  # type: ignore[method-assign]  # nobody signs and the city is there
    for _ in range(8):
        school.plan()
        school.deliver()
        desk.clock.advance(6 * 3600)
    assert sorted(one.intent.lesson_id for one in school.sink.effects) == sorted(
        one.lesson_id for one in school.cells.values()
    )


def test_a_signature_laid_between_the_claim_and_the_call_stops_it_and_gives_it_back_to_its_plan(desk: Any) -> None:
    school = School(desk, 0)
    school.dice.random = lambda: 1.0  # type: ignore[method-assign]  # the dice are loaded on purpose
    school.plan()
    delivery = desk.delivery()
    with desk.store.read() as conn:
        ids = conn.execute(select(operation.c.id)).scalars().all()
    claimed = delivery._claims.take(ids)
    school.dice.choice = lambda some: some[0]  # type: ignore[method-assign]  # the autumn of 7А, not swept
    school.sign()
    ended = delivery._work_off(claimed)

    with desk.store.read() as conn:
        kept = conn.execute(select(decision).where(decision.c.reason == "PERIOD_SIGNED")).all()
    assert all(one.intent.on == IN_WINTER or CLASS_OF[one.intent.pupil_id] == "7Б" for one in school.sink.effects)
    assert {row.gate for row in kept} == {"l.none"}
    assert {row.outcome for row in kept} == {None}
    assert len(kept) == list(ended.values()).count(State.SUPERSEDED) == 3


def test_who_signs_waits_for_what_is_just_being_marked_and_senders_do_not_wait_for_each_other(desk: Any) -> None:
    """On SQLite there is one writer in any case."""
    if desk.store.dialect == "postgresql":
        with desk.store.engine.begin() as sender, desk.store.engine.begin() as other, desk.store.engine.begin() as head:
            stand_beside(sender, desk.place_id)
            stand_beside(other, desk.place_id)
            head.execute(text("SET LOCAL lock_timeout = '100ms'"))
            with pytest.raises(DBAPIError, match="lock timeout"):
                stand_alone(head, desk.place_id)
    else:
        with desk.store.write() as sender, pytest.raises(GatewayError), desk.store.write():
            stand_beside(sender, desk.place_id)
