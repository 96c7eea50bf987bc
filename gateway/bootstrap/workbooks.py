"""The planner's workbooks: their source, and the two commands that look at one file without a gateway."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.days import SchoolYear
from gateway.connectors.planner.workbook.lint import LintReport, lint_workbook
from gateway.connectors.planner.workbook.register import Bells
from gateway.connectors.planner.workbook.source import WorkbookSource
from gateway.connectors.planner.workbook.template import TEMPLATES, write_template
from gateway.domain.clock import Clock, SystemClock, moscow_day, school_year
from gateway.domain.errors import ConfigurationError
from gateway.domain.school_year import SchoolYear as CalendarYear
from gateway.flows.gateway import Progress, silent
from gateway.settings import GatewaySettings


def build_reader(settings: GatewaySettings, now: datetime) -> Reader:
    """What a workbook is read by: the school year of the settings, else of the day.

    Raises:
        ConfigurationError: `school.year` is no year.
    """
    today = moscow_day(now)
    name = settings.school.year or school_year(today)
    first, _, _ = name.partition("/")
    if not first.isdecimal():
        raise ConfigurationError("school.year: учебный год вида 2026/27")
    return Reader(year=SchoolYear(int(first)), today=today)


def build_workbook_source(
    settings: GatewaySettings, folder: Path, *, clock: Clock, find_year: Callable[[], CalendarYear | None]
) -> WorkbookSource:
    """Make the source of the planner's folder."""
    holidays = settings.school.holidays
    return WorkbookSource(
        settings.planner.folder_name,
        folder,
        clock=clock,
        reader=lambda now: build_reader(settings, now),
        zone=ZoneInfo(settings.school.timezone),
        bells=Bells(settings.planner.bells, settings.planner.lesson_minutes),
        find_year=find_year,
        is_holiday=lambda day: any(one.from_on <= day <= one.to_on for one in holidays),
        settle_s=settings.planner.settle_s,
    )


def lint_planner_file(
    settings: GatewaySettings, path: Path, *, clock: Clock | None = None, progress: Progress = silent
) -> LintReport:
    """Look a planner's workbook through, without any effect.

    Raises:
        ConfigurationError: There is no such file.
    """
    if not path.is_file():
        raise ConfigurationError(f"Нет файла {path.name}")
    reader = build_reader(settings, (clock or SystemClock()).now())
    return lint_workbook(path, reader, progress=lambda rows: progress("lint", rows))


def write_planner_template(settings: GatewaySettings, name: str, path: Path, *, clock: Clock | None = None) -> None:
    """Write an empty workbook of the planner.

    Raises:
        ConfigurationError: There is no such template, or the file can't be written.
    """
    chosen = next((one for one in TEMPLATES if one == name), None)
    if chosen is None:
        raise ConfigurationError(f"Шаблоны: {', '.join(TEMPLATES)}")
    try:
        write_template(path, chosen, build_reader(settings, (clock or SystemClock()).now()).year)
    except OSError as exc:
        raise ConfigurationError(f"{path.name} не записывается: {type(exc).__name__}") from exc
