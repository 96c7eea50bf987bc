"""A process is killed at every point of the three reference jobs, and again while its successor recovers (F5)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.simulation.killed import JOBS, digest_world, draw_pairs, kill_everywhere, prepare

MARK, CLASS, NIGHT = JOBS
EVERY_POINT = "GATEWAY_TEST_EVERY_POINT"
NIGHT_STEP = 4
"""The night has the class's points for three times as many objects: every fourth costs about what all of the class's do.
`.ci/run` and `make figures` take every one, by GATEWAY_TEST_EVERY_POINT."""
PAIRS_COUNT = 500

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: a kill, unlike a power cut, takes nothing of what was not on the disk yet."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="gateway-killed-", dir=memory if os.access(memory, os.W_OK) else None))
    yield made
    shutil.rmtree(made)


def every(step: int, points: int) -> range:
    return range(1, points + 1, step)


@pytest.mark.row("B1")
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_killed_at_any_point_of_a_job_its_successor_finishes_it(
    job: object, folder: Path, tell_figure: Callable[..., None]
) -> None:
    step = NIGHT_STEP if job is NIGHT and not os.environ.get(EVERY_POINT) else 1
    # of the smallest job every kill is played, also those that leave the same world: that they end the same is shown here
    done = kill_everywhere(job, folder, chosen=partial(every, step), is_each_played=job is MARK)

    assert done.failures == []
    assert done.ends == (done.worlds if job is MARK else 0)
    assert done.kills >= done.points // step
    assert done.operations >= {MARK: 1, CLASS: 15, NIGHT: 50}[job]
    tell_figure(
        f"F5 killed at points of the job «{done.job}» ({done.operations} operations)",
        f"{done.kills} of {done.points}, {done.worlds} different worlds left",
    )


def test_two_worlds_are_the_same_only_where_nothing_differs(folder: Path) -> None:
    world = prepare(MARK, folder, 1)
    place = next(place for place in world.school.places if world.portal.causes[place.key].now is not None)
    row = world.city.standing("marks")[0]
    seen = [digest_world(world)]

    def look() -> None:
        seen.append(digest_world(world))

    with world.store.read():
        assert digest_world(world) == seen[0]
    with world.store.write() as conn:
        conn.execute(text("UPDATE gateway_instance SET epoch = epoch + 1"))
        assert digest_world(world) == seen[0]  # a kill leaves nothing of what was not committed
    look()
    world.stage.wait(0.001)
    look()
    world.stage.rng.random()
    look()
    world.portal.set(place, None)
    look()
    assert world.city.type_by_hand({"op": "change", "kind": "mark", "id": row["id"], "value": "2"})
    look()
    world.city.state.put("marks", {**row, "comment": "!"}, now=world.stage.now())
    look()
    world.sky.is_closed = True
    look()
    world.oracle.epoch += 1
    look()

    assert len(set(seen)) == len(seen) == 9


@pytest.mark.row("B2")
def test_killed_again_during_the_recovery_nothing_is_lost_or_doubled(
    folder: Path, tell_figure: Callable[..., None]
) -> None:
    done = kill_everywhere(
        CLASS, folder, seed=2, chosen=lambda _points: (), pairs=partial(draw_pairs, count=PAIRS_COUNT + 50, seed=2)
    )

    assert done.failures == []
    assert done.pairs >= PAIRS_COUNT
    tell_figure("F5 killed again during the recovery, pairs", done.pairs)
