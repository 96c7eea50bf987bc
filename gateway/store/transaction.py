"""The store: one door to the database, with a write, a read and a time.

Everything that must be true together is written in one `write()`; whoever decides gets a `Connection` and never
commits. Deadlines and leases are judged by `Store.now()`, because at scale only the database's clock is shared (law 10).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Select, Table, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from gateway.domain.clock import Clock, SystemClock
from gateway.domain.errors import ConfigurationError, GatewayError
from gateway.store import schema
from gateway.store.engine import READ_ONLY, is_memory, make_engine
from gateway.store.health import FileId, find_file_id
from gateway.store.place import ensure_instance

WRITE_TURN_TIMEOUT_S = (
    30.0  # a write transaction lasts at most 0.25 s (law 2); this long means two that wait for each other
)
_CLOCK = select(func.clock_timestamp())  # built once: it is asked in nearly every transaction
_FROZEN = text("SET LOCAL idle_in_transaction_session_timeout = '4s'")
"""A process frozen in a write (SIGSTOP, a paused machine) is let go before those who wait for its locks give up at 5 s."""
_CHUNK_COUNT = 5_000  # rows handed to the driver at once, so that a long batch is not held twice in memory


class Store:
    """A database with its clock.

    Attributes:
        engine: For what `write` and `read` do not cover (backup); its own transactions are IMMEDIATE on SQLite.
        clock: The clock that the composition root chose.
        dialect: `sqlite` or `postgresql`.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock
        self.dialect: Literal["sqlite", "postgresql"] = (
            "postgresql" if engine.dialect.name == "postgresql" else "sqlite"
        )
        self._shares_connection = is_memory(engine)
        self._file_id: FileId | None = None
        self._turn = threading.Lock()
        self._mine = threading.local()

    @classmethod
    def open(cls, url: str, clock: Clock, *, new_instance_id: Callable[[], UUID] = uuid4) -> Store:
        """Open the database, migrating it to the head where needed.

        Raises:
            ConfigurationError: Unknown or unreachable database, or one that newer code has migrated.
        """
        store = cls(make_engine(url), clock)
        try:
            if schema.current_revision(store.engine) != schema.head_revision():
                schema.upgrade(store.engine)
            with store.write() as conn:
                ensure_instance(conn, now=store.now(conn), new_instance_id=new_instance_id)
            store._file_id = find_file_id(store.engine)
        except DBAPIError as exc:
            store.close()
            raise ConfigurationError(
                f"База данных не открывается ({store.dialect}, {type(exc.orig).__name__}): проверьте database.url"
            ) from exc
        except BaseException:
            store.close()
            raise
        return store

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction: committed at the end, rolled back on an exception.

        On SQLite writers of this process wait for their turn on a lock, which is fair; SQLite's own waiting polls.

        Raises:
            GatewayError: Opened inside another transaction of this thread that it would wait for for ever; no turn
                within 30 s; the file was deleted or another one put in its place; or the transaction was closed under
                the caller's hands (an audit entry failed).
        """
        if self._depth("write") or (self._shares_connection and self._depth("read")):
            raise GatewayError("Запись в базу внутри другой незавершённой записи")
        self._refuse_swapped()
        calls: list[Callable[[], object]] = []
        self._mine.after_commit = calls
        with (
            self._in_turn(self.dialect == "sqlite"),
            self._counted("write"),
            self.engine.connect() as conn,
            conn.begin() as transaction,
        ):
            if self.dialect == "postgresql":
                conn.execute(_FROZEN)
            yield conn
            if not transaction.is_active:
                raise GatewayError("Запись отменена: один из её шагов не удался, ничего не сохранено")
        for call in calls:
            call()

    def after_commit(self, call: Callable[[], object]) -> None:
        """Have something called once the write that this thread is in has been committed; never after a rollback.

        Args:
            call: Must not raise: what was committed is done, and its author must not hear otherwise.

        Raises:
            GatewayError: Outside of a write.
        """
        if not self._depth("write"):
            raise GatewayError("Вне записи в базу нечего ждать")
        self._mine.after_commit.append(call)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot in which nothing can be written; later commits of others are not seen."""
        if self._shares_connection and (self._depth("write") or self._depth("read")):
            raise GatewayError("Базу в памяти нельзя читать внутри другой незавершённой операции: возьмите файл")
        with self._in_turn(self._shares_connection), self._counted("read"), self.engine.connect() as conn:
            if self.dialect == "postgresql":
                conn = conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            else:
                conn.info[READ_ONLY] = True
            with conn.begin():
                yield conn

    @property
    def asks_time(self) -> bool:
        """Whether the database's clock decides: only it is shared, so whoever asks something may ask the time with it."""
        return self.dialect == "postgresql" and isinstance(self.clock, SystemClock)

    def now(self, conn: Connection | None = None) -> datetime:
        """The aware UTC moment by which deadlines and leases are judged.

        Args:
            conn: Ask on this connection; None takes one of its own where the database has to be asked.
        """
        if not self.asks_time:
            return self.clock.now()
        if conn is not None:
            moment = conn.execute(_CLOCK).scalar_one()
        else:
            with self.engine.connect() as own:
                moment = own.execute(_CLOCK).scalar_one()
        return _utc(moment)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _refuse_swapped(self) -> None:
        """What is written into a file that has lost its name is kept by nobody, and an intent must be."""
        if self._file_id is not None and find_file_id(self.engine) != self._file_id:
            raise GatewayError("Файл базы подменён под работающей программой: остановите её и запустите заново")

    def _depth(self, form: str) -> int:
        return getattr(self._mine, form, 0)

    @contextmanager
    def _counted(self, form: str) -> Iterator[None]:
        setattr(self._mine, form, self._depth(form) + 1)
        try:
            yield
        finally:
            setattr(self._mine, form, self._depth(form) - 1)

    @contextmanager
    def _in_turn(self, needed: bool) -> Iterator[None]:
        if not needed:
            yield
            return
        if not self._turn.acquire(timeout=WRITE_TURN_TIMEOUT_S):
            raise GatewayError("База занята другой записью дольше 30 с")
        try:
            yield
        finally:
            self._turn.release()


def upsert(
    conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]], keys: Sequence[str], update: Sequence[str]
) -> None:
    """Insert rows, or change the named columns of those whose key is there.

    Args:
        conn: The caller's transaction.
        rows: All with the same columns; a key met twice ends as its last row.
        keys: Columns of the primary key or of a unique constraint.
        update: Columns that take the new value; empty leaves an existing row as it is.

    Raises:
        ValueError: Rows with different columns: the driver would silently write by the first one's.
    """
    if not rows:
        return
    columns = rows[0].keys()
    if any(row.keys() != columns for row in rows):
        raise ValueError(f"rows for {table.name} differ in their columns")
    insert = _build_upsert(conn.dialect.name, table, tuple(keys), tuple(update))
    for first in range(0, len(rows), _CHUNK_COUNT):
        conn.execute(insert, list(rows[first : first + _CHUNK_COUNT]))


def upsert_from(
    conn: Connection,
    table: Table,
    columns: Sequence[str],
    found: Select[Any],
    keys: Sequence[str],
    update: Sequence[str],
) -> None:
    """As `upsert`, of rows that a query finds; SQLite asks it to have a WHERE of its own.

    Args:
        conn: The caller's transaction.
        columns: What the query gives, in its order.
        found: The query.
        keys: As for `upsert`.
        update: Likewise, at least one.
    """
    insert: Any = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(table)
    insert = insert.from_select(list(columns), found)
    conn.execute(
        insert.on_conflict_do_update(index_elements=list(keys), set_={name: insert.excluded[name] for name in update})
    )


@lru_cache(maxsize=256)
def _build_upsert(dialect: str, table: Table, keys: tuple[str, ...], update: tuple[str, ...]) -> Any:
    """Build the statement; kept, because a scope's few rows cost less than putting it together again."""
    insert: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    if update:
        return insert.on_conflict_do_update(
            index_elements=list(keys), set_={name: insert.excluded[name] for name in update}
        )
    return insert.on_conflict_do_nothing(index_elements=list(keys))


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
