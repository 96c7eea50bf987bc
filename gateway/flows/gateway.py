"""What a flow is given: the ports and the place, made once by bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from gateway.audit.deed import Actor
from gateway.audit.log import AuditLog
from gateway.connectors.kept_port import ActivityLog, ProtocolSource
from gateway.connectors.pace import Pace, Unpaced
from gateway.connectors.port import BatchInbox, CityPort, PortalSource
from gateway.domain.clock import Clock
from gateway.domain.identifiers import Place
from gateway.mapping.links import get_place_id
from gateway.mapping.rules import DEFAULT_MAPPING_TOML, Rules
from gateway.queue.deeds import Ledger
from gateway.queue.terms import Terms
from gateway.reconcile.guard import Limits
from gateway.reconcile.lanes import LaneLimits
from gateway.settings import GatewaySettings
from gateway.store.transaction import Store


class Progress(Protocol):
    """Told how far a long work has come."""

    def __call__(self, stage: str, done: int, total: int | None = None) -> None:
        """Say that `done` of `total` units of a stage are over."""
        ...


def silent(stage: str, done: int, total: int | None = None) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """The composed gateway: everything a flow acts through.

    Attributes:
        sources: The school's own systems, the portal first; each of them prefixes its refs, so that they never meet.
        inbox: Understands what the planner pushes; None where nothing is accepted.
        originator: For whom the actor acts, where he stands in for somebody; as the audit names him.
        mapping_source: The text of the mapping file that `rules` were made of: the form of the first version.
        opens_scope: The city is a sandbox of this machine: an empty scope table sends everything there.
        lane_limits: Limits over whole plans, where the school lets them hold; None = they are shown and hold nothing.
        pace: The pace of the city's calls; delivery waits for its turn before it marks an operation as sent.
        protocols: Gives what was asked and answered in tests; None where no source does.
        activity: The portal's log of events; None where it is not read.
        forget_pauses: Called when a profile was paused: what the connector remembers of pauses is old.
    """

    settings: GatewaySettings
    clock: Clock
    store: Store
    audit: AuditLog
    place: Place
    rules: Rules
    sources: tuple[PortalSource, ...]
    city: CityPort
    terms: Terms
    limits: Limits
    actor: Actor
    originator: str | None = None
    mapping_source: str = DEFAULT_MAPPING_TOML
    opens_scope: bool = False
    lane_limits: LaneLimits | None = None
    progress: Progress = silent
    pace: Pace = field(default_factory=Unpaced)
    inbox: BatchInbox | None = None
    protocols: ProtocolSource | None = None
    activity: ActivityLog | None = None
    forget_pauses: Callable[[], None] = lambda: None

    @property
    def ledger(self) -> Ledger:
        """The writer of operations' audit entries at this place."""
        return Ledger(self.audit, self.place)

    def place_id(self, conn: Connection) -> int:
        """Number of the place, made at first use."""
        return get_place_id(conn, self.place)

    def local(self, moment: datetime) -> datetime:
        """A moment by the school's clock: what is told to people; stored and compared are UTC.

        Args:
            moment: Aware.
        """
        return moment.astimezone(ZoneInfo(self.settings.school.timezone))

    def now(self) -> datetime:
        """The moment by the store's clock."""
        return self.store.now()
