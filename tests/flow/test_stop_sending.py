"""Emergency stop: new calls end within two seconds in every process, and nothing that was out is lost or doubled."""

from __future__ import annotations

import os
import threading
import time
import traceback
from typing import Any

import pytest

from gateway.audit.notes import get_note
from gateway.bootstrap import open_gateway
from gateway.domain.clock import ShiftedClock
from gateway.domain.errors import ConfigurationError
from gateway.flows.stop import allow_sending, stop_sending
from gateway.flows.sync import Exit, resume
from gateway.queue.barrier import find_stop

LIMIT_S = 2.0


def watch_writes(city: Any, count: int) -> tuple[threading.Event, list[float]]:
    """An event that is set when the city has been asked for so many writes, and the moments of all of them."""
    reached = threading.Event()
    moments: list[float] = []
    app = city.recorder._app

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("method") in ("POST", "PUT", "DELETE") and not scope["path"].startswith("/__"):
            moments.append(time.monotonic())
            if len(moments) >= count:
                reached.set()
        await app(scope, receive, send)

    city.recorder._app = watched
    return reached, moments


@pytest.mark.row("V10")
@pytest.mark.slow
def test_a_delivery_in_another_process_makes_no_new_call_two_seconds_later(build_world: Any, make_hand: Any) -> None:
    """A forked child sends at ten a second; a command of this process stops it."""
    world = build_world(pupils=8, own_clock=True)
    with world.open() as hand:
        hand.link_everybody()
        hand.approve(hand.sync())
        start_at = world.clock.now()
        wanted = hand.states()["ready"]
    reached, moments = watch_writes(world.city, 5)
    child = os.fork()
    if child == 0:
        code = 71
        try:
            with open_gateway(world.settings(rate_per_s=10), clock=ShiftedClock(start_at)) as gateway:
                code = int(resume(gateway, make_hand(world, gateway, world.city).want, form="deliver").exit_code)
        except BaseException:  # noqa: BLE001  # the child must say why and must not come back into pytest
            traceback.print_exc()
        finally:
            os._exit(code)
    assert reached.wait(30)
    with world.open() as hand:
        stopped = stop_sending(hand.gateway, reason="неверное сопоставление")
    stopped_at = time.monotonic()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert code == Exit.PAUSED
    assert stopped.is_changed
    assert len(moments) < wanted / 2
    assert max(moments) < stopped_at + LIMIT_S
    with world.open() as hand:
        with pytest.raises(ConfigurationError, match="причин"):
            allow_sending(hand.gateway, reason=" ")
        assert hand.deliver().exit_code is Exit.PAUSED
        allow_sending(hand.gateway, reason="исправлено")
        world.clock.advance(3600)
        hand.deliver()
        hand.until_quiet()
        hand.assert_sound()
        assert hand.states()["verified"] == wanted


def test_a_call_that_waited_for_its_turn_is_not_made_after_the_stop(build_world: Any) -> None:
    """The stop comes between the row's last check and the call: the connector asks once more, and nothing is sent."""
    world = build_world(pupils=6)
    with world.open() as hand:
        hand.link_everybody()
        hand.approve(hand.sync())
        ready = hand.states()["ready"]

        class StopsAtItsTurn:
            def take(self) -> None:
                with world.open() as other:
                    stop_sending(other.gateway, reason="")
                # «all is clear» is remembered for a quarter of a second, which is over
                hand.gateway.forget_pauses()

        hand.gateway.city._city._client._pace = StopsAtItsTurn()
        result = hand.deliver()

        assert result.exit_code is Exit.PAUSED
        assert "stop-sending --lift" in result.sentence
        assert world.city.machine_ledger() == []
        assert hand.states() == {"ready": ready}
        assert {row.attempts for row in hand.operations()} == {0}


def test_a_stop_has_an_actor_a_reason_and_an_audit_entry_and_a_second_one_changes_nothing(small: Any) -> None:
    with small.open() as hand:
        first = stop_sending(hand.gateway, reason="чужие отметки")
        second = stop_sending(hand.gateway, reason="ещё раз")

        assert first.is_changed
        assert not second.is_changed
        actions = [entry.action for entry in hand.actions()]
        assert actions.count("sending.stopped") == 1
        with hand.gateway.store.read() as conn:
            stop = find_stop(conn, hand.gateway.place.city)
            assert stop is not None
            assert get_note(conn, stop.note_id) == "чужие отметки"
        allow_sending(hand.gateway, reason="исправлено")
        with hand.gateway.store.read() as conn:
            assert find_stop(conn, hand.gateway.place.city) is None
        assert "sending.allowed" in [entry.action for entry in hand.actions()]


def test_lifting_the_pauses_of_profiles_does_not_lift_a_stop(small: Any) -> None:
    """`deliver --resume` says that tokens were renewed; it says nothing about why a person stopped everything."""
    from gateway.queue.pauses import lift

    with small.open() as hand:
        stop_sending(hand.gateway, reason="")
        with hand.gateway.store.write() as conn:
            lift(conn, hand.gateway.place.city)
        assert hand.deliver().exit_code is Exit.PAUSED


def test_what_was_sent_before_the_stop_is_still_read_back(build_world: Any) -> None:
    """Reading goes on: an answer that never came is settled although nothing may be sent."""
    world = build_world(pupils=6)
    with world.open() as hand:
        hand.link_everybody()
        hand.approve(hand.sync())
        world.city.fault("drop_after_commit", path="/marks", method="POST")
        hand.deliver(max_wait_s=0)
        assert hand.states()["unknown"]
        world.city.clear()
        stop_sending(hand.gateway, reason="")
        world.clock.advance(3600)
        hand.deliver()

        assert not hand.states()["unknown"]
        assert hand.states()["verified"]
