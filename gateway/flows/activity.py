"""Activity: what pupils and teachers did at the portal, read out of its log of events and kept at the school.

A batch is stored in one transaction with the cursor that passed it, so that a killed run begins where it ended. Beside the
marks, never before them. Nothing of it is sent anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from gateway.connectors.kept_port import ActivityLog
from gateway.domain.activity import ActivityKind, Cursor, LeftOut, LogEvent, classify, move_cursor
from gateway.domain.errors import ConfigurationError, ConnectorError, LogBegunAnewError
from gateway.flows.gateway import Gateway
from gateway.flows.protocols import note_shown
from gateway.report.activity import (
    ActivityFilter,
    ActivityView,
    UnmappedView,
    count_kinds,
    count_unmapped,
    find_known,
    forget_taken,
    has_people,
    load_cursor,
    load_of_person,
    load_taken,
    load_unmapped,
    lock_cursor,
    note_taken,
    purge_activity,
    store_cursor,
    store_events,
)

PURGE_COUNT = 5_000
"""Rows removed in one write transaction."""
LAST_ID = 2**63 - 1


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What a run read.

    Attributes:
        read: Rows of the log that were not read before.
        stored: Kind → deeds.
        left_out: Why → rows that are nobody's activity; `unmapped` is counted by event as well.
        again: Rows within the lookback that had been read before.
        purged: Past their time.
        is_more: The log goes on; the next run does too.
    """

    read: int
    stored: dict[str, int]
    left_out: dict[str, int]
    again: int
    purged: int
    is_more: bool


class Kinds(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, and what has no kind."""

    stored: dict[str, int]
    unmapped: list[UnmappedView]


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log has been read: `ahead` counts numbers, of which some may never have been written."""

    newest_at: datetime | None
    read_at: datetime | None
    ahead: int
    unmapped: int


def pull_activity(gateway: Gateway, *, is_begun_anew: bool = False) -> Taken | None:
    """Read on in the portal's log.

    Args:
        is_begun_anew: A person says that the log counts from one again: it is read from its beginning, as far as it tells
            of what came after the last deed that was read.

    Returns:
        None where no log is named.

    Raises:
        LogBegunAnewError: The log is another one than was read before, and nobody has said so.
        ConfigurationError: The school's people have never been read.
        ConnectorError: It can't be read; what was stored stands.
    """
    log = gateway.activity
    if log is None:
        return None
    purged = _purge(gateway)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        if not has_people(conn, place_id):
            raise ConfigurationError("Люди школы ещё не прочитаны: сначала gateway pull, потом gateway activity pull")
        cursor = load_cursor(conn, gateway.place)
    cursor = _begin(gateway, log, cursor, place_id, is_begun_anew=is_begun_anew)
    return _Taker(gateway, log, place_id).take(cursor, purged)


def _begin(gateway: Gateway, log: ActivityLog, cursor: Cursor | None, place_id: int, *, is_begun_anew: bool) -> Cursor:
    own = _find_own(log, cursor)
    if cursor is None:
        return _put(gateway, Cursor(own=own, settled=_number_before(log, _year_begins(gateway))))
    if not is_begun_anew:
        _refuse_another_log(log, cursor)
        return cursor if own == cursor.own else _put(gateway, msgspec.structs.replace(cursor, own=own))
    since = _year_begins(gateway) if cursor.top_at is None else cursor.top_at + timedelta(seconds=1)
    fresh = Cursor(series=cursor.series + 1, own=own, settled=_number_before(log, since), top_at=None)
    with gateway.store.write() as conn:
        forget_taken(conn, place_id)
    return _put(gateway, fresh)


def _put(gateway: Gateway, cursor: Cursor) -> Cursor:
    with gateway.store.write() as conn:
        store_cursor(conn, gateway.place, cursor, now=gateway.store.now(conn))
    return cursor


def _find_own(log: ActivityLog, cursor: Cursor | None) -> tuple[str, ...]:
    """The gateway's own accounts, the earlier ones too: a token may have been another person's."""
    known = () if cursor is None else cursor.own
    try:
        return tuple(sorted({*known, log.fetch_own()}))
    except ConnectorError:
        if not known:
            raise
        return known


def _refuse_another_log(log: ActivityLog, cursor: Cursor) -> None:
    """Refuse a log that ends before what was read of it, or holds something else there.

    Raises:
        LogBegunAnewError: It was emptied, restored from a copy, or begun anew.
    """
    if not cursor.top:
        return
    head = log.find_head()
    if head is None or head.id < cursor.top:
        newest = "в нём нет ни одной записи" if head is None else f"последняя запись в нём {head.id}"
        raise LogBegunAnewError(
            f"Журнал событий портала короче прочитанного: прочитано до {cursor.top}, {newest}. Его очистили или "
            "восстановили из копии; если он начат заново: gateway activity pull --begun-anew"
        )
    same = log.find_row(cursor.top)
    if same is not None and same.at != cursor.top_at:
        raise LogBegunAnewError(
            f"В журнале событий портала под номером {cursor.top} другая запись, чем была прочитана: это другой журнал. "
            "Проверьте activity.url и activity.table; если он начат заново: gateway activity pull --begun-anew"
        )


def _number_before(log: ActivityLog, since: datetime) -> int:
    """After which number what happened since a moment begins."""
    first = log.find_first(since)
    if first is not None:
        return first - 1
    head = log.find_head()
    return 0 if head is None else head.id


def _year_begins(gateway: Gateway) -> datetime:
    first, _, _ = gateway.place.year.partition("/")
    return datetime(int(first), 9, 1, tzinfo=ZoneInfo(gateway.settings.school.timezone)).astimezone(UTC)


class _Taker:
    """Reads batch by batch."""

    def __init__(self, gateway: Gateway, log: ActivityLog, place_id: int) -> None:
        self._gateway = gateway
        self._log = log
        self._place_id = place_id
        self._stored: Counter[ActivityKind] = Counter()
        self._left_out: Counter[LeftOut] = Counter()
        self._again = 0
        self._read = 0

    def take(self, cursor: Cursor, purged: int) -> Taken:
        """Read on until the log's end, or as far as one run may."""
        settings = self._gateway.settings.activity
        after, is_more = cursor.settled, True
        while self._read < settings.rows_per_run:
            batch = self._log.load_batch(after, settings.batch_count)
            if batch:
                moved = self._store(cursor, batch)
                if moved is None:
                    break
                cursor = moved
                after = batch[-1].id
                self._gateway.progress("activity", self._read)
            if len(batch) < settings.batch_count:
                is_more = False
                break
        return Taken(
            read=self._read,
            stored=_counts(self._stored),
            left_out=_counts(self._left_out),
            again=self._again,
            purged=purged,
            is_more=is_more,
        )

    def _store(self, cursor: Cursor, batch: list[LogEvent]) -> Cursor | None:
        """Store a batch with the cursor that passes it; None where another reader has moved it meanwhile."""
        gateway, place_id = self._gateway, self._place_id
        with gateway.store.write() as conn:
            if lock_cursor(conn, gateway.place) != cursor:
                return None
            now = gateway.store.now(conn)
            taken = load_taken(conn, place_id, cursor.series, batch[0].id, batch[-1].id)
            fresh = [event for event in batch if event.id not in taken]
            judged = [(event, classify(event, own=frozenset(cursor.own))) for event in fresh]
            known = find_known(conn, place_id, {event.person for event in fresh if event.person is not None})
            deeds: list[tuple[LogEvent, ActivityKind]] = []
            unmapped: list[LogEvent] = []
            for event, found in judged:
                is_stranger = isinstance(found, ActivityKind) or found is LeftOut.UNMAPPED
                why = LeftOut.STRANGER if is_stranger and event.person not in known else found
                if isinstance(why, ActivityKind):
                    deeds.append((event, why))
                    self._stored[why] += 1
                    continue
                self._left_out[why] += 1
                if why is LeftOut.UNMAPPED:
                    unmapped.append(event)
            store_events(conn, place_id, cursor.series, deeds)
            count_unmapped(conn, place_id, unmapped)
            settled_before = now - timedelta(seconds=gateway.settings.activity.lookback_s)
            moved = move_cursor(cursor, batch, settled_before=settled_before)
            note_taken(conn, place_id, cursor.series, [event.id for event in fresh], settled=moved.settled)
            store_cursor(conn, gateway.place, moved, now=now)
        self._again += len(batch) - len(fresh)
        self._read += len(fresh)
        return moved


def _counts(counter: Mapping[ActivityKind, int] | Mapping[LeftOut, int]) -> dict[str, int]:
    return {name.value: count for name, count in sorted(counter.items()) if count}


def _purge(gateway: Gateway) -> int:
    before = gateway.now() - timedelta(days=gateway.settings.activity.keep_days)
    total = 0
    while True:
        with gateway.store.write() as conn:
            count = purge_activity(conn, before=before, limit=PURGE_COUNT)
        total += count
        if count < PURGE_COUNT:
            return total


def show_activity(
    gateway: Gateway,
    person: str,
    *,
    kind: ActivityKind | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
    limit: int,
) -> list[ActivityView]:
    """Load what a pupil or teacher did, the newest first, and write the look down first.

    Raises:
        AuditError: The look can't be written down: then nothing is shown.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        wanted = ActivityFilter(kind=kind, from_at=from_at, to_at=to_at)
        found = load_of_person(conn, place_id, person, wanted=wanted, limit=limit)
        note_shown(gateway, conn, {person} if found else set(), "activity")
    return found


def load_kinds(gateway: Gateway) -> Kinds:
    """Count what is kept by kind, and what has no kind by event; nobody is named."""
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    with gateway.store.read() as conn:
        return Kinds(stored=dict(count_kinds(conn, place_id)), unmapped=load_unmapped(conn, place_id))


def find_reach(gateway: Gateway) -> Reach | None:
    """Say how far the log has been read; None where none is named.

    Raises:
        LogBegunAnewError: It is another log than was read.
        ConnectorError: It can't be read.
    """
    log = gateway.activity
    if log is None:
        return None
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    with gateway.store.read() as conn:
        cursor = load_cursor(conn, gateway.place)
        unmapped = len(load_unmapped(conn, place_id))
    if cursor is not None:
        _refuse_another_log(log, cursor)
    head = log.find_head()
    top = 0 if cursor is None else cursor.top
    return Reach(
        newest_at=None if head is None else head.at,
        read_at=None if cursor is None else cursor.top_at,
        ahead=0 if head is None else max(0, head.id - top),
        unmapped=unmapped,
    )
