"""Settings: one frozen model, grouped; unit, default and reason under each field.

Made once in bootstrap from `gateway.toml`, the environment (`GATEWAY_<GROUP>__<FIELD>`) and secret files, and passed
down. Nothing below reads the environment. Secrets are `SecretStr`; `gateway check` never prints them.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from gateway.domain.errors import ConfigurationError
from gateway.domain.slots import check_cron, parse_hours

DEFAULT_SCHEDULES: dict[str, dict[str, Any]] = {
    "everything": {"cron": "0 2 * * *"},
    "homework": {"cron": ["30 15 * * *", "0 18 * * *"], "kinds": ["homework"], "school_days_only": True},
    "marks": {"cron": "0 8-20 * * *", "kinds": ["mark", "absence"], "school_days_only": True},
}
"""Schedules that are there unasked: the night reads everything, homework is there when pupils look for it, marks within the hour."""
RESERVED_SCHEDULES = ("held", "asked")
"""Names of the scheduler's own two: what is held is decided again, what was asked for beside a running run."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

SECRETS_DIR = "GATEWAY_SECRETS_DIR"
"""Folder of secret files named `portal__token`, `mesh__token`… (systemd credentials, container secrets)."""


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DatabaseSettings(_Group):
    url: str = "sqlite:///gateway.sqlite"
    """SQLAlchemy URL. The embedded default is a SQLite file beside the configuration; at scale `postgresql+psycopg://…`."""
    url_file: Path | None = None
    """File with the URL, where it holds a password; wins over `url`."""


class AttendanceStatuses(_Group):
    """Statuses of the attendance module are per instance and editable: mapped by words, never by position."""

    present: tuple[str, ...] = ("P", "П")
    """Acronyms that mean the pupil was there: no record."""
    absent: tuple[str, ...] = ("A", "Н", "О")
    """Acronyms of an absence."""
    excused: tuple[str, ...] = ("E", "У")
    """Acronyms of an excused absence: «н» for the city; the reason stays at school."""
    late: tuple[str, ...] = ("L",)
    """Acronyms of lateness: kept here, not an absence."""


class FinalItem(_Group):
    """`[[portal.finals]]`: which gradebook item holds a final mark. The first row that matches decides; none = an ordinary mark."""

    match: Literal["name", "number", "category_total", "course_total"] = "name"
    """What the pattern is tried on: an item's name or idnumber, a category's name; a course has one total."""
    pattern: str = ".*"
    """Regular expression, searched without regard to case."""
    form: Literal["period", "intermediate", "year", "final"] = "period"
    """Mark of a period, intermediate attestation, mark of the year, final mark."""
    period: str = ""
    """Number of the period in the group's own schedule (`1`), or its name in the city; only with `form = "period"`."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as exc:
            raise ValueError(f"not a regular expression: {exc}") from exc
        return value

    @model_validator(mode="after")
    def _period_where_needed(self) -> FinalItem:
        if (self.form == "period") != bool(self.period.strip()):
            raise ValueError("period: needed with form = period, and only there")
        return self


class PortalSettings(_Group):
    name: str = "portal"
    """The portal's name in every key. Constant for ever: a changed URL is the same portal, a changed name is another."""
    kind: Literal["moodle"] = "moodle"
    """Which connector speaks to it."""
    base_url: str = ""
    """Scheme, host and path of the site, without a trailing slash."""
    token: SecretStr | None = None
    """Web-service token; better by environment or secret file than in the TOML."""
    token_file: Path | None = None
    """File with the token; wins over `token` and is read again when the portal refuses it."""
    person_id_field: str = "externalid"
    """Short name of the custom profile field that holds the city's person id."""
    statuses: AttendanceStatuses = AttendanceStatuses()
    """What the acronyms of the attendance module mean."""
    finals: tuple[FinalItem, ...] = ()
    """Gradebook items that hold final marks; they are never sent as ordinary marks."""
    has_topics: bool = False
    """The description of an attendance session is the lesson's topic."""
    category_names: tuple[str, ...] = ()
    """Course categories to read, by name; empty = all."""
    deadline_s: float = Field(default=60.0, gt=0)
    """Total time of one call in seconds; a gradebook of a class takes under a second, a slow site ten."""
    parallel: int = Field(default=2, ge=1, le=8)
    """Calls at once."""
    canary_users: tuple[str, ...] = ()
    """idnumbers of users that must be found: most lost rights are silent."""


class MeshProfile(_Group):
    profile_id: int
    """Profile id that goes with the token."""
    token: SecretStr | None = None
    """Session token of that profile."""
    token_file: Path | None = None
    """File with the token; wins over `token` and is read again once on 401."""
    role: Literal["teacher", "school_admin"] = "teacher"
    """A teacher writes own groups only; a school admin all."""
    owner: str = ""
    """Who is told when the profile is refused (a post, not a name)."""


class MeshSettings(_Group):
    kind: Literal["http", "file"] = "http"
    """`file`: no token at all; the journal is read from workbooks exported by hand, what is to be written is a list for people."""
    folder: Path | None = None
    """Where the exported workbooks lie (`kind = "file"`)."""
    layout_file: Path | None = None
    """TOML that names sheets and heads of the exported workbooks where they differ from the built-in words."""
    base_url: str = ""
    """Scheme, host and port; the connector adds `/api/ej`."""
    school_id: int = 0
    """The school's id in the city; part of every key."""
    token: SecretStr | None = None
    """Token where there is a single profile."""
    token_file: Path | None = None
    """File with that token."""
    profile_id: int | None = None
    """Profile id where there is a single profile."""
    role: Literal["teacher", "school_admin"] = "school_admin"
    """Role of the single profile."""
    profiles: dict[str, MeshProfile] = Field(default_factory=dict)
    """`[mesh.profiles.NAME]`: several profiles; an operation goes by one that may write it."""
    rate_per_s: float = Field(default=5.0, gt=0)
    """Requests a second over all processes together. 5: the city's own clients pace themselves at 2–7."""
    demand_share: float = Field(default=0.3, ge=0, le=0.9)
    """Part of the rate kept free while somebody waits for an on-demand run: a button pressed during the night's work answers in seconds."""
    parallel: int = Field(default=3, ge=1, le=16)
    """Requests at once, of one process."""
    breaker_failures: int = Field(default=5, ge=1)
    """Silent answers in a row (no connection, 5xx, no answer) after which nobody calls: more than one full set of parallel calls."""
    breaker_open_s: float = Field(default=30.0, gt=0)
    """Seconds before one caller tries again; doubles with each failed try. A restart of the city's balancer takes less."""
    breaker_longest_s: float = Field(default=300.0, gt=0)
    """Longest time between two tries in seconds: a city that is back is noticed within five minutes."""
    deadline_s: float = Field(default=20.0, gt=0)
    """Total time of one call in seconds."""
    settle_s: float = Field(default=150.0, ge=0)
    """How long a call without an answer may still be applied; nothing is written again before."""
    real_host: bool = False
    """First of two settings without which nothing is written to a host that is not loopback."""
    real_host_name: str = ""
    """Second of the two: the host's name, typed out."""
    absence_reason_id: int = 2
    """The city's id of a plain «н»: sources disagree (1 or 2), so it is a setting."""
    absence_path: Literal["new", "legacy"] = "new"
    """Where absences and lesson remarks are written; POST is attested on the legacy path only."""
    late_text: str = Field(default="О", min_length=1)
    """The remark that tells the city of a pupil being late; that «О» means so is our reading, so it is a setting."""
    subsystem: str = "journalw"
    """`X-Mes-Subsystem`; a wrong one gives empty lists instead of an error."""
    plan_subsystem: str = "ppktpw"
    """The same for lesson plans (КТП), which the city keeps apart from the journal."""
    role_id: int = 9
    """`X-Mes-RoleId`."""
    host_id: int = 9
    """`X-Mes-HostId`."""
    max_body_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """Cap of one decoded answer."""


class PlannerSettings(_Group):
    folder: Path | None = None
    """Folder that the planner's workbooks come into, with its subfolders; read by its own connector beside the portal. None = no workbooks."""
    folder_name: str = Field(default="workbook", pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    """Name of that folder's source before its refs and in `[sources]` of the rules. Constant for ever, like the portal's."""
    settle_s: float = Field(default=2.0, ge=0, le=60)
    """How long a workbook must have stood still before it is read, in seconds; a spreadsheet program writes one within this."""
    bells: tuple[time, ...] = ()
    """Beginnings of the lessons of a day, `["08:30", "09:25"]`, for timetables that write only a lesson's number."""
    lesson_minutes: int = Field(default=45, ge=10, le=180)
    """Length of a lesson whose end no timetable says, in minutes: the usual one of a Russian school."""
    name: str = Field(default="planner", pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    """The planner's name before its refs and in `[sources]` of the rules. Constant for ever, like the portal's."""
    door_url: str = ""
    """Address of the planner's JSON door, without `/v1`; empty = none."""
    token: SecretStr | None = None
    """Bearer token of the door; better by environment or secret file than in the TOML."""
    token_file: Path | None = None
    """File with the token; wins over `token` and is read again when the planner refuses it."""
    deadline_s: float = Field(default=30.0, gt=0)
    """Total time of one call of the door in seconds: a page has 500 rows."""
    parallel: int = Field(default=2, ge=1, le=8)
    """Calls of the door at once."""
    sql_url: SecretStr | None = None
    """SQLAlchemy URL of the planner's database instead of the door, an account that may only read. Secret: it may hold a password."""
    sql_url_file: Path | None = None
    """File with that URL; wins over `sql_url`."""
    sql: dict[str, str] = Field(default_factory=dict)
    """`[planner.sql]`: a SELECT for each book, columns named as the door's fields; `people`, `subjects`, `groups` and `members` are needed, books of a group have `:group`."""
    timetable_file: Path | None = None
    """Export of aSc TimeTables (XML): the lessons of the year, laid out by the imported calendar of the school."""
    timetable_name: str = Field(default="timetable", pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    """The timetable's name before its refs and in `[sources]`, where it is not the planner's own export."""
    accepts_push: bool = False
    """Whether the planner pushes its books to the gateway's own API; off by default, because whoever may push may change marks."""


class DaySpan(_Group):
    from_on: date = Field(validation_alias=AliasChoices("from", "from_on"))
    """First day, `2026-08-25`; `from` in the file."""
    to_on: date = Field(validation_alias=AliasChoices("to", "to_on"))
    """Last day, included; `to` in the file."""

    @model_validator(mode="after")
    def _in_order(self) -> DaySpan:
        if self.to_on < self.from_on:
            raise ValueError("`to` is before `from`")
        return self


class SchoolSettings(_Group):
    timezone: str = "Europe/Moscow"
    """Zone of the school's days."""
    weekdays: tuple[Annotated[int, Field(ge=1, le=7)], ...] = Field(default=(1, 2, 3, 4, 5), min_length=1)
    """Working days, Monday is 1. Five of them; a school with lessons on Saturday adds 6."""
    holidays: tuple[DaySpan, ...] = ()
    """`[[school.holidays]]` with `from` and `to`: days that are no working days. The city's calendar can't be read before its year begins."""
    held_until_hour: int = Field(default=12, ge=0, le=23)
    """What a guard holds waits until this hour of the next working day and is decided afresh then: a morning for the deputy head to look."""
    discrepancy_due_days: int = Field(default=2, ge=0, le=60)
    """Working days in which an opened discrepancy should be settled; then it is overdue. Two: seen on one day, asked about on the next."""
    year: str | None = None
    """School year in every key, `2026/27`; None = that of the day. Fixed only where the past is worked on (the demo)."""
    mapping_file: Path | None = None
    """TOML with dictionaries and rules that the school edits; None = `mapping.toml` beside the configuration."""
    empty_source_ratio: float = Field(default=0.5, ge=0, le=1)
    """A scope whose source shrank below this share of its base is refused as short."""
    guard_minimum_count: int = Field(default=5, ge=0)
    """Shares bite only above this many operations."""
    guard_change_ratio: float = Field(default=0.75, ge=0, le=1)
    """Largest share of a scope's base that may change in one plan (Clever holds above 75 %)."""
    guard_delete_ratio: float = Field(default=0.10, ge=0, le=1)
    """Largest share that may be deleted, on top of every delete being held for approval (Clever holds above 10 %)."""
    delete_grace_hours: float = Field(default=20.0, ge=0)
    """How long a value must have been missing, on top of two complete reads, before its delete is proposed. 20: a slip is mended at the next day's lessons, and the night after them may propose it."""
    plan_ttl_hours: float = Field(default=18.0, gt=0)
    """How long a plan may be approved: from the night till the end of the working day."""
    single_approver: bool = False
    """The school has one person who approves: he confirms his own proposal later, after logging in again, and the audit says that it was he alone."""
    days_back: int = Field(default=400, ge=0)
    """How far back a run without dates looks, in days; the school year's start bounds it."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as exc:
            raise ValueError(f"unknown time zone {value!r}") from exc
        return value


class QueueSettings(_Group):
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
    stop_s: float = Field(default=30.0, gt=0)
    """A worker told to stop finishes or gives back what it holds within this, in seconds; above `mesh.deadline_s`."""


class NamedSchedule(_Group):
    cron: tuple[str, ...] = Field(min_length=1)
    """One expression or a list of them: minute hour day month weekday, in the school's zone. A fixed hour comes once also on the days the clocks change."""
    kinds: tuple[Literal["mark", "absence", "homework"], ...] = ()
    """What is sent; empty = everything. What it hangs on (people, groups, lessons) is read in any case."""
    classes: tuple[str, ...] = ()
    """Only these classes; empty = the whole school. Such a run may go on beside a whole one."""
    from_day: int | None = Field(default=None, ge=-400, le=400)
    """First lesson day, counted in days from the day of the run: -14 is two weeks ago. None = the school year's first. A run that sees a part never deletes."""
    to_day: int | None = Field(default=None, ge=-400, le=400)
    """Last lesson day, counted in days from the day of the run. None = the school year's last."""
    window: str = ""
    """Hours in which a run may begin, `08:00-20:00`; empty = any. What was missed and is found outside them goes into the next slot; what runs may finish."""
    school_days_only: bool = False
    """Begin on working days of the school only (`school.weekdays`, `school.holidays`)."""
    mode: Literal["automatic", "approve", "observe", "off"] = "automatic"
    """automatic: what no guard holds is sent; approve: the whole plan waits for a person; observe: a plan to look at; off: not at all."""

    @field_validator("cron", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) and not value.startswith("[") else _listed(value)

    @field_validator("cron")
    @classmethod
    def _known_cron(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            check_cron(one)
        return value

    @field_validator("window")
    @classmethod
    def _known_window(cls, value: str) -> str:
        parse_hours(value)
        return value

    @field_validator("kinds", "classes", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        return _listed(value)


class ScheduleSettings(_Group):
    """Schedules by name, `[schedule.NAME]`; what a table leaves out of a default one keeps its default value."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, NamedSchedule]

    silent: tuple[DaySpan, ...] = ()
    """`[schedule.silent]`, or several `[[schedule.silent]]`, with `from` and `to`: days on which nothing begins by itself. None by default: when classes are moved up differs from school to school, and a gateway that goes quiet unasked would be noticed too late."""
    heartbeat_url: SecretStr | None = None
    """Address asked (GET) after each scheduled run that came to its end; an outside watcher tells the school when it falls silent. Secret, because whoever knows it can fake the sign."""
    heartbeat_file: Path | None = None
    """File written anew after each such run, for a watcher that looks at its time."""
    run_lease_s: float = Field(default=900.0, gt=0)
    """A run without a sign of life for so long is over, in seconds; never less than twice its longest wait. On the same machine a killed run is seen at once."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        named = {name: {**table, **_table(tree.get(name))} for name, table in DEFAULT_SCHEDULES.items()}
        silent = tree.get("silent", ())
        return {**tree, **named, "silent": (silent,) if isinstance(silent, dict) else silent}

    @model_validator(mode="after")
    def _known_names(self) -> ScheduleSettings:
        wrong = [name for name in self.named if name in RESERVED_SCHEDULES or not _NAME.fullmatch(name)]
        if wrong:
            raise ValueError("a schedule's name is a word of a-z, 0-9, _ and -, up to 40, and not `held` or `asked`")
        return self

    @property
    def named(self) -> dict[str, NamedSchedule]:
        """All schedules by name, the default ones too."""
        return dict(self.__pydantic_extra__ or {})


def _listed(value: object) -> object:
    """The environment gives a list as its JSON text where the table's name is the school's own."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as exc:
        raise ValueError("a list is spelled as JSON here") from exc


def _table(value: object) -> dict[str, Any]:
    return value.model_dump() if isinstance(value, NamedSchedule) else value if isinstance(value, dict) else {}


class WebSettings(_Group):
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


class AccessSettings(_Group):
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


class AuditSettings(_Group):
    environment: str = "default"
    """Name written into every entry, so that a sandbox's log is never taken for the real one."""
    sink_file: Path | None = None
    """File that every committed entry is added to as well, best on another disk or host: it keeps what a restored or edited database has lost. None = beside the SQLite file; with PostgreSQL `gateway-audit.jsonl` in the configuration's folder. Each machine keeps a whole one."""
    stop_without_sink_hours: float | None = Field(default=None, gt=0)
    """How long that file may be unwritable before nothing more is done, in hours. None = never: the database keeps the entries and they are added later."""


class GatewaySettings(BaseSettings):
    """All settings. Order: environment, secret files, TOML, defaults."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_",
        env_nested_delimiter="__",
        secrets_nested_delimiter="__",
        secrets_prefix="",
        secrets_dir_missing="error",
        extra="forbid",
        frozen=True,
    )

    database: DatabaseSettings = DatabaseSettings()
    portal: PortalSettings = PortalSettings()
    planner: PlannerSettings = PlannerSettings()
    mesh: MeshSettings = MeshSettings()
    school: SchoolSettings = SchoolSettings()
    queue: QueueSettings = QueueSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    web: WebSettings = WebSettings()
    access: AccessSettings = AccessSettings()
    audit: AuditSettings = AuditSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment first, then secret files, then what the TOML said (it comes in as init arguments)."""
        del settings_cls, dotenv_settings
        return env_settings, NestedSecretsSettingsSource(file_secret_settings), init_settings

    @model_validator(mode="after")
    def _single_profile(self) -> GatewaySettings:
        if self.mesh.profiles and (self.mesh.token or self.mesh.profile_id):
            raise ValueError("mesh: either one profile (token, profile_id) or [mesh.profiles.NAME], not both")
        return self


def load_settings(config: Path | None = None, **overrides: Any) -> GatewaySettings:
    """Read the settings from a TOML file and the environment.

    Args:
        config: The file; None = `./gateway.toml` where it exists, else the environment alone.
        overrides: Groups that win over the file (not over the environment); for the demo and tests.

    Raises:
        ConfigurationError: Unreadable file or a wrong value; names the setting, never the value.
    """
    path = config or Path("gateway.toml")
    tree: dict[str, Any] = {}
    if config is not None or path.exists():
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as exc:
            raise ConfigurationError(f"Файл настроек не читается: {path}") from exc
        except tomllib.TOMLDecodeError as exc:
            raise ConfigurationError(f"Файл настроек {path} не разобран: {exc}") from exc
    tree.update(overrides)
    secrets = os.environ.get(SECRETS_DIR)
    try:
        return GatewaySettings(_secrets_dir=secrets, **tree) if secrets else GatewaySettings(**tree)
    except SettingsError as exc:
        raise ConfigurationError(f"{SECRETS_DIR}: папка с секретами не читается") from exc
    except ValidationError as exc:
        places = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in exc.errors())
        raise ConfigurationError(f"Настройки не приняты: {places}") from exc
