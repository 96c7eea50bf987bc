"""The one way into another system's database: read only, one snapshot, rows as plain mappings.

Below a connector that is given a view instead of an interface, and the only module of the connectors that knows SQL. It
has nothing to do with the gateway's own store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from gateway.domain.errors import ConfigurationError, IncompleteReadError, UnreachableError

MAX_ROWS_COUNT = 1_000_000
"""Rows of one question; beyond it the view has lost its condition."""
_FETCH_ROWS = 5_000


class ForeignDatabase:
    """Another system's database.

    Args:
        system: Short constant name for error fields.
        url: SQLAlchemy URL; may hold a password and stands in no message.

    Raises:
        ConfigurationError: No such URL, or its driver is not installed.
    """

    def __init__(self, system: str, url: str) -> None:
        self._system = system
        try:
            parsed = make_url(url)
            self._engine = create_engine(parsed, pool_size=1, max_overflow=0)
        except (ArgumentError, NoSuchModuleError, ImportError):
            raise ConfigurationError(f"Адрес базы системы «{system}» не годится, или нет её драйвера") from None
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        if self._is_sqlite:
            event.listen(self._engine, "connect", _query_only)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One moment of the database; everything is rolled back at its end.

        Raises:
            UnreachableError: No connection.
        """
        try:
            connection = self._engine.connect()
        except SQLAlchemyError:
            raise UnreachableError(f"База системы «{self._system}» не отвечает", system=self._system) from None
        with connection:
            if self._engine.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            transaction = connection.begin()
            try:
                yield Snapshot(self._system, connection)
            finally:
                transaction.rollback()


class Snapshot:
    """Asks within one moment."""

    def __init__(self, system: str, connection: Connection) -> None:
        self._system = system
        self._connection = connection

    def iter_rows(self, query: str, parameters: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        """Yield the rows of a query, column → value.

        Args:
            query: One SELECT with named parameters (`:group`).

        Raises:
            IncompleteReadError: The query failed, or gives more rows than any book has.
        """
        try:
            result = self._connection.execution_options(yield_per=_FETCH_ROWS).execute(text(query), parameters)
            for count, row in enumerate(result.mappings(), start=1):
                if count > MAX_ROWS_COUNT:
                    raise IncompleteReadError(
                        f"Запрос к базе «{self._system}» даёт больше {MAX_ROWS_COUNT} строк", system=self._system
                    )
                yield dict(row)
        except SQLAlchemyError as exc:
            # The driver's own text may repeat values and the address.
            raise IncompleteReadError(
                f"Запрос к базе «{self._system}» не выполнен ({type(exc).__name__})", system=self._system
            ) from None


def _query_only(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only = ON")


__all__ = ["ForeignDatabase", "Snapshot"]
