"""Recipes of plan approval: what is held, what drops out, what is refused, and letting out chosen lines of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.access.roles import Role
from gateway.domain.errors import ConfigurationError, PlanRefusedError, SecondPersonError
from gateway.flows.approval import Asked, approve_plan, propose_plan
from gateway.flows.chosen_lines import build_choose
from gateway.flows.freshen import freshen
from gateway.flows.sync import Synced
from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from gateway.queue.approval import approve
from gateway.queue.outbox import Released, release
from gateway.reconcile.plan_choice import Line, Wanted, choose_lines
from gateway.sandbox.portal.school_course import FIRST_COURSE
from tests.flow.persons import activate_rules, person


def let_out(
    hand: Any, synced: Synced, *, with_deletes: bool = False, with_held: bool = False, **named: Any
) -> Released:
    """Approve a plan, or what is named of it, and release."""
    g, number = hand.gateway, synced.planned.plan.id
    choose = build_choose(g, number, **named)
    approve(
        g.store,
        g.audit,
        g.place,
        number,
        reason="построчно",
        with_deletes=with_deletes,
        with_held=with_held,
        actor=g.actor,
        choose=choose,
    )
    freshen(g, number)
    return release(g.store, g.audit, g.place, number, lane="demand", actor=g.actor)


def marks(hand: Any) -> list[tuple[int, dict[str, Any]]]:
    return [(user, item) for user, item in hand.world.portal.cells(FIRST_COURSE) if item["itemtype"] == "manual"]


def edit(hand: Any, count: int, op: str = "set_grade") -> None:
    for user, item in marks(hand)[:count]:
        grade = {} if op == "clear_grade" else {"grade": 5.0 if round(item["graderaw"]) != 5 else 3.0}
        hand.world.portal.edit(op, courseid=FIRST_COURSE, itemid=item["id"], userid=user, **grade)


@pytest.fixture
def first(build_world: Any) -> Iterator[tuple[Any, Synced]]:
    """The plan of a first load, which waits for a person."""
    with build_world(pupils=4, courses=2).open() as hand:
        hand.link_everybody()
        yield hand, hand.sync()


@pytest.fixture
def delivered(build_world: Any) -> Iterator[Any]:
    """A class whose records stand in the city; at most three deletes of a group go, with permission."""
    world = build_world(pupils=4)
    world.settings_changes["school"] = {"guard_minimum_count": 3, "guard_delete_ratio": 0.01}
    with world.open() as hand:
        hand.link_everybody()
        hand.through()
        yield hand


@pytest.mark.parametrize(("count", "gone"), [(3, 3), (4, 0)])
def test_at_a_threshold_of_three_four_removals_are_held_and_three_are_not(
    delivered: Any, count: int, gone: int
) -> None:
    edit(delivered, count, "clear_grade")
    user, item = marks(delivered)[count + 1]
    delivered.sync()
    delivered.wait_grace()
    delivered.world.portal.edit(
        "set_grade", courseid=FIRST_COURSE, itemid=item["id"], userid=user, grade=5.0 if item["graderaw"] != 5 else 3.0
    )

    synced = delivered.sync()
    assert synced.planned.plan.by_reason["DELETE_HELD"] == count
    verdicts = {row.guard: row.verdict for row in synced.planned.plan.guards if row.scope.startswith("mark|")}
    assert verdicts == ({"delete": "hold"} if gone else {"delete_share": "hold"})
    let_out(delivered, synced, with_deletes=True)
    delivered.deliver()

    done = Counter(entry["op"] for entry in delivered.city.machine_ledger())
    assert (done["delete"], done["change"]) == (gone, 1), "and the rest goes on either way"
    delivered.assert_sound()


def test_what_waits_in_a_plan_that_went_in_part_is_stale_once_other_rules_count(delivered: Any) -> None:
    """What needed nobody went at once; the rest was decided by rules that no longer count, and nobody has seen by others."""
    edit(delivered, 3, "clear_grade")
    delivered.sync()
    delivered.wait_grace()
    user, item = marks(delivered)[4]
    grade = 5.0 if item["graderaw"] != 5 else 3.0
    delivered.world.portal.edit("set_grade", courseid=FIRST_COURSE, itemid=item["id"], userid=user, grade=grade)
    synced = delivered.sync()
    assert (synced.delivered.sent, synced.planned.plan.by_reason["DELETE_HELD"]) == (1, 3)
    heavier = DEFAULT_MAPPING_TOML.replace('form = "Тест"', 'form = "Тест"\nweight = 7')
    activate_rules(delivered.gateway, heavier)
    ledger = delivered.city.ledger()

    with pytest.raises(PlanRefusedError, match="по прежним правилам") as refused:
        let_out(delivered, synced, with_deletes=True)

    assert refused.value.reason_code == "PLAN_STALE"
    delivered.deliver()
    assert delivered.city.ledger() == ledger
    again = delivered.sync()
    let_out(delivered, again, with_deletes=True)
    delivered.deliver()
    assert Counter(entry["op"] for entry in delivered.city.machine_ledger())["delete"] == 3


def test_deletes_above_the_limit_go_when_both_they_and_what_is_held_are_allowed(delivered: Any) -> None:
    """Else a teacher who rightly cleared a page could never have it cleared in the city."""
    edit(delivered, 4, "clear_grade")
    delivered.sync()
    delivered.wait_grace()
    synced = delivered.sync()

    let_out(delivered, synced, with_deletes=True, with_held=True)
    delivered.deliver()

    done = Counter(entry["op"] for entry in delivered.city.machine_ledger())
    assert done["delete"] == 4
    delivered.assert_sound()


def test_approved_and_then_one_base_moves_that_item_drops_out_and_the_rest_goes(delivered: Any) -> None:
    edit(delivered, 3)
    synced = delivered.sync(asks_first=True)
    touched = next(row for row in delivered.decisions(synced) if row.op == "change")
    delivered.city.human("change", "mark", id=touched.city_id, value="2")
    delivered.world.clock.advance(60)

    released = let_out(delivered, synced)
    delivered.deliver()

    assert (released.queued, released.dropped) == (2, 1)
    outcomes = {row.ref: row.outcome for row in delivered.decisions(synced) if row.op == "change"}
    assert outcomes.pop(touched.ref) == "dropped"
    assert set(outcomes.values()) == {"queued"}
    stands = {row["id"]: row["name"] for row in delivered.city.standing("marks")}
    assert stands[touched.city_id] == "2"
    assert delivered.sync().planned.plan.by_reason["CONFLICT"] == 1


@pytest.mark.row("V3")
def test_a_plan_that_another_one_followed_stays_readable_and_refuses_to_run(first: tuple[Any, Synced]) -> None:
    """What was shown is what is executed: neither is the older one let out, nor the newer one by the older one's hash."""
    hand, shown = first
    lines = [(row.seq, row.ref, row.op) for row in hand.decisions(shown)]
    edit(hand, 1)
    newer = hand.sync()
    ledger = hand.city.ledger()
    people = [person(hand.gateway, "deputy"), person(hand.gateway, "director", Role.DIRECTOR)]

    with pytest.raises(PlanRefusedError, match="устарел") as refused:
        let_out(hand, shown)
    for number in (shown.planned.plan.id, newer.planned.plan.id):
        asked = Asked(
            plan_id=number, plan_hash=shown.planned.plan.hash, reason="да", with_deletes=False, with_held=False
        )
        with pytest.raises(PlanRefusedError):
            propose_plan(hand.gateway, people[0], asked)
        with pytest.raises(PlanRefusedError):
            approve_plan(hand.gateway, people[1], asked)

    assert refused.value.reason_code == "PLAN_STALE"
    assert newer.planned.plan.hash != shown.planned.plan.hash
    assert [(row.seq, row.ref, row.op) for row in hand.decisions(shown)] == lines
    hand.deliver()
    assert hand.city.ledger() == ledger
    assert let_out(hand, newer).queued > 0


def test_a_plan_is_approved_once(first: tuple[Any, Synced]) -> None:
    hand, synced = first
    let_out(hand, synced)

    with pytest.raises(PlanRefusedError, match="уже утверждён"):
        let_out(hand, synced)


def test_an_approval_does_not_wait_for_every_group_of_a_city_that_answers_nothing(first: tuple[Any, Synced]) -> None:
    """Each of them is asked three times, and a city that hangs takes its whole time with each."""
    hand, synced = first
    groups = {(row.kind, row.scope) for row in hand.decisions(synced) if row.op}
    hand.world.clock.advance(60)
    hand.city.fault("503", method="GET")
    before = len(hand.city.asked)

    released = let_out(hand, synced)

    assert len(groups) > 3
    assert len(hand.city.asked) - before <= 2 * 3
    assert released.queued > 0, "what was approved is approved; it waits for the city as anything does"


def test_an_expired_plan_is_refused(first: tuple[Any, Synced]) -> None:
    hand, synced = first
    hand.world.clock.advance(hand.gateway.settings.school.plan_ttl_hours * 3600 + 1)

    with pytest.raises(PlanRefusedError, match="Срок"):
        let_out(hand, synced)


def test_a_delete_is_not_approved_by_its_own_proposer_and_is_by_another(delivered: Any) -> None:
    edit(delivered, 1, "clear_grade")
    delivered.sync()
    delivered.wait_grace()
    synced = delivered.sync()
    g = delivered.gateway
    people = [person(g, "deputy"), person(g, "director", Role.DIRECTOR)]
    plan = synced.planned.plan
    asked = Asked(plan_id=plan.id, plan_hash=plan.hash, reason="ошибка", with_deletes=True, with_held=False)
    propose_plan(g, people[0], asked)

    with pytest.raises(SecondPersonError):
        approve_plan(g, people[0], asked)
    approved = approve_plan(g, people[1], asked)
    delivered.deliver()

    assert (approved.released.queued, approved.is_alone) == (1, False)
    assert [entry["op"] for entry in delivered.city.machine_ledger()][-1] == "delete"
    delivered.assert_sound()


def test_chosen_lines_go_and_the_rest_stays_readable_and_is_decided_by_the_next_plan(first: tuple[Any, Synced]) -> None:
    hand, synced = first
    waiting = [row for row in hand.decisions(synced) if row.op == "create"]
    chosen = [row.seq for row in waiting if row.kind == "mark"][:2]

    released = let_out(hand, synced, items=chosen)
    hand.deliver()

    after = {row.seq: row for row in hand.decisions(synced)}
    together = {row.object_key for row in waiting if row.seq in chosen}
    assert released.queued == sum(row.object_key in together for row in waiting) >= 2
    assert {after[seq].outcome for seq in chosen} == {"queued"}
    rest = [row for row in waiting if row.object_key not in together]
    assert {(after[row.seq].outcome, after[row.seq].gate) for row in rest} == {(None, "approval")}
    with pytest.raises(PlanRefusedError, match="уже утверждён"):
        let_out(hand, synced, items=[rest[0].seq])
    (entry,) = [entry for entry in hand.actions() if entry.action == "plan.approved"]
    assert (entry.counts["chosen"], entry.counts["added"]) == (2, released.queued - 2)
    hand.assert_sound()
    hand.through()
    assert len(hand.city.machine_ledger()) == len(waiting)
    hand.assert_sound()


def test_a_kind_a_pupil_and_a_class_are_chosen_and_narrow_one_another(first: tuple[Any, Synced]) -> None:
    hand, synced = first
    user = marks(hand)[0][0]
    name = next(row["class"] for row in hand.city.state()["like"]["pupils"])
    mine = [row for row in hand.decisions(synced) if row.op == "create" and row.kind == "mark"]
    with pytest.raises(PlanRefusedError, match="ничего не ждёт"):
        let_out(hand, synced, classes=["11Я"])

    released = let_out(hand, synced, kinds=["mark"], pupils=[f"user:{user}"], classes=[name.lower()])

    queued = [row for row in hand.operations() if row.state == "ready"]
    assert {row.kind for row in queued} == {"mark"}
    assert len({row.object_key.split("/")[1] for row in queued}) == 1
    assert 0 < released.queued < len(mine)


def test_what_is_named_wrongly_is_said_and_nothing_is_approved(first: tuple[Any, Synced]) -> None:
    hand, synced = first
    for named, error in (
        ({"items": [10_000]}, PlanRefusedError),
        ({"classes": [""]}, ConfigurationError),
        ({"pupils": ["user:999999"]}, ConfigurationError),
        ({"kinds": ["lesson"]}, ConfigurationError),
    ):
        with pytest.raises(error):
            let_out(hand, synced, **named)

    assert let_out(hand, synced).queued > 0, "and the plan is still there to be approved"


def test_a_delete_is_chosen_only_where_deletes_are_named(delivered: Any) -> None:
    edit(delivered, 1, "clear_grade")
    delivered.sync()
    delivered.wait_grace()
    synced = delivered.sync()
    (line,) = [row for row in delivered.decisions(synced) if row.op == "delete"]
    with pytest.raises(PlanRefusedError, match="--with-deletes"):
        let_out(delivered, synced, items=[line.seq])

    assert let_out(delivered, synced, items=[line.seq], with_deletes=True).queued == 1


def test_what_stands_in_one_cell_goes_together_or_not_at_all() -> None:
    lines = [
        Line(1, "mark", "mark/7/100", "mark|g", "approval"),
        Line(2, "mark", "mark/7/100", "mark|g", "none"),
        Line(3, "mark", "mark/8/100", "mark|g", "approval"),
        Line(4, "mark", "mark/9/100", "mark|g", "approval"),
        Line(5, "mark", "mark/9/100", "mark|g", "delete"),
        Line(6, "absence", "mark/7/100", "mark|g", "approval"),
    ]
    gates = ("none", "approval")

    choice = choose_lines(lines, Wanted(items=frozenset({1})), gates, {})
    assert (choice.named, choice.added) == ((1,), (2,))
    with pytest.raises(PlanRefusedError, match=r"строка 5 той же клетки.*--with-deletes"):
        choose_lines(lines, Wanted(items=frozenset({4})), gates, {})
    with_deletes = choose_lines(lines, Wanted(items=frozenset({4})), (*gates, "delete"), {})
    assert with_deletes.all == (4, 5)
    assert choose_lines(lines, Wanted(pupils=frozenset({8})), gates, {}).all == (3,)
    everything = choose_lines(lines, Wanted(classes=frozenset({"7А"})), (*gates, "delete"), {"mark|g": ["7А"]})
    assert everything.named == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("asks_first", [False, True], ids=["automatic", "approve"])
def test_what_was_approved_by_a_process_that_died_before_it_let_it_out_goes_with_the_next_run(
    first: tuple[Any, Synced], *, asks_first: bool
) -> None:
    """By a schedule nobody runs `gateway deliver`, and a plan is approved once: the person's word would come to nothing."""
    hand, synced = first
    g = hand.gateway
    words = {"reason": "проверено", "with_deletes": False, "with_held": False, "actor": g.actor}
    approve(g.store, g.audit, g.place, synced.planned.plan.id, **words)

    later = hand.sync(asks_first=asks_first)

    wanted = synced.planned.plan.counters["create"]
    assert wanted > 0
    assert hand.states() == {"verified": wanted}
    assert later.planned.plan.counters["create"] == 0
    hand.assert_sound()
