"""Activity as it is kept: written batch by batch with the cursor, shown through a `Scope`, removed when its time is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from gateway.access.roles import Reach
from gateway.access.scope import Scope
from gateway.domain.activity import ActivityKind, Cursor, LogEvent
from gateway.domain.errors import NotVisibleError
from gateway.domain.identifiers import Kind, Place
from gateway.reconcile.tables import record
from gateway.report.pupils import require_pupil
from gateway.report.tables import activity_event, activity_taken, activity_unmapped
from gateway.report.visible import Seen, body_field
from gateway.store.metadata import watermark
from gateway.store.transaction import upsert
from gateway.store.watermark import find_watermark, set_watermark

WATERMARK = "activity"
CHUNK_COUNT = 500
_LARGEST_MARK = (2**63 - 1, 2**31 - 1, 2**63 - 1)
"""Moment, series and number as the database can hold them: its driver refuses a larger one instead of comparing it."""


class ActivityView(msgspec.Struct, frozen=True, kw_only=True):
    """One deed.

    Attributes:
        about: To whom, where the portal says: whose work was marked.
        component: Part of the portal, `mod_quiz`.
        mark: Where a page after this one goes on.
    """

    at: datetime
    kind: str
    person: str
    about: str | None
    programme: str | None
    module: int | None
    component: str
    mark: str


class ActivityFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deeds are asked for; None = all. `from_at` is included, `to_at` is not (aware UTC)."""

    kind: ActivityKind | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """As conditions of `activity_event`."""
        table = activity_event.c
        found: list[ColumnElement[bool]] = []
        if self.kind is not None:
            found.append(table.kind == self.kind.value)
        if self.from_at is not None:
            found.append(table.at >= self.from_at)
        if self.to_at is not None:
            found.append(table.at < self.to_at)
        return found


class UnmappedView(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the portal that has no kind."""

    component: str
    action: str
    target: str
    first_seen_at: datetime
    last_seen_at: datetime
    count: int


def load_cursor(conn: Connection, place: Place) -> Cursor | None:
    """How far the log has been read; None before the first time."""
    found = find_watermark(conn, place, WATERMARK)
    return None if found is None else msgspec.json.decode(found.value, type=Cursor)


def lock_cursor(conn: Connection, place: Place) -> Cursor | None:
    """The cursor as it stands, held until the end of the transaction: of two readers one stores a batch at a time."""
    table = watermark.c
    value = conn.execute(
        select(table.value)
        .where(
            table.city == place.city,
            table.portal == place.portal,
            table.year == place.year,
            table.scope == WATERMARK,
        )
        .with_for_update()
    ).scalar_one_or_none()
    return None if value is None else msgspec.json.decode(value, type=Cursor)


def store_cursor(conn: Connection, place: Place, cursor: Cursor, *, now: datetime) -> None:
    """Store the cursor in the transaction of what it passed."""
    set_watermark(conn, place, WATERMARK, msgspec.json.encode(cursor).decode(), now=now)


def load_taken(conn: Connection, place_id: int, series: int, first: int, last: int) -> set[int]:
    """Numbers between two, both included, that were taken before."""
    table = activity_taken.c
    return set(
        conn.execute(
            select(table.log_id).where(
                table.place_id == place_id, table.series == series, table.log_id >= first, table.log_id <= last
            )
        ).scalars()
    )


def note_taken(conn: Connection, place_id: int, series: int, numbers: Sequence[int], *, settled: int) -> None:
    """Remember numbers behind `settled`, and forget those up to it."""
    rows = [{"place_id": place_id, "series": series, "log_id": each} for each in numbers if each > settled]
    upsert(conn, activity_taken, rows, ("place_id", "series", "log_id"), ())
    table = activity_taken.c
    conn.execute(
        delete(activity_taken).where(table.place_id == place_id, table.series == series, table.log_id <= settled)
    )


def forget_taken(conn: Connection, place_id: int) -> None:
    """Forget the numbers of a log that was begun anew."""
    conn.execute(delete(activity_taken).where(activity_taken.c.place_id == place_id))


def find_known(conn: Connection, place_id: int, people: Collection[str]) -> set[str]:
    """Which of these are pupils or teachers, now or once this year."""
    found: set[str] = set()
    refs = sorted(people)
    for start in range(0, len(refs), CHUNK_COUNT):
        found |= set(
            conn.execute(
                select(record.c.ref).where(
                    record.c.place_id == place_id,
                    record.c.kind == Kind.PERSON.value,
                    record.c.ref.in_(refs[start : start + CHUNK_COUNT]),
                )
            ).scalars()
        )
    return found


def has_people(conn: Connection, place_id: int) -> bool:
    """Whether the school's people were ever read."""
    return (
        conn.execute(
            select(record.c.ref).where(record.c.place_id == place_id, record.c.kind == Kind.PERSON.value).limit(1)
        ).first()
        is not None
    )


def store_events(conn: Connection, place_id: int, series: int, events: Sequence[tuple[LogEvent, ActivityKind]]) -> None:
    """Store deeds; one that is there is left as it is."""
    rows = [
        {
            "place_id": place_id,
            "series": series,
            "log_id": event.id,
            "at": event.at,
            "kind": kind.value,
            "person": event.person,
            "about": event.about if event.about != event.person else None,
            "programme": event.programme,
            "module": event.module,
            "component": event.component,
        }
        for event, kind in events
    ]
    upsert(conn, activity_event, rows, ("place_id", "series", "log_id"), ())


def count_unmapped(conn: Connection, place_id: int, events: Sequence[LogEvent]) -> None:
    """Add events without a kind to their counts."""
    counts = Counter((event.component, event.action, event.target) for event in events)
    moments: dict[tuple[str, str, str], list[datetime]] = {}
    for event in events:
        moments.setdefault((event.component, event.action, event.target), []).append(event.at)
    rows = [
        {
            "place_id": place_id,
            "component": key[0],
            "action": key[1],
            "target": key[2],
            "first_seen_at": min(moments[key]),
            "last_seen_at": max(moments[key]),
            "count": count,
        }
        for key, count in sorted(counts.items())
    ]
    if not rows:
        return
    insert: Any = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(activity_unmapped)
    conn.execute(
        insert.on_conflict_do_update(
            index_elements=["place_id", "component", "action", "target"],
            set_={
                "count": activity_unmapped.c.count + insert.excluded.count,
                "last_seen_at": insert.excluded.last_seen_at,
            },
        ),
        rows,
    )


def load_tried(conn: Connection, place_id: int, *, since: datetime) -> dict[tuple[str, int], datetime]:
    """Who began or ended which test since a moment: (person, course module) → when last."""
    table = activity_event.c
    rows = conn.execute(
        select(table.person, table.module, func.max(table.at).label("at"))
        .where(
            table.place_id == place_id,
            table.at >= since,
            table.kind == ActivityKind.ATTEMPTED.value,
            table.module.is_not(None),
        )
        .group_by(table.person, table.module)
    )
    return {(row.person, int(row.module)): row.at for row in rows}


def purge_activity(conn: Connection, *, before: datetime, limit: int) -> int:
    """Remove what was done before a moment, of all years, at most `limit` rows at once.

    Returns:
        How many were removed.
    """
    table = activity_event.c
    keys = (table.place_id, table.series, table.log_id)
    old = conn.execute(select(*keys).where(table.at < before).order_by(table.at).limit(limit)).all()
    for start in range(0, len(old), CHUNK_COUNT):
        part = [tuple(row) for row in old[start : start + CHUNK_COUNT]]
        conn.execute(delete(activity_event).where(tuple_(*keys).in_(part)))
    return len(old)


def load_activity(
    conn: Connection, scope: Scope, place_id: int, *, pupil_ref: str, wanted: ActivityFilter, after: str, limit: int
) -> list[ActivityView]:
    """Load what a pupil did that a scope sees, the newest first.

    Args:
        after: `mark` of the page's last row before; empty = from the newest.

    Raises:
        NotVisibleError: That pupil is not the scope's, or the mark is none.
    """
    require_pupil(conn, scope, place_id, pupil_ref)
    table = activity_event.c
    seen = Seen(conn, scope, place_id).covers_columns(pupil=table.person, group=None, programme=table.programme)
    return _load(conn, place_id, [table.person == pupil_ref, seen, *wanted.conditions()], after=after, limit=limit)


def load_staff_activity(
    conn: Connection, scope: Scope, place_id: int, *, person: str, wanted: ActivityFilter, after: str, limit: int
) -> list[ActivityView]:
    """Load what a teacher did that a scope sees, the newest first: a teacher sees himself, the heads see everybody.

    Raises:
        NotVisibleError: No such teacher, or not the scope's own.
    """
    if not (scope.is_whole or (scope.reach is Reach.OWN_DEEDS and scope.principal.person_ref == person)):
        raise NotVisibleError("Такой записи нет")
    known = conn.execute(
        select(record.c.ref).where(
            record.c.place_id == place_id,
            record.c.kind == Kind.PERSON.value,
            record.c.ref == person,
            body_field(record.c.body, "role") == "teacher",
        )
    ).first()
    if known is None:
        raise NotVisibleError("Такой записи нет")
    where = [activity_event.c.person == person, *wanted.conditions()]
    return _load(conn, place_id, where, after=after, limit=limit)


def load_of_person(
    conn: Connection,
    place_id: int,
    person: str,
    *,
    wanted: ActivityFilter,
    limit: int,
) -> list[ActivityView]:
    """Load what a pupil or teacher did, for the operator of the machine; the newest first."""
    where = [activity_event.c.person == person, *wanted.conditions()]
    return _load(conn, place_id, where, after="", limit=limit)


def count_kinds(conn: Connection, place_id: int) -> Mapping[str, int]:
    """Deeds by kind."""
    table = activity_event.c
    rows = conn.execute(
        select(table.kind, func.count()).where(table.place_id == place_id).group_by(table.kind).order_by(table.kind)
    )
    return {row[0]: int(row[1]) for row in rows}


def load_unmapped(conn: Connection, place_id: int) -> list[UnmappedView]:
    """Events without a kind, the most frequent first."""
    table = activity_unmapped.c
    rows = conn.execute(
        select(activity_unmapped)
        .where(table.place_id == place_id)
        .order_by(table.count.desc(), table.component, table.action, table.target)
    )
    return [
        UnmappedView(
            component=row.component,
            action=row.action,
            target=row.target,
            first_seen_at=row.first_seen_at,
            last_seen_at=row.last_seen_at,
            count=row._mapping[table.count],  # `row.count` is a tuple's own method
        )
        for row in rows
    ]


def _load(
    conn: Connection, place_id: int, where: Sequence[ColumnElement[bool]], *, after: str, limit: int
) -> list[ActivityView]:
    table = activity_event.c
    if after:
        at, series, number = _read_mark(after)
        where = [
            *where,
            or_(
                table.at < at,
                and_(table.at == at, or_(table.series < series, and_(table.series == series, table.log_id < number))),
            ),
        ]
    rows = conn.execute(
        select(activity_event)
        .where(table.place_id == place_id, *where)
        .order_by(table.at.desc(), table.series.desc(), table.log_id.desc())
        .limit(limit)
    )
    return [
        ActivityView(
            at=row.at,
            kind=row.kind,
            person=row.person,
            about=row.about,
            programme=row.programme,
            module=row.module,
            component=row.component,
            mark=f"{int(row.at.timestamp())}.{row.series}.{row.log_id}",
        )
        for row in rows
    ]


def _read_mark(mark: str) -> tuple[datetime, int, int]:
    try:
        seconds, series, number = parts = [int(part) for part in mark.split(".")]
        if not all(0 <= part <= largest for part, largest in zip(parts, _LARGEST_MARK, strict=True)):
            raise NotVisibleError("Такой записи нет")
        return datetime.fromtimestamp(seconds, UTC), series, number
    except (ValueError, OverflowError, OSError):
        raise NotVisibleError("Такой записи нет") from None
