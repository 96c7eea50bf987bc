"""Two pushes of one book at once: the newer revision stands, whichever comes first, and the older one never undoes it."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from gateway.audit.deed import Actor
from gateway.domain.errors import RecordError
from gateway.domain.records import Person
from gateway.flows.planner_push import receive_planner_batch
from gateway.reconcile.snapshot import load_records
from gateway.store.watermark import find_watermark

PLANNER = Actor(kind="service", name="planner", is_authenticated=True)
NOW = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)


def book(revision: int, *names: str) -> bytes:
    rows = [
        {"id": f"p{number}", "role": "pupil", "last_name": name, "first_name": "Яна"}
        for number, name in enumerate(names)
    ]
    return msgspec.json.encode({"book": "people", "revision": revision, "total": len(rows), "rows": rows})


@pytest.mark.parametrize("first", [2, 3])
def test_of_two_pushes_at_once_the_newer_revision_stands(
    first: int, build_world: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = build_world(pupils=3, database_url=database_url)
    world.settings_changes["planner"] = {"accepts_push": True}
    with world.open() as hand:
        receive_planner_batch(hand.gateway, book(1, "Первая"), sender=PLANNER)
        looked = threading.Barrier(2)
        first_looked = threading.Event()
        received: list[int] = []
        refused: list[str] = []

        def look_together(*args: Any, **more: Any) -> Any:
            found = find_watermark(*args, **more)
            first_looked.set()
            with suppress(threading.BrokenBarrierError):
                looked.wait(1)  # both would see revision 1 here, if both could look before one has stored
            return found

        def push(revision: int, *names: str) -> None:
            try:
                received.append(receive_planner_batch(hand.gateway, book(revision, *names), sender=PLANNER).revision)
            except RecordError as error:
                refused.append(error.where)

        monkeypatch.setattr("gateway.flows.planner_push.find_watermark", look_together)
        books = {2: ("Вторая",), 3: ("Третья", "Новая")}
        order = [first, 5 - first]
        threads = [threading.Thread(target=push, args=(one, *books[one])) for one in order]
        threads[0].start()
        assert first_looked.wait(30)
        threads[1].start()
        for thread in threads:
            thread.join(60)

        with hand.gateway.store.read() as conn:
            stands = find_watermark(conn, hand.gateway.place, "push|planner|people|")
            people = load_records(conn, hand.place_id(), Person)
        assert stands is not None
        assert stands.value == "3"
        assert sorted(one.last_name for one in people if one.ref.startswith("planner/")) == ["Новая", "Третья"]
        # the older one was stored before the newer, or refused as older: it is told either way
        assert (received, refused) == (([2, 3], []) if first == 2 else ([3], ["revision"]))
