"""Seeds that have found something before are played first."""

from __future__ import annotations

import pytest

from gateway.simulation.many import play_many

pytestmark = pytest.mark.slow


def test_no_seed_of_the_corpus_finds_anything_again(corpus: list[int]) -> None:
    summary = play_many(corpus)

    assert summary.seeds == len(corpus)
    assert [(one.seed, one.invariant, one.sentence) for one in summary.failures] == []
