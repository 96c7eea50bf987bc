"""Scopes of the city that were just read, taken through the store together: kept, mapped, compared, added to the plan.

Between the walk over the groups (`flows.plan`) and the deciding floor. A commit costs as much as a thousand unchanged
marks, so scopes share transactions; what is held in memory and how long a read may lie here are bounded. Mapping and
deciding happen outside of any write, so that delivery is not kept waiting by them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from gateway.connectors.port import CityRead
from gateway.mapping.mesh import Mapped
from gateway.mapping.rules import Mode
from gateway.queue.signed import stand_beside
from gateway.reconcile.compare import Op
from gateway.reconcile.coverage import note_covered
from gateway.reconcile.guard import Limits
from gateway.reconcile.intend import store_intended
from gateway.reconcile.memo import Memo, is_settled, load_memos, store_memo
from gateway.reconcile.plan import PlanDraft
from gateway.reconcile.resolve import NO_CALLS, NOTHING_BUSY, Busy, ScopeDecision, decide_scope
from gateway.reconcile.shadow import store_city_scope
from gateway.store.epoch import find_write_lock
from gateway.store.transaction import Store

BATCH_COUNT = 20_000
"""Records and objects that lie here at most before they are decided: about 20 MB."""
SCOPE_COUNT = 50
"""An empty scope costs as much as so many records."""
LIE = timedelta(seconds=1)
"""How long a read may lie here while others are read: delivery goes on meanwhile, and an old read looks like a drift."""
WRITTEN_COUNT = 5_000
"""Rows written in one transaction, about 80 ms on SQLite; law 2 allows 250 ms, and the last scope comes on top."""
LOOKED_AT_COUNT = 40_000
"""Records and objects only looked at in one transaction, about 120 ms."""


class ScopeToPlan(Protocol):
    """One scope with all that planning asks about it.

    Attributes:
        scope: Name of the scope.
        read: The city's side of it; None where it was not asked for.
        count: Records of ours there, roughly; what a batch is bounded by.
        delete_mode: What the scope table says of deletes here.
        is_whole: Every pupil and day was looked at, so that the scope may be skipped, remembered and called covered.
    """

    @property
    def scope(self) -> str: ...
    @property
    def read(self) -> CityRead | None: ...
    @property
    def count(self) -> int: ...
    @property
    def delete_mode(self) -> Mode: ...
    @property
    def is_whole(self) -> bool: ...

    def find_position(self, lesson_id: int) -> int | None:
        """The ordinal of a lesson among the group's lessons in time."""
        ...

    def digest_inputs(self, conn: Connection, shown: bytes) -> bytes:
        """Everything that the scope is decided by, as one digest.

        Args:
            shown: Digest of the city's side.
        """
        ...

    def map_records(self, conn: Connection) -> Sequence[Mapped]:
        """What should stand in the city for each record of ours. Reads only."""
        ...

    def keep_linked(self, conn: Connection, mapped: Sequence[Mapped]) -> Sequence[Mapped]:
        """Let wait what is of pupils whose links have changed since the pass began."""
        ...

    def store_choices(self, conn: Connection, mapped: Sequence[Mapped]) -> None:
        """Keep what mapping chose once and for all."""
        ...


class _Kept:
    """A scope on its way through a batch."""

    def __init__(self, scope: ScopeToPlan) -> None:
        self.scope = scope
        self.inputs: bytes | None = None
        self.memo: Memo | None = None
        self.mapped: Sequence[Mapped] = ()
        self.decided: ScopeDecision | None = None

    @property
    def name(self) -> str:
        return self.scope.scope

    @property
    def is_read(self) -> bool:
        """Whether absence in the city means something."""
        return self.scope.read is not None and self.scope.read.is_complete

    @property
    def is_settling(self) -> bool:
        """Whether the scope may be remembered as settled."""
        return self.is_read and self.scope.is_whole

    @property
    def is_skipped(self) -> bool:
        """Whether the memo counts: nothing that the scope is decided by has moved since it was written."""
        return self.memo is not None and self.memo.inputs == self.inputs

    @property
    def looked_at(self) -> int:
        """Rows that are looked at, and what a scope costs without any."""
        return SCOPE_COUNT + self.scope.count + (len(self.scope.read.objects) if self.scope.read is not None else 0)


class _Deed(msgspec.Struct, frozen=True):
    """Something to be written, weighed before by what it looks at and after by the rows it wrote, which it answers."""

    looked_at: int
    act: Callable[[Connection], int]


class ScopeBatch:
    """Scopes that were read and wait to be decided; `add` them, then `finish`.

    Args:
        run_id: The run that plans.
        draft: The plan they go into, in the order in which they were added.
        limits: The guard's numbers.
        missed_by: Before this moment a record must have been missed first for its absence to be proven; None = at any.
        busy_of: What delivery holds in scopes; one that it does not name has nothing.
        settle_late: Told which scopes were just read whole and stored, before they are decided; settles what was seen late.
        narrow: Leaves of a decision what was asked for.
        no_calls: (kind, operation) that nobody but a person can do in the city.
        settle_by_hand: Told of each scope before it is decided, when what should stand there is stored; None = nobody asks.
    """

    def __init__(
        self,
        store: Store,
        *,
        place_id: int,
        run_id: int,
        draft: PlanDraft,
        limits: Limits,
        missed_by: datetime | None = None,
        busy_of: Callable[[Connection, int, Collection[str]], Mapping[str, Busy]],
        settle_late: Callable[[Collection[str]], object] = lambda _names: None,
        narrow: Callable[[ScopeDecision], ScopeDecision] = lambda decided: decided,
        no_calls: Collection[tuple[str, Op]] = NO_CALLS,
        settle_by_hand: Callable[[str, CityRead | None], None] | None = None,
    ) -> None:
        self._store = store
        self._place_id = place_id
        self._run_id = run_id
        self._draft = draft
        self._limits = limits
        self._missed_by = missed_by
        self._busy_of = busy_of
        self._settle_late = settle_late
        self._narrow = narrow
        self._no_calls = no_calls
        self._settle_by_hand = settle_by_hand
        self._waiting: list[_Kept] = []
        self._memos: list[_Deed] = []
        self._count = 0
        self._is_locked = False
        self.skipped = 0

    def add(self, scope: ScopeToPlan) -> None:
        """Take one scope in; those that wait are decided when they are many or were read a while ago."""
        if any(kept.name == scope.scope for kept in self._waiting):
            # Two groups of the portal that are one in the city: each is decided on its own, as if it were read alone.
            self._settle()
        kept = _Kept(scope)
        self._waiting.append(kept)
        self._count += kept.looked_at
        if self._count >= BATCH_COUNT or self._lies_long():
            self._settle()

    def finish(self) -> None:
        """Decide what still waits; nothing is added after this."""
        self._settle()
        self._write(self._memos)
        self._memos = []

    def _settle(self) -> None:
        batch, self._waiting, self._count = self._waiting, [], 0
        names = [kept.name for kept in batch]
        with self._store.read() as conn:
            self._is_locked = find_write_lock(conn) is not None
            memos = load_memos(conn, self._place_id, names)
        for kept in batch:
            kept.memo = memos.get(kept.name)
        # Memos of the batch before go with this one's reads: one commit less.
        self._write([*self._memos, *(_Deed(kept.looked_at, partial(self._store_read, kept)) for kept in batch)])
        self._settle_late([kept.name for kept in batch if kept.is_read])
        open_ones = [kept for kept in batch if not kept.is_skipped]
        with self._store.read() as conn:
            for kept in open_ones:
                kept.mapped = kept.scope.map_records(conn)
        self._write([_Deed(kept.looked_at, partial(self._store_mapped, kept)) for kept in open_ones])
        if self._settle_by_hand is not None:
            for kept in open_ones:
                self._settle_by_hand(kept.name, kept.scope.read)
        with self._store.read() as conn:
            busy = self._busy_of(conn, self._place_id, names)
            for kept in open_ones:
                kept.decided = self._decide(conn, kept, busy.get(kept.name, NOTHING_BUSY))
        self._memos = [
            _Deed(1, partial(self._remember, kept.name, kept.inputs, kept.decided))
            for kept in open_ones
            if kept.inputs is not None and kept.decided is not None and (kept.memo or is_settled(kept.decided))
        ]
        for kept in batch:
            self._add_to_plan(kept)

    def _lies_long(self) -> bool:
        reads = [kept.scope.read.read_at for kept in (self._waiting[0], self._waiting[-1]) if kept.scope.read]
        return len(reads) > 1 and reads[-1] - reads[0] >= LIE

    def _write(self, deeds: Sequence[_Deed]) -> None:
        """Do them in their order, as many in one write transaction as the law allows."""
        at = 0
        while at < len(deeds):
            looked_at = written = 0
            with self._store.write() as conn:
                while at < len(deeds) and written < WRITTEN_COUNT and looked_at < LOOKED_AT_COUNT:
                    written += deeds[at].act(conn)
                    looked_at += deeds[at].looked_at
                    at += 1

    def _store_read(self, kept: _Kept, conn: Connection) -> int:
        """Keep the city's side, and look whether the scope may be skipped."""
        if kept.scope.read is None:
            return 0
        stored = store_city_scope(conn, self._place_id, kept.scope.read, run_id=self._run_id)
        if kept.is_settling:
            if self._is_locked:
                note_covered(conn, self._place_id, kept.name, read_at=kept.scope.read.read_at, run_id=self._run_id)
            kept.inputs = kept.scope.digest_inputs(conn, stored.digest)
        return stored.written

    def _store_mapped(self, kept: _Kept, conn: Connection) -> int:
        # a link is changed before this write or after it, and finds then what was written
        stand_beside(conn, self._place_id)
        mapped = kept.scope.keep_linked(conn, kept.mapped)
        kept.scope.store_choices(conn, mapped)
        written = store_intended(conn, self._place_id, kept.name, mapped)
        kept.mapped = ()  # it is in the store now
        return written

    def _remember(self, name: str, inputs: bytes, decided: ScopeDecision, conn: Connection) -> int:
        store_memo(conn, self._place_id, name, inputs, decided, self._store.now(conn))
        return 1

    def _decide(self, conn: Connection, kept: _Kept, busy: Busy) -> ScopeDecision:
        return decide_scope(
            conn,
            self._place_id,
            kept.name,
            is_read=kept.is_read,
            delete_mode=kept.scope.delete_mode,
            limits=self._limits,
            position_of=kept.scope.find_position,
            busy=busy,
            no_calls=self._no_calls,
            missed_by=self._missed_by,
        )

    def _add_to_plan(self, kept: _Kept) -> None:
        if kept.memo is not None and kept.is_skipped:
            self.skipped += 1
            self._draft.add_remembered(
                kept.name,
                unchanged=kept.memo.unchanged,
                foreign_count=kept.memo.foreign_count,
                out_of_scope=kept.memo.out_of_scope,
            )
        elif kept.decided is not None:
            self._draft.add(self._narrow(kept.decided))


__all__ = ["ScopeBatch", "ScopeToPlan"]
