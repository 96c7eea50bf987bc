"""Settings of the schedules: what begins by itself, when, and who hears of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from gateway.domain.slots import check_cron, parse_hours
from gateway.settings.group import Group
from gateway.settings.school import DaySpan

DEFAULT_SCHEDULES: dict[str, dict[str, Any]] = {
    "everything": {"cron": "0 2 * * *"},
    "homework": {"cron": ["30 15 * * *", "0 18 * * *"], "kinds": ["homework"], "school_days_only": True},
    "marks": {"cron": "0 8-20 * * *", "kinds": ["mark", "absence"], "school_days_only": True},
}
"""Schedules that are there unasked: the night reads everything, homework is there when pupils look for it, marks within the hour."""


RESERVED_SCHEDULES = ("held", "asked")
"""Names of the scheduler's own two: what is held is decided again, what was asked for beside a running run."""


_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class NamedSchedule(Group):
    cron: tuple[str, ...] = Field(min_length=1)
    """One expression or a list of them: minute hour day month weekday, in the school's zone. A fixed hour comes once also on the days the clocks change."""
    kinds: tuple[Literal["mark", "absence", "homework", "comment", "final", "topics"], ...] = ()
    """What is sent; empty = everything the scope table names. What it hangs on (people, groups, lessons) is read in any case."""
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


class ScheduleSettings(Group):
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
            raise ValueError("имя расписания — до 40 знаков a-z, 0-9, _ и -, кроме «held» и «asked»")
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
        raise ValueError("список здесь пишется как JSON") from exc


def _table(value: object) -> dict[str, Any]:
    return value.model_dump() if isinstance(value, NamedSchedule) else value if isinstance(value, dict) else {}


__all__ = ["DEFAULT_SCHEDULES", "RESERVED_SCHEDULES", "NamedSchedule", "ScheduleSettings"]
