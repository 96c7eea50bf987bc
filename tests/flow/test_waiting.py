"""A delivery that has to wait waits for the next thing that is due, and does not ask again and again meanwhile."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gateway.flows import confirm
from gateway.flows.freshen import find_scope
from gateway.reconcile.shadow import store_city_scope


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


@pytest.mark.row("A2", "A22")
def test_what_becomes_due_while_a_read_back_waits_for_its_turn_is_not_judged_by_days_that_it_did_not_read(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-back asks for the days of what was due when it was chosen; unanswered calls of other days stand in the city."""
    take_lease = confirm.take_lease

    def waiting(*given: Any, **more: Any) -> bool:
        small.clock.advance(300)
        return take_lease(*given, **more)

    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        small.city.fault("drop_after_commit", path="/marks", method="POST", every=3)
        hand.approve(synced)
        monkeypatch.setattr(confirm, "take_lease", waiting)
        hand.deliver()
        small.city.clear()
        hand.until_quiet()

        hand.assert_sound()


@pytest.mark.row("A2", "A22")
def test_an_older_read_that_is_stored_before_a_read_back_is_judged_is_not_what_it_is_judged_by(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that planned stood still with its read; what was carried out since is not in it, and is not sent again."""
    settle_scope = confirm.settle_scope
    older: list[Any] = []
    stored: list[Any] = []

    def judging(store: Any, *given: Any, **more: Any) -> Any:
        # what was answered is judged before, what was not at the end of its settle time
        if older and more["kind"] == "mark" and more["read_at"] >= begun_at + hand.gateway.terms.untouchable:
            with store.write() as conn:
                store_city_scope(conn, more["place_id"], older.pop(), run_id=1)
            stored.append(more["read_at"])
        return settle_scope(store, *given, **more)

    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        row = next(one for one in hand.decisions(synced) if one.kind == "mark")
        older.append(read_now(hand, row))
        small.city.fault("drop_after_commit", path="/marks", method="POST", every=3)
        hand.approve(synced)
        begun_at = hand.gateway.now()
        monkeypatch.setattr(confirm, "settle_scope", judging)
        hand.deliver()
        small.city.clear()
        hand.until_quiet()

        assert stored
        hand.assert_sound()


def read_now(hand: Any, row: Any) -> Any:
    """The year of a decision's group as it stands in the city now."""
    directory = hand.gateway.city.fetch_directory(date(2026, 11, 23))
    groups = {group.id: group for group in directory.groups}
    return hand.gateway.city.fetch_scope(find_scope(directory, groups, row.kind, row.intent))
