"""How fast a connector may ask: one place to wait before every call.

Between a connector's calls and its door. The pace that all processes share lives in the store and implements the same
protocol; this one counts for one process.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Protocol

from gateway.domain.clock import Clock


class Pace(Protocol):
    """Says when the next call may go."""

    def take(self) -> None:
        """Wait until a call may go."""
        ...


class Unpaced:
    """No waiting at all: a sandbox of one's own."""

    def take(self) -> None:
        return


class PacedByClock:
    """A token bucket for the threads of one process.

    A caller reserves the next free moment and waits for it, so threads go in the order they came.

    Args:
        rate_per_s: Calls a second in the long run.
        burst_count: Calls that may go at once after a rest; 1 = evenly spaced.
    """

    def __init__(self, clock: Clock, *, rate_per_s: float, burst_count: int = 1) -> None:
        if rate_per_s <= 0 or burst_count < 1:
            raise ValueError("rate_per_s must be positive and burst_count at least 1")
        self._clock = clock
        self._interval = timedelta(seconds=1.0 / rate_per_s)
        self._slack = self._interval * (burst_count - 1)
        self._lock = threading.Lock()
        self._free_at: datetime | None = None
        self._seen_at: datetime | None = None

    def take(self) -> None:
        """Wait until a call may go."""
        self._clock.wait(self._reserve_s())

    def _reserve_s(self) -> float:
        with self._lock:
            now = self._clock.now()
            if self._free_at is not None and self._seen_at is not None and now < self._seen_at:
                self._free_at += now - self._seen_at  # the clock was set back: keep the gap, not the moment
            self._seen_at = now
            goes_at = now if self._free_at is None else max(now, self._free_at - self._slack)
            self._free_at = max(self._free_at or now, now) + self._interval
            return (goes_at - now).total_seconds()


__all__ = ["Pace", "PacedByClock", "Unpaced"]
