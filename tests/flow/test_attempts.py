"""What is charged to an operation as an attempt: waiting on the city's word is not, an answer nobody can read is."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.connectors.mesh.connector import MeshConnector
from gateway.domain.errors import ContractError

COURSE = 2


def test_a_city_that_asks_to_wait_for_a_day_parks_nothing(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        wanted = synced.planned.plan.counters["create"]
        hand.approve(synced)
        small.city.fault("429", method="POST")
        for _ in range(24):
            hand.deliver(max_wait_s=0)
            small.clock.advance(3600)

        assert hand.states() == {"ready": wanted}
        small.city.clear()
        hand.until_quiet()
        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


def test_a_change_whose_answer_can_never_be_read_comes_to_an_end(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object, **__: object) -> None:
        raise ContractError("Ответ журнала не того вида: ожидался объект", system="mesh", method="PUT")

    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        user, item = next((user, item) for user, item in small.portal.cells(COURSE) if item["itemtype"] == "manual")
        value = 5 if round(item["graderaw"]) != 5 else 3
        small.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=value)
        monkeypatch.setattr(MeshConnector, "change", unreadable)
        for _ in range(hand.gateway.terms.max_attempts + 2):
            hand.sync()
            small.clock.advance(3600)

        assert [(row.op, row.reason) for row in hand.operations() if row.state == "parked"] == [
            ("change", "TOO_MANY_ATTEMPTS")
        ]
        assert hand.states()["unknown"] == hand.states()["ready"] == 0
