"""How fast a connector may ask: one place to wait before every call.

Between a connector's calls and its door. The pace that all processes share lives in the store and implements the same
protocol; this one counts for one process. Whose call it is (lane), whether its turn was waited for already (prepaid) and
since when its time runs go with the thread's context, so that a connector only ever says `take`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Literal, Protocol

from gateway.domain.clock import Clock

Lane = Literal["demand", "nightly"]

_LANE: ContextVar[Lane] = ContextVar("pace_lane", default="nightly")
_PREPAID: ContextVar[bool] = ContextVar("pace_prepaid", default=False)
_SPENT_S: ContextVar[float] = ContextVar("pace_spent", default=0.0)


@contextmanager
def in_lane(lane: Lane) -> Iterator[None]:
    """Calls made inside are of that lane: somebody waits for a `demand` call, nobody for a `nightly` one."""
    token = _LANE.set(lane)
    try:
        yield
    finally:
        _LANE.reset(token)


def current_lane() -> Lane:
    """The lane of the calls of this context; nightly unless said otherwise."""
    return _LANE.get()


@contextmanager
def prepaid(*, spent_s: float = 0.0) -> Iterator[None]:
    """The first call made inside goes at once: its turn was waited for before.

    Args:
        spent_s: Seconds of the write's total time that are over already: it was marked as being sent so long ago.
    """
    token, spent = _PREPAID.set(True), _SPENT_S.set(spent_s)
    try:
        yield
    finally:
        _SPENT_S.reset(spent)
        _PREPAID.reset(token)


def already_spent_s() -> float:
    """Seconds of this context's write that were over before it came to its connector."""
    return _SPENT_S.get()


def spend_prepaid() -> bool:
    """Whether this call's turn was waited for already; true once."""
    was_paid = _PREPAID.get()
    _PREPAID.set(False)
    return was_paid


class Turns(Protocol):
    """Turns of several calls, given together; each is used once, in their order."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def wait(self, number: int) -> bool:
        """Wait until the turn of that number, from 0; False where it has passed unused and another must be taken."""
        ...


class Pace(Protocol):
    """Says when the next call may go."""

    def take(self) -> None:
        """Wait until a call may go.

        Raises:
            ThrottledError: The city asked for a longer wait than a thread may spend; nothing was sent.
        """
        ...

    def reserve(self, count: int) -> Turns:
        """Take the turns of up to `count` calls that are being prepared; waits until there is one, not until it has come.

        Raises:
            ThrottledError: As `take`.
        """
        ...


class _TakenOneByOne:
    """Turns that are taken when they are used: where taking one costs nothing, none need be taken ahead."""

    def __init__(self, pace: Pace, count: int) -> None:
        self._pace = pace
        self._count = count

    def __len__(self) -> int:
        return self._count

    def wait(self, number: int) -> bool:
        del number
        self._pace.take()
        return True


class Unpaced:
    """No waiting at all: a sandbox of one's own."""

    def take(self) -> None:
        return

    def reserve(self, count: int) -> Turns:
        """As many as asked."""
        return _TakenOneByOne(self, count)


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
        if not spend_prepaid():
            self._clock.wait(self._reserve_s())

    def reserve(self, count: int) -> Turns:
        """As many as asked; each is waited for when it is used."""
        return _TakenOneByOne(self, count)

    def _reserve_s(self) -> float:
        with self._lock:
            now = self._clock.now()
            if self._free_at is not None and self._seen_at is not None and now < self._seen_at:
                self._free_at += now - self._seen_at  # the clock was set back: keep the gap, not the moment
            self._seen_at = now
            goes_at = now if self._free_at is None else max(now, self._free_at - self._slack)
            self._free_at = max(self._free_at or now, now) + self._interval
            return (goes_at - now).total_seconds()


__all__ = [
    "Lane",
    "Pace",
    "PacedByClock",
    "Turns",
    "Unpaced",
    "already_spent_s",
    "current_lane",
    "in_lane",
    "prepaid",
    "spend_prepaid",
]
