"""F6: the power is cut at every write of a delivery; what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from gateway.connectors.port import Accepted

IMAGES = "GATEWAY_TEST_POWER_CUTS"
"""How many images the test command judges; twenty thousand are the figure of a release."""
DEFAULT_IMAGES_COUNT = 2000
CHECKPOINT_PAGES = 100


class Job(NamedTuple):
    """A job taken down: the database before it, its statements, the state after it."""

    image: bytes
    log: list[str]
    end: str


ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(scope="session")
def power_cut() -> ModuleType:
    """The harness; tests are no package, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location("power_cut", Path(__file__).parent / "power_cut.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def job(desk: Any, power_cut: ModuleType) -> Job:
    """A database, and the statements of what is done to it: creates, a change and a delete, planned, sent and proven."""
    desk.want("item:9", "5")
    desk.agree("item:9", 90, "3")
    desk.show(90, "3")
    with power_cut.take_down(desk.store.engine) as (image, log):
        for pupil in range(2, 5):
            desk.sink.answers = [Accepted(city_id=500 + pupil, request_id="r", status=200, profile="main")]
            desk.delivery().deliver(desk.queue_create(f"item:{pupil}", "5", pupil=pupil))
            desk.show(500 + pupil, "5", pupil=pupil)
        change = desk.queue("item:9", "change", ours="5", base_value="3", theirs="3", city_id=90)
        desk.delivery().deliver(change)
        desk.show(90, "5")
        desk.settle()
    assert [state.value for state in desk.states()] == ["verified"] * 4
    with desk.store.read() as conn:
        return Job(image, log, power_cut.state_of(conn.connection.dbapi_connection))


def judge(power_cut: ModuleType, job: Job, synchronous: str, images_count: int) -> Any:
    verdict = power_cut.cut_everywhere(
        job.image,
        job.log,
        synchronous=synchronous,
        images_count=images_count,
        seed=6,
        checkpoint_pages=CHECKPOINT_PAGES,
    )
    assert verdict.end == job.end, "the replay does something else than the product did"
    return verdict


@ONLY_SQLITE
@pytest.mark.row("C1")
def test_no_power_cut_loses_an_acknowledged_commit_or_leaves_half_of_one(power_cut: ModuleType, job: Job) -> None:
    wanted = int(os.environ.get(IMAGES, DEFAULT_IMAGES_COUNT))

    verdict = judge(power_cut, job, "FULL", wanted)

    assert (verdict.corrupt, verdict.torn, verdict.lost) == (0, 0, 0)
    assert verdict.images >= wanted
    assert verdict.commits >= 15
    assert len(verdict.held) > verdict.commits / 2, "the cuts fell on few commits only: this shows little"
    if IMAGES in os.environ:
        print(
            f"\nF6: {verdict.images} images at {verdict.points} points of {verdict.commits} commits: 0 corrupt, 0 lost"
        )


@ONLY_SQLITE
@pytest.mark.row("C2", "C3")
def test_with_a_weaker_setting_the_same_harness_loses_commits(power_cut: ModuleType, job: Job) -> None:
    verdict = judge(power_cut, job, "NORMAL", 400)

    assert verdict.lost > 0
    assert verdict.corrupt == 0


@ONLY_SQLITE
@pytest.mark.row("C2")
def test_without_any_sync_the_same_harness_finds_damage(power_cut: ModuleType, job: Job) -> None:
    verdict = judge(power_cut, job, "OFF", 400)

    assert verdict.corrupt + verdict.torn > 0
