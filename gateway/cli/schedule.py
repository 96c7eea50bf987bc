"""gateway schedule: what runs by itself, when it runs next, and running one of them now."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.flows import report
from gateway.cli.runs import STATE_WORDS
from gateway.cli.words import KIND_WORDS, dense_table
from gateway.domain.errors import AlreadyRunningError
from gateway.flows.calendar import build_calendar, load_calendar
from gateway.flows.gateway import Gateway
from gateway.flows.held import HELD
from gateway.flows.sync import Exit
from gateway.flows.traffic import load_traffic
from gateway.flows.turns import ASKED
from gateway.worker.claims import begin_by_hand
from gateway.worker.lines import ScheduleLine, build_lines, build_next
from gateway.worker.schedule import run_claim

schedule_app = typer.Typer(help="Расписания: список, ближайшие запуски, запуск одного сейчас.", no_args_is_help=True)
MODE_WORDS = {
    "automatic": "автоматически",
    "approve": "план ждёт человека",
    "observe": "только смотреть",
    "off": "выключено",
}
OWN_WORDS = {HELD: "удержанное решается заново", ASKED: "попрошено рядом с идущим запуском"}


@schedule_app.command("list")
def list_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Все расписания: что, когда, как, чем кончился последний запуск."""
    with opened(config, is_quiet=as_json) as gateway:
        lines = build_lines(gateway)
        workers = load_traffic(gateway).workers
        if as_json:
            print_json({"schedules": lines, "silent": load_calendar(gateway).silent, "workers": workers})
            return
        table = dense_table(title="Расписания")
        table.add_column("имя", no_wrap=True)
        table.add_column("когда", no_wrap=True)
        for head in ("что", "порядок", "следующий", "последний"):
            table.add_column(head)
        for line in lines:
            table.add_row(
                line.name,
                _times(line),
                _reach(line),
                MODE_WORDS.get(line.mode, line.mode),
                _local(gateway, line.next_at),
                _last(gateway, line),
            )
        OUT.print(table)
        for line in lines:
            if line.problem is not None:
                OUT.print(f"! {line.name}: {line.problem}")
        if not workers and any(line.next_at is not None for line in lines):
            OUT.print("! Сейчас не работает ни один gateway worker или gateway serve: само не начнётся ничего")


@schedule_app.command("next")
def next_command(
    config: ConfigOption = None,
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="Сколько ближайших запусков показать.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Ближайшие запуски по порядку, с учётом тихих дней, учебных дней и часов."""
    with opened(config, is_quiet=as_json) as gateway:
        calendar = load_calendar(gateway)
        slots = build_next(gateway, count=count)
        if as_json:
            print_json({"next": slots})
            return
        table = dense_table(title=f"Ближайшие запуски, {calendar.zone}")
        table.add_column("когда")
        table.add_column("расписание")
        for one in slots:
            table.add_row(_local(gateway, one.at), one.name)
        OUT.print(table)


@schedule_app.command("run")
def run_command(
    name: Annotated[str, typer.Argument(help="Имя расписания из gateway schedule list.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Выполнить одно расписание сейчас: тот же охват и порядок, вне его часов и тихих дней."""
    with opened(config, is_quiet=as_json) as gateway:
        claim = begin_by_hand(gateway, name)
        if isinstance(claim, int):
            raise AlreadyRunningError(claim)
        ran = run_claim(gateway, claim)
        if ran.synced is None:
            OUT.print(f"Запуск {ran.run_id} не удался: gateway runs show {ran.run_id}")
            raise typer.Exit(Exit.FAULT)
        report(gateway, ran.synced, as_json=as_json)
        raise typer.Exit(ran.synced.exit_code)


def _times(line: ScheduleLine) -> str:
    parts = [*line.cron, line.window, "учебные дни" if line.school_days_only else ""]
    return "\n".join(part for part in parts if part) or "само"


def _reach(line: ScheduleLine) -> str:
    if line.name in OWN_WORDS:
        return OWN_WORDS[line.name]
    kinds = ", ".join(KIND_WORDS.get(kind, kind) for kind in line.kinds) or "всё"
    return f"{kinds}; {', '.join(line.classes)}" if line.classes else kinds


def _local(gateway: Gateway, moment: datetime | None) -> str:
    return "—" if moment is None else f"{build_calendar(gateway.settings).local(moment):%d.%m.%Y %H:%M}"


def _last(gateway: Gateway, line: ScheduleLine) -> str:
    if line.last_run is None:
        return "—"
    passed = line.last_passed_count or 1
    missed = f", пропущено {passed - 1}" if passed > 1 else ""
    state = STATE_WORDS.get(line.last_state or "", line.last_state or "")
    return f"{_local(gateway, line.last_slot_at)}: запуск {line.last_run} {state}{missed}"
