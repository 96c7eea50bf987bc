"""gateway sources: which sources were heard, and where they say different things."""

from __future__ import annotations

import typer

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.words import OWNER_WORDS, dense_table
from gateway.report.source_view import load_conflicts, load_sources

sources_app = typer.Typer(help="Источники школы: что прочитано и где их слова расходятся.", no_args_is_help=True)
SETTLED = "решено старшинством"


@sources_app.command("list")
def list_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Показать источники: областей, записей, что не прочитано целиком и когда читалось."""
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            lines = load_sources(conn, gateway.place_id(conn))
        if as_json:
            print_json({"sources": lines})
            return
        table = dense_table(title="Источники")
        for head in ("источник", "областей", "записей", "не прочитано", "прочитан"):
            table.add_column(head)
        for line in lines:
            read = f"{gateway.local(line.read_at):%d.%m.%Y %H:%M}" if line.read_at is not None else "—"
            table.add_row(line.name, str(line.scopes), str(line.records), str(line.unread_scopes), read)
        OUT.print(table)


@sources_app.command("conflicts")
def conflicts_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Показать, где слова источников разные: что ждёт человека и что решено объявленным старшинством."""
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            lines = load_conflicts(conn, gateway.place_id(conn))
        show_of(gateway, "sources_conflicts", refs=[ref for line in lines for ref in (line.ref, line.winner)])
        if as_json:
            print_json({"conflicts": lines})
            return
        table = dense_table(title=f"Разные слова: {len(lines)}")
        for head in ("запись", "поле", "причина", "ход", "стоит слово", "другие"):
            table.add_column(head)
        for line in lines:
            owner = OWNER_WORDS.get(line.owner, line.owner) if line.reason else "—"
            table.add_row(line.ref, line.field, line.reason or SETTLED, owner, line.winner, ", ".join(line.others))
        OUT.print(table)
