"""Traffic: what stands in the queue's lanes, whether the city is called at all, and how many workers live."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.domain.clock import moscow_day
from gateway.flows.deliver import WORKER_LEASE
from gateway.flows.gateway import Gateway
from gateway.queue.breaker import Breaker, load_breaker
from gateway.queue.lanes import LaneCount, count_lanes
from gateway.queue.leases import count_leases
from gateway.queue.pace import find_hold


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """How delivery stands, all processes together.

    Attributes:
        lanes: Open operations by lane and due day.
        breaker: Whether calls go; `retry_at` when somebody may try.
        held_until: The city asked everybody to wait till then.
        workers: `gateway worker` processes that live.
        rate_per_s: The pace they share.
    """

    lanes: dict[str, LaneCount]
    breaker: Breaker
    held_until: datetime | None
    workers: int
    rate_per_s: float


def load_traffic(gateway: Gateway) -> Traffic:
    """Load how delivery stands now."""
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    with gateway.store.read() as conn:
        now = gateway.store.now(conn)
        return Traffic(
            lanes=count_lanes(conn, place_id, moscow_day(now)),
            breaker=load_breaker(conn, gateway.place.city),
            held_until=find_hold(conn, gateway.place.city, now),
            workers=count_leases(conn, WORKER_LEASE, now),
            rate_per_s=gateway.settings.mesh.rate_per_s,
        )
