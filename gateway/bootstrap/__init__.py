"""Composition root: the only place that knows everyone.

Makes the ports once from the settings and hands a `Gateway` to the flows. Opens nothing at import.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import select

from gateway import __version__
from gateway.access.limits import LoginLimits
from gateway.access.office import Office
from gateway.access.passwords import Cost, Passwords
from gateway.access.sessions import Gate, SessionTerms
from gateway.audit.deed import Actor
from gateway.audit.log import AuditLog
from gateway.audit.redact import is_code
from gateway.audit.sink import SinkFile
from gateway.audit.sink_place import find_sink_path
from gateway.bootstrap.limits import build_lane_limits, build_limits, build_terms
from gateway.bootstrap.workbooks import build_workbook_source
from gateway.connectors.foreign_sql import ForeignDatabase
from gateway.connectors.mesh.connector import MeshConnector
from gateway.connectors.mesh.file.connector import FileCity
from gateway.connectors.pace import Pace, PacedByClock, Unpaced
from gateway.connectors.planner.asc.source import AscSource
from gateway.connectors.planner.door.inbox import DoorInbox
from gateway.connectors.planner.door.source import build_door_source
from gateway.connectors.port import PortalSource
from gateway.connectors.portal.moodle.event_log import SYSTEM as LOG_SYSTEM
from gateway.connectors.portal.moodle.event_log import MoodleLog
from gateway.connectors.portal.moodle.source import MoodleSource, build_moodle_source
from gateway.domain.clock import Clock, SystemClock, moscow_day, school_year
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Place
from gateway.domain.school_year import SchoolYear as CalendarYear
from gateway.flows.gateway import Gateway, Progress, silent
from gateway.flows.journal import JournalSource
from gateway.mapping.calendars import find_year
from gateway.mapping.dictionaries import seed_dictionaries
from gateway.mapping.rules import DEFAULT_MAPPING_TOML, Rules, everything_on, load_rules, read_mapping_file
from gateway.queue.barrier import Watch
from gateway.queue.breaker import GuardedCity
from gateway.queue.pace import StorePace
from gateway.queue.tables import host_confirmation
from gateway.settings import GatewaySettings
from gateway.store.place import bind_place
from gateway.store.transaction import Store

SHARED_PACE_PER_S = 500.0
"""Above it a city on this machine is paced by each process for itself: turns in the store cost about a millisecond each."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def city_key(settings: GatewaySettings) -> str:
    """Name the city in every key: host and port of the journal, and the school's id there.

    Raises:
        ConfigurationError: No address.
    """
    if settings.mesh.kind == "file":
        return f"file/{settings.mesh.school_id}"
    parts = urlsplit(settings.mesh.base_url)
    if not parts.netloc:
        raise ConfigurationError("Нет адреса журнала города: задайте mesh.base_url")
    return f"{parts.netloc}/{settings.mesh.school_id}"


def is_loopback(settings: GatewaySettings) -> bool:
    """Whether the city is a sandbox on this machine."""
    return (urlsplit(settings.mesh.base_url).hostname or "") in LOOPBACK_NAMES


def os_actor() -> Actor:
    """The user of the operating system: known by name, vouched for by nobody."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return Actor(kind="os_user", name=name if is_code(name) else "unnamed")


def effective_rules(settings: GatewaySettings, folder: Path | None = None) -> Rules:
    """Load the school's rules; a sandbox city starts with everything on, a real one with nothing.

    Raises:
        ConfigurationError: The file is wrong; names the place.
    """
    rules = load_rules(find_mapping_file(settings, folder))
    return everything_on(rules) if is_loopback(settings) else rules


def find_mapping_file(settings: GatewaySettings, folder: Path | None = None) -> Path | None:
    """Find the mapping file: the one named, else `mapping.toml` beside the configuration; None = built-in rules."""
    path = settings.school.mapping_file
    if path is None and folder is not None and (folder / "mapping.toml").exists():
        return folder / "mapping.toml"
    return path


def open_store(settings: GatewaySettings, clock: Clock) -> Store:
    """Open the database, made and migrated on first use.

    Raises:
        ConfigurationError: It can't be opened.
    """
    return Store.open(database_url(settings), clock)


def database_url(settings: GatewaySettings) -> str:
    """The database's URL, from its file where one is named. It may hold a password.

    Raises:
        ConfigurationError: The file can't be read.
    """
    if settings.database.url_file is None:
        return settings.database.url
    try:
        return settings.database.url_file.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise ConfigurationError("database.url_file не читается") from exc


def build_audit(settings: GatewaySettings, store: Store, folder: Path | None = None) -> AuditLog:
    """Make the audit log with its second sink; the caller feeds it once with what an earlier process has left.

    Args:
        settings: The group `audit`.
        store: The store.
        folder: Where the configuration is: with PostgreSQL the sink stands there unless it is told where.
    """
    hours = settings.audit.stop_without_sink_hours
    path = find_sink_path(settings.audit.sink_file, store, folder)
    return AuditLog(
        store,
        environment=settings.audit.environment,
        code_version=__version__,
        sink=None if path is None else SinkFile(path),
        stop_without_sink_s=None if hours is None else hours * 3600,
    )


@contextmanager
def open_gateway(
    settings: GatewaySettings,
    *,
    clock: Clock | None = None,
    actor: Actor | None = None,
    progress: Progress = silent,
    folder: Path | None = None,
    is_bare: bool = False,
) -> Iterator[Gateway]:
    """Compose the gateway for one command and close it afterwards.

    Args:
        settings: Made by `settings.load_settings`.
        clock: The time; the machine's by default.
        actor: Who acts; the OS user by default.
        progress: Told how far a long work has come.
        folder: Where the configuration is; `mapping.toml` beside it is used where none is named.
        is_bare: Without the school's rules and its own systems: what ends sending must work while just those are broken.

    Raises:
        ConfigurationError: Something needed is missing; says which setting.
    """
    chosen = clock or SystemClock()
    with ExitStack() as stack:
        store = open_store(settings, chosen)
        stack.callback(store.close)
        now = store.now()
        year = settings.school.year or school_year(moscow_day(now))
        place = Place(city=city_key(settings), portal=settings.portal.name, year=year)
        mapping_file = None if is_bare else find_mapping_file(settings, folder)
        source = DEFAULT_MAPPING_TOML if mapping_file is None else read_mapping_file(mapping_file)
        rules = load_rules(None) if is_bare else effective_rules(settings, folder)
        pace = build_pace(settings, store, place.city)
        terms = build_terms(settings)
        watch = Watch(store, place.city)
        city = build_city(settings, store, watch, clock=chosen, pace=pace)
        stack.callback(city.close)
        theirs = _Sources() if is_bare else _open_sources(stack, settings, store, year, chosen)
        audit = build_audit(settings, store, folder)
        audit.feed()
        gateway = Gateway(
            settings=settings,
            clock=chosen,
            store=store,
            audit=audit,
            place=place,
            rules=rules,
            mapping_source=source,
            opens_scope=is_loopback(settings),
            sources=theirs.sources,
            inbox=theirs.inbox,
            protocols=theirs.portal,
            activity=theirs.activity,
            city=GuardedCity(city, store, place.city, terms.breaker),
            terms=terms,
            limits=build_limits(settings),
            lane_limits=build_lane_limits(settings) if settings.school.guard_lanes == "hold" else None,
            actor=actor or os_actor(),
            progress=progress,
            pace=pace,
            forget_pauses=watch.forget,
        )
        with store.write() as conn:
            bind_place(conn, place.city, place.portal)
            journal = JournalSource(store, gateway.place_id(conn))
            if not is_bare:
                seed_dictionaries(conn, gateway.place_id(conn), rules, now)
        yield replace(gateway, sources=(*theirs.sources, journal))


@dataclass(frozen=True, kw_only=True)
class _Sources:
    """The school's own systems."""

    sources: tuple[PortalSource, ...] = ()
    portal: MoodleSource | None = None
    activity: MoodleLog | None = None
    inbox: DoorInbox | None = None


def _open_sources(stack: ExitStack, settings: GatewaySettings, store: Store, year: str, clock: Clock) -> _Sources:
    portal = build_moodle_source(settings.portal, clock=clock)
    stack.callback(portal.close)
    activity = build_activity_log(settings, portal)
    if activity is not None:
        stack.callback(activity.close)
    sources: list[PortalSource] = [portal]
    planner = build_door_source(settings.planner, clock=clock, zone=settings.school.timezone)
    if planner is not None:
        stack.callback(planner.close)
        sources.append(planner)
    if settings.planner.folder is not None:
        sources.append(
            build_workbook_source(
                settings, settings.planner.folder, clock=clock, find_year=lambda: _find_year(store, year)
            )
        )
    if settings.planner.timetable_file is not None:
        sources.append(
            AscSource(
                settings.planner.timetable_file,
                name=settings.planner.timetable_name,
                find_year=lambda: _find_year(store, year),
                zone=settings.school.timezone,
                clock=clock,
            )
        )
    inbox = DoorInbox(settings.planner.name) if settings.planner.accepts_push else None
    if inbox is not None and planner is None:
        sources.append(inbox)
    return _Sources(sources=tuple(sources), portal=portal, activity=activity, inbox=inbox)


def build_passwords(settings: GatewaySettings) -> Passwords:
    """The cost of a password's hash from the settings."""
    access = settings.access
    return Passwords(
        Cost(
            passes=access.argon2_passes,
            memory_mib=access.argon2_memory_mib,
            lanes=access.argon2_lanes,
            shortest=access.password_length,
        )
    )


def build_office(gateway: Gateway) -> Office:
    """Where the gateway's actor gives and takes back rights."""
    return Office(
        store=gateway.store,
        audit=gateway.audit,
        place=gateway.place,
        actor=gateway.actor,
        passwords=build_passwords(gateway.settings),
    )


def build_gate(gateway: Gateway) -> Gate:
    """The door of log-in, its limits and the life of a session."""
    access = gateway.settings.access
    return Gate(
        store=gateway.store,
        audit=gateway.audit,
        place=gateway.place,
        passwords=build_passwords(gateway.settings),
        limits=LoginLimits(
            of_account=access.login_failures_account,
            of_address=access.login_failures_address,
            of_all=access.login_failures_all,
            window=timedelta(minutes=access.login_window_minutes),
        ),
        terms=SessionTerms(
            idle=timedelta(minutes=access.session_idle_minutes), longest=timedelta(hours=access.session_hours)
        ),
    )


def _find_year(store: Store, year: str) -> CalendarYear | None:
    with store.read() as conn:
        stored = find_year(conn, year)
    return None if stored is None else stored.year


def build_activity_log(settings: GatewaySettings, portal: MoodleSource) -> MoodleLog | None:
    """Make the reader of the portal's log of events; None where no database is named.

    Raises:
        ConfigurationError: The file can't be read, no such URL, or its driver is missing.
    """
    wanted = settings.activity
    url = None if wanted.url is None else wanted.url.get_secret_value()
    if wanted.url_file is not None:
        try:
            url = wanted.url_file.read_text(encoding="utf-8").strip()
        except OSError as exc:
            raise ConfigurationError("activity.url_file не читается") from exc
    if not url:
        return None
    return MoodleLog(ForeignDatabase(LOG_SYSTEM, url), wanted.table, fetch_own=portal.fetch_own)


def build_city(
    settings: GatewaySettings, store: Store, watch: Watch, *, clock: Clock, pace: Pace
) -> MeshConnector | FileCity:
    """Make the city's connector: over the network, or by workbooks and a list for people.

    Raises:
        ConfigurationError: Its settings are no good.
    """
    if settings.mesh.kind == "file":
        return FileCity(settings.mesh, clock=clock)
    return MeshConnector(
        settings.mesh,
        clock=clock,
        pace=pace,
        paused=watch.is_paused,
        confirmed=lambda host, profile: _is_confirmed(store, host, profile),
        is_stopped=watch.is_stopped,
    )


def build_pace(settings: GatewaySettings, store: Store, city: str) -> Pace:
    """The pace of the city's calls: shared in the store, except at rates that only a sandbox of one's own allows."""
    rate_per_s = settings.mesh.rate_per_s
    if settings.mesh.kind == "file":
        return Unpaced()  # a list has no pace
    if is_loopback(settings) and rate_per_s > SHARED_PACE_PER_S:
        return PacedByClock(store.clock, rate_per_s=rate_per_s, burst_count=settings.mesh.parallel)
    return StorePace(store, city, rate_per_s=rate_per_s, demand_share=settings.mesh.demand_share)


def _is_confirmed(store: Store, host: str, profile: str) -> bool:
    with store.read() as conn:
        found = conn.execute(
            select(host_confirmation.c.host).where(
                host_confirmation.c.host == host, host_confirmation.c.profile == profile
            )
        ).one_or_none()
    return found is not None
