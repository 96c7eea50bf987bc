"""The last act: faults are over, and pass after pass is run until nothing moves any more (I7, F15)."""

from __future__ import annotations

from collections.abc import Collection

from gateway.simulation.machines import Runner
from gateway.simulation.people import Operator
from gateway.simulation.stage import Violation
from gateway.simulation.store import StageStore
from gateway.simulation.world import World

PASS_S = 1200.0
POLL_S = 20.0
MAX_PASSES = 3
"""Runs after the last fault that may still move something; the one after them proves that all is still (F15). Two are enough
but where a value was cleared while its record was on its way: that ends first, and an absence takes two reads to prove."""
MAX_QUIET_S = 900.0
"""From the last fault, or the latest moment at which a call of before may still land, to the end of the last move (F15). A
run that was killed on another machine keeps its turn for `schedule.run_lease_s`; waiting for that is not counted."""


class Director:
    """Ends the faults at the horizon, runs until all is quiet, and lets the curtain fall."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._runner = Runner(world, "director")
        self._operator = Operator(world)
        self._waited_s = 0.0

    def play(self) -> None:
        world, stage, counts = self._world, self._world.stage, self._world.counts
        stage.sleep(world.climate.horizon_s)
        stage.is_stormy = False
        world.sky.is_closed = False
        stage.note("calm")
        # what a person has just changed the city's readers see only after its lag, and no plan can list it sooner
        stage.sleep(max(self._longest_flight_s(), world.climate.lag_s))
        began_s = stage.elapsed_s
        while not self._is_still():
            counts.passes += 1
            counts.quiet_s = stage.elapsed_s - began_s - self._waited_s
            if counts.passes > MAX_PASSES:
                raise Violation("I7", f"not quiet after {MAX_PASSES} passes: {what_moves(world.store)}")
            if counts.quiet_s > MAX_QUIET_S:
                raise Violation("I7", f"not quiet for {counts.quiet_s:.0f} s: {what_moves(world.store)}")
        stage.end()

    def _longest_flight_s(self) -> float:
        return 0.0 if self._world.climate.is_bounded else self._world.climate.city.late_limit_s

    def _is_still(self) -> bool:
        """Run once, approve what asks for it, let the workers come to an end; True when nothing moved at all."""
        world, stage = self._world, self._world.stage
        gateway = world.open_gateway("director")
        self._operator.renew(gateway)
        self._operator.replay(gateway)
        before, proven = count_operations(world.store), count_proven(world.store)
        deadline_s = stage.elapsed_s + PASS_S
        asked_s = stage.elapsed_s
        while not self._runner.run():  # the turn of a run that was killed is free again after a while
            stage.sleep(POLL_S)
            if stage.elapsed_s > deadline_s:
                return False
            self._waited_s += stage.elapsed_s - asked_s
            asked_s = stage.elapsed_s
        self._operator.approve(gateway, is_whole=True)
        while what_moves(world.store) and stage.elapsed_s < deadline_s:
            stage.sleep(POLL_S)
        is_still = count_operations(world.store) == before and not is_unproven(world.store, world.oracle.hidden_kinds())
        # what was proven after the plan of this pass was made is in no plan: its object may be listed as foreign
        is_still = is_still and count_proven(world.store) == proven
        return is_still and not what_moves(world.store) and world.mail.is_empty


def is_unproven(store: StageStore, hidden: Collection[str] = ()) -> bool:
    """Whether the last plan waits for another read: an absence is proven by two.

    Args:
        store: The store.
        hidden: Kinds of which the city shows nothing that is known: their lists are refused for good.
    """
    newest = "SELECT max(id) FROM plan WHERE hash IS NOT NULL"
    rows = store.raw.execute(
        f"SELECT DISTINCT kind, reason FROM decision WHERE plan_id = ({newest})"  # noqa: S608  # text of the line above
        " AND reason IN ('ABSENCE_UNPROVEN', 'IN_FLIGHT', 'UNREAD_TARGET', 'INCOMPLETE_READ')"
    )
    return any(kind not in hidden or reason != "UNREAD_TARGET" for kind, reason in rows)


def count_operations(store: StageStore) -> int:
    """Operations so far, but for those that a closed period dropped: their records stay listed, run after run."""
    dropped = "SELECT count(*) FROM operation WHERE reason NOT IN ('WINDOW_CLOSED', 'WINDOW_EDIT_OVER')"
    return int(store.raw.execute(dropped).fetchone()[0])


def count_proven(store: StageStore) -> int:
    """Operations that were seen in the city as meant."""
    return int(store.raw.execute("SELECT count(*) FROM operation WHERE state = 'verified'").fetchone()[0])


def what_moves(store: StageStore) -> str:
    """Operations that are not at their end, in words; empty where there are none."""
    rows = store.raw.execute(
        "SELECT state, count(*) FROM operation WHERE state IN ('ready', 'claimed', 'sending', 'unknown', 'accepted')"
        " GROUP BY state ORDER BY state"
    ).fetchall()
    return ", ".join(f"{state} {count}" for state, count in rows)
