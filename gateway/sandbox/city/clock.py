"""The sandbox's own clock: real time, or the caller's, moved by as much as the control interface asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def _read_system_time() -> datetime:
    return datetime.now(UTC)


class SandboxClock:
    """A clock that can be set and goes on running from there."""

    def __init__(self, source: Callable[[], datetime] | None = None, offset_s: float = 0.0) -> None:
        self._source = source if source is not None else _read_system_time
        self.offset_s = offset_s

    def now(self) -> datetime:
        """Aware UTC."""
        return self._source().astimezone(UTC) + timedelta(seconds=self.offset_s)

    def set_to(self, moment: datetime) -> None:
        """Make it `moment` now.

        Raises:
            ValueError: `moment` is naive.
        """
        if moment.tzinfo is None:
            msg = "now must carry an offset"
            raise ValueError(msg)
        self.offset_s = (moment - self._source()).total_seconds()

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`; a negative number moves back."""
        self.offset_s += seconds
