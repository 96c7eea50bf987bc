"""gateway holds: what is kept from being sent, until when and why; holding back and letting go."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from gateway.audit.notes import get_note
from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.words import KIND_WORDS, dense_table
from gateway.domain.identifiers import Kind
from gateway.flows.holds import lift_hold, place_hold
from gateway.reconcile.holds import Hold, load_holds

holds_app = typer.Typer(help="Задержки: что человек не даёт отправлять.", invoke_without_command=True)
OP_WORDS = {"create": "создание", "change": "изменение", "delete": "удаление"}
ReasonOption = Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")]


@holds_app.callback()
def list_command(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Что удержано сейчас, кем, почему и до какого дня."""
    if context.invoked_subcommand is not None:
        return
    with opened(config) as gateway:
        with gateway.store.write() as conn:
            found = load_holds(conn, gateway.place_id(conn), now=gateway.store.now(conn))
            notes = {one.id: get_note(conn, one.note_id) if one.note_id is not None else None for one in found}
        if as_json:
            print_json({"holds": found, "notes": {str(number): note for number, note in notes.items()}})
            return
        if not found:
            OUT.print("Ничего не удержано")
            return
        zone = ZoneInfo(gateway.settings.school.timezone)
        table = dense_table("Задержки")
        for head in ("№", "что", "до", "кто", "почему"):
            table.add_column(head, overflow="fold")
        for one in found:
            until = f"{one.until.astimezone(zone):%d.%m.%Y}"
            table.add_row(str(one.id), escape(_what(one)), until, escape(one.owner), escape(notes[one.id] or ""))
        OUT.print(table)


@holds_app.command("add")
def add_command(
    reason: ReasonOption,
    until: Annotated[datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="День, когда кончится сама.")],
    config: ConfigOption = None,
    ref: Annotated[str | None, typer.Option("--ref", help="Только эта запись.")] = None,
    pupil: Annotated[str | None, typer.Option("--pupil", help="Только этот ученик: код портала, user:3.")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="Только этот класс: 7А.")] = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Только этот вид: mark, absence, homework…")] = None,
    op: Annotated[
        Literal["create", "change", "delete"] | None,
        typer.Option("--op", help="Только создание, изменение или удаление."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Удержать; признаки складываются: --class 7А --op delete держит только удаления этого класса."""
    with opened(config) as gateway:
        zone = ZoneInfo(gateway.settings.school.timezone)
        placed = place_hold(
            gateway,
            reason=reason,
            until=datetime.combine(until.date(), time(0), zone).astimezone(UTC),
            kind=kind,
            op=op,
            ref=ref,
            pupil=pupil,
            class_name=class_name,
        )
        if as_json:
            print_json(placed)
            return
        OUT.print(f"Задержка {placed.id} поставлена, из очереди снято {placed.dropped}; снять: gateway holds lift")


@holds_app.command("lift")
def lift_command(
    number: Annotated[int, typer.Argument(help="Номер задержки.")], reason: ReasonOption, config: ConfigOption = None
) -> None:
    """Снять задержку: следующий план решит о записях как обычно."""
    with opened(config) as gateway:
        lift_hold(gateway, number, reason=reason)
        OUT.print(f"Задержка {number} снята")


def _what(one: Hold) -> str:
    parts = [
        KIND_WORDS.get(one.kind, one.kind) if one.kind else "",
        OP_WORDS[one.op] if one.op else "",
        f"класс {one.class_name}" if one.class_name else "",
        f"ученик города {one.city_pupil_id}" if one.city_pupil_id else "",
        f"запись {one.ref}" if one.ref else "",
    ]
    return ", ".join(part for part in parts if part)
