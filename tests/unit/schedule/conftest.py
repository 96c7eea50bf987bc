"""A gateway without a city and without a portal: claims of slots touch the store alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from gateway.audit.deed import Actor
from gateway.audit.log import AuditLog
from gateway.connectors.port import CityPort
from gateway.domain.identifiers import Place
from gateway.flows.gateway import Gateway
from gateway.mapping.rules import load_rules
from gateway.queue.terms import Terms
from gateway.reconcile.guard import Limits
from gateway.settings import load_settings
from gateway.store.transaction import Store

ALL_OFF = {name: {"mode": "off"} for name in ("everything", "homework", "marks")}


def build_gateway(store: Store, **schedule: Any) -> Gateway:
    """Compose one whose only schedules are those given."""
    settings = load_settings(None, schedule={**ALL_OFF, **schedule}, mesh={"base_url": "http://127.0.0.1:1"})
    gateway = Gateway(
        settings=settings,
        clock=store.clock,
        store=store,
        audit=AuditLog(store, environment="test", code_version="test"),
        place=Place("127.0.0.1:1/0", "portal", "2026/27"),
        rules=load_rules(None),
        sources=(),
        city=cast("CityPort", None),
        terms=Terms(lease_s=15.0, max_claims=3, max_attempts=3, settle_s=10.0, deadline_s=5.0),
        limits=Limits(minimum_count=5, change_ratio=0.75, delete_ratio=0.1, empty_source_ratio=0.5),
        actor=Actor(kind="service", name="test"),
    )
    with store.write() as conn:
        gateway.place_id(conn)
    return gateway


@pytest.fixture
def make_gateway(store: Store) -> Callable[..., Gateway]:
    """Builds gateways over the test's store."""

    def make(**schedule: Any) -> Gateway:
        return build_gateway(store, **schedule)

    return make


@pytest.fixture
def compose() -> Callable[..., Gateway]:
    """Builds a gateway over any store, for a test that has several processes."""
    return build_gateway
