"""One call to the city: paced, signed by a profile, tried again where that is safe, and read as far as its refusals.

Between source, sink and the door. Knows paths' prefixes and headers, not what is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import TypeVar
from uuid import uuid4

from pydantic import BaseModel

from gateway.connectors.http import Answer, HttpDoor, QueryValue
from gateway.connectors.mesh import SYSTEM
from gateway.connectors.mesh.answers import read_tree
from gateway.connectors.mesh.auth import Profile, Profiles, build_headers
from gateway.connectors.mesh.errors import (
    Asked,
    Refusal,
    find_refusal,
    raise_refusal,
)
from gateway.connectors.mesh.readers import Readers
from gateway.connectors.mesh.wire import WireSession, WireTeacher, read_one, row_id
from gateway.connectors.mesh.years import Years
from gateway.connectors.pace import Pace, already_spent_s
from gateway.connectors.paging import Page, iter_pages, read_count, read_settled
from gateway.connectors.retry import Retry
from gateway.domain.city import CityYear
from gateway.domain.clock import Clock
from gateway.domain.errors import (
    AccessDeniedError,
    ContractError,
    GatewayError,
    SendingStoppedError,
    UnavailableError,
    UnreachableError,
)
from gateway.settings import MeshSettings

EJ = "/api/ej"
CORE = f"{EJ}/core/teacher/v1"
PLAN = f"{EJ}/plan/teacher/v1"
SESSIONS = f"{EJ}/acl/v1/sessions"
PLAN_RESOURCES = (f"{PLAN}/lesson_plans", f"{PLAN}/calendar_plans")
LEGACY_CORE = "/core/api"

Query = Mapping[str, QueryValue]
Model = TypeVar("Model", bound=BaseModel)
T = TypeVar("T")


class MeshClient:
    """Speaks to one city with the profiles of the settings.

    Args:
        door: Way out; its base is scheme, host and port.
        pace: Taken before every request, repeated ones too.
        monotonic: Clock of a write's total time, in seconds.
        is_stopped: Whether a person has stopped sending; asked before every write, after its turn has come.
    """

    def __init__(
        self,
        settings: MeshSettings,
        door: HttpDoor,
        profiles: Profiles,
        *,
        pace: Pace,
        clock: Clock,
        retry: Retry | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_stopped = is_stopped
        self.settings = settings
        self.profiles = profiles
        self.clock = clock
        self._door = door
        self._pace = pace
        self._retry = retry or Retry(clock)
        self._monotonic = monotonic
        self._years = Years(self._fetch_years)
        self.readers = Readers(profiles, self._fetch_own_groups)

    @property
    def door(self) -> HttpDoor:
        """The way out; tells the host."""
        return self._door

    def get_year(self, day: date) -> CityYear:
        """Return the school year of a day; the years are asked for once by each lane.

        Raises:
            IncompleteReadError: The city knows no such year.
            ConnectorError: As its type says.
        """
        return self._years.get(day)

    def fetch_rows(
        self,
        path: str,
        query: Query,
        *,
        year_id: int | None,
        page_size: int,
        may_ignore_paging: bool = False,
        is_read_twice: bool = False,
        of_groups: Collection[int] = (),
        until: float | None = None,
    ) -> list[object]:
        """Read a whole list, page by page.

        Args:
            of_groups: The list is of these groups, and what is not in it is concluded about: only a profile that sees all of
                them may read it.
            page_size: Asked for; halved once when the server refuses it.
            may_ignore_paging: The list may come whole on every page (see `paging`).
            is_read_twice: See `paging.read_settled`.
            until: Given when a write waits for it: then no page is tried twice, and all are over by that monotonic moment.

        Raises:
            IncompleteReadError: The list can't be proven whole, or its body is cut.
            ConnectorError: As its type says.
        """
        profile = self.readers.choose(of_groups, year_id, until)
        size = page_size

        def fetch_page(number: int) -> Page[object]:
            nonlocal size
            try:
                return self._fetch_page(path, {**query, "page": number, "per_page": size}, profile, year_id, until)
            except ContractError as exc:
                if exc.status != 400 or number != 1 or size != page_size or size < 2:
                    raise
                size //= 2  # the server may refuse a page size instead of shrinking it (§7.1 per_page cap)
                return self._fetch_page(path, {**query, "page": number, "per_page": size}, profile, year_id, until)

        if is_read_twice:
            return read_settled(fetch_page, row_id=row_id, system=SYSTEM)
        pages = iter_pages(fetch_page, row_id=row_id, system=SYSTEM, may_ignore_paging=may_ignore_paging)
        return [row for page in pages for row in page]

    def fetch_object(
        self, path: str, query: Query, *, profile: Profile, year_id: int | None, until: float | None = None
    ) -> Mapping[str, object] | None:
        """Read one object; None when it is not there.

        Args:
            until: Given when a write waits for it: then it is tried once, and is over by that monotonic moment.

        Raises:
            ConnectorError: As its type says.
        """

        def call() -> Mapping[str, object] | None:
            answer, asked, refusal = self._ask("GET", path, profile, year_id=year_id, query=query, until=until)
            if refusal is not None and refusal.code == 404 and not refusal.is_page:
                return None
            tree = self._tree(answer, asked, refusal)
            if not isinstance(tree, dict):
                raise ContractError("Ответ журнала не того вида: ожидался объект", **asked.where(answer.status))
            return tree

        return self._renewing(profile, call if until is not None else lambda: self._retry.read(call))

    def fetch_session(self, profile: Profile) -> WireSession:
        """Ask what the profile's token may act as. The token is in the body, as the city wants it, and nowhere else.

        Raises:
            AccessDeniedError: The token is dead.
            ConnectorError: As its type says.
        """

        def call() -> WireSession:
            token = self.profiles.token(profile)
            answer, asked, refusal = self._ask(
                "POST", SESSIONS, profile, year_id=None, json_body={"auth_token": token}, token=token
            )
            return read_one(WireSession, self._tree(answer, asked, refusal), "session")

        return self._renewing(profile, lambda: self._retry.read(call))

    def write(
        self,
        method: str,
        path: str,
        *,
        profile: Profile,
        year_id: int,
        request_id: str,
        until: float,
        body: object | None = None,
        query: Query | None = None,
        is_legacy: bool = False,
        is_fine: Callable[[Refusal], bool] = lambda _refusal: False,
    ) -> tuple[Answer, Refusal | None]:
        """Send one write; again only when no connection was made or the session was refused before anything happened.

        Args:
            until: Monotonic moment by which everything, waits included, is over (see `begin_write`).
            is_fine: Refusals that are a success in disguise; they come back instead of being raised.

        Returns:
            The answer, and the refusal where it is fine.

        Raises:
            UnreachableError: Nothing was sent.
            OutcomeUnknownError: Sent, not answered.
            ConnectorError: As its type says.
        """
        asked = Asked(
            method=method,
            is_write=True,
            is_change=method in ("PUT", "DELETE"),
            request_id=request_id,
            profile=profile.name,
        )

        def call() -> tuple[Answer, Refusal | None]:
            answer, _, refusal = self._ask(
                method,
                path,
                profile,
                year_id=year_id,
                query=query,
                json_body=body,
                asked=asked,
                until=until,
                is_legacy=is_legacy,
            )
            if refusal is not None and not is_fine(refusal):
                raise_refusal(refusal, asked, answer, self.clock.now())
            return answer, refusal

        return self._renewing(profile, lambda: self._retry.write(call))

    def begin_write(self) -> tuple[float, float]:
        """Bound a write that begins now, or began when whoever called has last checked its fence.

        Returns:
            Monotonic moments: by when what the write must read first is over, and by when all of it is.
        """
        now = self._monotonic() - already_spent_s()
        return now + self.settings.deadline_s / 2, now + self.settings.deadline_s

    def _fetch_own_groups(self, profile: Profile, year_id: int | None, until: float | None) -> frozenset[int]:
        """Ask which groups a teacher's profile has; those where he only stands in now and then are not counted.

        Raises:
            ConnectorError: As its type says.
        """
        path = f"{CORE}/teacher_profiles/{profile.profile_id}"
        query: Query = {"with_assigned_groups": True}
        found = self.fetch_object(path, query, profile=profile, year_id=year_id, until=until)
        if found is None:
            return frozenset()
        return frozenset(read_one(WireTeacher, found, "teacher").assigned_group_ids or ())

    def _fetch_years(self) -> list[object]:
        return self.fetch_rows(f"{CORE}/academic_years", {}, year_id=None, page_size=300, may_ignore_paging=True)

    def _fetch_page(
        self, path: str, query: Query, profile: Profile, year_id: int | None, until: float | None
    ) -> Page[object]:
        def call() -> Page[object]:
            answer, asked, refusal = self._ask("GET", path, profile, year_id=year_id, query=query, until=until)
            tree = self._tree(answer, asked, refusal)
            if not isinstance(tree, list):
                raise ContractError("Ответ журнала не того вида: ожидался список", **asked.where(answer.status))
            if tree and all(row_id(row) is None for row in tree):  # without ids a repeated page could not be told
                raise ContractError("Ответ журнала не того вида: строки без номеров", **asked.where(answer.status))
            return Page(
                rows=tree,
                total_count=read_count(answer.headers, "total-entities"),
                pages_count=read_count(answer.headers, "pages"),
            )

        def call_or_probe() -> Page[object]:
            try:
                return self._retry.read(call)
            except UnavailableError as exc:
                if exc.status == 500:
                    self._probe(profile)
                raise

        return self._renewing(profile, call_or_probe if until is None else call)

    def _probe(self, profile: Profile) -> None:
        """After repeated 500s ask whether the session is dead: this platform says so with a 500 too (S10, S11).

        Raises:
            AccessDeniedError: It is.
        """
        try:
            self.fetch_session(profile)
        except AccessDeniedError:
            raise
        except GatewayError:
            return  # the question went wrong too: the 500 stays what it was

    def _renewing(self, profile: Profile, call: Callable[[], T]) -> T:
        """Call; when the session is refused, read the token file again and, if it has changed, call once more."""
        token = self.profiles.token(profile)
        try:
            return call()
        except AccessDeniedError as exc:
            if not exc.is_session_dead or not self.profiles.renew(profile, token):
                raise
        return call()

    def _ask(
        self,
        method: str,
        path: str,
        profile: Profile,
        *,
        year_id: int | None,
        query: Query | None = None,
        json_body: object | None = None,
        asked: Asked | None = None,
        until: float | None = None,
        token: str | None = None,
        is_legacy: bool = False,
    ) -> tuple[Answer, Asked, Refusal | None]:
        """Take the pace, send one request, recognise a refusal."""
        asked = asked or Asked(method=method, is_write=False, request_id=uuid4().hex, profile=profile.name)
        token = token or self.profiles.token(profile)
        self._pace.take()
        deadline_s = None
        if until is not None:
            deadline_s = until - self._monotonic()
            if deadline_s <= 0:
                raise UnreachableError(
                    "Журнал: время вызова вышло до отправки, ничего не отправлено", **asked.where(None)
                )
        if asked.is_write and self._is_stopped():
            # asked last: a write let go earlier may have waited here for its turn
            raise SendingStoppedError("Отправка остановлена человеком, ничего не отправлено", **asked.where(None))
        answer = self._door.call(
            method,
            path,
            is_write=asked.is_write,
            query=query,
            headers=build_headers(
                self.settings,
                profile,
                token,
                year_id=year_id,
                request_id=asked.request_id,
                is_legacy=is_legacy,
                is_plan=path.startswith(PLAN_RESOURCES),
            ),
            json_body=json_body,
            deadline_s=deadline_s,
            request_id=asked.request_id,
        )
        return answer, asked, find_refusal(answer)

    def _tree(self, answer: Answer, asked: Asked, refusal: Refusal | None) -> object:
        """The body of a yes.

        Raises:
            IncompleteReadError: It is cut, empty or no JSON.
            ConnectorError: It is a no.
        """
        if refusal is not None:
            raise_refusal(refusal, asked, answer, self.clock.now())
        return read_tree(answer, asked)


__all__ = ["CORE", "EJ", "LEGACY_CORE", "PLAN", "SESSIONS", "MeshClient"]
