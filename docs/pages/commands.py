"""The page of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from docs.pages.words import MADE_BY, to_cell
from gateway.__main__ import app


def build_cli_page() -> str:
    """Build the list of commands with their arguments and options."""
    lines = [
        MADE_BY,
        "# Command line",
        "",
        "Answers go to stdout, everything else to stderr; with `--json` stdout is one JSON object and nothing else. The texts are",
        "the ones that `--help` shows. Exit codes: 0 done, 1 fault, 2 usage or settings, 3 done with remarks, 4 needs a person,",
        "5 paused.",
    ]
    for words, command in iter_commands(typer.main.get_command(app), ("gateway",)):
        lines += ["", f"## {' '.join(words)}", "", to_cell(inspect.cleandoc(command.help or ""))]
        rows = [_parameter_row(parameter) for parameter in command.params if "--help" not in parameter.opts]
        if rows:
            lines += ["", "| argument or option | meaning |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def iter_commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (words, command) of the tree under `command`; a group that only holds others too."""
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from iter_commands(child, (*words, name))


def _parameter_row(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [(parameter.name or "").upper()]
    must = " (required)" if parameter.required else ""
    return f"| {', '.join(f'`{name}`' for name in names)}{must} | {to_cell(getattr(parameter, 'help', None) or '')} |"
