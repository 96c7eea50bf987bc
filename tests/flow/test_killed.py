"""A child process is killed at steps all over a sync and started again: the city holds every intended object once.

The sandboxes live in the test's process; the gateway runs in a forked child that counts its steps (every commit and
every call to the city, before and after) and ends by `os._exit` at the n-th. Nothing is flushed, no `finally` runs.
"""

from __future__ import annotations

import os
import random
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.bootstrap import open_gateway
from gateway.connectors.http import Answer, HttpDoor
from gateway.domain.clock import VirtualClock
from gateway.store.transaction import Store
from tests.flow.test_chosen_kinds import add_chosen, choose

KILLED, DONE, FAILED = 9, 0, 71
EVERY_STEP = "GATEWAY_TEST_EVERY_STEP"
HALF_HOUR = timedelta(minutes=30)


class Countdown:
    """Counts steps and ends the process at the chosen one."""

    def __init__(self, kill_at: int | None) -> None:
        self._kill_at = kill_at
        self.count = 0

    def step(self) -> None:
        self.count += 1
        if self.count == self._kill_at:
            os._exit(KILLED)


def count_steps(countdown: Countdown) -> None:
    """Put the countdown around every commit and every call to the city, in this process."""
    write, call = Store.write, HttpDoor.call

    @contextmanager
    def counted_write(self: Store) -> Iterator[Connection]:
        with write(self) as conn:
            yield conn
            countdown.step()  # all is written and nothing is committed
        countdown.step()

    def counted_call(self: HttpDoor, *args: Any, **more: Any) -> Answer:
        if self.system != "mesh":
            return call(self, *args, **more)
        countdown.step()
        answer = call(self, *args, **more)
        countdown.step()
        return answer

    Store.write = counted_write  # type: ignore[method-assign]  # in the child only
    HttpDoor.call = counted_call  # type: ignore[method-assign]  # in the child only


class Trials:
    """Runs children against one pair of sandboxes; each trial begins with an empty city and an empty database."""

    def __init__(self, world: Any, template: Path, make_hand: Callable[..., Any]) -> None:
        self.world = world
        self._template = template
        self._make_hand = make_hand
        self._file = world.folder / "gateway.sqlite"
        self._report = world.folder / "report.txt"
        self._starts = 0

    def begin(self) -> None:
        self.world.city.post("reset", {"seed": 1})
        for old in self._file.parent.glob("gateway.sqlite*"):
            old.unlink()
        shutil.copyfile(self._template, self._file)
        self._starts = 0

    def run(self, kill_at: int | None) -> int:
        """Run the whole way in a child; its exit code. Each child starts half an hour after the one before."""
        self._starts += 1
        pid = os.fork()
        if pid == 0:
            self._be_child(kill_at)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def steps(self) -> tuple[int, int]:
        """Steps of the last child that came to its end: up to the approved plan, and up to its delivery's end."""
        planned, delivered = self._report.read_text().split()
        return int(planned), int(delivered)

    def check(self) -> None:
        with open_gateway(self.world.settings(), clock=self.world.clock) as gateway:
            self._make_hand(self.world, gateway, self.world.city).assert_sound()

    def intended(self) -> list[tuple[Any, ...]]:
        """What the ledger says was created, without ids."""
        return sorted(
            (entry["kind"], entry["op"], str(entry["cell"]), str(entry["value"]), str(entry["control_form_id"]))
            for entry in self.world.city.ledger()
        )

    def _be_child(self, kill_at: int | None) -> None:
        code = FAILED
        try:
            countdown = Countdown(kill_at)
            count_steps(countdown)
            clock = VirtualClock(self.world.clock.now() + HALF_HOUR * self._starts)
            with open_gateway(self.world.settings(), clock=clock) as gateway:
                self.world.clock = clock
                hand = self._make_hand(self.world, gateway, self.world.city)
                synced = hand.sync()
                if synced.planned.plan.needs_approval:
                    hand.approve(synced)
                planned = countdown.count
                hand.deliver()
                delivered = countdown.count
                hand.until_quiet(step_s=60)
            self._report.write_text(f"{planned} {delivered}")
            code = DONE
        except BaseException:  # noqa: BLE001  # a child that fails must say why and must not come back into pytest
            traceback.print_exc()
        finally:
            os._exit(code)


def leave_few(portal: Any) -> None:
    """Leave a column of classwork, a homework, a test and the absences of one lesson, so that every step can be tried."""
    courseid = portal.courses()[0]
    rows = portal.sandbox.book.course(courseid)
    columns: dict[str | None, list[int]] = {module: [] for module in (None, "assign", "quiz")}
    for _, item in portal.cells(courseid):
        if item["id"] not in columns[item["itemmodule"]]:
            columns[item["itemmodule"]].append(item["id"])
    for itemid in [*columns[None][1:], *columns["assign"][1:]]:
        portal.edit("remove_item", courseid=courseid, itemid=itemid)
    for sessions in rows.sessions.values():
        for session in sessions:
            for user in [one["studentid"] for one in session["attendance_log"]]:
                acronym = "A" if session is sessions[-1] else "P"
                portal.edit("set_attendance", courseid=courseid, sessionid=session["id"], userid=user, acronym=acronym)


@pytest.fixture
def trials(build_world: Any, make_hand: Any) -> Trials:
    world = build_world(pupils=1, own_clock=True, prepare=leave_few)
    with world.open() as hand:
        hand.link_everybody()
    template = world.folder / "template.sqlite"
    shutil.copyfile(world.folder / "gateway.sqlite", template)
    return Trials(world, template, make_hand)


def choose_steps(planned: int, delivered: int) -> list[int]:
    """Steps to be killed at: every fifth of the delivery, every thirtieth of the reading and planning before it.

    Every single one is killed at in `tests/simulation/test_killed_everywhere.py`, without HTTP between; here it is with
    GATEWAY_TEST_EVERY_STEP set: some ten minutes.
    """
    if os.environ.get(EVERY_STEP):
        return list(range(1, delivered + 1))
    return [*range(1, planned, 30), *range(planned, delivered + 1, 5)]


@pytest.mark.row("B1")
@pytest.mark.slow
def test_killed_at_any_step_and_started_again_every_object_stands_once(trials: Trials) -> None:
    """Steps all over a run that writes marks, absences and homework; then one start to the end."""
    trials.begin()
    assert trials.run(None) == DONE
    planned, delivered = trials.steps()
    wanted = trials.intended()
    trials.check()
    assert {entry[0] for entry in wanted} == {"mark", "absence", "homework"}
    chosen = choose_steps(planned, delivered)
    assert len(chosen) >= 20, chosen

    for at in chosen:
        trials.begin()
        assert trials.run(at) == KILLED, at
        assert trials.run(None) == DONE, at
        assert trials.intended() == wanted, at
        trials.check()


@pytest.mark.row("B2")
@pytest.mark.slow
def test_killed_again_during_the_recovery_nothing_is_lost_or_doubled(trials: Trials) -> None:
    """Ten pairs of steps, drawn with a fixed seed."""
    trials.begin()
    assert trials.run(None) == DONE
    _, delivered = trials.steps()
    wanted = trials.intended()
    drawn = random.Random(20261123)

    for _ in range(10):
        pair = drawn.randint(1, delivered), drawn.randint(1, delivered)
        trials.begin()
        assert trials.run(pair[0]) == KILLED, pair
        # The recovery has fewer steps where much was done before: then it comes to its end.
        assert trials.run(pair[1]) in (KILLED, DONE), pair
        assert trials.run(None) == DONE, pair
        assert trials.intended() == wanted, pair
        trials.check()


@pytest.fixture
def chosen_trials(build_world: Any, make_hand: Any) -> Trials:
    """One pupil with a final mark, a lateness and a group's topics, and nothing else that is sent."""
    world = build_world(pupils=1, own_clock=True, prepare=add_chosen)
    choose(world, "comment", "final", "topics")
    with world.open() as hand:
        hand.link_everybody()
    template = world.folder / "template.sqlite"
    shutil.copyfile(world.folder / "gateway.sqlite", template)
    return Trials(world, template, make_hand)


@pytest.mark.slow
def test_killed_while_final_marks_remarks_and_topics_go_every_one_stands_once(chosen_trials: Trials) -> None:
    """Every fourteenth step of the delivery: a remark is not de-duplicated by the city, a plan is three calls."""
    trials = chosen_trials
    trials.begin()
    assert trials.run(None) == DONE
    planned, delivered = trials.steps()
    wanted = trials.intended()
    trials.check()
    assert {entry[0] for entry in wanted} == {"comment", "final", "topics"}

    for at in range(planned + 1, delivered + 1, 1 if os.environ.get(EVERY_STEP) else 14):
        trials.begin()
        assert trials.run(at) == KILLED, at
        assert trials.run(None) == DONE, at
        assert sorted(set(trials.intended())) == wanted, at  # the whole plan may be put again: it is the same plan
        assert [entry[0] for entry in trials.intended()].count("comment") == 1, at
        trials.check()
