"""Which errors of the database pass by themselves."""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError

from gateway.domain.errors import AuditError


def is_passing(error: BaseException) -> bool:
    """Whether an error is the database's moment (restart, lock, dead connection) and not a fault of a statement."""
    cause = error.__cause__ if isinstance(error, AuditError) else error
    if not isinstance(cause, DBAPIError):
        return False
    return not isinstance(cause, IntegrityError | ProgrammingError | DataError | NotSupportedError)


__all__ = ["is_passing"]
