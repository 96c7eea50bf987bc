"""gateway audit: prove that nothing was changed, look through, export."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.checkpoint import Checkpoint, find_checkpoints, find_newest_seal
from gateway.audit.deed import STREAMS, Stream
from gateway.audit.read import VERIFIER_NAME, EntryFilter, export, iter_entries, verify
from gateway.audit.sink_read import SinkReport, compare_sink
from gateway.cli.context import ERR, OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.words import dense_table
from gateway.domain.errors import ConfigurationError
from gateway.flows.sync import Exit

_SHOWN = ("stream", "size", "root", "head_hash", "at", "epoch", "run_id")

audit_app = typer.Typer(help="Журнал аудита: проверка цепочки, просмотр, выгрузка.", no_args_is_help=True)


@audit_app.command("verify")
def verify_command(
    config: ConfigOption = None,
    sink: Annotated[
        bool, typer.Option("--sink", help="Сравнить и со вторым приёмником: чего в базе больше нет и чего нет в нём.")
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="Файл с сохранёнными контрольными точками: отчёт, письмо, прежняя выгрузка."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Проверить обе цепочки и их контрольные точки, назвать первое нарушенное звено."""
    with opened(config) as gateway:
        kept = [] if checkpoint is None else _read_checkpoints(checkpoint)
        reports = {stream: verify(gateway.store, stream, checkpoints=kept) for stream in STREAMS}
        copies: dict[Stream, SinkReport] = {}
        if sink:
            if gateway.audit.sink_path is None:
                raise ConfigurationError("Второго приёмника аудита нет: задайте audit.sink_file")
            copies = compare_sink(gateway.store, gateway.audit.sink_path)
        is_ok = all(report.ok for report in reports.values()) and all(copy.ok for copy in copies.values())
        if as_json:
            told = {"chain_ok": all(report.ok for report in reports.values()), "streams": reports}
            print_json(told | ({"sink_ok": all(copy.ok for copy in copies.values()), "sink": copies} if sink else {}))
        else:
            for stream, report in reports.items():
                OUT.print(f"{'✓' if report.ok else '✗'} {stream}: {report.sentence}")
            for stream, copy in copies.items():
                OUT.print(f"{'!' if copy.is_restored else '✓' if copy.ok else '✗'} {stream}: {copy.sentence}")
            if checkpoint is not None:
                OUT.print(f"Сохранённых контрольных точек сверено: {len(kept)}")
        if not is_ok:
            raise typer.Exit(Exit.FAULT)
        if any(copy.is_restored for copy in copies.values()):
            raise typer.Exit(Exit.REMARKS)


@audit_app.command("checkpoint")
def checkpoint_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Напечатать новейшие контрольные точки, чтобы хранить их вне этой машины."""
    with opened(config) as gateway:
        with gateway.store.read() as conn:
            found = [seal for stream in STREAMS if (seal := find_newest_seal(conn, stream)) is not None]
        if as_json:
            print_json({"checkpoints": [{name: getattr(seal, name) for name in (*_SHOWN, "line")} for seal in found]})
            return
        if not found:
            ERR.print("Контрольных точек ещё нет: первая появится в конце первого запуска")
        for seal in found:
            # not through rich: a line must come out unbroken however narrow the terminal
            typer.echo(seal.line)


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
                f"{gateway.local(entry.at):%d.%m %H:%M:%S}",
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
    """Выгрузить журнал целиком, с итогами в последней строке; рядом ложится проверяющая программа verify_audit.py."""
    with opened(config) as gateway:
        show_of(gateway, "audit_export")
        report = export(gateway.store, file)
        if as_json:
            print_json(report)
        else:
            OUT.print(f"Записей {report.entries}, SHA-256 файла {report.file_sha256}")
            OUT.print(f"Проверить без шлюза: python {VERIFIER_NAME} {file.name}")


def _read_checkpoints(path: Path) -> list[Checkpoint]:
    try:
        found = find_checkpoints(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as exc:
        raise ConfigurationError(f"--checkpoint: файл {path.name} не читается") from exc
    if not found:
        raise ConfigurationError(f"--checkpoint: в файле {path.name} нет ни одной контрольной точки")
    return found
