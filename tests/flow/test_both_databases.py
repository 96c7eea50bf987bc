"""The whole way with faults in it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from typing import Any

COURSE = 2


def test_the_whole_way_with_faults_ends_the_same_on_both_databases(build_world: Any, database_url: str) -> None:
    world = build_world(pupils=3, database_url=database_url)
    with world.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        wanted = synced.planned.plan.counters["create"]
        for fault, every in (("drop_after_commit", 3), ("500", 5), ("reset", 4)):
            world.city.fault(fault, path=r"/(marks|attendances|homeworks)$", method="POST", every=every)
        hand.approve(synced)
        hand.deliver()
        world.city.clear()
        hand.until_quiet()

        assert len(world.city.ledger()) == wanted
        hand.assert_sound()

        user, item = next((user, item) for user, item in world.portal.cells(COURSE) if item["itemtype"] == "manual")
        value = 5 if round(item["graderaw"]) != 5 else 3
        world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=value)
        user, item = next((user, item) for user, item in world.portal.cells(COURSE) if item["itemmodule"] == "assign")
        world.portal.edit("clear_grade", courseid=COURSE, itemid=item["id"], userid=user)
        hand.through()
        hand.wait_grace()
        second = hand.sync()
        hand.approve(second, with_deletes=True)
        hand.deliver()

        assert [entry["op"] for entry in world.city.ledger()[wanted:]] == ["change", "delete"]
        hand.assert_sound()


def test_two_gateways_at_once_on_one_database_send_each_operation_once(build_world: Any, database_url: str) -> None:
    """Two operators deliver the same approved plan at the same time."""
    world = build_world(pupils=3, database_url=database_url)
    with world.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        wanted = synced.planned.plan.counters["create"]
        hand.approve(synced)
    faults: list[BaseException] = []

    def deliver() -> None:
        try:
            with world.open() as hand:
                hand.deliver()
        except BaseException as error:  # noqa: BLE001  # a thread must hand its fault to the test
            faults.append(error)

    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    with world.open() as hand:
        hand.until_quiet()
        assert len(world.city.ledger()) == wanted
        hand.assert_sound()
