"""The city's pace: a token bucket, and what was asked how often.

Both run on the sandbox's clock, so that a test moves them without waiting.
"""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.sandbox.city.switches import Switches
from gateway.sandbox.faults import CONTROL_PREFIX

BURST_RATIO = 2.0  # 5 a second with a burst of 10 (reference §7.5a)
_ID = re.compile(r"/\d+(?=/|$)")


class TokenBucket:
    """Tokens come at a rate and are spent one a request; a change of the rate fills the bucket anew."""

    def __init__(self) -> None:
        self._rate_per_s: float | None = None
        self._tokens = 0.0
        self._at: datetime | None = None

    def take(self, rate_per_s: float, now: datetime) -> float:
        """Spend a token.

        Returns:
            0 when there was one, else the seconds until the next.
        """
        burst = max(1.0, rate_per_s * BURST_RATIO)
        if self._rate_per_s != rate_per_s or self._at is None:
            self._rate_per_s, self._tokens = rate_per_s, burst
        else:
            passed_s = max(0.0, (now - self._at).total_seconds())  # the clock may have been set back
            self._tokens = min(burst, self._tokens + passed_s * rate_per_s)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / rate_per_s


class RequestCounts:
    """How many requests came to which path with which answer, and the most within any one second."""

    def __init__(self) -> None:
        self._by_path: dict[str, Counter[str]] = {}
        self._recent: deque[datetime] = deque()
        self._largest = 0

    def arrive(self, now: datetime) -> None:
        """Note an arrival."""
        if self._recent and now < self._recent[-1]:
            self._recent.clear()  # the clock was set back: a new window
        self._recent.append(now)
        while (now - self._recent[0]).total_seconds() >= 1:
            self._recent.popleft()
        self._largest = max(self._largest, len(self._recent))

    def answer(self, method: str, path: str, status: int) -> None:
        """Note an answer; ids in the path become `{id}`."""
        name = f"{method} {_ID.sub('/{id}', path)}"
        self._by_path.setdefault(name, Counter())[str(status)] += 1

    def described(self) -> dict[str, Any]:
        """Give counts by path and status, their sum, and the largest number within any one second."""
        counts = {path: dict(statuses) for path, statuses in sorted(self._by_path.items())}
        total = sum(sum(statuses.values()) for statuses in self._by_path.values())
        return {"counts": counts, "total": total, "largest_in_one_second": self._largest}


class PaceMiddleware:
    """Pure ASGI middleware: counts every request and refuses those above the pace. The control interface is free."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        counts: Callable[[], RequestCounts],
        bucket: Callable[[], TokenBucket],
        switches: Callable[[], Switches],
        now: Callable[[], datetime],
    ) -> None:
        self._app = app
        self._counts = counts
        self._bucket = bucket
        self._switches = switches
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        now, counts = self._now(), self._counts()
        counts.arrive(now)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                counts.answer(scope["method"], scope["path"], message["status"])
            await send(message)

        switches = self._switches()
        wait_s = 0.0 if switches.rate == "off" else self._bucket().take(switches.rate, now)
        if wait_s == 0.0:
            await self._app(scope, receive, counted)
            return
        refusal = JSONResponse(
            {"code": switches.rate_status, "message": "Превышен лимит запросов"},
            status_code=switches.rate_status,
            headers={"Retry-After": str(math.ceil(wait_s))},
        )
        await refusal(scope, receive, counted)
