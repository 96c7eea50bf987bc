"""gateway relinks: links that are set right as one approved unit; gateway incidents: what was shown to whom, and the clocks."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.markup import escape

from gateway.access.policy import Action
from gateway.cli.acting import AsOption, PasswordOption, acting_as
from gateway.cli.context import ERR, OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.words import KIND_WORDS, dense_table
from gateway.flows.gateway import Gateway
from gateway.flows.incidents import note_incident
from gateway.flows.relink import approve_relink, withdraw_relink
from gateway.report.incidents import Sheet, build_html, build_xlsx, get_sheet, load_incidents, to_rows
from gateway.report.relinks import get_unit, load_units

relinks_app = typer.Typer(
    help="Исправления связей: у неверного убрать, у верного создать.", invoke_without_command=True
)
incidents_app = typer.Typer(help="Инциденты: что, кому и сколько времени было видно.", invoke_without_command=True)
UNIT_STATES = {
    "proposed": "ждёт утверждения",
    "expired": "срок истёк",
    "withdrawn": "отозвано",
    "approved": "выполняется",
    "done": "выполнено",
}
INCIDENT_STATES = {"open": "открыт", "notified": "уведомлено", "closed": "закрыт"}
REMOVALS = {"delete": "удалить", "hand": "убрать руками", "keep": "оставить"}
NumberArgument = Annotated[int, typer.Argument(help="Номер.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")]
TextOption = Annotated[str, typer.Option("--text", help="Кому и что сообщено; хранится рядом с журналом аудита.")]


@relinks_app.callback()
def list_command(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Исправления связей, новые сверху."""
    if context.invoked_subcommand is not None:
        return
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            found = load_units(conn, gateway.place_id(conn), now=gateway.store.now(conn))
        show_of(gateway, "relinks_list", pupils={move.local_ref for one in found for move in one.moves})
        if as_json:
            print_json({"relinks": found})
            return
        if not found:
            OUT.print("Исправлений нет")
        for one in found:
            done = (
                f"у другого ещё стоит {one.standing} из {one.to_remove}, создано {one.created} из {one.to_create}"
                if one.approved_by
                else f"убрать у другого {one.to_remove}, создать у верного {one.to_create}"
            )
            who = ", ".join(f"{move.local_ref}: {move.from_city_id} → {move.to_city_id or '?'}" for move in one.moves)
            OUT.print(escape(f"№ {one.number} · {UNIT_STATES[one.state]} · {who}"))
            OUT.print(escape(f"  {done}; предложил {one.proposed_by}, утвердил {one.approved_by or '—'}"))


@relinks_app.command("show")
def show_command(number: NumberArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Всё, что исправление уберёт и создаст."""
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            card = get_unit(conn, gateway.place_id(conn), number, now=gateway.store.now(conn))
        moved = {move.local_ref for move in card.line.moves}
        show_of(gateway, "relinks_show", within=f"relink:{number}", pupils=moved)
        if as_json:
            print_json(card)
            return
        line = card.line
        OUT.print(escape(f"№ {line.number} · {UNIT_STATES[line.state]} · {line.hash[:12]} · {line.why or '—'}"))
        table = dense_table("Записи")
        for head in ("вид", "запись", "№ в городе", "у неверного", "создать у"):
            table.add_column(head)
        for one in card.items:
            to = "—" if one.to_pupil_id is None else str(one.to_pupil_id)
            kind = KIND_WORDS.get(one.kind, one.kind)
            table.add_row(kind, escape(one.ref), str(one.city_id), REMOVALS[one.removal], to)
        OUT.print(table)


@relinks_app.command("approve")
def approve_command(
    number: NumberArgument,
    unit: Annotated[str, typer.Argument(help="Начало хеша, который был показан.")],
    reason: ReasonOption,
    config: ConfigOption = None,
    login: AsOption = None,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Утвердить: связь переходит сразу, удаления уходят в очередь, создания следуют за ними."""
    with (
        opened(config, is_quiet=as_json) as gateway,
        acting_as(gateway, login, Action.LINKS_MOVE, from_stdin=password_stdin) as acting,
    ):
        done = approve_relink(acting.gateway, number, unit, reason=reason, principal=acting.principal)
        if as_json:
            print_json(done)
            return
        OUT.print(f"Утверждено, удалений в очереди {done.released.queued}. Дальше: gateway deliver, затем gateway sync")


@relinks_app.command("withdraw")
def withdraw_command(
    number: NumberArgument, reason: ReasonOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Отозвать неутверждённое: записи учеников снова уходят по прежней связи."""
    with opened(config, is_quiet=as_json) as gateway:
        withdraw_relink(gateway, number, reason=reason)
        if as_json:
            print_json({"withdrawn": True})
            return
        OUT.print(f"Исправление {number} отозвано; инцидент, если он открыт, остаётся")


@incidents_app.callback()
def incidents_command(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Инциденты, новые сверху; с часами уведомления."""
    if context.invoked_subcommand is not None:
        return
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            found = load_incidents(conn, gateway.place_id(conn), now=gateway.store.now(conn))
        if as_json:
            print_json({"incidents": found})
            return
        if not found:
            OUT.print("Инцидентов нет")
        for one in found:
            late = ", ПРОСРОЧЕНО" if one.is_overdue else ""
            OUT.print(
                f"№ {one.number} · {INCIDENT_STATES[one.state]}{late} · замечен {_local(gateway, one.noticed_at)}"
            )
            notice, findings = _local(gateway, one.notice_due_at), _local(gateway, one.findings_due_at)
            OUT.print(f"  уведомить до {notice}, результаты до {findings}; исправление {one.relink}")


@incidents_app.command("show")
def sheet_command(
    number: NumberArgument,
    config: ConfigOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Записать лист: .xlsx, .html или .json.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Лист инцидента: что стояло у другого ребёнка, с какого и до какого времени, кто смотрел, часы."""
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            now, place_id = gateway.store.now(conn), gateway.place_id(conn)
            sheet = get_sheet(conn, gateway.place, place_id, number, now=now)
            moved = {move.local_ref for move in get_unit(conn, place_id, sheet.relink, now=now).line.moves}
        show_of(gateway, "incidents_show", within=f"incident:{number}", pupils=moved)
        if out is not None:
            _write(sheet, out, ZoneInfo(gateway.settings.school.timezone))
        if as_json:
            print_json(sheet)
            return
        facts, entries, looks = to_rows(sheet, ZoneInfo(gateway.settings.school.timezone))
        for name, value in facts:
            OUT.print(escape(f"{name}: {value}"))
        OUT.print(f"Записей {len(entries)}, ещё стоят {sum(one.until is None for one in sheet.shown)}")
        OUT.print(f"Смотрели в шлюзе: {len(looks)} учётных записей" + (", показаны не все" if sheet.is_more else ""))
        if out is not None:
            ERR.print(f"Записан {out.name}: в нём имена и отметки, храните его как личное дело")


@incidents_app.command("notified")
def notified_command(
    number: NumberArgument, text: TextOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Отметить, что первичное уведомление подано (24 часа)."""
    with opened(config, is_quiet=as_json) as gateway:
        done = note_incident(gateway, number, "notice", text=text)
        if as_json:
            print_json({"noted": done})
            return
        OUT.print("Отмечено" if done else "Уже было отмечено")


@incidents_app.command("found")
def found_command(
    number: NumberArgument, text: TextOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Отметить, что результаты расследования поданы (72 часа); инцидент закрыт."""
    with opened(config, is_quiet=as_json) as gateway:
        done = note_incident(gateway, number, "findings", text=text)
        if as_json:
            print_json({"noted": done})
            return
        OUT.print("Отмечено, инцидент закрыт" if done else "Уже было отмечено")


def _write(sheet: Sheet, path: Path, zone: ZoneInfo) -> None:
    forms = {
        ".xlsx": lambda: build_xlsx(sheet, zone),
        ".html": lambda: build_html(sheet, zone).encode(),
        ".json": lambda: msgspec.json.encode(sheet),
    }
    if path.suffix not in forms:
        raise typer.BadParameter("--out: имя с .xlsx, .html или .json")
    path.touch(mode=0o600)  # readable by its owner only, before there is anything in it
    path.write_bytes(forms[path.suffix]())


def _local(gateway: Gateway, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(gateway.settings.school.timezone)):%d.%m.%Y %H:%M}"
