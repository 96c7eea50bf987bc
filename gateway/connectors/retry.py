"""Trying again within one attempt: seconds, only where nothing can have been done twice.

Between a connector's calls and its door. Reads are repeated; a write only when no connection was made. Everything
else goes up and is redelivered from the outbox row (minutes to days).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception

from gateway.connectors.deadline import waited_left_s
from gateway.domain.clock import Clock
from gateway.domain.errors import ThrottledError, UnavailableError, UnreachableError

TRIES_COUNT = 3
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 4.0
BUDGET_S = 10.0  # waiting within one attempt; an outage longer than that is the row's matter
SHORT_THROTTLE_S = 5.0  # a longer request to wait goes up, so that the lane and not a thread waits

SPARE_REPEATS_COUNT = 10.0  # single hiccups and a restart of the other side's balancer are repeated without a thought
EARNED_RATIO = 0.05  # repeats that each call pays in; with the spare ones under a tenth of two hundred calls or more

RETRY_AFTER_MIN_S = 1.0
RETRY_AFTER_MAX_S = 3600.0
RETRY_AFTER_ABSENT_S = 5.0

T = TypeVar("T")


class RepeatBudget:
    """How many repeats one process may still make: what is half out of order is not asked half as often again.

    Every call pays in a part of a repeat, every repeat takes a whole one out. Without it, three tries a call would nearly
    double the load on a city of which half the answers fail, just when it can bear it least.

    Source: AWS Builders' Library, "Timeouts, retries and backoff with jitter" (retry token bucket).
    """

    def __init__(self, *, spare_count: float = SPARE_REPEATS_COUNT, earned_ratio: float = EARNED_RATIO) -> None:
        self._most = spare_count
        self._left = spare_count
        self._earned_ratio = earned_ratio
        self._lock = threading.Lock()

    def earn(self) -> None:
        """Pay in for one call."""
        with self._lock:
            self._left = min(self._most, self._left + self._earned_ratio)

    def try_spend(self) -> bool:
        """Take one repeat out; False where there is none."""
        with self._lock:
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True


class Retry:
    """Repeats calls a few times with growing, jittered waits taken from the clock, within a budget over all its calls.

    Args:
        clock: Where the waits are spent.
        tries_count: Calls in all, the first included.
        budget_s: Most seconds spent waiting over all tries.
        random_ratio: Gives a number in [0, 1): the jitter.
        budget: Repeats over all calls; one of its own where none is given.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        tries_count: int = TRIES_COUNT,
        budget_s: float = BUDGET_S,
        random_ratio: Callable[[], float] = random.random,
        budget: RepeatBudget | None = None,
    ) -> None:
        self._clock = clock
        self._budget = budget or RepeatBudget()
        self._tries_count = tries_count
        self._budget_s = budget_s
        self._random_ratio = random_ratio

    def read(self, call: Callable[[], T]) -> T:
        """Call until it answers: also after an outage and after a short request to wait.

        Raises:
            GatewayError: The last failure, unchanged.
        """
        self._budget.earn()
        return self._retrying(_is_readable_again)(call)

    def write(self, call: Callable[[], T]) -> T:
        """Call until a connection is made; what was sent is never sent again here.

        Raises:
            GatewayError: The last failure, unchanged.
        """
        self._budget.earn()
        return self._retrying(_is_unsent)(call)

    def _retrying(self, is_worth: Callable[[BaseException], bool]) -> Retrying:
        return Retrying(
            retry=retry_if_exception(is_worth),
            wait=self._wait_s,
            stop=self._is_over,
            sleep=self._clock.wait,
            reraise=True,
        )

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, ThrottledError):
            return error.retry_after_s
        widest_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (state.attempt_number - 1))
        return widest_s * (0.5 + 0.5 * self._random_ratio())

    def _is_over(self, state: RetryCallState) -> bool:
        upcoming_s = state.upcoming_sleep or 0.0
        waited_s = waited_left_s()
        is_over = (
            state.attempt_number >= self._tries_count
            or state.idle_for + upcoming_s > self._budget_s
            or (waited_s is not None and upcoming_s >= waited_s)
        )
        # asked last: it is spent by being asked for
        return is_over or not self._budget.try_spend()


def _is_unsent(error: BaseException) -> bool:
    return isinstance(error, UnreachableError)


def _is_readable_again(error: BaseException) -> bool:
    if isinstance(error, ThrottledError):
        return error.retry_after_s <= SHORT_THROTTLE_S
    return isinstance(error, UnreachableError | UnavailableError)


def parse_retry_after(value: str | None, now: datetime) -> float:
    """Read the header `Retry-After`.

    Args:
        value: Seconds or an HTTP date; the longest where a proxy has added its own; None or anything unreadable counts as absent.
        now: Aware moment against which a date is measured.

    Returns:
        Seconds within [1, 3600]; 5 when absent or unreadable.

    Source: RFC 9110 §10.2.3; bounds by reliability.md A12.
    """
    told = [one.strip() for one in (value or "").split(",")]
    is_list = all(one.isascii() and one.isdigit() for one in told)
    wait_s = max(_read_wait_s(one, now) for one in (told if is_list else [(value or "").strip()]))
    return min(RETRY_AFTER_MAX_S, max(RETRY_AFTER_MIN_S, wait_s))


def _read_wait_s(text: str, now: datetime) -> float:
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit():
        if digits != text:
            return RETRY_AFTER_MIN_S
        return float(text) if len(text) < 9 else RETRY_AFTER_MAX_S
    try:
        due_at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return RETRY_AFTER_ABSENT_S
    return ((due_at if due_at.tzinfo else due_at.replace(tzinfo=UTC)) - now).total_seconds()


__all__ = ["RepeatBudget", "Retry", "parse_retry_after"]
