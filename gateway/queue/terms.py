"""Delivery's numbers, and the ids by which the city's answers are found again."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol
from uuid import uuid4

import msgspec

from gateway.queue.breaker import BreakerTerms

BATCH_S = 0.08
"""Work of a batch at the allowed rate: long enough to share its transactions, short enough that a kill leaves few unknown."""
LARGEST_BATCH_COUNT = 16
"""A larger batch saves little more: by then the calls themselves are most of the work."""


def to_batch_count(rate_per_s: float) -> int:
    """How many operations go together at a rate: one at the default pace, where nothing is gained by more."""
    return max(1, min(LARGEST_BATCH_COUNT, int(rate_per_s * BATCH_S)))


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of delivery, from the settings groups `queue` and `mesh`; seconds.

    Attributes:
        settle_s: How long a call without an answer may still be applied.
        deadline_s: Total time of one call, counted from when its row was marked as being sent.
        breaker: When nobody calls the city any more.
        batch_count: Most operations that go through the steps together.
    """

    lease_s: float
    max_claims: int
    max_attempts: int
    settle_s: float
    deadline_s: float
    breaker: BreakerTerms = BreakerTerms()
    batch_count: int = 1

    @property
    def untouchable(self) -> timedelta:
        """How long after sending an unanswered operation is left alone (law 4)."""
        return timedelta(seconds=self.deadline_s + self.settle_s)

    @property
    def latest_start_s(self) -> float:
        """How long after its row was marked a call may still begin; it keeps three quarters of its time."""
        return self.deadline_s / 4


class RequestIds(Protocol):
    """Makes request ids."""

    def __call__(self) -> str:
        """Return a fresh one."""
        ...


def new_request_id() -> str:
    """A random request id of 32 hex digits."""
    return uuid4().hex
