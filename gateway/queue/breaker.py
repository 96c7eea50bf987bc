"""The breaker of a city: after so many silent answers in a row nobody of us calls, then one caller tries.

State stands in the store, so all processes hold it together: a journal that is down is not hammered by each of them in
turn. Only silence counts (no connection, 5xx, no answer to a write); a refusal is an answer and closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, exists, select, update

from gateway.connectors.deadline import is_waiting_over
from gateway.connectors.port import Accepted, CheckLine, CityDirectory, CityPort, CityRead, CityScope
from gateway.domain.city import CityLesson, Intent
from gateway.domain.errors import (
    ConfigurationError,
    ContractError,
    GatewayError,
    OutcomeUnknownError,
    SendingStoppedError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from gateway.domain.reasons import NO_CITY_CALL, NO_PROFILE, TRANSPORT
from gateway.mapping.tables import place
from gateway.queue.pace import is_held
from gateway.queue.states import State
from gateway.queue.tables import attempt, city_breaker, operation, pace_bucket
from gateway.store.transaction import Store, upsert
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
SILENT = (UnreachableError, UnavailableError, OutcomeUnknownError)
NEITHER = (ThrottledError, ContractError, SendingStoppedError, ConfigurationError)
"""Say nothing of the city's health: a request to wait has its own hold, an unreadable answer its own pause; a stopped call never left."""

UNCALLED = (NO_PROFILE, NO_CITY_CALL)
"""Reasons that are also found before any call: with no status of an answer beside them, nobody has answered."""
UNREACHED = "unreached"
"""Outcome of an attempt that says nothing of its operation: nobody was there, for nobody."""

T = TypeVar("T")

LONGEST_OPEN_S = 86_400.0
"""Whatever the settings say: a moment further ahead than this was stored before the clock was set back, and keeps nobody."""


class BreakerState(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"  # calls go
    OPEN = "open"  # none goes before `retry_at`
    HALF_OPEN = "half_open"  # one caller tries, until `retry_at` at the latest


class BreakerTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of the breaker, from the settings group `mesh`.

    Attributes:
        failures_count: Silent answers in a row that open it.
        open_s: How long it stays open at first; doubles with each failed try.
        longest_s: Longest it stays open.
        probe_s: How long the one who tries may take before another may; above a call's deadline.
    """

    failures_count: int = 5
    open_s: float = 30.0
    longest_s: float = 300.0
    probe_s: float = 60.0


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker as it stands.

    Attributes:
        failures: Silent answers in a row.
        trips: How often in a row it opened without an answer between.
        retry_at: When somebody may try; of a half-open one, when another may.
    """

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    trips: int = 0
    retry_at: datetime | None = None

    def may_call(self, now: datetime) -> bool:
        """Whether a call may go now; of an open one the first to ask becomes the one who tries."""
        return self.state is BreakerState.CLOSED or self.retry_at is None or not is_open_until(self.retry_at, now)


def is_open_until(retry_at: datetime, now: datetime) -> bool:
    """Whether a stored moment is still waited for."""
    return now < retry_at <= now + timedelta(seconds=LONGEST_OPEN_S)


def after_silence(breaker: Breaker, terms: BreakerTerms, now: datetime) -> Breaker:
    """The breaker after one more silent answer. Late answers of calls let go before change an open one no more."""
    if breaker.state is BreakerState.OPEN:
        return breaker
    failures = breaker.failures + 1
    if breaker.state is BreakerState.CLOSED and failures < terms.failures_count:
        return msgspec.structs.replace(breaker, failures=failures)
    open_s = min(terms.open_s * 2.0 ** min(breaker.trips, 16), terms.longest_s, LONGEST_OPEN_S)
    return Breaker(
        state=BreakerState.OPEN,
        failures=failures,
        trips=breaker.trips + 1,
        retry_at=now + timedelta(seconds=open_s),
    )


# built once: putting a statement together costs more than running it
_BREAKER = select(city_breaker).where(city_breaker.c.city == bindparam("city"))
_BREAKER_LOCKED = _BREAKER.with_for_update()
_CLOSE = (
    update(city_breaker)
    .where(
        city_breaker.c.city == bindparam("b_city"),
        (city_breaker.c.state != BreakerState.CLOSED.value) | (city_breaker.c.failures > 0),
    )
    .values(state=BreakerState.CLOSED.value, failures=0, trips=0, retry_at=None, changed_at=bindparam("b_now"))
)
_WAITS = select(
    select(pace_bucket.c.held_until)
    .where(pace_bucket.c.city == bindparam("city"))
    .scalar_subquery()
    .label("held_until"),
    select(city_breaker.c.retry_at)
    .where(city_breaker.c.city == bindparam("city"), city_breaker.c.state != BreakerState.CLOSED.value)
    .scalar_subquery()
    .label("retry_at"),
)


def load_breaker(conn: Connection, city: str, *, for_update: bool = False) -> Breaker:
    """Load a city's breaker; closed where nothing ever failed."""
    row = conn.execute(_BREAKER_LOCKED if for_update else _BREAKER, {"city": city}).one_or_none()
    if row is None:
        return Breaker()
    return Breaker(state=BreakerState(row.state), failures=row.failures, trips=row.trips, retry_at=row.retry_at)


def find_wait_until(conn: Connection, city: str, now: datetime) -> datetime | None:
    """Until when nobody calls a city, because it asked for it or does not answer; None = calls may go.

    One question, because it is asked before each claim.
    """
    row = conn.execute(_WAITS, {"city": city}).one()
    held_until = row.held_until if row.held_until is not None and is_held(row.held_until, now) else None
    retry_at = row.retry_at if row.retry_at is not None and is_open_until(row.retry_at, now) else None
    return max((moment for moment in (held_until, retry_at) if moment is not None), default=None)


def try_pass(conn: Connection, city: str, terms: BreakerTerms, now: datetime) -> bool:
    """Whether a call may go, in the caller's transaction; passing an open breaker makes the caller the one who tries.

    If that transaction is rolled back, nobody tries yet.
    """
    breaker = load_breaker(conn, city)
    if breaker.state is BreakerState.CLOSED:
        return True
    breaker = load_breaker(conn, city, for_update=True)
    if breaker.state is BreakerState.CLOSED:
        return True
    if not breaker.may_call(now):
        return False
    _store(
        conn,
        city,
        msgspec.structs.replace(breaker, state=BreakerState.HALF_OPEN, retry_at=now + timedelta(seconds=terms.probe_s)),
        now,
    )
    return True


def note_answer(
    conn: Connection, city: str, terms: BreakerTerms, now: datetime, error: GatewayError | None = None
) -> bool:
    """Note how a call ended, in the caller's transaction.

    Args:
        conn: The caller's transaction.
        city: Key of the city.
        terms: The numbers.
        now: Aware UTC by the store.
        error: What the call raised; None = it was answered well.

    Returns:
        The city is there again: the caller wakes what waited for it (`wake_unreached`), after its own rows.
    """
    if isinstance(error, NEITHER) or _is_uncalled(error):
        return False
    if not isinstance(error, SILENT):
        # Nearly always nothing to change, so this finds no row and locks none.
        closed = conn.execute(_CLOSE, {"b_city": city, "b_now": now}).rowcount
        if closed:
            LOG.info("breaker.closed", city=city)
        return closed > 0
    upsert(
        conn,
        city_breaker,
        [
            {
                "city": city,
                "state": BreakerState.CLOSED.value,
                "failures": 0,
                "trips": 0,
                "retry_at": None,
                "changed_at": now,
            }
        ],
        keys=("city",),
        update=(),
    )
    before = load_breaker(conn, city, for_update=True)
    after = after_silence(before, terms, now)
    _store(conn, city, after, now)
    if after.state is BreakerState.OPEN and before.state is not BreakerState.OPEN:
        LOG.warning("breaker.opened", city=city, failure_count=after.failures, attempt=after.trips)
    return False


def _is_uncalled(error: GatewayError | None) -> bool:
    """Whether it was raised before any call: nobody answered."""
    return error is not None and error.reason_code in UNCALLED and getattr(error, "status", None) is None


def wake_unreached(conn: Connection, city: str, now: datetime) -> None:
    """What waited because nobody was there is due now: after days of silence its own next try may be hours away.

    Only where the last attempt was one of those: a row that a part of the city answers badly keeps its own wait, however
    well another part answers. Rows that somebody holds are left to him: whoever claims has locked them first and asks for
    the breaker after.
    """
    waiting = (
        select(operation.c.id)
        .where(
            operation.c.place_id.in_(select(place.c.id).where(place.c.city == city)),
            operation.c.state == State.READY.value,
            operation.c.reason == TRANSPORT,
            operation.c.not_before > now,
            exists().where(
                attempt.c.operation_id == operation.c.id,
                attempt.c.outcome == UNREACHED,
                attempt.c.finished_at == operation.c.changed_at,
            ),
        )
        .with_for_update(skip_locked=True)
    )
    conn.execute(update(operation).where(operation.c.id.in_(waiting)).values(not_before=now))


def _store(conn: Connection, city: str, breaker: Breaker, now: datetime) -> None:
    conn.execute(
        update(city_breaker)
        .where(city_breaker.c.city == city)
        .values(
            state=breaker.state.value,
            failures=breaker.failures,
            trips=breaker.trips,
            retry_at=breaker.retry_at,
            changed_at=now,
        )
    )


class GuardedCity:
    """A city whose reads ask the breaker before and tell it after; writes do so in delivery's own transactions.

    Args:
        city: The connector.
        store: Where the breaker stands.
        key: Key of the city.
        terms: The numbers.
    """

    def __init__(self, city: CityPort, store: Store, key: str, terms: BreakerTerms) -> None:
        self._city = city
        self._store = store
        self._key = key
        self._terms = terms

    def check(self) -> Iterator[CheckLine]:
        """As the connector's: a person who asks what works is let through."""
        return self._city.check()

    def fetch_directory(self, day: date) -> CityDirectory:
        """As the connector's; UnavailableError while the breaker is open."""
        return self._guarded(lambda: self._city.fetch_directory(day))

    def fetch_lessons(self, group_ids: Sequence[int], from_on: date, to_on: date) -> Sequence[CityLesson]:
        """As the connector's; UnavailableError while the breaker is open."""
        return self._guarded(lambda: self._city.fetch_lessons(group_ids, from_on, to_on))

    def fetch_scope(self, scope: CityScope) -> CityRead:
        """As the connector's; while the breaker is open the read comes back with that problem.

        What was read just now is dated by the store's clock, which all hosts share; an export keeps its own moment.
        """
        try:
            self._refuse_open()
        except UnavailableError as error:
            return CityRead(scope=scope, read_at=self._store.now(), problem=error)
        began_at = self._store.clock.now()
        read = self._city.fetch_scope(scope)
        self._note(read.problem)
        is_read_now = self._store.asks_time and read.read_at >= began_at
        return msgspec.structs.replace(read, read_at=self._store.now()) if is_read_now else read

    def create(self, intent: Intent, *, request_id: str) -> Accepted:
        """As the connector's."""
        return self._city.create(intent, request_id=request_id)

    def change(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """As the connector's."""
        return self._city.change(city_id, intent, request_id=request_id)

    def delete(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """As the connector's."""
        return self._city.delete(city_id, intent, request_id=request_id)

    def _guarded(self, call: Callable[[], T]) -> T:
        self._refuse_open()
        try:
            answer = call()
        except GatewayError as error:
            self._note(error)
            raise
        self._note(None)
        return answer

    def _refuse_open(self) -> None:
        with self._store.read() as conn:
            if load_breaker(conn, self._key).state is BreakerState.CLOSED:
                return
        with self._store.write() as conn:
            now = self._store.now(conn)
            if try_pass(conn, self._key, self._terms, now):
                return
            retry_at = load_breaker(conn, self._key).retry_at
        at = retry_at.isoformat(timespec="seconds") if retry_at else "—"
        raise UnavailableError(f"Журнал не отвечает: до {at} к нему никто не обращается")

    def _note(self, error: GatewayError | None) -> None:
        if isinstance(error, SILENT) and is_waiting_over():
            return  # whoever asked waits no longer: that says nothing of the city, and must not keep others from it
        if not isinstance(error, SILENT):
            with self._store.read() as conn:
                breaker = load_breaker(conn, self._key)
            if breaker.state is BreakerState.CLOSED and not breaker.failures:
                return
        with self._store.write() as conn:
            now = self._store.now(conn)
            if note_answer(conn, self._key, self._terms, now, error):
                wake_unreached(conn, self._key, now)


__all__ = [
    "UNREACHED",
    "Breaker",
    "BreakerState",
    "BreakerTerms",
    "GuardedCity",
    "after_silence",
    "find_wait_until",
    "is_open_until",
    "load_breaker",
    "note_answer",
    "try_pass",
    "wake_unreached",
]
