"""M7: a job that kills its process is redelivered for ever by dramatiq (26 times in 60 s); here a kill is counted."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import select

from gateway.flows.deliver import build_delivery
from gateway.queue.due import sweep
from gateway.queue.states import State
from gateway.queue.tables import operation

pytestmark = pytest.mark.row("M7")

SUICIDE = """
import os, sys
from gateway.bootstrap import open_gateway
from gateway.flows.deliver import build_delivery
from gateway.settings import GatewaySettings

class Deadly:
    def reserve(self, count):
        os._exit(9)

settings = GatewaySettings.model_validate_json(sys.stdin.read())
with open_gateway(settings) as gateway:
    object.__setattr__(gateway, "pace", Deadly())
    build_delivery(gateway).deliver(int(sys.argv[1]))
"""


@pytest.mark.row("B3")
def test_an_operation_that_kills_its_worker_three_times_is_parked_and_the_others_go_on(fleet: Any) -> None:
    fleet.queue(5)
    poison = fleet.rows()[0].id
    settings = fleet.settings(queue={"lease_s": 0.001, "redis_url": None})
    body = settings.model_dump_json(exclude_defaults=True, exclude={"mesh": {"token"}, "portal": {"token"}})
    environment = os.environ | {
        "GATEWAY_MESH__TOKEN": settings.mesh.token.get_secret_value(),
        "GATEWAY_PORTAL__TOKEN": settings.portal.token.get_secret_value(),
    }
    for kill in range(1, 4):
        died = subprocess.run(
            [sys.executable, "-c", SUICIDE, str(poison)], input=body, text=True, env=environment, check=False
        )
        assert died.returncode == 9
        assert sweep(fleet.gateway.store) == 1
        assert fleet.rows()[0].claims == kill

    assert build_delivery(fleet.gateway).deliver(poison) is State.PARKED
    with fleet.worker():
        fleet.wait_for("verified", 4)

    with fleet.gateway.store.read() as conn:
        row = conn.execute(select(operation).where(operation.c.id == poison)).one()
    assert (row.state, row.reason) == (State.PARKED, "POISON")
    assert len(fleet.ledger()) == 4
