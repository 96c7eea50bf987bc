"""A plan that was carried out leaves nothing to plan; and no write happens that no local change asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.reconcile.gone import Gone

in_a_store = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
WRITES = ("create", "update", "delete")

values = st.sampled_from("2345")
cells = st.tuples(st.integers(1, 4), st.integers(1, 4))
quarter = st.dictionaries(cells, values, max_size=8)
edits = st.dictionaries(cells, st.none() | values, max_size=5)


def put(world: Any, ours: dict[tuple[int, int], str]) -> None:
    for (pupil, lesson), value in ours.items():
        world.put_ours(f"item:{lesson}/user:{pupil}", pupil, lesson, value)


def at_cell(world: Any, cell: tuple[int, int]) -> int | None:
    """City id of the first mark in a cell."""
    return next((mark.id for mark in world.city.values() if (mark.pupil_id, mark.lesson_id) == cell), None)


@in_a_store
@given(ours=quarter, typed=st.dictionaries(cells, values, max_size=4), form=st.integers(1, 2))
def test_a_first_load_that_was_carried_out_leaves_nothing_to_write(
    new_world: Callable[[], Any], ours: Any, typed: Any, form: int
) -> None:
    world = new_world()
    put(world, ours)
    for (pupil, lesson), value in typed.items():
        world.put_theirs(pupil, lesson, value, form=form)
    first = world.plan()

    released = world.carry_out(first)
    second = world.plan()

    assert {name: second.counters[name] for name in WRITES} == dict.fromkeys(WRITES, 0)
    assert second.by_reason.get("DELETE_HELD", 0) == 0
    assert second.counters["adopted"] == 0
    assert released.dropped == 0
    assert len(world.writes) == first.counters["create"]
    assert second.counters["unchanged"] == first.counters["create"] + first.counters["adopted"]


@in_a_store
@given(ours=quarter, mended=edits, human=edits)
def test_changes_on_both_sides_carried_out_leave_nothing_to_write(
    new_world: Callable[[], Any], ours: Any, mended: Any, human: Any
) -> None:
    world = new_world()
    put(world, ours)
    world.carry_out(world.plan())
    for (pupil, lesson), value in mended.items():
        ref = f"item:{lesson}/user:{pupil}"
        if value is not None:
            world.put_ours(ref, pupil, lesson, value)
        elif world.ours.pop(ref, None) is not None:
            world.note_gone(ref, Gone.CLEARED.value, 2)
    touched = set()
    for cell, value in human.items():
        city_id = at_cell(world, cell)
        if city_id is not None and value is None:
            world.city.pop(city_id)
            touched.add(city_id)
        elif value is not None and (city_id is None or world.city[city_id].value != value):
            touched.add(world.put_theirs(*cell, value, city_id=city_id))
    shown = {city_id: world.city.get(city_id) for city_id in touched}
    world.writes.clear()
    plan = world.plan()

    world.carry_out(plan)
    after = world.plan()

    assert {name: after.counters[name] for name in WRITES} == dict.fromkeys(WRITES, 0)
    assert after.by_reason.get("DELETE_HELD", 0) == 0
    expected = plan.counters["create"] + plan.counters["update"] + plan.by_reason.get("DELETE_HELD", 0)
    assert len(world.writes) == expected
    assert {city_id: world.city.get(city_id) for city_id in touched} == shown


@in_a_store
@given(ours=quarter, late=st.sampled_from([0, 1]))
def test_a_quarter_typed_by_hand_under_another_form_creates_nothing(
    new_world: Callable[[], Any], ours: Any, late: int
) -> None:
    world = new_world()
    put(world, ours)
    for (pupil, lesson), value in ours.items():
        world.put_theirs(pupil, lesson + late, value, form=7)

    plan = world.plan()

    assert plan.counters["create"] == 0
    assert plan.by_reason.get("PROBABLE_TWIN", 0) == len(ours)


@in_a_store
@given(ours=quarter)
def test_a_plan_carried_out_twice_is_carried_out_once(new_world: Callable[[], Any], ours: Any) -> None:
    world = new_world()
    put(world, ours)
    plan = world.plan()
    world.carry_out(plan)
    before = dict(world.city)

    again = world.release_again(plan)

    assert (again.queued, again.adopted, again.dropped) == (0, 0, 0)
    assert world.city == before


@in_a_store
@given(ours=quarter.filter(bool), gone=st.sampled_from([Gone.PUPIL_LEFT, Gone.SCOPE_RESET, Gone.UNREADABLE, None]))
def test_a_transfer_a_reset_or_an_unread_scope_deletes_nothing(
    new_world: Callable[[], Any], ours: Any, gone: Gone | None
) -> None:
    world = new_world()
    put(world, ours)
    world.carry_out(world.plan())
    world.writes.clear()
    for ref in list(world.ours):
        world.ours.pop(ref)
        world.note_gone(ref, gone.value if gone else None, 9)

    plan = world.plan()
    world.carry_out(plan)

    assert plan.by_reason.get("DELETE_HELD", 0) == 0
    assert world.writes == []
    assert len(world.city) == len(ours)
