"""gateway tasks: what teachers have to correct at the portal after a choice, and their word that it is done."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.words import dense_table
from gateway.domain.errors import ConfigurationError
from gateway.flows.tasks import say_done
from gateway.report.tasks import load_tasks

tasks_app = typer.Typer(help="Задания учителям: что исправить на портале после решения.", invoke_without_command=True)
STATE_WORDS = {
    "open": "исправить",
    "said_done": "сказано, что исправлено; портал ещё не читали",
    "not_seen": "сказано, что исправлено, а на портале прежнее",
}


@tasks_app.callback()
def list_command(
    context: typer.Context,
    config: ConfigOption = None,
    after: Annotated[int, typer.Option(help="Номер последней строки прошлой страницы.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Сколько строк.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Что исправить на портале: что там стоит, что выбрано, кем и почему."""
    if context.invoked_subcommand is not None:
        return
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            now, place_id = gateway.store.now(conn), gateway.place_id(conn)
            found, pupils = load_tasks(conn, None, place_id, now=now, after=after, limit=limit)
        show_of(gateway, "tasks_list", pupils=pupils)
        if as_json:
            print_json({"tasks": found, "next_after": found[-1].number if len(found) == limit else None})
            return
        if not found:
            OUT.print("Исправлять на портале нечего")
            return
        table = dense_table("Задания")
        for head in ("№", "где", "на портале", "выбрано", "кто и почему", "состояние"):
            table.add_column(head, overflow="fold")
        for one in found:
            day = f"{one.on:%d.%m}" if one.on else "—"
            table.add_row(
                str(one.number),
                escape(f"{one.class_name}, {one.pupil}, {one.subject}, {day}"),
                escape(", ".join(one.portal.values()) or "—"),
                escape(", ".join(one.wanted.values()) or "убрать"),
                escape(f"{one.decided_by}: {one.reason or '—'}"),
                STATE_WORDS[one.state],
            )
        OUT.print(table)
        OUT.print("Исправили: gateway tasks done №; не согласны: gateway discrepancies dispute № --reason ПОЧЕМУ")


@tasks_app.command("done")
def done_command(
    number: Annotated[int, typer.Argument(help="Номер задания.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Сказать, что на портале исправлено; задание закроет следующее чтение портала."""
    with opened(config, is_quiet=as_json) as gateway:
        if not say_done(gateway, number):
            raise ConfigurationError("Такого задания нет, или на портале уже исправлено: gateway tasks")
        if as_json:
            print_json({"said_done": number})
            return
        OUT.print(f"Отмечено: задание {number} закроет следующее чтение портала")
