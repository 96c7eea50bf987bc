"""gateway calendar: the school's year, shown, checked and imported."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gateway.cli.context import ERR, OUT, ConfigOption, JsonOption, guarded, opened, print_json
from gateway.cli.targets import ForceOption, new_file
from gateway.cli.words import dense_table
from gateway.domain.clock import SystemClock, moscow_day
from gateway.domain.errors import ConfigurationError
from gateway.domain.school_year import GRADES, SchoolYear, YearFault, YearPeriod
from gateway.flows.calendar import import_calendar, load_year
from gateway.flows.sync import Exit
from gateway.mapping.calendar_file import CalendarRead, read_calendar, write_template

calendar_app = typer.Typer(
    help="Календарь школы: периоды по классам, каникулы, переносы, последние и тихие дни.", no_args_is_help=True
)
FileArgument = Annotated[Path, typer.Argument(help="Календарь, TOML или XLSX: gateway calendar template FILE.xlsx")]


@calendar_app.command("show")
def show_command(
    config: ConfigOption = None,
    day: Annotated[str | None, typer.Option("--day", help="Что это за день, ГГГГ-ММ-ДД.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Показать календарь этого учебного года, или один его день по классам."""
    with opened(config, is_quiet=as_json) as gateway:
        stored = load_year(gateway)
        if stored is None:
            raise ConfigurationError(
                f"Календаря {gateway.place.year} нет, действуют настройки школы; внести: gateway calendar import FILE"
            )
        if day is not None:
            facts = _day_facts(stored.year, _to_day(day))
            if as_json:
                print_json({"day": day, "grades": facts})
                return
            for grade, fact in facts.items():
                OUT.print(f"{grade:>2} класс: {fact}", markup=False)
            return
        if as_json:
            print_json(stored)
            return
        OUT.print(f"Календарь {stored.year.year}: {stored.source}, внёс {stored.actor}, {stored.imported_at:%d.%m.%Y}")
        _show(stored.year)


@calendar_app.command("check")
def check_command(file: FileArgument, as_json: JsonOption = False) -> None:
    """Проверить файл календаря, ничего не меняя: каждая ошибка со своим местом."""
    with guarded():
        read = read_calendar(file)
        _tell(read, as_json=as_json)
        if read.year is None:
            raise typer.Exit(Exit.FAULT)
        if read.faults:
            raise typer.Exit(Exit.REMARKS)


@calendar_app.command("import")
def import_command(
    file: FileArgument,
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Только сказать, что было бы сделано.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Внести календарь: он действует для расписаний, удержаний и разбора расписания уроков. Старые редакции хранятся."""
    with opened(config, is_quiet=as_json) as gateway:
        read = read_calendar(file)
        if read.year is None:
            _tell(read, as_json=as_json)
            raise typer.Exit(Exit.FAULT)
        is_new = False if dry_run else import_calendar(gateway, read.year, file)
        if as_json:
            print_json({"year": read.year.year, "is_new": is_new, "is_dry_run": dry_run, "faults": read.faults})
        else:
            words = "было бы внесено" if dry_run else "внесён" if is_new else "уже внесён"
            OUT.print(f"Календарь {read.year.year}: {words}")
            _tell_faults(read.faults)
        if read.faults:
            raise typer.Exit(Exit.REMARKS)


@calendar_app.command("template")
def template_command(
    file: Annotated[Path, typer.Argument(help="Куда записать, XLSX.")], force: ForceOption = False
) -> None:
    """Записать календарь обычного года с четвертями, чтобы исправить его и внести."""
    with guarded(), new_file(file, is_forced=force):
        write_template(file, usual_year(moscow_day(SystemClock().now())))
    OUT.print(f"Записан {file.name}")


def usual_year(today: date) -> SchoolYear:
    """A year with quarters at their usual days, to be corrected by the school's own order."""
    autumn = today.year if today.month >= 6 else today.year - 1
    spring = autumn + 1
    days = (
        (date(autumn, 9, 1), date(autumn, 10, 25)),
        (date(autumn, 11, 3), date(autumn, 12, 30)),
        (date(spring, 1, 12), date(spring, 3, 26)),
        (date(spring, 4, 5), date(spring, 5, 26)),
    )
    periods = [
        YearPeriod(name=f"{number} четверть", from_on=first, to_on=last)
        for number, (first, last) in enumerate(days, start=1)
    ]
    return SchoolYear(
        year=f"{autumn}/{spring % 100:02d}", from_on=days[0][0], to_on=days[-1][1], periods=tuple(periods)
    )


def _day_facts(year: SchoolYear, day: date) -> dict[int, str]:
    facts: dict[int, str] = {}
    for grade in GRADES:
        weekday = year.find_weekday(day, grade)
        period = year.find_period(day, grade)
        words = ["нет занятий" if weekday is None else f"учебный, расписание дня {weekday}"]
        words += [period.name] if period is not None else []
        words += ["последняя неделя"] if weekday is not None and year.is_last_week(day, grade) else []
        facts[grade] = ", ".join(words)
    return facts


def _show(year: SchoolYear) -> None:
    table = dense_table(title=f"{year.from_on:%d.%m.%Y} — {year.to_on:%d.%m.%Y}")
    for head in ("что", "классы", "с", "по", "название"):
        table.add_column(head)
    for what, rows in (("период", year.periods), ("каникулы", year.holidays), ("тихие дни", year.silent)):
        for one in rows:
            grades = ", ".join(map(str, getattr(one, "grades", ()))) or "все"
            table.add_row(what, grades, f"{one.from_on:%d.%m.%Y}", f"{one.to_on:%d.%m.%Y}", one.name)
    for moved in year.moved:
        name = "выходной" if moved.weekday is None else f"по расписанию дня {moved.weekday}"
        table.add_row("перенос", "все", f"{moved.on:%d.%m.%Y}", "", name)
    for last in year.last_days:
        table.add_row("последний день", ", ".join(map(str, last.grades)), f"{last.on:%d.%m.%Y}", "", "")
    OUT.print(table)


def _tell(read: CalendarRead, *, as_json: bool) -> None:
    if as_json:
        print_json({"year": None if read.year is None else msgspec.to_builtins(read.year), "faults": read.faults})
        return
    if read.year is not None:
        OUT.print(f"Календарь {read.year.year} читается")
    _tell_faults(read.faults)


def _tell_faults(faults: tuple[YearFault, ...]) -> None:
    for fault in faults:
        ERR.print(f"{fault.where}: {fault.what} {fault.todo}", markup=False)


def _to_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise ConfigurationError("--day: день вида 2026-11-10") from exc
