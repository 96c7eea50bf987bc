"""Where the planner's books come from, seen by the source: pages over HTTP, or rows of a read-only SQL view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

Row = Mapping[str, object]


class OpenBooks(Protocol):
    """The books during one read."""

    def fetch_book(self, book: str, group: str | None = None) -> list[Row]:
        """Fetch all rows of a book, proven whole.

        Args:
            group: Id of the group, of a book of a group.

        Raises:
            ConnectorError: Nothing of the book may be used.
        """
        ...


class Books(Protocol):
    """A planner's books."""

    def open(self) -> AbstractContextManager[OpenBooks]:
        """Begin one read: over HTTP nothing, in a database one snapshot."""
        ...

    def iter_problems(self) -> Iterator[str]:
        """Say what of the configuration is unwise, for `gateway check`."""
        ...
