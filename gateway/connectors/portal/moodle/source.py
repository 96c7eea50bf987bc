"""The Moodle portal as a source of canonical records: what the rest of the gateway sees of this connector."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.connectors.http import HttpDoor
from gateway.connectors.pace import Pace, Unpaced
from gateway.connectors.port import CheckLine, ScopeRead, Stored, Want
from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.calls import CATEGORIES, MoodleCalls
from gateway.connectors.portal.moodle.capability import iter_check, require_capable
from gateway.connectors.portal.moodle.client import SYSTEM, MoodleClient, Token
from gateway.connectors.portal.moodle.errors import incomplete
from gateway.connectors.portal.moodle.reading import Reading
from gateway.connectors.retry import Retry
from gateway.domain.clock import Clock
from gateway.domain.errors import ConfigurationError
from gateway.settings import PortalSettings


class MoodleSource:
    """Reads a Moodle site; implements `gateway.connectors.port.PortalSource`."""

    def __init__(self, client: MoodleClient, settings: PortalSettings, *, clock: Clock) -> None:
        self.name = settings.name
        self._client = client
        self._client = client
        self._calls = MoodleCalls(client)
        self._settings = settings
        self._clock = clock

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def check(self) -> Iterator[CheckLine]:
        """Tell what is reachable, permitted and missing; never raises for a portal's refusal."""
        return iter_check(self._calls, self._settings.canary_users, person_id_field=self._settings.person_id_field)

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        """Read in dependency order: directories of the whole portal, then course by course.

        Raises:
            AccessDeniedError: Token dead, functions missing, known accounts not visible.
            IncompleteReadError: No course is visible at all, or a configured category isn't.
            UnreachableError: No connection.
            UnavailableError: The portal is down.
        """
        site = self._calls.fetch_site()
        require_capable(self._calls, site, self._settings.canary_users)
        reading = Reading(
            self._calls,
            self._settings,
            clock=self._clock,
            site=site,
            courses=self._fetch_courses(),
            want=want,
            stored=stored,
        )
        yield from reading.iter_scopes()

    def _fetch_courses(self) -> list[wire.Course]:
        courses = self._calls.fetch_courses()
        names = self._settings.category_names
        if not names:
            return courses
        categories = self._calls.fetch_categories()
        chosen = {category.id for category in categories if wire.to_plain(category.name) in names}
        if len({wire.to_plain(each.name) for each in categories if each.id in chosen}) < len(set(names)):
            raise incomplete("Не все категории из portal.category_names видны", system=SYSTEM, function=CATEGORIES)
        inside = {
            category.id
            for category in categories
            # `/2/7/9` names all ancestors and the category itself.
            if {int(part) for part in category.path.split("/") if part.isdigit()} & chosen or category.id in chosen
        }
        return [course for course in courses if course.categoryid in inside]


def build_moodle_source(
    settings: PortalSettings, *, clock: Clock, pace: Pace | None = None, retry: Retry | None = None
) -> MoodleSource:
    """Build the source from the settings.

    Args:
        settings: `[portal]`.
        clock: For waits and the moments of reads.
        pace: None = unpaced; `portal.parallel` bounds the connections.
        retry: None = the usual short retries.

    Raises:
        ConfigurationError: No address or no token.
    """
    if not settings.base_url:
        raise ConfigurationError("Нет адреса портала: задайте portal.base_url")
    door = HttpDoor(
        system=SYSTEM,
        base_url=settings.base_url,
        parallel=settings.parallel,
        deadline_s=settings.deadline_s,
    )
    client = MoodleClient(
        door,
        Token(settings.token, settings.token_file),
        clock=clock,
        pace=pace or Unpaced(),
        retry=retry or Retry(clock),
    )
    return MoodleSource(client, settings, clock=clock)
