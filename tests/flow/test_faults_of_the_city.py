"""The city misbehaves in every way on request: when it stops, everything intended stands once, and each stop was explained."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import select

from gateway.domain.errors import GatewayError
from gateway.domain.reasons import REASONS
from gateway.flows.passport import show_passport
from gateway.flows.runs import load_runs
from gateway.reconcile.tables import discrepancy
from gateway.report.card import load_card

RUSSIAN = re.compile(r"[А-Яа-яЁё]{3}")
WRITES = r"/(marks|attendances|homeworks)(/|$)"

ON_WRITES: dict[str, dict[str, Any]] = {
    "drop_after_commit": {"fault": "drop_after_commit"},
    "drop_before": {"fault": "drop_before"},
    "500": {"fault": "500"},
    "502": {"fault": "502"},
    "503": {"fault": "503"},
    "504": {"fault": "504"},
    "reset": {"fault": "reset"},
    "html": {"fault": "html"},
    "truncate": {"fault": "truncate"},
    "429": {"fault": "429"},
}

ON_READS: dict[str, dict[str, Any]] = {
    "500": {"fault": "500"},
    "503": {"fault": "503"},
    "html": {"fault": "html"},
    "reset": {"fault": "reset"},
    "truncate": {"fault": "truncate"},
    "duplicate_page": {"fault": "duplicate_page"},
    "null_names": {"fault": "null_names"},
    "float_ids": {"fault": "float_ids"},
    "429": {"fault": "429"},
}


def go_through(world: Any, **mesh: Any) -> tuple[Any, int]:
    """Plan in good weather, so that what is intended is known; the plan waits for approval and nothing is sent."""
    with world.open(**mesh) as hand:
        hand.link_everybody()
        synced = hand.sync()
        assert world.city.ledger() == []
        return synced, synced.planned.plan.counters["create"]


def explained(hand: Any) -> None:
    """Every run that stopped says why in one Russian sentence; every open or parked operation carries a known reason."""
    for run in load_runs(hand.gateway):
        assert run.sentence, run
        assert RUSSIAN.search(run.sentence), run.sentence
        assert "\n" not in run.sentence
    for row in hand.operations():
        assert row.reason == "" or row.reason in REASONS


def try_sync(hand: Any) -> Any:
    """A night run in bad weather: it may fail, and then its row says so (`explained`)."""
    try:
        return hand.through()
    except GatewayError:
        return None


@pytest.mark.row("A2", "A3", "A5", "A6", "A7", "A12", "A13", "A14")
@pytest.mark.parametrize("name", ON_WRITES)
def test_every_third_write_goes_wrong_and_each_object_stands_once(small: Any, name: str) -> None:
    synced, wanted = go_through(small)
    small.city.fault(**ON_WRITES[name], path=WRITES, method="POST", every=3)

    with small.open() as hand:
        hand.approve(synced)
        hand.deliver()
        assert small.city.fired() > 0
        explained(hand)
        small.city.clear()
        hand.until_quiet()

        assert hand.states() == {"verified": wanted}
        assert len(small.city.ledger()) == wanted
        hand.assert_sound()
        explained(hand)


@pytest.mark.row("A7", "A13", "A14", "A20")
@pytest.mark.parametrize("name", ON_READS)
def test_reads_go_wrong_and_nothing_is_concluded_from_them(small: Any, name: str) -> None:
    _, wanted = go_through(small)
    small.city.fault(**ON_READS[name], method="GET", every=3)

    with small.open() as hand:
        try_sync(hand)
        try_sync(hand)
        assert small.city.fired() > 0
        explained(hand)
        small.city.clear()
        last = hand.until_quiet()

        assert last.planned.plan.counters["unchanged"] == wanted
        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("A14", "A20")
@pytest.mark.parametrize("name", ON_READS)
def test_reads_that_go_wrong_after_the_delivery_change_nothing(small: Any, name: str) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        ledger = small.city.ledger()
        small.city.fault(**ON_READS[name], method="GET", every=2)

        for _ in range(3):
            try_sync(hand)
        small.city.clear()
        last = hand.until_quiet()

    assert small.city.ledger() == ledger
    assert last.planned.plan.counters["unchanged"] == len(ledger)


@pytest.mark.row("A3")
def test_writes_slower_than_the_deadline_are_looked_up_and_not_repeated(build_world: Any) -> None:
    """Here time is real: the slow call lands after our deadline and before the settle time is over."""
    world = build_world(pupils=1, real_clock=True)
    mesh = {"deadline_s": 0.4, "settle_s": 1.0}
    synced, wanted = go_through(world, **mesh)
    world.city.fault("slow", path=WRITES, method="POST", every=3, delay_s=0.8)

    with world.open(**mesh) as hand:
        hand.approve(synced)
        hand.deliver()
        assert world.city.fired() > 0
        explained(hand)
        world.city.clear()
        hand.until_quiet()

        assert len(world.city.ledger()) == wanted
        hand.assert_sound()


def test_everything_goes_wrong_at_once_and_the_end_is_the_same(small: Any) -> None:
    synced, wanted = go_through(small)
    for fault, every in (("drop_after_commit", 3), ("500", 5), ("reset", 7), ("drop_before", 4)):
        small.city.fault(fault, path=WRITES, method="POST", every=every)
    small.city.fault("500", method="GET", every=6)

    with small.open() as hand:
        hand.approve(synced)
        hand.deliver()
        small.clock.advance(3600)
        try_sync(hand)
        explained(hand)
        small.city.clear()
        hand.until_quiet()

        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("A4")
def test_writes_that_land_after_the_time_out_are_not_written_again(small: Any) -> None:
    """`late_s` stays under the settle time: the promise of law 4."""
    synced, wanted = go_through(small)
    small.city.switch(late_s=20)
    small.city.fault("drop_after_commit", path=WRITES, method="POST", every=3)

    with small.open() as hand:
        hand.approve(synced)
        hand.deliver()
        small.city.clear()
        hand.until_quiet()

        assert small.city.fired() == 0
        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("A22")
def test_own_writes_that_are_not_visible_at_once_are_not_written_again(small: Any) -> None:
    synced, wanted = go_through(small)
    small.city.switch(read_lag_s=25)
    small.city.fault("drop_after_commit", path=WRITES, method="POST", every=4)

    with small.open() as hand:
        hand.approve(synced)
        hand.deliver()
        small.city.clear()
        hand.until_quiet()

        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("A22")
def test_what_was_accepted_and_seen_only_after_it_was_parked_is_settled_by_the_next_read(small: Any) -> None:
    """A person was asked, and the city answers first: the base moves, the audit says so, nothing is sent again."""
    synced, wanted = go_through(small)
    small.city.switch(read_lag_s=4 * 3600)

    with small.open() as hand:
        hand.approve(synced)
        hand.deliver(max_wait_s=3600)
        assert hand.states() == {"parked": wanted}
        assert {row.reason for row in hand.operations()} == {"NOT_SEEN_AFTER_ACCEPT"}
        assert not hand.base_rows()
        small.clock.advance(4 * 3600)

        count = len(small.city.writes())

        hand.sync()

        assert len(small.city.writes()) == count
        assert hand.states() == {"verified": wanted}
        assert len(hand.base_rows()) == wanted
        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("A12", "A13")
@pytest.mark.parametrize("status", [429, 433])
def test_a_city_that_asks_for_fewer_requests_is_obeyed_and_nothing_is_lost(small: Any, status: int) -> None:
    synced, wanted = go_through(small)
    small.city.switch(rate=2, rate_status=status)

    with small.open() as hand:
        hand.approve(synced)
        hand.deliver(max_wait_s=3600)
        explained(hand)
        small.city.switch(rate="off")
        hand.until_quiet()

        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("A12")
def test_a_throttling_answer_without_a_wait_waits_all_the_same(small: Any) -> None:
    synced, wanted = go_through(small)
    small.city.recorder.strip = "retry-after"
    small.city.fault("429", path=WRITES, method="POST", every=2)

    with small.open() as hand:
        hand.approve(synced)
        hand.deliver()
        small.city.clear()
        hand.until_quiet()

        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("D10")
def test_a_period_closed_between_plan_and_delivery_parks_each_row_with_that_reason(small: Any) -> None:
    synced, wanted = go_through(small)
    for schedule in small.city.state()["attestation_periods_schedules"]:
        for period in schedule["periods"]:
            small.city.post("period", {"id": period["id"], "closed": True})

    with small.open() as hand:
        hand.approve(synced)
        delivered = hand.deliver()
        assert small.city.ledger() == []
        assert delivered.delivered.parked == wanted
        assert {row.reason for row in hand.operations()} == {"WINDOW_CLOSED"}
        assert delivered.exit_code == 3
        explained(hand)

        again = hand.sync()
        assert small.city.ledger() == []
        assert again.planned.plan.counters["create"] == 0


@pytest.mark.row("A19")
def test_one_row_that_the_city_refuses_is_parked_and_the_others_go_on(small: Any) -> None:
    synced, wanted = go_through(small)
    refused = small.city.state()["student_profiles"][0]["id"]
    row = small.city.sandbox.state.find("student_profiles", refused)
    small.city.sandbox.state.put("student_profiles", {**row, "groups": []}, now=small.clock.now())

    with small.open() as hand:
        hand.approve(synced)
        hand.deliver()

        states = hand.states()
        parked = [one for one in hand.operations() if one.state == "parked"]
        assert 0 < states["parked"] < wanted
        assert {one.reason for one in parked} == {"REJECTED_TARGET"}
        assert states["verified"] == wanted - states["parked"] == len(small.city.ledger())
        hand.assert_sound()
        explained(hand)

        again = hand.sync()
        assert again.planned.plan.counters["create"] == 0
        assert len(small.city.ledger()) == states["verified"]
        # whoever is to decide reads there what the city said, and need not look for it in the queue
        one = parked[0]
        place_id = hand.place_id()
        with hand.gateway.store.read() as conn:
            number = conn.execute(select(discrepancy.c.id).where(discrepancy.c.ref == one.ref)).scalar_one()
            card = load_card(conn, place_id, number, now=hand.gateway.now())
        (passport,) = show_passport(hand.gateway, one.ref)
        assert one.sentence
        assert card.refusal == one.sentence
        assert f"отложено: {one.sentence}" in [event.words for event in passport.events]


@pytest.mark.row("A9", "G8")
def test_a_token_that_dies_in_mid_run_pauses_its_profile_and_a_new_one_goes_on(small: Any) -> None:
    secret = small.folder / "token.txt"
    admin = small.city.profiles[0]
    secret.write_text(admin["token"])
    mesh = {"token_file": str(secret)}
    synced, wanted = go_through(small, **mesh)
    small.city.fault("kill_token", path=WRITES, method="POST", every=4, times=1)

    with small.open(**mesh) as hand:
        hand.approve(synced)
        stopped = hand.deliver()

        done = len(small.city.ledger())
        assert 0 < done < wanted
        assert stopped.exit_code == 5
        assert stopped.delivered.paused == ["main"]
        assert stopped.delivered.sent == len(small.city.writes())  # what its batch had marked and nobody called is none
        assert "main" in stopped.sentence
        assert "токен" in stopped.sentence
        assert admin["token"] not in stopped.sentence
        assert hand.states()["parked"] == 0
        explained(hand)

        # Whoever logs in again puts the new token into the file and lifts the pause.
        secret.write_text(small.city.log_in(admin))
        hand.lift()
        hand.until_quiet()

        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("A9", "G8")
def test_a_token_file_renewed_before_the_city_complains_needs_nobody(small: Any) -> None:
    secret = small.folder / "token.txt"
    admin = small.city.profiles[0]
    secret.write_text(admin["token"])
    mesh = {"token_file": str(secret)}
    synced, wanted = go_through(small, **mesh)

    with small.open(**mesh) as hand:
        secret.write_text(small.city.log_in(admin))
        hand.approve(synced)
        delivered = hand.deliver()

        assert delivered.exit_code == 0
        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("A1")
def test_a_city_that_is_not_there_loses_nothing(small: Any) -> None:
    """Nothing was sent: the rows stay due and go when the city is back."""
    synced, wanted = go_through(small)

    with small.open() as hand:
        hand.approve(synced)
        with small.city.down():
            stopped = hand.deliver()
        assert small.city.ledger() == []
        assert stopped.delivered.open_count == wanted
        explained(hand)
        hand.until_quiet()

        assert len(small.city.ledger()) == wanted
        hand.assert_sound()
