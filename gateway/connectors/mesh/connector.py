"""The city connector as the floors above meet it: one object that reads and writes one city's journal.

Joins door, pace, profiles, source and sink. It opens no connection until it is asked something.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from types import TracebackType
from typing import Self

from gateway.connectors.http import HttpDoor
from gateway.connectors.mesh import SYSTEM, source
from gateway.connectors.mesh.auth import IsPaused, Profiles
from gateway.connectors.mesh.check import iter_check_lines
from gateway.connectors.mesh.client import MeshClient
from gateway.connectors.mesh.directory import fetch_directory
from gateway.connectors.mesh.sink import IsConfirmed, MeshSink
from gateway.connectors.pace import Pace, PacedByClock
from gateway.connectors.port import Accepted, CheckLine, CityDirectory, CityRead, CityScope
from gateway.connectors.retry import Retry
from gateway.domain.city import CityLesson, Intent
from gateway.domain.clock import Clock
from gateway.settings import MeshSettings


class MeshConnector:
    """The city's journal: a `CityPort`. Safe to use from several threads.

    Args:
        settings: The group `mesh`.
        clock: Tells today and lets waits pass.
        pace: The pace shared by all processes; None = one for this process alone, at `settings.rate_per_s`.
        paused: Whether the profile of that name is stopped; such a one is not used.
        confirmed: Whether a person has confirmed writing to (host, profile name); asked only for a real host.
        is_stopped: Whether a person has stopped sending; asked right before every write.
        retry: Other short retries than the default.
        monotonic: Clock of deadlines, in seconds.

    Raises:
        ConfigurationError: The address or a token set in the settings is no good.
    """

    def __init__(
        self,
        settings: MeshSettings,
        *,
        clock: Clock,
        pace: Pace | None = None,
        paused: IsPaused = lambda _name: False,
        confirmed: IsConfirmed = lambda _host, _profile: False,
        is_stopped: Callable[[], bool] = lambda: False,
        retry: Retry | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._door = HttpDoor(
            system=SYSTEM,
            base_url=settings.base_url,
            parallel=settings.parallel,
            deadline_s=settings.deadline_s,
            max_body_bytes=settings.max_body_bytes,
            monotonic=monotonic,
        )
        self._client = MeshClient(
            settings,
            self._door,
            Profiles(settings, paused=paused),
            pace=pace or PacedByClock(clock, rate_per_s=settings.rate_per_s),
            clock=clock,
            retry=retry,
            monotonic=monotonic,
            is_stopped=is_stopped,
        )
        self._sink = MeshSink(self._client, confirmed=confirmed)

    def check(self) -> Iterator[CheckLine]:
        """Tell what is reachable and permitted for each profile, dictionary canaries included."""
        return iter_check_lines(self._client, self._sink)

    def fetch_directory(self, day: date) -> CityDirectory:
        """Read all directories of the school year of that day; see `CitySource`."""
        return fetch_directory(self._client, day)

    def fetch_lessons(self, group_ids: Sequence[int], from_on: date, to_on: date) -> Sequence[CityLesson]:
        """Read the timetable of these groups between two days; see `CitySource`."""
        return source.fetch_lessons(self._client, group_ids, from_on, to_on)

    def fetch_scope(self, scope: CityScope) -> CityRead:
        """Read marks, absences or homework of one group between two days; see `CitySource`."""
        return source.fetch_scope(self._client, scope)

    def create(self, intent: Intent, *, request_id: str) -> Accepted:
        """Create the object; see `CitySink`."""
        return self._sink.create(intent, request_id=request_id)

    def change(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Replace the object's attributes; see `CitySink`."""
        return self._sink.change(city_id, intent, request_id=request_id)

    def delete(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Delete the object; see `CitySink`."""
        return self._sink.delete(city_id, intent, request_id=request_id)

    def close(self) -> None:
        """Close the connections."""
        self._door.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


__all__ = ["MeshConnector"]
