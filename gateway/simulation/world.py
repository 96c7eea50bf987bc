"""One world: a seed's school, city, portal, store and actors, from the first edit to the quiet after the last fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from gateway import __version__
from gateway.audit.deed import Actor as Doer
from gateway.audit.log import AuditLog
from gateway.bootstrap.limits import build_limits, build_terms
from gateway.connectors.port import Want
from gateway.domain.identifiers import Kind, Place
from gateway.flows.gateway import Gateway
from gateway.mapping.rules import build_rules, everything_on
from gateway.queue.breaker import GuardedCity
from gateway.queue.pauses import load_paused
from gateway.settings import GatewaySettings, MeshSettings, SchoolSettings
from gateway.simulation.city import Mail, SimCity
from gateway.simulation.climate import DEADLINE_S, LEASE_S, SETTLE_S, Climate, draw_climate
from gateway.simulation.door import SimDoor, Sky
from gateway.simulation.oracle import Oracle
from gateway.simulation.portal import SimPortal, SimSource
from gateway.simulation.school import PUPILS_A_CLASS, START_AT, Pupil, SmallSchool, build_school
from gateway.simulation.stage import Actor, Stage
from gateway.simulation.store import StageStore

CITY = "127.0.0.1:1/586"
KINDS = frozenset(Kind) - {Kind.ATTEMPT, Kind.ASSIGNMENT, Kind.PERIOD}
FINALS_BEFORE_DAYS = 300
"""The period of the lessons is far from over, and the year more so: no school may say so much (60), a made-up one must."""
CHOSEN_RULES: dict[str, Any] = {
    "scope": [
        {"kind": kind, "create": "automatic", "change": "automatic", "delete": "approve"}
        for kind in ("*", "comment", "final", "topics")
    ],
}
"""Everything sent, as for any sandbox, and the chosen kinds by name."""


@dataclass
class Counts:
    """What a world counts of itself."""

    calls: int = 0
    runs: int = 0
    failed_runs: int = 0
    passes: int = 0
    quiet_s: float = 0.0
    restores: int = 0
    approvals: int = 0
    replays: int = 0
    doors: list[SimDoor] = field(default_factory=list)


class World:
    """Everything of one seed, ready to be played; nothing moves yet."""

    def __init__(
        self,
        seed: int,
        *,
        shaped: Callable[[Climate], Climate] = lambda drawn: drawn,
        stage: Stage | None = None,
        make_store: Callable[[Stage], StageStore] = StageStore,
        pupils_a_class: int = PUPILS_A_CLASS,
        years_later: int = 0,
        last_year: Sequence[Pupil] = (),
    ) -> None:
        """Make the world of a seed.

        Args:
            seed: Decides everything that the other arguments leave open.
            shaped: Makes of the drawn climate the wanted one.
            stage: Another than the usual one.
            make_store: Makes the database.
            pupils_a_class: How many children a class has.
            years_later: How many years after the first.
            last_year: The same children as they were then.
        """
        self.seed = seed
        first = START_AT.year + years_later
        self.place = Place(city=CITY, portal="portal", year=f"{first}/{(first + 1) % 100}")
        self.want = Want(kinds=KINDS, from_on=date(first, 9, 1), to_on=date(first + 1, 8, 31))
        self.stage = stage or Stage(seed, start_at=START_AT.replace(year=first), lease_s=LEASE_S)
        self.climate: Climate = shaped(draw_climate(self.stage.rng))
        self.school: SmallSchool = build_school(
            self.stage.rng,
            classes=self.climate.classes,
            pupils_a_class=pupils_a_class,
            years_later=years_later,
            last_year=last_year,
            has_chosen=self.climate.has_chosen,
        )
        self.portal = SimPortal(self.stage, self.school)
        self.city = SimCity(self.stage, self.school, is_lenient=self.climate.is_lenient, lag_s=self.climate.lag_s)
        self.mail = Mail(self.stage)
        self.sky = Sky()
        self.store = make_store(self.stage)
        self.counts = Counts()
        self.settings = GatewaySettings.model_construct(
            mesh=MeshSettings(
                base_url="http://127.0.0.1:1", school_id=586, settle_s=SETTLE_S, deadline_s=DEADLINE_S, rate_per_s=1000
            ),
            # a world does not live long enough to wait a day for each delete
            school=SchoolSettings(delete_grace_hours=0),
        )
        self.terms = build_terms(self.settings)
        self.rules = everything_on(build_rules(CHOSEN_RULES if self.climate.has_chosen else {}))
        if self.climate.has_chosen:
            self.rules = self.rules.model_copy(update={"finals_before_days": FINALS_BEFORE_DAYS})
        self.oracle = Oracle(
            self.stage,
            self.store,
            self.city,
            self.portal,
            is_bounded=self.climate.is_bounded,
            untouchable_s=DEADLINE_S + SETTLE_S,  # law 4's, whatever the code under test makes of it
            lag_s=self.climate.lag_s,
            year=self.place.year,
        )
        self.city.watcher = self.oracle.watch
        self.workers: list[Actor] = []
        is_poisoned = self.climate.has_poison
        self.poisoned = {self.stage.rng.choice(self.school.places).key[:3]} if is_poisoned else set()
        """Cells of which a call kills whoever makes it."""

    def open_gateway(self, name: str, sending: Sending | None = None) -> Gateway:
        """Compose what one process composes when it starts.

        Args:
            sending: Since when the process is about to send; none for one that does not.
        """
        sending = sending or Sending(self.climate, self.stage)
        door = SimDoor(
            self.stage,
            self.city,
            self.mail,
            self.sky,
            self.climate.city,
            paused=self._load_paused,
            recorded_s=self.oracle.recorded_s,
            refused=self.oracle.note_refused,
            poisoned=self.poisoned,
            leaving=sending.begin,
            landed=sending.end,
        )
        self.counts.doors.append(door)
        source = SimSource(self.stage, self.portal, self.climate.portal)
        return Gateway(
            settings=self.settings,
            clock=self.stage,
            store=self.store,
            audit=AuditLog(
                self.store,
                environment="simulation",
                code_version=__version__,
                tick=lambda: int(self.stage.elapsed_s * 1e9),
            ),
            place=self.place,
            rules=self.rules,
            sources=(source,),
            city=GuardedCity(door, self.store, CITY, self.terms.breaker),
            terms=self.terms,
            limits=build_limits(self.settings),
            actor=Doer(kind="service", name=name),
        )

    def _load_paused(self) -> frozenset[str]:
        with self.store.read() as conn:
            return frozenset(load_paused(conn, CITY))

    def new_request_id(self, sending: Sending) -> Callable[[], str]:
        """Make a source of request ids that tells the judge when one is taken."""

        def make() -> str:
            request_id = f"{self.stage.rng.getrandbits(128):032x}"
            sending.begin(self.stage.elapsed_s)
            self.oracle.note_sending(request_id)
            return request_id

        return make

    def wake_workers(self) -> None:
        """Ring, as the relay does; now and then nobody hears it."""
        for worker in self.workers:
            if not self.stage.is_stormy or self.stage.rng.random() < 0.8:
                self.stage.wake(worker)


class Sending:
    """Since when a worker is about to send; bounds how long it may stand still in a world that keeps law 4's bound."""

    def __init__(self, climate: Climate, stage: Stage) -> None:
        self.since_s: float | None = None
        self._climate = climate
        self._stage = stage

    def begin(self, since_s: float) -> None:
        """A call is being prepared whose row is recorded as sent since that second of the stage."""
        self.since_s = since_s

    def end(self) -> None:
        """The call is on its way or over: from now on its sender may stand still as long as it likes."""
        self.since_s = None

    def limit_s(self) -> float | None:
        """Longest pause now; None = no limit. 25 s stay for the small delays on the way."""
        if self.since_s is None or not self._climate.is_bounded:
            return None
        return self._climate.city.late_limit_s - 25.0 - (self._stage.elapsed_s - self.since_s)
