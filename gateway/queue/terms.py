"""Delivery's numbers, and the ids by which the city's answers are found again."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol
from uuid import uuid4

import msgspec

from gateway.queue.breaker import BreakerTerms


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of delivery, from the settings groups `queue` and `mesh`; seconds.

    Attributes:
        settle_s: How long a call without an answer may still be applied.
        deadline_s: Total time of one call.
        breaker: When nobody calls the city any more.
    """

    lease_s: float
    max_claims: int
    max_attempts: int
    settle_s: float
    deadline_s: float
    breaker: BreakerTerms = BreakerTerms()

    @property
    def untouchable(self) -> timedelta:
        """How long after sending an unanswered operation is left alone (law 4)."""
        return timedelta(seconds=self.deadline_s + self.settle_s)


class RequestIds(Protocol):
    """Makes request ids."""

    def __call__(self) -> str:
        """Return a fresh one."""
        ...


def new_request_id() -> str:
    """A random request id of 32 hex digits."""
    return uuid4().hex
