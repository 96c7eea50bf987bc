"""The planner as a source of canonical records: what the rest of the gateway sees of the door."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TypeVar

from gateway.connectors.foreign_sql import ForeignDatabase
from gateway.connectors.http import HttpDoor
from gateway.connectors.planner.door import wire
from gateway.connectors.planner.door.books import Books, OpenBooks
from gateway.connectors.planner.door.http_books import HttpBooks
from gateway.connectors.planner.door.records import Names
from gateway.connectors.planner.door.scopes import (
    BOOK_KINDS,
    group_scope,
    group_scope_key,
    iter_group_directory,
    site_scope,
    valid_groups,
)
from gateway.connectors.planner.door.sql_books import SqlBooks
from gateway.connectors.port import CheckLine, CheckState, ScopeRead, Stored, Want
from gateway.connectors.retry import Retry
from gateway.domain.clock import Clock
from gateway.domain.errors import AccessDeniedError, ConfigurationError, ConnectorError, UnreachableError
from gateway.domain.identifiers import Kind
from gateway.domain.records import Lesson
from gateway.settings import PlannerSettings

SYSTEM = "planner"
T = TypeVar("T")
_NEED_LESSONS = {Kind.LESSON, Kind.MARK, Kind.ABSENCE}


class DoorSource:
    """Reads a planner through its door; implements `gateway.connectors.port.PortalSource`."""

    def __init__(self, books: Books, *, name: str, way: str, clock: Clock) -> None:
        self.name = name
        self._books = books
        self._names = Names(name, way)
        self._clock = clock

    def close(self) -> None:
        """Close the connections, where the books have any."""
        with suppress(AttributeError):
            self._books.close()  # type: ignore[attr-defined]  # both ways of today have one

    def check(self) -> Iterator[CheckLine]:
        """Tell whether the directory books can be read; never raises for a refusal."""
        for sentence in self._books.iter_problems():
            yield CheckLine(subject="planner.door.address", state=CheckState.WARNING, sentence=sentence)
        try:
            with self._books.open() as books:
                for book in wire.SITE_BOOKS:
                    count = len(books.fetch_book(book))
                    state = CheckState.OK if count else CheckState.WARNING
                    yield CheckLine(
                        subject=f"planner.door.{book}", state=state, sentence=f"Планировщик: {book}, строк {count}"
                    )
        except ConnectorError as error:
            yield CheckLine(subject="planner.door", state=CheckState.FAILED, sentence=error.sentence)

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        """Read the directories, then group by group: lessons, marks, absences, homework.

        All groups are read whatever class is wanted: the planner spells classes its own way, which only mapping knows, and
        a group more is a few calls.

        Raises:
            ConnectorError: A directory can't be read: without it nothing of the planner is understood.
        """
        del stored
        with self._books.open() as books:
            rows = {book: books.fetch_book(book) for book in wire.SITE_BOOKS}
            read_at = self._clock.now()
            for book in wire.SITE_BOOKS:
                if BOOK_KINDS[book] in want.kinds:
                    yield site_scope(book, rows[book], self._names, read_at)
            groups = valid_groups(rows["groups"])
            # the ids as they stand: somebody whose own row is a fault is told of there
            people = {self._names.ref("person", str(row["id"])) for row in rows["people"] if "id" in row}
            for scope in iter_group_directory(groups, self._names, read_at, people):
                if scope.kind in want.kinds:
                    yield scope
            for group in groups:
                yield from self._iter_group(books, group, want)

    def _iter_group(self, books: OpenBooks, group: wire.GroupRow, want: Want) -> Iterator[ScopeRead]:
        lessons: Mapping[str, Lesson] | ConnectorError = {}
        for book in wire.GROUP_BOOKS:
            kind = BOOK_KINDS[book]
            if kind not in want.kinds and not (book == "lessons" and want.kinds & _NEED_LESSONS):
                continue
            read = self._read(books, book, group, lessons)
            if book == "lessons":
                if read.problem is None:
                    lessons = {one.ref: one for one in read.records if isinstance(one, Lesson)}
                else:
                    lessons = read.problem
            if kind in want.kinds:
                yield read

    def _read(
        self, books: OpenBooks, book: str, group: wire.GroupRow, lessons: Mapping[str, Lesson] | ConnectorError
    ) -> ScopeRead:
        """Read one book of a group; what breaks it is its problem and nobody else's.

        Raises:
            ConnectorError: No connection, or the token is dead: the others would fail as well.
        """
        read_at = self._clock.now()
        scope = group_scope_key(BOOK_KINDS[book], group.id, self._names)
        if isinstance(lessons, ConnectorError) and book in ("marks", "absences"):
            return ScopeRead(scope=scope, kind=BOOK_KINDS[book], read_at=read_at, problem=lessons)
        found = self._attempt(
            lambda: group_scope(
                book,
                books.fetch_book(book, group.id),
                group,
                self._names,
                read_at,
                lessons={} if isinstance(lessons, ConnectorError) else lessons,
            )
        )
        if isinstance(found, ConnectorError):
            return ScopeRead(scope=scope, kind=BOOK_KINDS[book], read_at=read_at, problem=found)
        return found

    @staticmethod
    def _attempt(read: Callable[[], T]) -> T | ConnectorError:
        try:
            return read()
        except UnreachableError:
            raise
        except AccessDeniedError as error:
            if error.is_session_dead:
                raise
            return error
        except ConnectorError as error:
            return error


def build_door_source(
    settings: PlannerSettings, *, clock: Clock, zone: str, retry: Retry | None = None
) -> DoorSource | None:
    """Build the source from `[planner]`; None where neither an address nor a database is set.

    Raises:
        ConfigurationError: Both are set, or something of one is missing.
    """
    url = _sql_url(settings)
    if settings.door_url and url:
        raise ConfigurationError("planner: либо door_url, либо sql_url, не оба")
    if settings.door_url:
        door = HttpDoor(
            system=SYSTEM, base_url=settings.door_url, parallel=settings.parallel, deadline_s=settings.deadline_s
        )
        books: Books = HttpBooks(
            door, token=settings.token, token_file=settings.token_file, clock=clock, retry=retry or Retry(clock)
        )
        return DoorSource(books, name=settings.name, way="page", clock=clock)
    if url:
        return DoorSource(
            SqlBooks(ForeignDatabase(SYSTEM, url), settings.sql, zone=zone), name=settings.name, way="page", clock=clock
        )
    return None


def _sql_url(settings: PlannerSettings) -> str:
    if settings.sql_url_file is not None:
        try:
            return settings.sql_url_file.read_text(encoding="utf-8").strip()
        except OSError as exc:
            raise ConfigurationError("planner.sql_url_file не читается") from exc
    return settings.sql_url.get_secret_value() if settings.sql_url is not None else ""
