"""gateway holds: what is kept from being sent, until when and why; holding back and letting go."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.markup import escape

from gateway.audit.notes import get_note
from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json, school_moment
from gateway.cli.looks import show_of
from gateway.cli.words import KIND_WORDS, dense_table
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Kind
from gateway.flows.holds import lift_hold, place_hold
from gateway.flows.undone import lift_undone
from gateway.reconcile.holds import Hold, load_holds
from gateway.reconcile.undone import load_undone_runs

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
            place_id = gateway.place_id(conn)
            found = load_holds(conn, place_id, now=gateway.store.now(conn))
            undone = load_undone_runs(conn, place_id)
            noted = {number for number in (*(one.note_id for one in found), *(one.note_id for one in undone)) if number}
            texts = {number: get_note(conn, number) for number in noted}
        held = [one.city_pupil_id for one in found if one.city_pupil_id is not None]
        show_of(gateway, "holds_list", refs=[one.ref for one in found if one.ref is not None], city_pupils=held)
        notes = {one.id: texts.get(one.note_id or 0) for one in found}
        if as_json:
            shown = [{**msgspec.to_builtins(one), "note": texts.get(one.note_id or 0)} for one in undone]
            print_json({"holds": found, "notes": {str(key): note for key, note in notes.items()}, "undone": shown})
            return
        if not found and not undone:
            OUT.print("Ничего не удержано")
            return
        zone = ZoneInfo(gateway.settings.school.timezone)
        table = dense_table("Задержки")
        for head in ("№", "что", "до", "кто", "почему"):
            table.add_column(head, overflow="fold")
        for one in found:
            until = f"{one.until.astimezone(zone):%d.%m.%Y}"
            table.add_row(str(one.id), escape(_what(one)), until, escape(one.owner), escape(notes[one.id] or ""))
        for undo in undone:
            what = f"отмена запуска {undo.run_id}: записей {undo.count}"
            table.add_row(
                "—", what, "правки на портале", escape(undo.owner), escape(texts.get(undo.note_id or 0) or "")
            )
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
        placed = place_hold(
            gateway,
            reason=reason,
            until=school_moment(gateway, until, "--until"),
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
    reason: ReasonOption,
    number: Annotated[int | None, typer.Argument(help="Номер задержки.")] = None,
    run: Annotated[int | None, typer.Option("--run", help="Всё, что удержано отменой этого запуска.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Снять задержку или всё удержанное отменой запуска: следующий план решит о записях как обычно."""
    with opened(config, is_quiet=as_json) as gateway:
        if (number is None) == (run is None):
            raise ConfigurationError("Назовите одно: номер задержки или --run с номером отменённого запуска")
        if run is not None:
            count = lift_undone(gateway, run, reason=reason)
            words = f"Удержание отменой запуска {run} снято: записей {count}"
        else:
            lift_hold(gateway, number or 0, reason=reason)
            count, words = 1, f"Задержка {number} снята"
        if as_json:
            print_json({"lifted": count})
        else:
            OUT.print(words)


def _what(one: Hold) -> str:
    parts = [
        KIND_WORDS.get(one.kind, one.kind) if one.kind else "",
        OP_WORDS[one.op] if one.op else "",
        f"класс {one.class_name}" if one.class_name else "",
        f"ученик города {one.city_pupil_id}" if one.city_pupil_id else "",
        f"запись {one.ref}" if one.ref else "",
    ]
    return ", ".join(part for part in parts if part)
