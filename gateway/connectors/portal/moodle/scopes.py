"""Turning failures of calls into discarded scopes, and the names of scopes.

A broken answer discards its scope and lets the others go on; a dead portal or a dead token ends the read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gateway.connectors.portal.moodle.directory import WHOLE_COURSE, CourseDirectory
from gateway.domain.errors import (
    AccessDeniedError,
    ConnectorError,
    IncompleteReadError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from gateway.domain.identifiers import Kind, scope_key

MAX_OUTAGES_COUNT = 3
"""Outages in a row, each after its own retries, before the whole read is given up: the portal is down, not a scope."""

UNGROUPED = "ungrouped"
"""Third part of the scope of pupils who are in no group of a course that has groups."""

T = TypeVar("T")


class Outages:
    """Runs the calls of scopes and counts outages in a row."""

    def __init__(self) -> None:
        self._count = 0

    def attempt(self, read: Callable[[], T]) -> T | IncompleteReadError:
        """Run the calls of one scope.

        Returns:
            What they gave, or why the scope is discarded.

        Raises:
            ConnectorError: No connection, a dead token, or the third outage in a row.
        """
        try:
            value = read()
        except UnreachableError:
            raise
        except (UnavailableError, ThrottledError) as exc:
            self._count += 1
            if self._count >= MAX_OUTAGES_COUNT:
                raise
            return discarded(exc)
        except AccessDeniedError as exc:
            if exc.is_session_dead:
                raise
            return discarded(exc)
        except ConnectorError as exc:
            return discarded(exc)
        self._count = 0
        return value


def discarded(error: ConnectorError) -> IncompleteReadError:
    """The error as a scope carries it: this scope counts for nothing, whatever it was that broke it."""
    if isinstance(error, IncompleteReadError):
        return error
    problem = IncompleteReadError(error.sentence, system=error.system, method=error.method, status=error.status)
    problem.__cause__ = error
    return problem


def group_scope(kind: Kind, directory: CourseDirectory, groupid: int | None) -> str:
    """`mark|course:2|group:1`; None = pupils in no group."""
    if groupid is None:
        return scope_key(kind, directory.ref, UNGROUPED)
    return scope_key(kind, directory.ref, f"group:{groupid}" if groupid != WHOLE_COURSE else "group:all")
