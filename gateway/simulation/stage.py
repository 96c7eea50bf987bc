"""The stage: virtual time, and actors of which exactly one moves at a moment.

Every actor is a thread that holds the baton between two points; at a point (a transaction's edge, a call's edge) the
seed decides whether it goes on, is late, stands still for many leases, or dies there. Threads and not generators,
because the production steps are plain functions; deterministic, because only the one with the baton ever runs.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

TRACE_TAIL_COUNT = 80
STACK_BYTES = 512 * 1024  # an actor's stack is shallow; a thousand seeds should not ask for 8 MB each


class Killed(BaseException):  # a kill is no error of the code it hits, and must pass every `except Exception`
    """This actor's process was killed here: nothing after this point happened."""


class Over(BaseException):  # likewise
    """The curtain: every actor leaves the stage."""


class Violation(BaseException):  # must reach the stage through production code that handles errors
    """An invariant does not hold; says which, on what."""

    def __init__(self, invariant: str, sentence: str) -> None:
        super().__init__(f"{invariant}: {sentence}")
        self.invariant = invariant
        self.sentence = sentence


def _held_lock() -> threading.Lock:
    """A lock that somebody else will release: the cheapest way to hand over."""
    lock = threading.Lock()
    lock.acquire()
    return lock


class Actor:
    """One process of the play.

    Attributes:
        p_crash: Probability to be killed at a point, while faults are on.
        p_pause: Probability to stand still at a point.
        pause_limit_s: Longest standing still that the actor may have now; None = no limit.
    """

    def __init__(self, name: str, *, p_crash: float = 0.0, p_pause: float = 0.0) -> None:
        self.name = name
        self.p_crash = p_crash
        self.p_pause = p_pause
        self.pause_limit_s: Callable[[], float | None] = lambda: None
        self.baton = _held_lock()
        self.ticket = 0
        self.is_idle = False
        self.is_doomed = False


class Stage:
    """Virtual time and whose turn it is; also a `Clock`.

    Args:
        seed: Decides everything.
        start_at: Aware UTC.
        lease_s: Unit of the long pauses.
    """

    def __init__(self, seed: int, *, start_at: datetime, lease_s: float) -> None:
        self.seed = seed
        self.rng = Random(seed)  # noqa: S311  # repeatable on purpose
        self.is_stormy = True
        self.crashes = 0
        self.pauses = 0
        self.points = 0
        self.failure: BaseException | None = None
        self.tail: deque[str] = deque(maxlen=TRACE_TAIL_COUNT)
        self._start_at = start_at.astimezone(UTC)
        self._lease_s = lease_s
        self._now_s = 0.0
        self._hash = hashlib.sha256()
        self._heap: list[tuple[float, int, int, Actor]] = []
        self._order = itertools.count()
        self._threads: list[threading.Thread] = []
        self._actors: list[Actor] = []
        self._current: Actor | None = None
        self._main = _held_lock()
        self._is_over = False

    # --- Clock

    def now(self) -> datetime:
        """Aware UTC."""
        return self._start_at + timedelta(seconds=self._now_s)

    def wait(self, seconds: float) -> None:
        """Let time pass for the actor on stage."""
        self.sleep(seconds)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the curtain rose."""
        return self._now_s

    # --- trace

    def note(self, what: str) -> None:
        """Add a line to the trace: ids and codes, no content."""
        name = self._current.name if self._current is not None else "-"
        line = f"{self._now_s:.3f} {name} {what}"
        self._hash.update(line.encode())
        self._hash.update(b"\n")
        self.tail.append(line)

    @property
    def trace_hash(self) -> str:
        """SHA-256 over all lines so far, 64 hex digits."""
        return self._hash.hexdigest()

    # --- actors

    def add(self, actor: Actor, play: Callable[[], None], *, at_s: float = 0.0) -> None:
        """Put an actor on stage; after a kill it starts again from the beginning of `play`."""
        thread = threading.Thread(target=self._perform, args=(actor, play), name=actor.name, daemon=True)
        self._threads.append(thread)
        self._actors.append(actor)
        self._enter(actor, at_s)

    def _enter(self, actor: Actor, at_s: float) -> None:
        actor.ticket += 1
        heapq.heappush(self._heap, (at_s, next(self._order), actor.ticket, actor))

    def run(self) -> None:
        """Play until somebody calls `end`.

        Raises:
            BaseException: What an actor met that is neither a kill nor the end.
        """
        before = threading.stack_size(STACK_BYTES)
        try:
            for thread in self._threads:
                thread.start()
        finally:
            threading.stack_size(before)
        self._give()
        self._main.acquire()
        self._current = None
        for actor in self._actors:
            actor.baton.release()
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def end(self) -> None:
        """Let the curtain fall; called by an actor."""
        raise Over

    def _perform(self, actor: Actor, play: Callable[[], None]) -> None:
        try:
            self._receive(actor)
            while True:
                try:
                    play()
                    break
                except Killed:
                    self.crashes += 1
                    self._restart_later()
            self._give()
        except Over:
            self._drop_curtain()
        except BaseException as exc:  # noqa: BLE001  # a thread can't raise to the stage: kept there, raised by `run`
            if self.failure is None:
                self.failure = exc
            self._drop_curtain()

    def _restart_later(self) -> None:
        """Let a killed actor be started again; killed while it waits for that, it waits anew."""
        while True:
            try:
                self.sleep(self.rng.uniform(1.0, 120.0))
            except Killed:
                continue
            return

    def _drop_curtain(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._main.release()

    # --- time

    def point(self, what: str) -> None:
        """A place where an actor may be late, stand still or die."""
        actor = self._current
        if actor is None:
            return
        self.points += 1
        rng = self.rng
        if self.is_stormy:
            chance = rng.random()
            if chance < actor.p_crash:
                self.note(f"killed at {what}")
                raise Killed
            if chance < actor.p_crash + actor.p_pause:
                self._stand_still(actor, what)
                return
        luck = rng.random()
        if luck < 0.5:
            return
        self.sleep(rng.uniform(0.0, 0.02) if luck < 0.8 else rng.uniform(0.0, 1.0 if luck < 0.97 else 5.0))

    def may_die(self, what: str) -> None:
        """A place where an actor may die but nobody else may move (inside a transaction)."""
        actor = self._current
        if actor is not None and self.is_stormy and self.rng.random() < actor.p_crash:
            self.note(f"killed at {what}")
            raise Killed

    def _stand_still(self, actor: Actor, what: str) -> None:
        length_s = self.rng.choice((5.0, self._lease_s + 10.0, 10 * self._lease_s))
        limit_s = actor.pause_limit_s()
        if limit_s is not None:
            length_s = min(length_s, limit_s)
        if length_s <= 0:
            return
        self.pauses += 1
        self.note(f"paused {length_s:.1f} s at {what}")
        self.sleep(length_s)

    def sleep(self, seconds: float, *, is_idle: bool = False) -> None:
        """Let the actor on stage come back that much later; an idle one may be woken earlier."""
        actor = self._current
        if actor is None:
            self._now_s += max(seconds, 0.0)
            return
        due_s = self._now_s + max(seconds, 0.0)
        if not self._heap or due_s < self._heap[0][0]:
            self._now_s = due_s
            return
        actor.is_idle = is_idle
        self._enter(actor, due_s)
        self._give()
        self._receive(actor)

    def wake(self, actor: Actor) -> None:
        """Bring an idle actor back now."""
        if actor.is_idle:
            self._enter(actor, self._now_s)

    def doom(self, actor: Actor) -> None:
        """Kill an actor that is waiting: it does nothing more, whenever it would have come back."""
        actor.is_doomed = True

    def _give(self) -> None:
        """Hand the baton to whoever is due next."""
        while True:
            due_s, _, ticket, actor = heapq.heappop(self._heap)
            if ticket == actor.ticket:
                break
        self._now_s = max(self._now_s, due_s)
        actor.is_idle = False
        self._current = actor
        actor.baton.release()

    def _receive(self, actor: Actor) -> None:
        actor.baton.acquire()
        if self._is_over:
            raise Over
        if actor.is_doomed:
            actor.is_doomed = False
            self.note("stopped by the operator")
            raise Killed
