"""What a source is that gives what stays at the school: protocols of tests, and the log of what people did there.

Beside `connectors.port`, whose records go on to the city; nothing that is read through these ever does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from gateway.domain.activity import LogEvent
from gateway.domain.protocols import Protocol as TestProtocol
from gateway.domain.protocols import Review


class Reviews(msgspec.Struct, frozen=True, kw_only=True):
    """The tests of some programmes.

    Attributes:
        shown: Review settings by test; None where the source does not show them now.
    """

    shown: dict[str, Review | None]


class ProtocolSource(Protocol):
    """A source of what was asked and answered in a test, attempt by attempt."""

    def may_read_protocols(self) -> bool:
        """Tell whether the source gives protocols at all.

        Raises:
            ConnectorError: It can't be asked.
        """
        ...

    def fetch_reviews(self, programmes: Sequence[str]) -> Reviews:
        """Read the tests of these programmes with what they show to their pupils.

        Raises:
            ConnectorError: Nothing of the answer may be used.
        """
        ...

    def stands_when_closed(self, review: Review, pupil: str) -> bool:
        """Tell whether settings that were seen before the test closed are still what a pupil is shown.

        Raises:
            ConnectorError: It can't be asked.
        """
        ...

    def fetch_protocol(self, attempt: str, activity: str, programme: str) -> TestProtocol:
        """Read the whole protocol of a finished attempt, what its pupil may not see included.

        Raises:
            RecordError: It can't be understood, or the attempt is no such one.
            ConnectorError: Nothing of the answer may be used.
        """
        ...


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a log by its number and moment (aware UTC)."""

    id: int
    at: datetime


class ActivityLog(Protocol):
    """A log of what people did, read by its growing number. Every method raises ConnectorError where it can't be read."""

    def fetch_own(self) -> str:
        """Tell which person of the source is the gateway itself."""
        ...

    def find_head(self) -> LogHead | None:
        """Tell the newest row; None where there is none at all."""
        ...

    def find_row(self, number: int) -> LogHead | None:
        """Tell one row; None where it is not there."""
        ...

    def find_first(self, since: datetime) -> int | None:
        """Tell the smallest number of what happened at a moment or after it; None where nothing did."""
        ...

    def load_batch(self, after: int, limit: int) -> list[LogEvent]:
        """Read the next rows by number, at most `limit`, in its order."""
        ...


__all__ = ["ActivityLog", "LogHead", "ProtocolSource", "Reviews"]
