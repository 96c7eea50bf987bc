"""What keeps coming back with one side missing is no quarrel about a value: the choice is one of a removal, and says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.domain.discrepancies import Choice, DiscrepancyState, DiscrepancyType
from gateway.reconcile.choose import Excluded, load_for_choice, sort_out
from gateway.reconcile.corrections import load_corrections
from gateway.reconcile.discrepancies import Effect, classify, find_effect
from gateway.reconcile.tables import discrepancy
from tests.property.reconcile.conftest import World
from tests.property.reconcile.test_discrepancies import CuratedWorld


def removed_again_and_again(here: CuratedWorld) -> Any:
    """A mark that a person removes in the city three times, and that «ours» sets again in between."""
    here.teach(1, "5")
    here.night()
    for _ in range(2):
        here.remove_there(1)
        here.night()
        here.choose(here.rows()[0].id, Choice.OURS)
        here.night()
    here.remove_there(1)
    here.night()
    (row,) = here.rows()
    return row


def sorted_out(here: CuratedWorld, number: int, choice: Choice) -> tuple[list[Effect], list[Excluded]]:
    with here.world.store.read() as conn:
        taken, excluded = sort_out(load_for_choice(conn, here.world.place_id, [number]), choice, busy=())
    return [effect for _, effect in taken], excluded


def call_it_two_writers(here: CuratedWorld, number: int) -> None:
    """As an older release stored it."""
    with here.world.store.write() as conn:
        conn.execute(
            update(discrepancy)
            .where(discrepancy.c.id == number)
            .values(type=DiscrepancyType.TWO_WRITERS.value, flips=2, state=DiscrepancyState.OPEN.value)
        )


@pytest.mark.parametrize("is_old_row", [False, True], ids=["now", "stored by an older release"])
def test_what_is_removed_in_the_city_again_and_again_goes_from_ours_by_theirs_as_a_removal(
    new_world: Callable[[], World], is_old_row: bool
) -> None:
    here = CuratedWorld(new_world())
    row = removed_again_and_again(here)
    assert (row.type, row.flips, row.city_body) == ("only_here", 2, None)
    if is_old_row:
        call_it_two_writers(here, row.id)

    (effect,), _ = sorted_out(here, row.id, Choice.THEIRS)
    _, (refused,) = sorted_out(here, row.id, Choice.OWN)
    assert effect.is_removing
    assert refused.why == "not_offered"
    assert not here.choose(row.id, Choice.OWN)

    writes = len(here.world.writes)
    assert here.choose(row.id, Choice.THEIRS)
    here.night()
    here.night()

    assert here.steps(row.id)[-2:] == ["chosen", "proven"]
    assert (here.world.city, len(here.world.writes)) == ({}, writes)
    with here.world.store.read() as conn:
        assert load_corrections(conn, here.world.place_id)["mark", row.ref].atom is None


def test_an_old_row_of_two_writers_whose_record_left_the_portal_stays_in_the_city_by_theirs(
    new_world: Callable[[], World],
) -> None:
    here = CuratedWorld(new_world())
    here.teach(1, "5")
    here.night()
    here.erase(1)
    here.type_there(1, "3")
    here.night()
    (row,) = here.rows()
    assert (row.type, row.ours) == ("delete_against_change", None)
    call_it_two_writers(here, row.id)

    assert not here.choose(row.id, Choice.OWN)
    assert here.choose(row.id, Choice.THEIRS)
    here.night()
    here.night()

    assert [mark.value for mark in here.world.city.values()] == ["3"]
    with here.world.store.read() as conn:
        state = conn.execute(select(discrepancy.c.state).where(discrepancy.c.id == row.id)).scalar_one()
    assert state == "resolved"


@pytest.mark.parametrize(
    ("has_ours", "has_theirs", "type_"),
    [
        (True, True, DiscrepancyType.TWO_WRITERS),
        (True, False, DiscrepancyType.ONLY_HERE),
        (False, True, DiscrepancyType.DELETE_AGAINST_CHANGE),
        (False, False, DiscrepancyType.DELETE_AGAINST_CHANGE),
    ],
)
@pytest.mark.parametrize("reason", ["DRIFT", "CONFLICT"])
def test_two_writers_are_two_values(has_ours: bool, has_theirs: bool, type_: DiscrepancyType, reason: str) -> None:
    found = classify(reason, is_rejected=False, has_ours=has_ours, has_theirs=has_theirs, flips=9)

    assert found is type_


@pytest.mark.parametrize("type_", DiscrepancyType)
@pytest.mark.parametrize("choice", Choice)
def test_no_choice_asks_for_a_value_of_a_side_that_has_none(type_: DiscrepancyType, choice: Choice) -> None:
    effect = find_effect(type_, choice, has_ours=False, has_theirs=False)

    assert effect is None or "theirs" not in (effect.base, effect.overlay)
    assert effect is None or effect.overlay != "own"
