"""The doorbell: dramatiq carries an operation's number to a thread and nothing else.

In the process on dramatiq's StubBroker by default, on Redis where it is set. Its own retries are off and losing all its
messages costs only time: the outbox row is the truth and the relay rings again (law 1).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import TracebackType

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.worker import Worker

from gateway.domain.errors import ConfigurationError

QUEUE = "operations"
HEARTBEAT_MS = 15_000
"""A killed worker's messages come back after about this; with dramatiq's default of 60 s and rare maintenance it took 8–13 minutes."""
MAINTENANCE_CHANCE = 200_000
"""In a million commands."""
REDIS_CONNECT_S = 5.0
"""A Redis that does not answer is said so before anything is waited for."""


class Doorbell:
    """Rings worker threads with operation ids; a context that starts and stops them.

    Args:
        work: What a thread does with an id.
        threads: How many threads.
        redis_url: Redis of the school; None = in the process.

    Raises:
        ConfigurationError: That Redis does not answer.
    """

    def __init__(self, work: Callable[[int], object], *, threads: int, redis_url: str | None = None) -> None:
        self._work = work
        self._broker = _make_broker(redis_url)
        self._fault: BaseException | None = None
        self._fault_lock = threading.Lock()
        self._actor = dramatiq.Actor(
            self._run,
            broker=self._broker,
            actor_name="deliver",
            queue_name=QUEUE,
            priority=0,
            options={"max_retries": 0},
        )
        self._worker = Worker(self._broker, queues={QUEUE}, worker_threads=threads, worker_timeout=50)

    def __enter__(self) -> Doorbell:
        self._worker.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._worker.stop()
        self._broker.close()

    def ring(self, operation_ids: Iterable[int]) -> int:
        """Send the ids; how many there were."""
        count = 0
        for operation_id in operation_ids:
            self._actor.send(operation_id)
            count += 1
        return count

    def wait(self) -> None:
        """Wait until all rung ids were worked on.

        Raises:
            BaseException: What a thread met that is no answer of the city (a fault of ours, an audit that can't be written).
        """
        self._broker.join(QUEUE)
        self._worker.join()
        if self._fault is not None:
            raise self._fault

    def _run(self, operation_id: int) -> None:
        if self._fault is not None:
            return
        try:
            self._work(operation_id)
        except BaseException as exc:  # noqa: BLE001  # see the next line
            # A thread can't raise to the flow: the first fault is kept and stops the others, then `wait` raises it.
            with self._fault_lock:
                if self._fault is None:
                    self._fault = exc


def _make_broker(redis_url: str | None) -> dramatiq.Broker:
    if redis_url is None:
        return StubBroker(middleware=[])
    try:
        client = redis.Redis.from_url(redis_url, socket_connect_timeout=REDIS_CONNECT_S)
        client.ping()
    except (redis.RedisError, ValueError) as exc:
        # not `from exc`: an address may hold a password
        raise ConfigurationError(f"queue.redis_url: Redis не отвечает ({type(exc).__name__})") from None
    return RedisBroker(  # type: ignore[no-untyped-call]  # dramatiq leaves this constructor untyped
        client=client,
        middleware=[],
        heartbeat_timeout=HEARTBEAT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
    )
