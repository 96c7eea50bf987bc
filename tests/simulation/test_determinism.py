"""One seed is one world: in this process again, and in others whatever their hashes are seeded with (I14)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from gateway.simulation.play import play

SEEDS = range(20)
SCRIPT = """
import sys
from gateway.telemetry import configure_logging
from gateway.simulation.play import play
configure_logging(level="ERROR")
print(*(play(int(seed)).trace_hash for seed in sys.argv[1:]))
"""


def play_elsewhere(hash_seed: str) -> list[str]:
    """Play the seeds in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, SEEDS)], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_seed_played_twice_leaves_the_same_trace() -> None:
    first, second = play(7), play(7)

    assert first.trace_hash == second.trace_hash
    assert (first.crashes, first.calls, first.effects) == (second.crashes, second.calls, second.effects)


def test_another_seed_leaves_another_trace() -> None:
    assert play(7).trace_hash != play(8).trace_hash


@pytest.mark.slow
def test_the_trace_does_not_depend_on_how_python_seeds_its_hashes(tell_figure: Callable[..., None]) -> None:
    first, second = play_elsewhere("0"), play_elsewhere("4242")

    assert len(first) == len(SEEDS)
    assert first == second
    tell_figure("F20 worlds played twice with an equal trace", len(first), seeds=len(SEEDS))
