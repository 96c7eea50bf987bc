"""gateway hand-list: what a person types into the city's journal, because the gateway can't: shown, put on it, taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.words import KIND_WORDS, dense_table, problem_table
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Kind
from gateway.flows.hand_list import load_handed_pupils, read_hand_list, write_hand_list
from gateway.flows.hand_over import choose_outage, load_outage, put_on_list, take_off_list
from gateway.flows.sync import Exit
from gateway.queue.hand_over import WHY_RU, HandedOver
from gateway.report.hand_list import to_text, to_tree

hand_list_app = typer.Typer(help="Список «внести руками».", invoke_without_command=True)
ReasonOption = Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")]
CHOICES = {"wait": "ждать журнала", "by_hand": "вносить руками"}


@hand_list_app.callback()
def hand_list_command(
    context: typer.Context,
    config: ConfigOption = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Записать таблицей XLSX, текстом и страницей для печати в эту папку, а не показать."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Список «внести руками»: по учителям и страницам журнала. Внесённое подтвердит следующее чтение или выгрузка."""
    if context.invoked_subcommand is not None:
        return
    with opened(config) as gateway:
        found = read_hand_list(gateway)
        lines = found.lines
        with gateway.store.read() as conn:
            handed = load_handed_pupils(conn, gateway.place_id(conn), lines)
        show_of(gateway, "hand_list_list", pupils=handed)
        written = write_hand_list(lines, to) if to is not None else ()
        if as_json:
            print_json({"count": len(lines), "lines": to_tree(lines), "problems": found.problems})
        elif written:
            OUT.print("\n  ".join([f"Записано строк: {len(lines)}", *map(str, written)]), highlight=False, markup=False)
        else:
            OUT.print(to_text(lines), highlight=False, markup=False, soft_wrap=True)
        if found.problems:
            if not as_json and (table := problem_table(found.problems)) is not None:
                OUT.print(table)
            raise typer.Exit(Exit.REMARKS)


@hand_list_app.command("put")
def put_command(
    reason: ReasonOption,
    numbers: Annotated[list[int] | None, typer.Argument(help="Номера операций: gateway queue.")] = None,
    config: ConfigOption = None,
    closed: Annotated[
        bool, typer.Option("--closed", help="Всё, что город не берёт, потому что период у него закрыт.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Снять с очереди и передать учителям: внесённое закроет строку, когда журнал это покажет."""
    with opened(config) as gateway:
        done = put_on_list(gateway, numbers or (), closed=closed, reason=reason)
        _tell(done, f"В списке «внести руками» прибавилось {len(done.taken)}", as_json=as_json)
        if done.refused and not done.taken:
            raise typer.Exit(Exit.REMARKS)


@hand_list_app.command("back")
def back_command(
    numbers: Annotated[list[int], typer.Argument(help="Номера из списка.")],
    reason: ReasonOption,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Вернуть шлюзу: журнал читается, внесённое остаётся, об остальном решит следующий план."""
    with opened(config) as gateway:
        done = take_off_list(gateway, numbers, reason=reason)
        _tell(done, f"Снято со списка {len(done.taken)}; дальше: gateway sync", as_json=as_json)


@hand_list_app.command("outage")
def outage_command(
    config: ConfigOption = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Вид: mark, absence, homework…")] = None,
    choice: Annotated[
        Literal["wait", "by-hand"] | None,
        typer.Option("--choose", help="wait — ждать журнала, by-hand — вносить руками."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Что делать с каждым видом, пока журнал не отвечает часами: ждать (по умолчанию) или вносить руками."""
    with opened(config) as gateway:
        if (kind is None) != (choice is None):
            raise ConfigurationError("Назовите и вид, и выбор: --kind mark --choose by-hand")
        if kind is not None and choice is not None:
            wanted: Literal["wait", "by_hand"] = "by_hand" if choice == "by-hand" else "wait"
            done = choose_outage(gateway, kind, wanted, reason=reason)
            if as_json:
                print_json(done)
                return
            OUT.print(f"{KIND_WORDS[kind.value]}: {CHOICES[wanted]}; сразу в списке {done.handed}", highlight=False)
            return
        found = load_outage(gateway)
        if as_json:
            print_json({"choices": found, "after_hours": gateway.settings.queue.by_hand_after_hours})
            return
        zone = ZoneInfo(gateway.settings.school.timezone)
        table = dense_table(f"Если журнал не берёт дольше {gateway.settings.queue.by_hand_after_hours:g} ч")
        for head in ("вид", "что делать", "кто решил", "когда"):
            table.add_column(head, overflow="fold")
        for one in found:
            when = "" if one.chosen_at is None else f"{one.chosen_at.astimezone(zone):%d.%m.%Y %H:%M}"
            table.add_row(KIND_WORDS[one.kind], CHOICES[one.choice], escape(one.actor or ""), when)
        OUT.print(table)


def _tell(done: HandedOver, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "taken": done.taken,
                "refused": [{"id": one.id, "why": one.why, "sentence": WHY_RU[one.why]} for one in done.refused],
            }
        )
        return
    OUT.print(sentence, highlight=False)
    for one in done.refused:
        OUT.print(f"  № {one.id}: {WHY_RU[one.why]}", highlight=False)
