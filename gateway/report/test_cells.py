"""Cells of the gradebook that stand for a test, with the attempts behind them: a page at a time, so that memory is flat.

Read by whoever keeps protocols and by whoever holds the attempts against the gradebook.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, or_, select

from gateway.domain.attempts import Verdict, judge_cell
from gateway.domain.identifiers import PORTAL, Kind, scope_key, source_of_scope
from gateway.domain.records import Attempt, Scale
from gateway.reconcile.gone import Gone
from gateway.reconcile.snapshot import PORTAL_SIDE
from gateway.reconcile.tables import record, scope_state
from gateway.store.transaction import Store

PAGE_CELLS = 500
_PARTS_COUNT = 5
"""Of a scope of attempts: kind, course, group, test, pupil."""
_ATTEMPT = msgspec.json.Decoder(Attempt)


class MarkFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed of a test's mark; read out of the stored record."""

    ref: str
    pupil: str
    group: str | None
    activity: str | None = None
    scale: Scale
    raw_points: float
    is_hidden: bool = False
    is_overridden: bool = False


_MARK = msgspec.json.Decoder(MarkFacts)


class StoredAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as stored.

    Attributes:
        is_deleted: Taken away at the portal, seen in a complete read of the pupil's attempts.
    """

    attempt: Attempt
    digest: bytes
    is_live: bool
    is_deleted: bool


class TestCell(msgspec.Struct, frozen=True, kw_only=True):
    """One pupil's cell of one test.

    Attributes:
        mark: None where the gradebook holds no value now.
        is_cleared: The value was taken away while the pupil and the test are there: with his last attempt, or by hand.
        is_stale: The mark changed after the attempts were last read.
    """

    __test__ = False  # no test of pytest's

    activity: str
    programme: str
    pupil: str
    attempts: tuple[StoredAttempt, ...]
    mark: MarkFacts | None
    is_cleared: bool
    is_stale: bool

    @property
    def live(self) -> list[Attempt]:
        """The attempts that are there."""
        return [one.attempt for one in self.attempts if one.is_live]

    @property
    def verdict(self) -> Verdict | None:
        """How the cell and its attempts stand to each other; None where the gradebook holds no value."""
        if self.mark is None:
            return None
        return judge_cell(
            self.live,
            points=self.mark.raw_points,
            maximum=self.mark.scale.maximum,
            is_overridden=self.mark.is_overridden,
            is_stale=self.is_stale,
        )


def iter_cells(store: Store, place_id: int) -> Iterator[list[TestCell]]:
    """Yield the place's test cells a page at a time; nothing is open between two pages."""
    after = ""
    while True:
        with store.read() as conn:
            states = _load_states(conn, place_id, after)
            if not states:
                return
            cells = _load_cells(conn, place_id, {scope: read_at for scope, read_at, _ in states})
        after = states[-1][0]
        yield cells


def load_tests(store: Store, place_id: int) -> dict[str, tuple[str, str]]:
    """Load the tests that have attempts: test → its programme, and one pupil who tried it."""
    found: dict[str, tuple[str, str]] = {}
    after = ""
    while True:
        with store.read() as conn:
            states = _load_states(conn, place_id, after)
        if not states:
            return found
        for scope, _, count in states:
            parts = scope.split("|")
            if count and source_of_scope(scope) == PORTAL and len(parts) == _PARTS_COUNT:
                found[parts[3]] = (parts[1], parts[4])
        after = states[-1][0]


def _load_states(conn: Connection, place_id: int, after: str) -> Sequence[tuple[str, datetime | None, int]]:
    table = scope_state.c
    rows = conn.execute(
        select(table.scope, table.complete_at, table.records)
        .where(
            table.place_id == place_id,
            table.side == PORTAL_SIDE,
            table.scope > after,
            table.scope.startswith(f"{Kind.ATTEMPT.value}|", autoescape=True),
        )
        .order_by(table.scope)
        .limit(PAGE_CELLS)
    )
    return [(row.scope, row.complete_at, row.records) for row in rows]


def _load_cells(conn: Connection, place_id: int, states: dict[str, datetime | None]) -> list[TestCell]:
    own = {scope: scope.split("|") for scope in states if source_of_scope(scope) == PORTAL}
    attempts: dict[str, list[StoredAttempt]] = defaultdict(list)
    for row in conn.execute(
        select(record.c.scope, record.c.body, record.c.digest, record.c.gone)
        .where(record.c.place_id == place_id, record.c.kind == Kind.ATTEMPT.value, record.c.scope.in_(own))
        .order_by(record.c.ref)
    ):
        attempts[row.scope].append(
            StoredAttempt(
                attempt=_ATTEMPT.decode(row.body),
                digest=row.digest,
                is_live=row.gone is None,
                is_deleted=row.gone == Gone.CLEARED.value,
            )
        )
    marks = _load_marks(conn, place_id, {scope_key(Kind.MARK, *parts[1:3]) for parts in own.values()})
    found: list[TestCell] = []
    for scope, parts in own.items():
        if len(parts) != _PARTS_COUNT:
            continue
        mark, changed_at, is_cleared = marks.get((parts[3], parts[4]), (None, None, False))
        read_at = states[scope]
        found.append(
            TestCell(
                activity=parts[3],
                programme=parts[1],
                pupil=parts[4],
                attempts=tuple(attempts[scope]),
                mark=mark,
                is_cleared=is_cleared,
                is_stale=read_at is None or (changed_at is not None and read_at < changed_at),
            )
        )
    return found


def _load_marks(
    conn: Connection, place_id: int, scopes: set[str]
) -> dict[tuple[str, str], tuple[MarkFacts | None, datetime | None, bool]]:
    """Marks of tests by test and pupil: the mark that is there, since when, whether it was cleared."""
    found: dict[tuple[str, str], tuple[MarkFacts | None, datetime | None, bool]] = {}
    rows = conn.execute(
        select(record.c.body, record.c.changed_at, record.c.gone).where(
            record.c.place_id == place_id,
            record.c.kind == Kind.MARK.value,
            record.c.scope.in_(scopes),
            or_(record.c.gone.is_(None), record.c.gone == Gone.CLEARED.value),
        )
    )
    for row in rows:
        mark = _MARK.decode(row.body)
        if mark.activity is not None and mark.activity.startswith("quiz:"):
            is_there = row.gone is None
            found[mark.activity, mark.pupil] = (mark if is_there else None, row.changed_at, not is_there)
    return found
