"""SQL and the pure table agree; counters are sums over what was read; the hash stands for what would be done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from gateway.mapping.atoms import atom_digest, atom_of_city, atom_of_intent
from gateway.reconcile.compare import UNCHANGED, Absence, Category, decide
from gateway.reconcile.gone import Gone
from gateway.reconcile.guard import GuardRow
from gateway.reconcile.plan import COUNTERS
from gateway.reconcile.resolve import Item, ScopeDecision
from gateway.reconcile.tables import base, shadow
from gateway.reconcile.triples import COMPARED, load_legs

in_a_store = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

values = st.sampled_from("345")
maybe = st.none() | values


class Known(msgspec.Struct, frozen=True):
    """A record of a made-up world; each stands in a cell of its own pupil.

    Attributes:
        ours: None = only the base knows it.
        theirs: What the base's object shows; None = it is gone.
    """

    ours: str | None
    state: str
    base: str | None
    theirs: str | None
    gone: Gone | None
    absent_reads: int


records = st.builds(
    Known,
    ours=maybe,
    state=st.sampled_from(["sendable", "sendable", "held", "out_of_scope", "waiting", "rejected", "cleared"]),
    base=maybe,
    theirs=maybe,
    gone=st.none() | st.sampled_from(list(Gone)),
    absent_reads=st.integers(0, 3),
).filter(lambda known: known.ours is not None or known.base is not None)
strangers = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), values, st.integers(1, 2)), max_size=4)
worlds = st.tuples(st.lists(records, max_size=6), strangers)


def fill(world: Any, found: tuple[list[Known], list[tuple[int, int, str, int]]]) -> None:
    """Store a made-up world."""
    known, others = found
    for number, one in enumerate(known, start=1):
        ref = f"item:{number}"
        if one.ours is not None:
            world.put_ours(ref, number, 1, one.ours, state=one.state)
        else:
            world.note_gone(ref, one.gone, one.absent_reads)
        if one.base is not None:
            world.agree(ref, number, world.intent(number, 1, one.base))
            if one.theirs is not None:
                world.put_theirs(number, 1, one.theirs, city_id=number)
    for pupil, lesson, value, form in others:
        world.put_theirs(pupil, lesson, value, form=form)
    world.store_sides()


@in_a_store
@given(found=worlds)
def test_sql_leaves_out_exactly_what_the_table_calls_unchanged(new_world: Callable[[], Any], found: Any) -> None:
    world = new_world()
    fill(world, found)
    agreed = world.agreed()
    expected = set()
    for ref, mapped in world.ours.items():
        theirs = world.city.get(agreed.get(ref, 0))
        base_value = found[0][int(ref.removeprefix("item:")) - 1].base
        if mapped.state not in COMPARED:
            continue
        decision = decide(
            atom_digest(atom_of_intent(mapped.intent)),
            Absence.ABSENT if base_value is None else atom_digest(atom_of_intent(world.intent(1, 1, base_value))),
            Absence.ABSENT if theirs is None else atom_digest(atom_of_city(theirs)),
        )
        if decision == UNCHANGED:
            expected.add(ref)

    with world.store.read() as conn:
        unequal = [triple.ref for triple in load_legs(conn, world.place_id, world.scope).triples]

    assert len(unequal) == len(set(unequal))
    assert set(unequal) == (set(world.ours) | set(agreed)) - expected
    assert sum(shared.count for shared in world.decide().shared if shared.reason == "NO_CHANGE") == len(expected)


@in_a_store
@given(found=worlds, is_read=st.booleans(), delete_mode=st.sampled_from(["off", "observe", "approve", "automatic"]))
def test_counters_of_a_plan_are_sums_over_every_key_that_was_read(
    new_world: Callable[[], Any], found: Any, is_read: bool, delete_mode: Any
) -> None:
    world = new_world()
    fill(world, found)

    decided = world.decide(is_read=is_read, delete_mode=delete_mode)
    plan = world.seal([decided])

    keys = len(set(world.ours) | set(world.agreed()))
    linked = len(set(world.agreed().values()) & set(world.city))
    adopted = sum(
        1 for item in decided.items if item.decision.category is Category.ADOPTED and item.triple.base is None
    )
    assert plan.counters["read"] == keys + len(world.city) - linked - adopted
    assert plan.counters["read"] == sum(plan.counters[name] for name in COUNTERS if name != "read")
    assert plan.counters["read"] == sum(plan.by_reason.values())


@in_a_store
@given(found=worlds)
def test_nothing_is_meant_to_be_written_where_the_city_was_not_read(new_world: Callable[[], Any], found: Any) -> None:
    world = new_world()
    fill(world, found)

    decided = world.decide(is_read=False)

    assert [item.triple.ref for item in decided.items if item.decision.op is not None] == []
    assert Category.UNCHANGED not in {shared.category for shared in decided.shared}


@in_a_store
@given(found=worlds, is_dry_run=st.booleans())
def test_the_same_content_has_the_same_hash_also_as_a_dry_run(
    new_world: Callable[[], Any], found: Any, is_dry_run: bool
) -> None:
    world = new_world()
    fill(world, found)

    first = world.seal([world.decide()])
    world.store.clock.advance(3600)
    second = world.seal([world.decide()], is_dry_run=is_dry_run)

    assert second.hash == first.hash
    assert second.counters == first.counters


@in_a_store
@given(
    found=worlds, field=st.sampled_from(["ref", "ours", "base", "intent", "city_id", "gate", "op"]), pick=st.randoms()
)
def test_another_item_makes_another_hash(new_world: Callable[[], Any], found: Any, field: str, pick: Any) -> None:
    world = new_world()
    fill(world, found)
    decided = world.decide()
    counted = [number for number, item in enumerate(decided.items) if item.decision.op is not None]
    assume(counted)
    number = pick.choice(counted)

    other = world.seal([replace_item(decided, number, field)])

    assert other.hash != world.seal([decided]).hash
    assert world.seal([decided], rules="r2").hash != world.seal([decided]).hash


@in_a_store
@given(found=worlds, field=st.sampled_from(["guard", "scope", "limit", "actual", "verdict"]))
def test_another_word_of_a_guard_makes_another_hash(new_world: Callable[[], Any], found: Any, field: str) -> None:
    """A person approves what the guards said as well; in which order they said it is nothing that he was shown."""
    world = new_world()
    fill(world, found)
    decided = world.decide()
    one, two = (
        GuardRow(guard=name, scope="mark|7А", limit="3", actual="4", verdict="hold", override="deputy_head")
        for name in ("lane_changes", "lane_deletes")
    )
    other = msgspec.structs.replace(two, **{field: "refuse" if field == "verdict" else "другое"})

    def seal(*rows: GuardRow) -> str:
        return str(world.seal([msgspec.structs.replace(decided, guards=rows)]).hash)

    assert seal(one, two) == seal(two, one)
    assert len({seal(one, two), seal(one, other), seal(one), seal()}) == 4


def replace_item(decided: ScopeDecision, number: int, field: str) -> ScopeDecision:
    """Change one field of one item."""
    items = list(decided.items)
    item = items[number]
    replace = msgspec.structs.replace
    other: Item
    if field == "city_id":
        other = replace(item, city_id=(item.city_id or 0) + 1)
    elif field == "gate":
        other = replace(item, gate="approval" if item.gate != "approval" else "none")
    elif field == "op":
        op = "change" if item.decision.op == "create" else "create"
        other = replace(item, decision=replace(item.decision, op=op))
    else:
        was = getattr(item.triple, field)
        tail: Any = "x" if field == "ref" else b"x"
        other = replace(item, triple=replace(item.triple, **{field: tail if was is None else was + tail}))
    items[number] = other
    return replace(decided, items=items)


def test_a_mark_that_a_person_moved_to_another_lesson_is_drift_and_not_unchanged(
    new_world: Callable[[], Any],
) -> None:
    world = new_world()
    world.put_ours("item:1", 1, 1, "5")
    world.agree("item:1", 10, world.intent(1, 1, "5"))
    world.put_theirs(1, 2, "5", city_id=10)
    world.store_sides()

    decided = world.decide()

    assert [(item.decision.category, item.decision.reason) for item in decided.items] == [(Category.HELD, "DRIFT")]
    assert decided.shared == []


@in_a_store
@given(found=worlds, moved=st.sets(st.integers(1, 6)), moved_there=st.sets(st.integers(1, 6)))
def test_a_leg_counted_in_another_scope_hides_nothing_of_this_one(
    new_world: Callable[[], Any], found: Any, moved: set[int], moved_there: set[int]
) -> None:
    """The joins for what only one side knows are left out by the counts; a pupil who changed groups must not upset those."""
    world = new_world()
    fill(world, found)
    with world.store.write() as conn:
        for number in moved:
            conn.execute(
                update(base)
                .where(base.c.place_id == world.place_id, base.c.ref == f"item:{number}")
                .values(scope="old")
            )
        for number in moved_there:
            conn.execute(
                update(shadow)
                .where(shadow.c.place_id == world.place_id, shadow.c.city_id == number)
                .values(scope="other")
            )
    agreed = world.agreed()
    here = {number for number in world.city if number not in moved_there}

    with world.store.read() as conn:
        legs = load_legs(conn, world.place_id, world.scope)

    assert {triple.ref for triple in legs.triples if triple.state is None} == {
        ref for ref in agreed if ref not in world.ours and int(ref.removeprefix("item:")) not in moved
    }
    assert {stranger[1] for stranger in legs.strangers} == here - set(agreed.values())
