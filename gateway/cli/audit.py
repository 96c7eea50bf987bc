"""gateway audit: prove that nothing was changed, look through, export."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.deed import STREAMS
from gateway.audit.read import EntryFilter, export, iter_entries, verify
from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.words import dense_table
from gateway.flows.sync import Exit

audit_app = typer.Typer(help="Журнал аудита: проверка цепочки, просмотр, выгрузка.", no_args_is_help=True)


@audit_app.command("verify")
def verify_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Проверить обе цепочки и назвать первое нарушенное звено."""
    with opened(config) as gateway:
        reports = {stream: verify(gateway.store, stream) for stream in STREAMS}
        if as_json:
            print_json({"chain_ok": all(report.ok for report in reports.values()), "streams": reports})
        else:
            for stream, report in reports.items():
                OUT.print(f"{'✓' if report.ok else '✗'} {stream}: {report.sentence}")
        if not all(report.ok for report in reports.values()):
            raise typer.Exit(Exit.FAULT)


@audit_app.command("list")
def list_command(
    config: ConfigOption = None,
    run: Annotated[int | None, typer.Option(help="Только этот запуск.")] = None,
    action: Annotated[str | None, typer.Option(help="Только это действие, например operation.verified.")] = None,
    limit: Annotated[int, typer.Option(help="Сколько записей.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Записи журнала: кто, что, когда, в каком запуске; имён и отметок здесь нет."""
    with opened(config) as gateway:
        entries = list(islice(iter_entries(gateway.store, EntryFilter(run_id=run, action=action)), limit))
        if as_json:
            print_json({"entries": entries})
            return
        table = dense_table(title="Аудит")
        for head in ("поток", "№", "время", "кто", "действие", "исход", "код", "запуск", "операция"):
            table.add_column(head)
        for entry in entries:
            table.add_row(
                entry.stream,
                str(entry.seq),
                f"{entry.at:%d.%m %H:%M:%S}",
                entry.actor,
                entry.action,
                entry.outcome or "",
                entry.reason or "",
                str(entry.run_id or ""),
                str(entry.operation_id or ""),
            )
        OUT.print(table)


@audit_app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(help="Куда записать, JSONL.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Выгрузить журнал целиком с контрольной точкой в последней строке."""
    with opened(config) as gateway:
        report = export(gateway.store, file)
        if as_json:
            print_json(report)
        else:
            OUT.print(f"Записей {report.entries}, SHA-256 файла {report.file_sha256}")
