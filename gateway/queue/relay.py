"""Outbox → doorbell: rings what is due, brings back what a dead worker left. Losing the broker costs one round of it.

Every worker has one; one at a time rings, under a lease. It keeps the broker's queue short and refills it in the order
of lanes and due days, so that a mark on demand never stands behind a night's work, whatever was rung before.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from gateway.connectors.pace import Lane
from gateway.queue.breaker import find_wait_until
from gateway.queue.broker import Doorbell
from gateway.queue.due import sweep
from gateway.queue.lanes import LANES, load_due_rows
from gateway.queue.leases import take_lease
from gateway.store.transaction import Store

QUEUED_COUNT = 200
"""Operations rung ahead: a second of work at the highest rate paced in the store, forty seconds at the default pace."""
RING_AGAIN_S = 10.0
"""An id rung and still due is rung again after this: its message is taken for lost."""
EMPTY_AGAIN_S = 2.0
"""The same while the lane's queue is empty: it was flushed, or the ids are in a worker's hands."""
LEASE_S = 10.0
"""Longest lease of who rings. It is two of its rounds: a killed one's successor rings after that, not after ten seconds."""
SWEEP_S = 2.0


class Relay:
    """Rings for one place.

    Args:
        store: The store.
        bell: What is rung.
        place_id: Where.
        city: Key of the city, for its breaker and its hold.
        owner: Name of this worker in leases.
        batch_count: How many operations a thread takes for one id that it is rung with.
        tick_s: How often `step` is called where nothing wakes its worker.
        monotonic: Clock of what was rung when, in seconds.
    """

    def __init__(
        self,
        store: Store,
        bell: Doorbell,
        *,
        place_id: int,
        city: str,
        owner: str,
        batch_count: int = 1,
        tick_s: float = LEASE_S / 2,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._bell = bell
        self._place_id = place_id
        self._city = city
        self._owner = owner
        self._batch_count = batch_count
        self._lease_s = min(LEASE_S, max(2 * tick_s, SWEEP_S))
        self._monotonic = monotonic
        self._rung_at: dict[Lane, dict[int, float]] = {lane: {} for lane in LANES}
        self._swept_at: float | None = None

    def step(self) -> int:
        """Sweep where it is time, then ring what is due and not rung lately.

        Returns:
            How many operations were rung for; 0 also where another worker rings.
        """
        if not take_lease(self._store, f"relay:{self._place_id}", self._owner, seconds=self._lease_s):
            for rung in self._rung_at.values():
                rung.clear()
            return 0
        started_at = self._monotonic()
        if self._swept_at is None or started_at - self._swept_at >= SWEEP_S:
            sweep(self._store)
            self._swept_at = started_at
        room = QUEUED_COUNT
        for lane in LANES:
            waiting = self._bell.count_waiting(lane) * self._batch_count
            self._forget(lane, started_at, EMPTY_AGAIN_S if waiting == 0 else RING_AGAIN_S)
            room -= waiting
        with self._store.read() as conn:
            now = self._store.now(conn)
            if find_wait_until(conn, self._city, now) is not None:
                return 0
            rung_count = sum(len(rung) for rung in self._rung_at.values())
            rows = load_due_rows(conn, self._place_id, now, limit=QUEUED_COUNT + rung_count)
        fresh: dict[Lane, list[int]] = defaultdict(list)
        for row in rows:
            if row.id not in self._rung_at[row.lane]:
                fresh[row.lane].append(row.id)
        # on demand is rung however full the night's queue is
        return self._ring("demand", fresh["demand"]) + self._ring("nightly", fresh["nightly"][: max(room, 0)])

    def _forget(self, lane: Lane, now: float, after_s: float) -> None:
        rung = self._rung_at[lane]
        for operation_id in [one for one, at in rung.items() if now - at >= after_s]:
            del rung[operation_id]

    def _ring(self, lane: Lane, ids: list[int]) -> int:
        """Ring once for each batch: a thread takes what stands first in the lane, not only the id it is rung with."""
        count = self._bell.ring(ids[:: self._batch_count], lane=lane) * self._batch_count
        at = self._monotonic()
        self._rung_at[lane].update((one, at) for one in ids[:count])
        return min(count, len(ids))


__all__ = ["Relay"]
