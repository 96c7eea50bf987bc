"""gateway hand-list: what a person types into the city's journal where the gateway has no access of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.flows.hand_list import load_hand_list, write_hand_list
from gateway.report.hand_list import to_text, to_tree


def hand_list_command(
    config: ConfigOption = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Записать таблицей XLSX и текстом в эту папку, а не показать.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Список «внести руками»: по учителям и страницам журнала. Внесённое подтвердит следующая выгрузка."""
    with opened(config) as gateway:
        lines = load_hand_list(gateway)
        if to is not None:
            workbook, text = write_hand_list(lines, to)
        if as_json:
            print_json({"count": len(lines), "lines": to_tree(lines)})
        elif to is not None:
            OUT.print(f"Записано строк: {len(lines)}\n  {workbook}\n  {text}", highlight=False)
        else:
            OUT.print(to_text(lines), highlight=False, markup=False, soft_wrap=True)
