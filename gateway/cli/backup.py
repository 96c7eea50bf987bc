"""gateway backup and gateway restore: a checked copy, and the way back that distrusts it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway import __version__
from gateway.audit.sink_place import find_sink_path
from gateway.bootstrap import build_audit, database_url, open_store, os_actor
from gateway.cli.context import OUT, ConfigOption, JsonOption, guarded, load, print_json
from gateway.domain.clock import SystemClock
from gateway.flows.backup import check_backup, make_backup
from gateway.flows.restore import restore
from gateway.settings import GatewaySettings
from gateway.store.engine import make_engine
from gateway.store.transaction import Store

FileArgument = Annotated[Path, typer.Argument(help="Файл копии; рядом стоит его опись .manifest.json.")]


def backup_command(
    file: FileArgument,
    config: ConfigOption = None,
    verify: Annotated[bool, typer.Option("--verify", help="Проверить готовую копию и ничего не писать.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Записать копию базы на ходу и проверить её; файл видит только владелец."""
    with guarded():
        if verify:
            report = check_backup(file, SystemClock())
        else:
            settings = load(config)
            store = open_store(settings, SystemClock())
            try:
                audit = build_audit(settings, store, _folder_of(config))
                audit.feed()
                report = make_backup(store, audit, file, actor=os_actor())
            finally:
                store.close()
        if as_json:
            print_json(report)
        else:
            OUT.print(f"{file.name}: {report.sentence} (эпоха {report.manifest.epoch})")


def restore_command(
    file: FileArgument,
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Да, заменить базу целиком.")] = False,
    abandon_runs: Annotated[
        bool, typer.Option("--abandon-runs", help="Незаконченные запуски мертвы: их процесс убит.")
    ] = False,
    sink: Annotated[
        Path | None,
        typer.Option(
            "--sink",
            help="Выгрузка аудита вне базы: кто в ней стёрт, стирается снова. Без неё читается второй приёмник аудита.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Заменить базу копией. Отправка закрыта, пока журнал города не прочитан заново."""
    with guarded():
        settings = load(config)
        result = restore(
            database_url(settings),
            file,
            clock=SystemClock(),
            actor=os_actor(),
            environment=settings.audit.environment,
            code_version=__version__,
            is_sure=yes,
            abandon_runs=abandon_runs,
            sink_file=sink or _find_sink(settings, _folder_of(config)),
        )
        if as_json:
            print_json(result)
            return
        OUT.print(
            f"Восстановлено, эпоха {result.epoch}: из очереди снято {result.dropped}, "
            f"исход проверит чтение у {result.unknown}, стёрто заново {result.erased_again}."
        )
        if result.kept_as is not None:
            OUT.print(f"Прежняя база лежит рядом: {result.kept_as}; уберите её, когда убедитесь в новой.")
        if not result.is_old_known:
            OUT.print("Прежняя база не прочитана: стёртые после копии лица известны только из --sink.")
        OUT.print("Отправка закрыта, пока город не прочитан. Дальше: gateway sync")


def _folder_of(config: Path | None) -> Path:
    """Where the configuration is."""
    return (config or Path("gateway.toml")).parent


def _find_sink(settings: GatewaySettings, folder: Path) -> Path | None:
    """Where the second sink stands, without opening a database that may be broken."""
    store = Store(make_engine(database_url(settings)), SystemClock())
    try:
        return find_sink_path(settings.audit.sink_file, store, folder)
    finally:
        store.close()
