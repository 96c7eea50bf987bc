"""gateway support-bundle: one file for the developer, without a name, a mark or a secret in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.looks import show_of
from gateway.flows.support import make_bundle


def support_command(
    target: Annotated[str, typer.Argument(help="Номер запуска, operation:НОМЕР или код записи.")],
    out: Annotated[Path, typer.Option("--out", help="Новый файл ZIP.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Собрать для разработчика всё об одном запуске, операции или записи: без имён, отметок и секретов."""
    with opened(config, is_quiet=as_json) as gateway:
        show_of(gateway, "support_bundle", within="record" if not target.isdecimal() else f"run:{target}")
        bundle = make_bundle(gateway, target, out)
        if as_json:
            print_json(bundle)
            return
        counts = ", ".join(f"{name} {count}" for name, count in bundle.counts.items())
        OUT.print(f"Записан {bundle.file}: {counts}. Люди названы псевдонимами этой установки.")
        if bundle.is_cut:
            OUT.print("Запуск велик, вошла первая часть; об одной записи расскажет её код вместо номера запуска.")
