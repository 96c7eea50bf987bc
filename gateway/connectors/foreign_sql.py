"""The one way into another system's database: read only, one snapshot, rows as plain mappings.

Below a connector that is given a view instead of an interface, and the only module of the connectors that knows SQL. It
has nothing to do with the gateway's own store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Select, column, create_engine, event, func, make_url, select, table, text
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

    def load_rows(self, statement: Select[Any]) -> list[dict[str, Any]]:
        """Load the rows of a statement that bounds their number itself, column → value.

        Raises:
            IncompleteReadError: It failed: no such table or column, no right, a lost connection.
        """
        try:
            return [dict(row) for row in self._connection.execute(statement).mappings()]
        except SQLAlchemyError as exc:
            raise IncompleteReadError(
                f"Запрос к базе «{self._system}» не выполнен ({type(exc).__name__})", system=self._system
            ) from None


class NumberedTable:
    """A table of another system that only grows, by a number of its own; asked by seeks on that number, never by offsets.

    Statements are built for the database's own dialect, each in a short snapshot of its own.

    Args:
        name: With its schema where it needs one: `public.log`.
        columns: To select; whatever else the table has is not touched.
        key: The column of the number.
    """

    def __init__(self, database: ForeignDatabase, name: str, columns: Sequence[str], *, key: str = "id") -> None:
        schema, _, bare = name.rpartition(".")
        self._database = database
        self._table = table(bare, *(column(each) for each in columns), schema=schema or None)
        self._key = self._table.c[key]

    def load_after(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Load the next rows by number, in its order."""
        return self._load(select(*self._table.c).where(self._key > after).order_by(self._key).limit(limit))

    def find_newest(self) -> dict[str, Any] | None:
        """The row with the greatest number; None where there is none."""
        rows = self._load(select(*self._table.c).order_by(self._key.desc()).limit(1))
        return rows[0] if rows else None

    def find_row(self, number: int) -> dict[str, Any] | None:
        """One row; None where it is not there."""
        rows = self._load(select(*self._table.c).where(self._key == number))
        return rows[0] if rows else None

    def find_first(self, by: str, least: int) -> int | None:
        """The smallest number of rows whose column `by` is at least so much; None where no row is."""
        [row] = self._load(select(func.min(self._key).label("number")).where(self._table.c[by] >= least))
        return None if row["number"] is None else int(row["number"])

    def _load(self, statement: Select[Any]) -> list[dict[str, Any]]:
        with self._database.snapshot() as snapshot:
            return snapshot.load_rows(statement)


def _query_only(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only = ON")


__all__ = ["ForeignDatabase", "NumberedTable", "Snapshot"]
