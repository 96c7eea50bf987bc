"""Two hundred lives of choices: edits on both sides, resolutions, holds, undos and failing calls, and what must hold at the end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from unittest import mock

import pytest

import gateway.flows.discrepancies
import gateway.flows.ground
import gateway.reconcile.corrections
import gateway.reconcile.follow
from gateway.queue.ground import Standing
from gateway.simulation.resolving import LAWS, Lived, live, live_many

pytestmark = pytest.mark.slow

LIVES = "GATEWAY_TEST_LIVES"
"""How many lives the test command plays; `make figures` plays two thousand."""
DEFAULT_LIVES_COUNT = 200
"""A minute of one core."""
PATIENCE = 60
"""Lives within which a planted mistake must show."""


def told(lives: list[Lived]) -> list[str]:
    return [f"seed={one.seed} {one.violation}" for one in lives if one.violation]


def test_after_all_edits_choices_and_faults_the_city_says_what_was_chosen(tell_figure: Callable[..., None]) -> None:
    count = int(os.environ.get(LIVES, DEFAULT_LIVES_COUNT))

    lives = live_many(range(count))

    assert told(lives) == []
    choices = sum((one.choices for one in lives), Counter[str]())
    acts = sum((one.acts for one in lives), Counter[str]())
    # lives in which nobody decides anything prove nothing
    assert sum(choices[name] for name in ("ours", "theirs", "own", "distinct")) > count / 2
    assert acts["undone"] > count / 4
    assert sum(one.effects for one in lives) > 5 * count
    tell_figure("lives of choices that violate C1–C4", 0, seeds=count)


def test_the_same_holds_where_every_choice_is_carried_out_after_its_answer() -> None:
    """As a choice about many is: taken now, judged again and settled when the next night begins."""
    count = max(int(os.environ.get(LIVES, DEFAULT_LIVES_COUNT)) // 10, 1)

    with mock.patch.object(gateway.flows.discrepancies, "PART_ROWS", 0):
        lives = live_many(range(count))

    assert told(lives) == []
    assert sum((one.choices for one in lives), Counter[str]()).total() > count / 2


def first_caught() -> str:
    """Which law the first violated life names; empty where all held."""
    for seed in range(PATIENCE):
        if violation := live(seed).violation:
            return violation[:2]
    return ""


@pytest.mark.parametrize(
    ("target", "wrong", "laws"),
    [
        # what an undo takes back is not kept: the next night sends it again
        ((gateway.flows.ground, "load_undone"), lambda *_args: frozenset(), {"C4"}),
        # a choice that the city refuses waits for ever
        ((gateway.reconcile.follow, "_is_refused"), lambda _row: False, {"C1"}),
        # what a person chose is not laid over ours
        ((gateway.reconcile.corrections, "lay_over"), lambda mapped, _corrected: mapped, {"C1", "C3"}),
        # the ground is not looked at before the call
        ((Standing, "still_holds"), lambda _self, _row: True, {"C1", "C2", "C4"}),
    ],
    ids=["not kept undone", "refused in silence", "not laid over", "ground not asked"],
)
def test_the_judge_sees_a_planted_mistake(
    target: tuple[object, str], wrong: Callable[..., object], laws: set[str]
) -> None:
    with mock.patch.object(*target, wrong):
        assert first_caught() in laws


def test_a_life_is_the_same_for_the_same_seed() -> None:
    assert live(3) == live(3)
    assert set(LAWS) == {"C1", "C2", "C3", "C4"}
