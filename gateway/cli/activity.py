"""gateway activity: what pupils and teachers did at the portal, by few kinds. Kept at the school."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, check_known, opened, print_json, school_moment
from gateway.cli.looks import show_of
from gateway.cli.words import dense_table
from gateway.domain.activity import EVENTS, KIND_TEXTS, LEFT_OUT_TEXTS, ActivityKind, LeftOut
from gateway.flows.activity import Taken, load_kinds, pull_activity, show_activity
from gateway.flows.sync import Exit
from gateway.report.activity import UnmappedView

activity_app = typer.Typer(
    help="Что ученики и учителя делали на портале: вход, просмотр, сдача, попытка, оценивание, общение. Хранится в школе.",
    no_args_is_help=True,
)


def activity_sentence(taken: Taken) -> str:
    """What a run read of the log, in one line."""
    stored = ", ".join(f"{KIND_TEXTS[ActivityKind(name)]} {count}" for name, count in taken.stored.items())
    words = f"Журнал событий портала: новых строк {taken.read}" + (f", сохранено: {stored}" if stored else "")
    if left_out := ", ".join(f"{LEFT_OUT_TEXTS[LeftOut(name)]} {count}" for name, count in taken.left_out.items()):
        words += f"; не сохранено: {left_out}"
    if taken.purged:
        words += f"; срок хранения вышел: {taken.purged}"
    return words + ("; остальное прочитает следующий запуск" if taken.is_more else "")


@activity_app.command("pull")
def pull_command(
    begun_anew: Annotated[
        bool,
        typer.Option("--begun-anew", help="Журнал событий портала очищен и нумеруется заново: читать его с начала."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Дочитать журнал событий портала сейчас; ночной запуск делает это сам."""
    with opened(config, is_quiet=as_json) as gateway:
        taken = pull_activity(gateway, is_begun_anew=begun_anew)
        if as_json:
            print_json({"activity": taken})
        elif taken is None:
            OUT.print("Журнал событий не читается: задайте activity.url или activity.url_file")
        else:
            OUT.print(activity_sentence(taken))
        if taken is not None and taken.is_more:
            raise typer.Exit(Exit.REMARKS)


@activity_app.command("show")
def show_command(
    person: Annotated[str, typer.Argument(help="Ученик или учитель: код портала, user:3.")],
    kind: Annotated[str | None, typer.Option("--kind", help="Только этот вид, gateway activity kinds.")] = None,
    from_on: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="С этого дня.")] = None,
    to_on: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="По этот день.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Строк, начиная с новейшей.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Показать, что человек делал на портале, новейшее сверху. Просмотр записывается как доступ к его данным."""
    with opened(config, is_quiet=as_json) as gateway:
        check_known("--kind", kind, ActivityKind)
        zone = ZoneInfo(gateway.settings.school.timezone)
        show_of(gateway, "activity_show", within="person")
        found = show_activity(
            gateway,
            person,
            kind=None if kind is None else ActivityKind(kind),
            from_at=None if from_on is None else school_moment(gateway, from_on, "--from"),
            to_at=None if to_on is None else school_moment(gateway, to_on, "--to") + timedelta(days=1),
            limit=limit,
        )
        if as_json:
            print_json({"activity": found})
            return
        table = dense_table(title=f"Активность {person}")
        for head in ("когда", "что", "где", "курс", "кому"):
            table.add_column(head)
        for one in found:
            table.add_row(
                f"{one.at.astimezone(zone):%d.%m.%Y %H:%M:%S}",
                KIND_TEXTS[ActivityKind(one.kind)],
                escape(one.component),
                one.programme or "—",
                one.about or "—",
            )
        OUT.print(table)


@activity_app.command("kinds")
def kinds_command(
    events: Annotated[bool, typer.Option("--events", help="Ещё и таблица: какое событие портала что значит.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Сколько чего сохранено и какие события портала ни к какому виду не отнесены. Никто не назван."""
    with opened(config, is_quiet=as_json) as gateway:
        kinds = load_kinds(gateway)
        if as_json:
            table_of = [
                {"component": component, "action": action, "target": target, "is": what.value}
                for component, action, target, what in EVENTS
            ]
            print_json({"stored": kinds.stored, "unmapped": kinds.unmapped, **({"events": table_of} if events else {})})
            return
        table = dense_table(title="Сохранено")
        table.add_column("вид")
        table.add_column("событий", justify="right")
        for name in ActivityKind:
            table.add_row(f"{KIND_TEXTS[name]} ({name.value})", str(kinds.stored.get(name.value, 0)))
        OUT.print(table)
        if kinds.unmapped:
            _print_unmapped(kinds.unmapped, ZoneInfo(gateway.settings.school.timezone))
        if events:
            listed = dense_table(title="События портала: первая подходящая строка решает, * — любое")
            for head in ("часть портала", "действие", "предмет", "что это"):
                listed.add_column(head)
            for component, action, target, what in EVENTS:
                words = KIND_TEXTS[what] if isinstance(what, ActivityKind) else LEFT_OUT_TEXTS[what]
                listed.add_row(component, action, target, words)
            OUT.print(listed)


def _print_unmapped(unmapped: list[UnmappedView], zone: ZoneInfo) -> None:
    table = dense_table(title="Вид не определён")
    for head in ("часть портала", "действие", "предмет", "впервые", "раз"):
        table.add_column(head)
    for one in unmapped:
        first = f"{one.first_seen_at.astimezone(zone):%d.%m.%Y}"
        table.add_row(escape(one.component), escape(one.action), escape(one.target), first, str(one.count))
    OUT.print(table)
