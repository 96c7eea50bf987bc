"""The Moodle portal as a source of canonical records: what the rest of the gateway sees of this connector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.connectors.http import HttpDoor
from gateway.connectors.kept_port import Reviews
from gateway.connectors.pace import Pace, Unpaced
from gateway.connectors.port import CheckLine, ScopeRead, Stored, Want
from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.calls import CATEGORIES, MoodleCalls
from gateway.connectors.portal.moodle.capability import iter_check, may_read_protocols, require_capable
from gateway.connectors.portal.moodle.client import SYSTEM, MoodleClient, Token
from gateway.connectors.portal.moodle.directory import user_ref
from gateway.connectors.portal.moodle.errors import incomplete
from gateway.connectors.portal.moodle.reading import Reading
from gateway.connectors.portal.moodle.reviews import agrees_when_closed, quiz_ref, to_protocol, to_review
from gateway.connectors.retry import Retry
from gateway.domain.clock import Clock
from gateway.domain.errors import ConfigurationError, RecordError
from gateway.domain.protocols import Protocol, Review
from gateway.settings import PortalSettings


class MoodleSource:
    """Reads a Moodle site; implements `gateway.connectors.port.PortalSource` and `ProtocolSource`."""

    def __init__(self, client: MoodleClient, settings: PortalSettings, *, clock: Clock) -> None:
        self.name = settings.name
        self._client = client
        self._calls = MoodleCalls(client)
        self._settings = settings
        self._clock = clock
        self._quizzes: dict[int, wire.Quiz] = {}

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

    def fetch_own(self) -> str:
        """Ask whose the token is: the gateway's own account."""
        return user_ref(self._calls.fetch_site().userid)

    def may_read_protocols(self) -> bool:
        """Tell whether the token's service has the function that gives reviews."""
        return may_read_protocols(self._calls.fetch_site())

    def fetch_reviews(self, programmes: Sequence[str]) -> Reviews:
        """Read the quizzes of these courses; what is fetched is remembered for `fetch_protocol`."""
        quizzes = self._calls.fetch_quizzes_of([int(one.partition(":")[2]) for one in programmes])
        self._quizzes = {quiz.id: quiz for quiz in quizzes}
        return Reviews(shown={quiz_ref(quiz.id): to_review(quiz) for quiz in quizzes})

    def stands_when_closed(self, review: Review, pupil: str) -> bool:
        """Ask what a pupil is shown of a closed quiz, whose settings the portal no longer gives."""
        quizid, userid = (int(ref.partition(":")[2]) for ref in (review.activity, pupil))
        return agrees_when_closed(review, self._calls.fetch_review_options(quizid, userid))

    def fetch_protocol(self, attempt: str, activity: str, programme: str) -> Protocol:
        """Read an attempt's review; the quiz must have been among those of the last `fetch_reviews`."""
        quiz = self._quizzes.get(int(activity.partition(":")[2]))
        if quiz is None:
            raise RecordError("Теста этой попытки на портале нет", where=attempt)
        return to_protocol(quiz, programme, self._calls.fetch_review(int(attempt.partition(":")[2])))

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
