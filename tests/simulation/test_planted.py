"""The judge bites: mistakes planted into the production steps are caught, each by the invariant it breaks.

A sample of those that few seeds catch; `make figures` plants all of them and says after how many seeds each was caught.
"""

from __future__ import annotations

from types import ModuleType

import pytest

from gateway.simulation.play import play

WITHIN_SEEDS = range(40)
SAMPLE = {
    "no_claim": {"I2", "I4", "I5"},
    "busy_cell_ignored": {"I5"},
    "judged_by_an_old_reading": {"I1", "I2", "I3", "I4", "I5", "I7"},
    "no_read_back": {"I7"},
    "held_plan_partly_run": {"I9"},
    "plan_changed_after_approval": {"I1", "I4", "I9", "I3"},
    "delete_unasked": {"I9"},
    "first_load_unasked": {"I9"},
    "last_writer_wins": {"I15", "I4"},
    "namesake": {"I4", "I1"},
    "weight_lost": {"I4"},
    "memo_is_blind": {"I1"},
    "audit_after_the_deed": {"I3"},
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SAMPLE)
def test_a_planted_mistake_is_caught(planted: ModuleType, name: str) -> None:
    caught = planted.find_catch(name, WITHIN_SEEDS)

    assert caught is not None, f"{name}: no seed of {WITHIN_SEEDS} has caught it"
    assert caught.invariant in SAMPLE[name]


def test_taken_out_again_a_mistake_leaves_nothing_behind(planted: ModuleType) -> None:
    caught = planted.find_catch("namesake", WITHIN_SEEDS)

    assert caught is not None
    assert play(caught.seed).violation == ""


def test_every_mistake_says_what_it_is(planted: ModuleType) -> None:
    sentences = [sentence for sentence, _ in planted.BUGS.values()]

    assert len(sentences) == len(set(sentences)) >= 35
    assert set(SAMPLE) <= set(planted.BUGS)


def test_every_mistake_fits_the_code_as_it_is_now(planted: ModuleType) -> None:
    """A plant that the code has moved away from would be caught by stumbling, and show nothing."""
    for name in planted.BUGS:
        with planted.planted(name):
            pass
