"""A delivery that has to wait waits for the next thing that is due, and does not ask again and again meanwhile."""

from __future__ import annotations

from typing import Any


def count_waits(world: Any) -> list[float]:
    """Keep how long everybody waited from now on."""
    waits: list[float] = []
    wait = world.clock.wait

    def waiting(seconds: float) -> None:
        waits.append(seconds)
        wait(seconds)

    world.clock.wait = waiting
    return waits


def test_operations_behind_an_unanswered_one_in_their_cell_are_not_polled(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        small.city.fault("drop_after_commit", path="/marks", method="POST", every=2)
        hand.approve(synced)
        waits = count_waits(small)
        hand.deliver()

    assert sum(waits) >= 30  # the settle time was waited for
    assert len([seconds for seconds in waits if 0.02 < seconds < 0.5]) < 10


def test_a_group_that_can_not_be_read_back_is_not_asked_twenty_times_a_second(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        hand.approve(synced)
        small.city.asked.clear()
        small.city.fault("duplicate_page", path="/marks", method="GET")
        ended = hand.deliver()
        reads = [one for one in small.city.asked if one.method == "GET" and one.path.endswith("/marks")]

        assert len(reads) < 40
        assert ended.exit_code == 3
        assert ended.delivered.open_count > 0

        small.city.clear()
        hand.until_quiet()
        hand.assert_sound()
