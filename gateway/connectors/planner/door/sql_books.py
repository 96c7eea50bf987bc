"""The planner's books as queries of a read-only SQL view: one query a book, columns named as the door's fields.

Below the source, above the foreign database. Everything is read in one snapshot, so a book can't change meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from gateway.connectors.foreign_sql import ForeignDatabase, Snapshot
from gateway.connectors.planner.door import wire
from gateway.connectors.planner.door.books import Row
from gateway.domain.errors import ConfigurationError

SYSTEM = "planner"
MEMBERS = "members"
"""Query beside the books: `group`, `person`, `role` (pupil or teacher); a column can't hold the lists of a group's row."""
NEEDED = ("people", "subjects", "groups", MEMBERS)
_ID_FIELDS = ("id", "subject", "pupil", "lesson", "group", "person", "typed_by", "on_behalf_of", "answers")
_ENTRY_FIELDS = ("typed_by", "on_behalf_of", "answers")


class SqlBooks:
    """Reads books by the school's queries.

    Args:
        database: The planner's database.
        queries: Book (or `members`) → SELECT; books of a group have the parameter `:group`.
        zone: Zone of moments that the database keeps without one.

    Raises:
        ConfigurationError: A needed query is missing, one is no SELECT, or its name is no book.
    """

    def __init__(self, database: ForeignDatabase, queries: Mapping[str, str], *, zone: str) -> None:
        unknown = sorted(set(queries) - {*wire.ROWS, MEMBERS})
        missing = [book for book in NEEDED if book not in queries]
        if unknown or missing:
            what = f"лишнее: {', '.join(unknown)}" if unknown else f"нет: {', '.join(missing)}"
            raise ConfigurationError(f"planner.sql: {what}")
        for book, query in queries.items():
            _require_select(book, query)
        self._database = database
        self._queries = queries
        self._zone = ZoneInfo(zone)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    @contextmanager
    def open(self) -> Iterator[_OpenSqlBooks]:
        """One snapshot for the whole read."""
        with self._database.snapshot() as snapshot:
            yield _OpenSqlBooks(snapshot, self._queries, self._zone)

    def iter_problems(self) -> Iterator[str]:
        """Nothing: the connection itself is read only."""
        yield from ()


class _OpenSqlBooks:
    def __init__(self, snapshot: Snapshot, queries: Mapping[str, str], zone: ZoneInfo) -> None:
        self._snapshot = snapshot
        self._queries = queries
        self._zone = zone

    def fetch_book(self, book: str, group: str | None = None) -> list[Row]:
        """Read all rows of a book; a book without a query is empty.

        Raises:
            ConnectorError: The query failed.
        """
        if book not in self._queries:
            return []
        parameters = {} if group is None else {"group": group}
        rows = [self._plain(row) for row in self._snapshot.iter_rows(self._queries[book], parameters)]
        return self._with_members(rows) if book == "groups" else list(rows)

    def _with_members(self, groups: list[dict[str, object]]) -> list[Row]:
        members: dict[tuple[object, object], list[object]] = defaultdict(list)
        for row in self._snapshot.iter_rows(self._queries[MEMBERS], {}):
            plain = self._plain(row)
            members[plain.get("group"), plain.get("role")].append(plain.get("person"))
        return [
            {
                **group,
                "pupils": members[group.get("id"), "pupil"],
                "teachers": members[group.get("id"), "teacher"],
            }
            for group in groups
        ]

    def _plain(self, row: Mapping[str, object]) -> dict[str, object]:
        """Spell a row of the database as the door does: ids as text, moments with an offset, NULL as absent."""
        plain: dict[str, object] = {}
        entry: dict[str, object] = {}
        for name, value in row.items():
            if value is None:
                continue
            if name in _ID_FIELDS:
                value = str(value)
            elif isinstance(value, Decimal):
                value = float(value)
            elif isinstance(value, datetime):
                value = value if value.tzinfo is not None else value.replace(tzinfo=self._zone)
            elif name.endswith("_at") and isinstance(value, str):
                with suppress(ValueError):  # what is no moment is a fault of its row
                    moment = datetime.fromisoformat(value)
                    value = moment if moment.tzinfo is not None else moment.replace(tzinfo=self._zone)
            elif name == "is_active":
                value = bool(value)
            elif isinstance(value, date):
                value = value.isoformat()
            if name in _ENTRY_FIELDS:
                entry[name] = value
            else:
                plain[name] = value
        return {**plain, "entry": entry} if entry else plain


def _require_select(book: str, query: str) -> None:
    words = query.strip().rstrip(";")
    if not words.upper().startswith(("SELECT", "WITH")) or ";" in words:
        raise ConfigurationError(f"planner.sql.{book}: нужен один запрос SELECT")
