"""The doorbell: dramatiq carries an operation's number to a thread and nothing else.

In the process on dramatiq's StubBroker by default, on Redis where it is set. Its own retries are off and losing all its
messages costs only time: the outbox row is the truth and the relay rings again (law 1).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import cast

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.worker import Worker
from redis.backoff import NoBackoff
from redis.retry import Retry

from gateway.connectors.pace import Lane
from gateway.domain.errors import BrokerAwayError, ConfigurationError
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
QUEUES: dict[Lane, str] = {"demand": "operations.demand", "nightly": "operations"}
HEARTBEAT_MS = 15_000
"""A killed worker's messages come back after about this; with dramatiq's default of 60 s and rare maintenance it took 8–13 minutes."""
MAINTENANCE_CHANCE = 200_000
"""In a million commands."""
REDIS_CONNECT_S = 5.0
"""A Redis that does not answer is said so before anything is waited for."""
REDIS_ANSWER_S = 10.0
"""A Redis that hangs must not hang the worker's relay with it."""
LISTEN_MS = 50
"""How long an idle thread sleeps before it looks for a message again."""


class Doorbell:
    """Rings worker threads with operation ids; a context that starts and stops them.

    Args:
        work: What a thread does with an id.
        threads: How many threads; 0 = it only rings for threads of other processes.
        redis_url: Redis of the school; None = in the process.
        demand_threads: How many of the threads are for the on-demand lane; the others are for the night's then. 0 = all serve
            both: a message waits for a thread of the process that fetched it, and the night's may all be waiting for their turns.

    Raises:
        ConfigurationError: That Redis does not answer, or may throw messages away.
    """

    def __init__(
        self,
        work: Callable[[int], object],
        *,
        threads: int,
        redis_url: str | None = None,
        demand_threads: int = 0,
    ) -> None:
        self._work = work
        self._broker = _make_broker(redis_url)
        self._fault: BaseException | None = None
        self._fault_lock = threading.Lock()
        self._is_closing = False
        self._is_ringing = True
        self._actors = {
            lane: dramatiq.Actor(
                self._run,
                broker=self._broker,
                actor_name=f"deliver_{lane}",
                queue_name=queue,
                priority=0,
                options={"max_retries": 0},
            )
            for lane, queue in QUEUES.items()
        }
        nightly = {QUEUES["nightly"]} if demand_threads else {*QUEUES.values()}
        parts = [(nightly, threads - demand_threads), ({QUEUES["demand"]}, demand_threads)]
        self._workers = [
            Worker(self._broker, queues=queues, worker_threads=count, worker_timeout=LISTEN_MS)
            for queues, count in parts
            if count > 0
        ]

    def __enter__(self) -> Doorbell:
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def fault(self) -> BaseException | None:
        """The first thing a thread met that is no answer of the city; the threads do nothing since."""
        return self._fault

    def ring(self, operation_ids: Iterable[int], *, lane: Lane = "nightly") -> int:
        """Send the ids; how many were sent. A Redis that is away takes none: the relay rings again."""
        count = 0
        for operation_id in operation_ids:
            try:
                self._actors[lane].send(operation_id)
            except (dramatiq.errors.BrokerConnectionError, redis.RedisError) as exc:
                if self._is_ringing:
                    LOG.warning("doorbell.ring_failed", exc_info=exc)
                self._is_ringing = False
                return count
            count += 1
        if count and not self._is_ringing:
            LOG.info("doorbell.ring_restored")
            self._is_ringing = True
        return count

    def count_waiting(self, lane: Lane) -> int:
        """How many ids wait in the broker; 0 where it is away. Those already in a thread's hands are not counted."""
        queue = QUEUES[lane]
        if isinstance(self._broker, StubBroker):
            return int(self._broker.queues[queue].qsize())
        try:
            return cast("int", self._broker.client.llen(f"{self._broker.namespace}:{queue}"))
        except redis.RedisError:
            return 0

    def wait(self) -> None:
        """Wait until all rung ids were worked on.

        Raises:
            BaseException: What a thread met that is no answer of the city (a fault of ours, an audit that can't be written).
        """
        for queue in QUEUES.values():
            self._broker.join(queue)
        for worker in self._workers:
            worker.join()
        if self._fault is not None:
            raise self._fault

    def close(self, *, within_s: float = 600.0) -> None:
        """Stop taking ids, let the threads finish what they hold, close the broker."""
        if self._is_closing:
            return
        self._is_closing = True
        for worker in self._workers:
            worker.stop(timeout=int(within_s * 1000))
        self._broker.close()

    def _run(self, operation_id: int) -> None:
        if self._fault is not None or self._is_closing:
            return
        try:
            self._work(operation_id)
        except BaseException as exc:  # noqa: BLE001  # see the next line
            # A thread can't raise to the flow: the first fault is kept and stops the others, then `wait` raises it.
            with self._fault_lock:
                if self._fault is None:
                    self._fault = exc


def _make_broker(redis_url: str | None) -> StubBroker | RedisBroker:
    if redis_url is None:
        return StubBroker(middleware=[])
    try:
        client = redis.Redis.from_url(
            redis_url,
            socket_connect_timeout=REDIS_CONNECT_S,
            socket_timeout=REDIS_ANSWER_S,
            # the library would run an enqueue again whose answer was lost, and the id would stand there twice (M9)
            retry=Retry(NoBackoff(), 0),
        )
        memory = client.info("memory")
    except (redis.RedisError, ValueError) as exc:
        # not `from exc`: an address may hold a password
        raise BrokerAwayError(f"queue.redis_url: Redis не отвечает ({type(exc).__name__})") from None
    policy = cast("dict[str, object]", memory).get("maxmemory_policy")
    if policy != "noeviction":
        raise ConfigurationError(
            f"queue.redis_url: у Redis maxmemory-policy {policy}, при нехватке памяти он выбросит очередь молча; "
            "нужно noeviction"
        )
    return RedisBroker(  # type: ignore[no-untyped-call]  # dramatiq leaves this constructor untyped
        client=client,
        middleware=[],
        heartbeat_timeout=HEARTBEAT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
    )
