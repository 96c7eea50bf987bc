"""Settings of the gateway itself: database, queue, web, access, audit."""

from __future__ import annotations

from pathlib import Path

from pydantic import (
    Field,
)

from gateway.settings.group import Group


class DatabaseSettings(Group):
    url: str = "sqlite:///gateway.sqlite"
    """SQLAlchemy URL. The embedded default is a SQLite file in the working folder, like every relative path here: write it out whole where commands run from several folders; at scale `postgresql+psycopg://…`."""
    url_file: Path | None = None
    """File with the URL, where it holds a password; wins over `url`."""


class QueueSettings(Group):
    redis_url: str | None = None
    """Redis for dramatiq; none = the embedded broker in the process."""
    threads: int = Field(default=3, ge=1, le=32)
    """Delivery threads of one process; never above `mesh.parallel` at once."""
    lease_s: float = Field(default=15.0, gt=0)
    """A claim without a heartbeat is taken over after this."""
    max_claims: int = Field(default=3, ge=1)
    """Claims without an outcome (a kill counts) before an operation is parked."""
    max_attempts: int = Field(default=12, ge=1)
    """Refused or unreachable attempts before it is parked."""
    tick_s: float = Field(default=5.0, gt=0, le=30)
    """How often a worker looks for what is due where nothing wakes it, in seconds; a lost broker costs as much."""
    read_back_after_s: float = Field(default=20.0, ge=0)
    """An accepted mark waits so long at most for the rest of its group before the group is read back, in seconds."""
    by_hand_after_hours: float = Field(default=24.0, gt=0)
    """What the city could not take for so long goes onto the list «enter by hand», of the kinds for which the deputy head chose that (`gateway hand-list outage`): a journal that is down overnight is not typed for."""
    stop_s: float = Field(default=30.0, gt=0)
    """A worker told to stop finishes or gives back what it holds within this, in seconds; above `mesh.deadline_s`."""


class WebSettings(Group):
    host: str = "127.0.0.1"
    """Address to listen on; another than loopback only behind a proxy that does TLS (`web.trusted_proxies`)."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on."""
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Names under which it is asked for; another `Host` is refused, so that no foreign page reaches it by a name of its own."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose `X-Forwarded-For` is believed. None by default: a forged one would evade the limits of log-in and falsify the audit."""
    body_bytes: int = Field(default=256 * 1024, gt=0)
    """Largest body of a request; the largest one asked for is a list of a few thousand numbers."""


class AccessSettings(Group):
    session_idle_minutes: float = Field(default=30.0, gt=0)
    """A session without a request for so long is over, in minutes (ASVS 7.3.1: a shared staff-room computer)."""
    session_hours: float = Field(default=12.0, gt=0)
    """A session is over after this in any case, in hours: one working day."""
    fresh_login_minutes: float = Field(default=10.0, gt=0)
    """How old the proof of the password may be where a plan is approved, in minutes."""
    alone_after_minutes: float = Field(default=10.0, ge=0)
    """With `school.single_approver` the same person confirms no sooner than this after his own proposal, in minutes: long enough to look at it again."""
    login_window_minutes: float = Field(default=15.0, gt=0)
    """Failed log-ins are counted over this, in minutes; afterwards the count begins anew, so that nobody is locked out for good."""
    login_failures_account: int = Field(default=10, ge=1)
    """Failed log-ins of one login within the window; a person mistypes fewer."""
    login_failures_address: int = Field(default=60, ge=1)
    """Failed log-ins from one address; a whole school may stand behind one."""
    login_failures_all: int = Field(default=600, ge=1)
    """Failed log-ins altogether; a guess spread over many addresses ends here."""
    password_length: int = Field(default=12, ge=8)
    """Fewest characters of a new password (ASVS 6.2.1 asks for 8; no second factor yet, so more)."""
    argon2_passes: int = Field(default=3, ge=1)
    """Passes of argon2id over its memory (RFC 9106 §4, second recommended option)."""
    argon2_memory_mib: int = Field(default=64, ge=1)
    """Memory of one password hash in MiB (RFC 9106 §4)."""
    argon2_lanes: int = Field(default=4, ge=1)
    """Parts of that memory worked on at once (RFC 9106 §4)."""
    token_days: int = Field(default=90, ge=1, le=366)
    """Longest life of an API token in days: a forgotten one ends within a term."""
    glass_minutes: float = Field(default=60.0, gt=0, le=240)
    """How long an admin who broke the glass sees names, in minutes."""


class AuditSettings(Group):
    environment: str = "default"
    """Name written into every entry, so that a sandbox's log is never taken for the real one."""
    sink_file: Path | None = None
    """File that every committed entry is added to as well, best on another disk or host: it keeps what a restored or edited database has lost. None = beside the SQLite file; with PostgreSQL `gateway-audit.jsonl` in the configuration's folder. Each machine keeps a whole one."""
    stop_without_sink_hours: float | None = Field(default=None, gt=0)
    """How long that file may be unwritable before nothing more is done, in hours. None = never: the database keeps the entries and they are added later."""


__all__ = ["AccessSettings", "AuditSettings", "DatabaseSettings", "QueueSettings", "WebSettings"]
