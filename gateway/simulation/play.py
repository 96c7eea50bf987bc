"""Plays seeds: one world from its first edit to the last word of the judge, and many of them into one table."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from gateway.simulation.climate import HOUR_S, RUN_POINTS, Climate
from gateway.simulation.closing import check_end
from gateway.simulation.ear import Ear
from gateway.simulation.machines import Runner, Worker
from gateway.simulation.people import Office, Operator, Restorer, Stranger, Teacher, Weather, end_editing
from gateway.simulation.quiet import Director
from gateway.simulation.stage import Actor, Violation
from gateway.simulation.world import Sending, World

WORKERS_COUNT = 2
CHOSEN_EVERY, CHOSEN_AT = 7, 4
"""Every seventh world sends all kinds; told by the seed and not by its dice, so that the other worlds stay what they are."""
NEXT_YEAR = 1_000_000_000
"""Added to a seed for its second year: the same dice would make the same request ids."""


@dataclass
class Played:
    """What became of one seed.

    Attributes:
        violation: Invariant and sentence; empty = all held.
        differing: Places that differ at the end, each listed: reason → count.
        kinds: Our writes into the city by what was written.
        left_behind: Operations of the year before that the new one has parked.
    """

    seed: int
    label: str = ""
    violation: str = ""
    invariant: str = ""
    trace_hash: str = ""
    tail: list[str] = field(default_factory=list)
    where: str = ""
    simulated_s: float = 0.0
    real_s: float = 0.0
    crashes: int = 0
    pauses: int = 0
    points: int = 0
    calls: int = 0
    runs: int = 0
    effects: int = 0
    human_effects: int = 0
    passes: int = 0
    quiet_s: float = 0.0
    blind_overwrites: int = 0
    beyond_bound: int = 0
    doubled_beyond: int = 0
    restores: int = 0
    log_lines: int = 0
    left_behind: int = 0
    differing: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)


def play(seed: int, *, is_drill: bool = False, has_chosen: bool = False, ear: Ear | None = None) -> Played:
    """Play one seed; a violated invariant is told and not raised.

    Args:
        seed: Which world.
        is_drill: A backup is put back in it, whatever the seed says.
        has_chosen: Final marks, lateness, remarks and topics are sent as well, as in every seventh world.
        ear: What this process logs into; listens for names of this world's children.
    """
    began = time.perf_counter()
    is_chosen = has_chosen or seed % CHOSEN_EVERY == CHOSEN_AT
    shape = {name: True for name, is_wanted in (("has_restore", is_drill), ("has_chosen", is_chosen)) if is_wanted}
    world = World(seed, shaped=partial(replace, **shape))
    played = Played(seed=seed, label=world.climate.label)
    if ear is not None:
        ear.listen_for(world.school.canaries)
    differing: Counter[str] = Counter()
    try:
        set_stage(world, Director(world).play)
        world.stage.run()
        differing = check_end(world.oracle, has_restored=world.counts.restores > 0)
        if ear is not None and ear.heard:
            raise Violation("I12", f"{len(ear.heard)} canaries were logged")
    except Violation as violation:
        played.violation = violation.sentence
        played.invariant = violation.invariant
        played.where = _culprit(violation)
    except Exception as exc:  # noqa: BLE001  # whatever production code raises where nobody expects it is a finding
        played.violation = f"{type(exc).__name__}: {exc}"
        played.invariant = "fault"
        played.where = "".join(traceback.format_exception(exc)[-4:])
    _fill(played, world)
    played.log_lines = ear.line_count if ear is not None else 0
    played.differing = dict(sorted(differing.items()))
    played.real_s = time.perf_counter() - began
    return played


def play_two_years(seed: int) -> Played:
    """Play the end of one school year, in the middle of its faults, and then a whole world of the next (D8).

    The same children are there, in other classes; every id of last year is another's now. What last year left behind
    (operations on their way, runs, pauses, an open breaker) stands in the database.
    """
    began = time.perf_counter()
    first = World(seed, shaped=_cut_short)
    set_stage(first, Curtain(first).play)
    played = Played(seed=seed, label="two years")
    try:
        first.stage.run()
        world = _next_year(first)
        set_stage(world, Director(world).play)
        world.stage.run()
        check_end(world.oracle, has_restored=False)
        _fill(played, world)
        left = "SELECT count(*) FROM operation WHERE reason = 'YEAR_OVER'"
        played.left_behind = int(world.store.raw.execute(left).fetchone()[0])
    except Violation as violation:
        played.violation = violation.sentence
        played.invariant = violation.invariant
        played.where = _culprit(violation)
    played.real_s = time.perf_counter() - began
    return played


def _cut_short(drawn: Climate) -> Climate:
    return replace(drawn, has_restore=False, horizon_s=drawn.horizon_s / 2)


def _next_year(first: World) -> World:
    image = first.store.snapshot()
    pupils = [pupil for group in first.school.groups for pupil in group.pupils]
    world = World(
        first.seed + NEXT_YEAR,
        shaped=partial(replace, has_restore=False, classes=first.climate.classes),
        years_later=1,
        last_year=sorted(pupils, key=lambda one: one.ref),
    )
    world.store.restore(image)
    world.city.go_on_from(first.city)
    world.oracle.past = first.city.effects
    world.oracle.loose |= first.oracle.loose
    world.oracle.touched |= first.oracle.touched
    return world


class Curtain:
    """Ends the play at its horizon, whatever is on its way."""

    def __init__(self, world: World) -> None:
        self._world = world

    def play(self) -> None:
        """Wait and end."""
        self._world.stage.sleep(self._world.climate.horizon_s)
        self._world.stage.end()


def set_stage(world: World, director: Callable[[], None]) -> None:
    """Put all actors of a world on its stage, and who ends the play."""
    stage, climate = world.stage, world.climate
    for number in range(WORKERS_COUNT):
        sending = Sending(climate, stage)
        actor = Actor(f"worker{number}", p_crash=climate.p_crash, p_pause=climate.p_pause)
        actor.pause_limit_s = sending.limit_s
        world.workers.append(actor)
        stage.add(actor, Worker(world, actor.name, sending).play, at_s=stage.rng.uniform(0.0, 60.0))
    nightly = Actor("run", p_crash=climate.p_crash / RUN_POINTS, p_pause=climate.p_pause / 4)
    stage.add(nightly, lambda: _run_again(world), at_s=stage.rng.uniform(0.0, HOUR_S))
    operator = Actor("operator", p_crash=climate.p_crash / RUN_POINTS)
    stage.add(operator, Operator(world).play, at_s=HOUR_S / 2)
    if climate.has_restore:
        stage.add(Actor("restorer"), Restorer(world, [*world.workers, nightly, operator]).play)
    weather = Weather(world)
    stage.add(Actor("teacher"), Teacher(world).play)
    stage.add(Actor("office"), Office(world).play)
    stage.add(Actor("stranger"), Stranger(world).play)
    stage.add(Actor("repair"), weather.close_for_repair)
    stage.add(Actor("sessions"), weather.end_sessions)
    stage.add(Actor("deputy"), weather.close_period)
    stage.add(world.mail.actor, world.mail.play)
    stage.add(Actor("director"), director)
    if climate.edits_end:
        end_editing(world)


def _run_again(world: World) -> None:
    stage, climate = world.stage, world.climate
    runner = Runner(world, "run")
    while stage.is_stormy:
        is_dry_run = climate.has_dry_runs and stage.rng.random() < 0.3
        runner.run(is_dry_run=is_dry_run)
        stage.sleep(stage.rng.uniform(0.5, 1.5) * climate.run_gap_s)


def _culprit(violation: Violation) -> str:
    frames = [frame for frame in traceback.extract_tb(violation.__traceback__) if "/gateway/" in frame.filename]
    return "\n".join(f"  {frame.name} (line {frame.lineno})" for frame in frames[-12:])


def _fill(played: Played, world: World) -> None:
    stage, tally, counts = world.stage, world.oracle.tally, world.counts
    played.trace_hash = stage.trace_hash
    played.tail = list(stage.tail)
    played.simulated_s = stage.elapsed_s
    played.crashes, played.pauses, played.points = stage.crashes, stage.pauses, stage.points
    played.calls = sum(door.call_count for door in counts.doors)
    played.runs, played.passes, played.quiet_s = counts.runs, counts.passes, counts.quiet_s
    played.effects, played.human_effects = tally.effects, tally.human_effects
    played.blind_overwrites, played.beyond_bound = tally.blind_overwrites, tally.beyond_bound
    played.kinds = dict(Counter(one.kind for one in world.city.effects if not one.is_human))
    played.doubled_beyond, played.restores = tally.doubled_beyond, counts.restores
