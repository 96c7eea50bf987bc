"""Settings of the outside systems: portal, planner, city."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from gateway.settings.group import Group


class AttendanceStatuses(Group):
    """Statuses of the attendance module are per instance and editable: mapped by words, never by position."""

    present: tuple[str, ...] = ("P", "П")
    """Acronyms that mean the pupil was there: no record."""
    absent: tuple[str, ...] = ("A", "Н", "О")
    """Acronyms of an absence."""
    excused: tuple[str, ...] = ("E", "У")
    """Acronyms of an excused absence: «н» for the city; the reason stays at school."""
    late: tuple[str, ...] = ("L",)
    """Acronyms of lateness: kept here, not an absence."""


class FinalItem(Group):
    """`[[portal.finals]]`: which gradebook item holds a final mark. The first row that matches decides; none = an ordinary mark."""

    match: Literal["name", "number", "category_total", "course_total"] = "name"
    """What the pattern is tried on: an item's name or idnumber, either of a category's total; a course has one total."""
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
            raise ValueError("это не регулярное выражение") from exc
        return value

    @model_validator(mode="after")
    def _period_where_needed(self) -> FinalItem:
        if (self.form == "period") != bool(self.period.strip()):
            raise ValueError("period: нужен там, где form = period, и только там")
        return self


class PortalSettings(Group):
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
    protocols: bool = True
    """Keep a protocol of each finished attempt at a test: question, answer, result, points and time, as far as the test's review settings show them to the pupil. Never sent to the city. Switched off, what was kept is removed at the next run."""
    protocol_days: int = Field(default=400, ge=1)
    """How long a protocol is kept after the attempt, in days: a school year and the summer after it."""
    protocols_per_run: int = Field(default=2000, ge=0)
    """Most protocols asked for in one run; the rest waits for the next. 2000 take a portal two minutes."""
    canary_users: tuple[str, ...] = ()
    """idnumbers of users that must be found: most lost rights are silent."""


class ActivitySettings(Group):
    url: SecretStr | None = None
    """SQLAlchemy URL of the database that holds the portal's log of events, an account that may only read: the portal's own, or the one its external database log store writes to. None = activity is not read. Secret: it may hold a password."""
    url_file: Path | None = None
    """File with that URL; wins over `url`."""
    table: str = Field(
        default="mdl_logstore_standard_log", pattern=r"^([A-Za-z_][A-Za-z0-9_$]*\.)?[A-Za-z_][A-Za-z0-9_$]*$"
    )
    """Table with the columns of `logstore_standard_log`, with its schema where it needs one."""
    batch_count: int = Field(default=2000, ge=1, le=20_000)
    """Rows read and stored in one transaction: 2000 are written within the 250 ms that others may wait."""
    rows_per_run: int = Field(default=500_000, ge=1)
    """Most rows of one run; the rest waits for the next. Half a million take some minutes: a school's first day."""
    lookback_s: float = Field(default=900.0, ge=0)
    """Rows so young are read again at the next run, in seconds: a row gets its number when it is written and is seen when it is committed. 900: longer than a page or a portal's background task keeps one back."""
    keep_days: int = Field(default=200, ge=1)
    """How long activity is kept, in days: this half-year and the one before."""


class MeshProfile(Group):
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


class MeshSettings(Group):
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


class PlannerSettings(Group):
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


__all__ = [
    "ActivitySettings",
    "AttendanceStatuses",
    "FinalItem",
    "MeshProfile",
    "MeshSettings",
    "PlannerSettings",
    "PortalSettings",
]
