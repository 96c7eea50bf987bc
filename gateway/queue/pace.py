"""The pace that all processes share: turns of one city, in the store.

Behind the protocol `connectors.pace.Pace`, so connectors know no database. A turn is a moment on one evenly spaced
timetable of the city; it is handed out once, in one short transaction, and a caller that comes to it late gives it up.
Threads of one process that wait together are served by one transaction. Delivery takes the turns of a batch ahead, so that
the batch is marked as sent while its first turn is coming. What the threads of a process have taken lies in one pool, and
who is ready to call has the next of it: a thread whose call takes longer than the turns are apart would lose its own.

Why no second ever holds more calls than the rate: turns stand `SPACING / rate` apart, so `rate` of them span 1.035 s; a
call leaves at most `LATEST_S` after its turn and is on its way for at most `TRAVEL_S` longer than another; hence the calls
that come to the city within any second have turns within 1.035 s. The price is 3.4 % of the rate. What is not bound by it:
a process frozen between its turn and its send, one call a thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from heapq import heappop, heappush

import msgspec
from sqlalchemy import Connection, bindparam, select, text, update

from gateway.connectors.pace import Lane, Turns, current_lane, spend_prepaid
from gateway.domain.errors import ThrottledError
from gateway.queue.tables import pace_bucket
from gateway.store.transaction import Store, upsert

LATEST_S = 0.020
"""A turn is lost to whoever comes later than this."""
TRAVEL_S = 0.015
"""So much longer than another may a call take from our clock to the city's; without it a busy machine was seen to bring 203
calls of 200 into one second (`benchmarks.delivery --part clean`)."""
SPACING = 1.0 + LATEST_S + TRAVEL_S
BEHIND_NIGHT_S = 0.11
"""So much, or one turn and `LEAST_AHEAD_S` where that is longer, is all that an on-demand call ever waits behind the night."""
LEAST_AHEAD_S = 0.05
LEAD_S = 0.04
"""How far ahead the first of reserved turns lies: marking a batch as sent takes as long, and its turn is not lost."""
DEMAND_MEMORY_S = 10.0
"""How long after an on-demand call its share stays free; with nobody pressing buttons the night has the whole rate."""
CLOCK_BACK_S = 60.0
"""A timetable further ahead than this was made before the clock was set back; threads wait seconds, not minutes."""
LONGEST_HOLD_S = 3600.0
THREAD_WAIT_S = 5.0
"""A longer request of the city to wait goes up, so that the row and not a thread waits."""
_SHORT = text(
    # a crash of the server may lose the last turns given, but not before they have passed
    "SELECT set_config('synchronous_commit', 'off', true),"
    # a process frozen here would keep everybody from the city; the server ends its transaction
    " set_config('idle_in_transaction_session_timeout', '1000', true)"
)


# built once: putting them together costs more than running them, and they stand before every batch
_BUCKET_LOCKED = select(pace_bucket).where(pace_bucket.c.city == bindparam("city")).with_for_update()
_GIVE = (
    update(pace_bucket)
    .where(pace_bucket.c.city == bindparam("b_city"))
    .values(free_at=bindparam("free_at"), nightly_at=bindparam("nightly_at"), demand_at=bindparam("demand_at"))
)


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """The timetable of a city.

    Attributes:
        free_at: First turn not yet given.
        nightly_at: Before this no nightly turn while the demand share is kept.
        demand_at: When somebody last asked on demand.
        held_until: The city asked everybody to wait till then.
    """

    free_at: datetime
    nightly_at: datetime
    demand_at: datetime | None = None
    held_until: datetime | None = None


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What several callers of one lane get.

    Attributes:
        waits_s: Seconds until the turn, for each caller that got one; the first callers get them.
        again_s: When the others ask again.
        is_held: Nobody got one: the city asked for a wait of `again_s`.
    """

    bucket: Bucket
    waits_s: tuple[float, ...]
    again_s: float = 0.0
    is_held: bool = False


def ahead_of(rate_per_s: float) -> float:
    """How far ahead a nightly turn may be taken, in seconds.

    The further, the fewer are lost because nobody asked in time; where turns are long, on-demand work matters more.
    """
    return max(LEAST_AHEAD_S, BEHIND_NIGHT_S - SPACING / rate_per_s)


def grant(
    bucket: Bucket,
    *,
    lane: Lane,
    count: int,
    now: datetime,
    rate_per_s: float,
    demand_share: float,
    lead_s: float = 0.0,
    least_count: int = 1,
) -> Granted:
    """Give turns to `count` callers of one lane.

    On demand: the next free turns, as many as asked. Nightly: only turns that begin within `ahead_of`, and while on-demand
    work is going on only so many that its share of the rate stays free.

    Args:
        bucket: The timetable as it stands.
        lane: Whose calls.
        count: How many callers, at least 1.
        now: Aware UTC by the store.
        rate_per_s: Most calls in any second.
        demand_share: Part of the rate kept free, 0 to below 1.
        lead_s: The first turn comes no sooner than this; nightly turns may be taken so much further ahead.
        least_count: Nightly turns fewer than this are not given yet: a batch is worth its transactions.
    """
    if bucket.held_until is not None and now < bucket.held_until:
        wait_s = min((bucket.held_until - now).total_seconds(), LONGEST_HOLD_S)
        return Granted(bucket=bucket, waits_s=(), again_s=wait_s, is_held=True)
    spacing = timedelta(seconds=SPACING / rate_per_s)
    free_at = bucket.free_at
    if free_at - now > timedelta(seconds=CLOCK_BACK_S) + spacing:
        free_at = now
    turn = max(free_at, now + timedelta(seconds=lead_s))
    if lane == "demand":
        waits = tuple((turn + spacing * number - now).total_seconds() for number in range(count))
        changed = msgspec.structs.replace(bucket, free_at=turn + spacing * count, demand_at=now)
        return Granted(bucket=changed, waits_s=waits)
    is_shared = bucket.demand_at is not None and now - bucket.demand_at < timedelta(seconds=DEMAND_MEMORY_S)
    step = spacing / (1.0 - demand_share) if is_shared else spacing
    if is_shared and bucket.nightly_at - now <= timedelta(seconds=CLOCK_BACK_S) + step:
        turn = max(turn, bucket.nightly_at)
    waits_s: list[float] = []
    limit = now + timedelta(seconds=ahead_of(rate_per_s) + lead_s)
    least_turn = turn + step * (min(count, least_count) - 1)
    if least_turn > limit:
        changed = msgspec.structs.replace(bucket, free_at=free_at)
        return Granted(bucket=changed, waits_s=(), again_s=(least_turn - limit).total_seconds())
    nightly_at = bucket.nightly_at
    while len(waits_s) < count and turn <= limit:
        waits_s.append((turn - now).total_seconds())
        free_at = turn + spacing
        nightly_at = turn = turn + step
    again_s = (turn - limit).total_seconds() if len(waits_s) < count else 0.0
    changed = msgspec.structs.replace(bucket, free_at=free_at, nightly_at=nightly_at)
    return Granted(bucket=changed, waits_s=tuple(waits_s), again_s=again_s)


class _Caller:
    """A thread that asks for turns.

    Attributes:
        got_count: How many of the turns it asked for it got; with none it asks again in `again_s`.
    """

    def __init__(self, count: int, lead_s: float) -> None:
        self.count = count
        self.lead_s = lead_s
        self.is_answered = False
        self.is_held = False
        self.got_count = 0
        self.again_s = 0.0


class _Pool:
    """Turns that the threads of a process have taken in one lane and not used yet; moments of its monotonic clock."""

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._lock = threading.Lock()

    def put(self, moments: Iterable[float]) -> None:
        with self._lock:
            for moment in moments:
                heappush(self._moments, moment)

    def take(self, *, since: float) -> float | None:
        """Take the next turn that was not before `since`; None where there is none."""
        with self._lock:
            while self._moments:
                if (moment := heappop(self._moments)) >= since:
                    return moment
        return None


class _Reserved:
    """As many turns as a caller got on the store's timetable; which ones is found out when they are used."""

    def __init__(self, pace: StorePace, lane: Lane, count: int) -> None:
        self._pace = pace
        self._lane = lane
        self._count = count

    def __len__(self) -> int:
        return self._count

    def wait(self, number: int) -> bool:
        del number
        return self._pace.wait_next(self._lane)


class StorePace:
    """A `Pace` for all threads of all processes that share a store.

    Args:
        store: Holds the timetable and tells the time by which turns are judged.
        city: Key of the city.
        rate_per_s: Most calls in any second, over all processes together.
        demand_share: Part of the rate kept free while on-demand work goes on.
        monotonic: Clock of lateness, in seconds.
    """

    def __init__(
        self,
        store: Store,
        city: str,
        *,
        rate_per_s: float,
        demand_share: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if rate_per_s <= 0 or not 0 <= demand_share < 1:
            raise ValueError("rate_per_s must be positive and demand_share at least 0 and below 1")
        self._store = store
        self._city = city
        self._rate_per_s = rate_per_s
        self._demand_share = demand_share
        self._monotonic = monotonic
        self._least_count = max(1, int(ahead_of(rate_per_s) * rate_per_s / 2))
        self._waiting: dict[Lane, list[_Caller]] = {"demand": [], "nightly": []}
        self._waiting_lock = threading.Lock()
        self._pools: dict[Lane, _Pool] = {"demand": _Pool(), "nightly": _Pool()}
        self._asking: dict[Lane, threading.Lock] = {"demand": threading.Lock(), "nightly": threading.Lock()}

    def take(self) -> None:
        """Wait until a call may go.

        Raises:
            ThrottledError: The city asked everybody to wait longer than 5 s.
        """
        if spend_prepaid():
            return
        while not self._reserve(1, lead_s=0.0).wait(0):
            continue

    def reserve(self, count: int) -> Turns:
        """Take the turns of up to `count` calls that are being prepared; waits until there is one, not until it has come.

        Raises:
            ThrottledError: As `take`.
        """
        return self._reserve(count, lead_s=LEAD_S)

    def wait_next(self, lane: Lane) -> bool:
        """Wait for the next turn that this process has in a lane; False where it has none, or came too late for it."""
        moment = self._pools[lane].take(since=self._monotonic() - LATEST_S)
        if moment is None:
            return False
        self._store.clock.wait(max(moment - self._monotonic(), 0.0))
        return self._monotonic() - moment <= LATEST_S

    def _reserve(self, count: int, *, lead_s: float) -> _Reserved:
        lane = current_lane()
        while True:
            caller = self._ask(lane, _Caller(count, lead_s))
            if caller.is_held and caller.again_s > THREAD_WAIT_S:
                raise ThrottledError("Журнал просил подождать: ничего не отправлено", retry_after_s=caller.again_s)
            if caller.got_count:
                return _Reserved(self, lane, caller.got_count)
            self._store.clock.wait(caller.again_s)

    def _ask(self, lane: Lane, caller: _Caller) -> _Caller:
        """Ask for this thread, or find that another thread asked for it meanwhile."""
        with self._waiting_lock:
            self._waiting[lane].append(caller)
        with self._asking[lane]:
            if not caller.is_answered:
                with self._waiting_lock:
                    callers, self._waiting[lane] = self._waiting[lane], []
                # where it fails nobody was answered: each of the others finds that out at its turn here, and asks anew
                self._answer(lane, callers)
        return caller

    def _answer(self, lane: Lane, callers: list[_Caller]) -> None:
        with self._store.write() as conn:
            if self._store.dialect == "postgresql":
                conn.execute(_SHORT)
            stored = bucket = _load_bucket(conn, self._store, self._city)
            # the first moment after the row is ours: an earlier one would grant turns by a time that has passed
            asked_at = self._monotonic()
            now = self._store.now(conn)
            answers = []
            for caller in callers:
                granted = grant(
                    bucket,
                    lane=lane,
                    count=caller.count,
                    now=now,
                    rate_per_s=self._rate_per_s,
                    demand_share=self._demand_share,
                    lead_s=caller.lead_s,
                    least_count=self._least_count,
                )
                bucket = granted.bucket
                answers.append(granted)
            if bucket != stored:
                conn.execute(
                    _GIVE,
                    {
                        "b_city": self._city,
                        "free_at": bucket.free_at,
                        "nightly_at": bucket.nightly_at,
                        "demand_at": bucket.demand_at,
                    },
                )
        self._pools[lane].put(asked_at + wait_s for granted in answers for wait_s in granted.waits_s)
        for caller, granted in zip(callers, answers, strict=True):
            caller.is_held = granted.is_held
            caller.got_count = len(granted.waits_s)
            caller.again_s = granted.again_s
            caller.is_answered = True


def hold(conn: Connection, city: str, until: datetime, *, now: datetime) -> None:
    """Make all processes wait till a moment, because the city asked for it; an earlier hold is never shortened."""
    until = min(until, now + timedelta(seconds=LONGEST_HOLD_S))
    upsert(
        conn,
        pace_bucket,
        [{"city": city, "free_at": now, "nightly_at": now, "demand_at": None, "held_until": None}],
        keys=("city",),
        update=(),
    )
    conn.execute(
        update(pace_bucket)
        .where(
            pace_bucket.c.city == city,
            (pace_bucket.c.held_until.is_(None)) | (pace_bucket.c.held_until < until),
        )
        .values(held_until=until)
    )


def find_hold(conn: Connection, city: str, now: datetime) -> datetime | None:
    """Until when the city asked everybody to wait; None where it did not."""
    until: datetime | None = conn.execute(
        select(pace_bucket.c.held_until).where(pace_bucket.c.city == city)
    ).scalar_one_or_none()
    return until if until is not None and is_held(until, now) else None


def is_held(until: datetime, now: datetime) -> bool:
    """Whether a stored wait still holds; one longer than the longest was stored before the clock was set back."""
    return now < until <= now + timedelta(seconds=LONGEST_HOLD_S)


def _load_bucket(conn: Connection, store: Store, city: str) -> Bucket:
    row = conn.execute(_BUCKET_LOCKED, {"city": city}).one_or_none()
    if row is None:
        now = store.now(conn)
        upsert(
            conn,
            pace_bucket,
            [{"city": city, "free_at": now, "nightly_at": now, "demand_at": None, "held_until": None}],
            keys=("city",),
            update=(),
        )
        row = conn.execute(_BUCKET_LOCKED, {"city": city}).one()
    return Bucket(free_at=row.free_at, nightly_at=row.nightly_at, demand_at=row.demand_at, held_until=row.held_until)


__all__ = ["Bucket", "Granted", "StorePace", "ahead_of", "find_hold", "grant", "hold", "is_held"]
