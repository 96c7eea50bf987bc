"""M10: dramatiq throws TimeLimitExceeded between the city's answer and our record of it."""

from __future__ import annotations

from typing import Any

import pytest
from dramatiq.middleware import TimeLimitExceeded

from gateway.connectors.mesh.connector import MeshConnector
from gateway.queue.broker import Doorbell

pytestmark = pytest.mark.row("M10")


@pytest.mark.row("B6")
def test_nothing_in_the_doorbell_throws_into_a_thread(redis_url: str) -> None:
    for url in (None, redis_url):
        with Doorbell(lambda _: None, threads=1, redis_url=url) as bell:
            named = {type(one).__name__ for one in bell._broker.middleware}

        assert named == {"_WorkerMiddleware"}


@pytest.mark.row("B6")
def test_an_interrupt_after_the_answer_stops_the_worker_and_the_next_one_finds_the_mark(
    fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.queue(8)
    create = MeshConnector.create
    interrupted: list[int] = []

    def create_and_be_interrupted(self: MeshConnector, intent: Any, *, request_id: str) -> Any:
        accepted = create(self, intent, request_id=request_id)
        if not interrupted:
            interrupted.append(intent.pupil_id)
            raise TimeLimitExceeded
        return accepted

    monkeypatch.setattr(MeshConnector, "create", create_and_be_interrupted)
    with pytest.raises(TimeLimitExceeded), fleet.worker():
        fleet.wait_for("sending", 1)
    with fleet.worker():
        fleet.wait_done()

    assert len(interrupted) == 1
    fleet.assert_whole()
