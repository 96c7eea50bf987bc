"""What every command shares: settings, the composed gateway, progress on stderr, exit codes that scripts can trust."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from gateway.bootstrap import open_gateway
from gateway.connectors.port import Want
from gateway.domain.clock import Clock, moscow_day
from gateway.domain.errors import AlreadyRunningError, AuditError, ConfigurationError, GatewayError, Recovery
from gateway.domain.storable import FIRST_ON, LAST_ON
from gateway.flows.gateway import Gateway
from gateway.flows.runs import year_bounds
from gateway.flows.sync import Exit
from gateway.mapping.normalise import class_key
from gateway.settings import GatewaySettings, load_settings

ERR = Console(stderr=True, highlight=False)
OUT = Console(highlight=False)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Файл настроек; без него ./gateway.toml и окружение.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Один объект JSON на stdout и больше ничего.")]
ClassOption = Annotated[list[str] | None, typer.Option("--class", help="Только этот класс; можно несколько раз.")]
SubjectOption = Annotated[list[str] | None, typer.Option("--subject", help="Только этот предмет.")]
PupilOption = Annotated[list[str] | None, typer.Option("--pupil", help="Только этот ученик: код портала, user:3.")]
FromOption = Annotated[str | None, typer.Option("--from", help="С этого дня урока, ГГГГ-ММ-ДД.")]
ToOption = Annotated[str | None, typer.Option("--to", help="По этот день урока, ГГГГ-ММ-ДД.")]

_STAGES = {
    "pull": "Чтение портала",
    "plan": "План",
    "deliver": "Отправка",
    "wait": "Ожидание, с",
    "lint": "Просмотр, строк",
    "protocols": "Протоколы тестов",
    "activity": "Журнал событий, строк",
}


class StderrProgress:
    """Shows how far a long work has come: a live line on a terminal, a line a stage elsewhere."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._is_live = ERR.is_terminal and not is_quiet
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int | None = None) -> None:
        """Say that `done` of `total` units of a stage are over."""
        if not self._is_live:
            return
        name = _STAGES.get(stage, stage)
        if stage != self._stage and self._stage:
            sys.stderr.write("\n")
        self._stage = stage
        sys.stderr.write(f"\r{name}: {done}" + (f" из {total}" if total else "") + " " * 8)
        sys.stderr.flush()

    def close(self) -> None:
        """End the live line."""
        if self._is_live and self._stage:
            sys.stderr.write("\n")
            sys.stderr.flush()


def exit_code_of(error: GatewayError) -> Exit:
    """Which exit code says what an error asks for."""
    if isinstance(error, ConfigurationError):
        return Exit.USAGE
    if isinstance(error, AuditError):
        return Exit.FAULT
    if isinstance(error, AlreadyRunningError):
        return Exit.REMARKS
    return {
        Recovery.ASK: Exit.PERSON,
        Recovery.PAUSE: Exit.PAUSED,
        Recovery.PARK: Exit.REMARKS,
        Recovery.RETRY: Exit.FAULT,
    }.get(error.recovery, Exit.FAULT)


@contextmanager
def guarded() -> Iterator[None]:
    """Turn an error of the gateway into its sentence on stderr and its exit code.

    Raises:
        typer.Exit: With the code.
    """
    try:
        yield
    except GatewayError as error:
        ERR.print(f"[red]{type(error).__name__}[/red] {error.reason_code}: {escape(error.sentence)}")
        raise typer.Exit(exit_code_of(error)) from error


@contextmanager
def opened(
    config: Path | None, *, is_quiet: bool = False, clock: Clock | None = None, is_bare: bool = False
) -> Iterator[Gateway]:
    """Load the settings and compose the gateway for one command; `is_bare` as for `open_gateway`."""
    with guarded():
        settings = load(config)
        progress = StderrProgress(is_quiet=is_quiet)
        folder = (config or Path("gateway.toml")).parent
        try:
            with open_gateway(settings, progress=progress, folder=folder, clock=clock, is_bare=is_bare) as gateway:
                yield gateway
        finally:
            progress.close()


def load(config: Path | None) -> GatewaySettings:
    """Load the settings; relative paths in them count from the working folder, wherever the file lies.

    Raises:
        ConfigurationError: A wrong or missing file, or a wrong value.
    """
    if config is not None and not config.exists():
        raise ConfigurationError(f"Нет файла настроек {config.name}: создайте его командой gateway init")
    return load_settings(config)


def build_want(
    gateway: Gateway,
    *,
    classes: list[str] | None = None,
    subjects: list[str] | None = None,
    pupils: list[str] | None = None,
    from_day: str | None = None,
    to_day: str | None = None,
) -> Want:
    """Turn the scope flags into what a run asks for.

    Raises:
        ConfigurationError: A day that is none, days in the wrong order, or a class that can't be read as one.
    """
    first, last = year_bounds(moscow_day(gateway.now()))
    begin, end = _day(from_day, "--from") or first, _day(to_day, "--to") or last
    if begin > end:
        raise ConfigurationError(f"--from {begin} позже, чем --to {end}: таких дней нет")
    return Want(
        class_names=frozenset(_class(name) for name in classes or ()),
        subjects=frozenset(subjects or ()),
        pupils=frozenset(pupils or ()),
        from_on=begin,
        to_on=end,
    )


def school_moment(gateway: Gateway, moment: datetime, option: str) -> datetime:
    """A day (its first minute) or a moment as it was typed, by the school's clock where it names no zone; aware UTC.

    Raises:
        ConfigurationError: It is so far that no zone or count of days reaches it.
    """
    refuse_far(moment.date(), option)
    zone = ZoneInfo(gateway.settings.school.timezone)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)


def refuse_far(day: date, option: str) -> None:
    """Refuse a day that is mistyped, whatever it belongs to.

    Raises:
        ConfigurationError: It is.
    """
    if not FIRST_ON <= day <= LAST_ON:
        raise ConfigurationError(f"{option}: нужен день от {FIRST_ON} до {LAST_ON}")


def check_known(option: str, value: str | None, known: Iterable[str]) -> None:
    """Refuse a word that nothing can be found by: an empty table would look like «there is none».

    Raises:
        ConfigurationError: The word is unknown; names the known ones.
    """
    words = [str(word) for word in known]
    if value is not None and value not in words:
        raise ConfigurationError(f"{option}: такого нет, а есть {', '.join(words)}")


def _class(name: str) -> str:
    key = class_key(name)
    if not key:
        raise ConfigurationError("--class: класс вида 7А")
    return key


def _day(text: str | None, option: str) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as exc:
        raise ConfigurationError(f"{option}: день вида 2026-11-10") from exc
    refuse_far(day, option)
    return day


def print_json(value: Any) -> None:
    """Print one JSON object on stdout, and nothing else."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
