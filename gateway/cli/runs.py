"""gateway runs: what was done, when, by whom, and how it ended."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.words import dense_table
from gateway.flows.runs import RunRow, get_run, load_runs

runs_app = typer.Typer(help="Запуски: список и подробности.", invoke_without_command=True)
STATE_WORDS = {
    "running": "выполняется",
    "done": "завершён",
    "done_with_remarks": "завершён с замечаниями",
    "waiting_approval": "ждёт утверждения",
    "paused": "приостановлен",
    "failed": "прерван ошибкой",
    "interrupted": "прерван",
}


@runs_app.callback()
def list_command(
    context: typer.Context,
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(help="Сколько последних.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Последние запуски."""
    if context.invoked_subcommand is not None:
        return
    with opened(config) as gateway:
        rows = load_runs(gateway, limit=limit)
        if as_json:
            print_json({"runs": rows})
            return
        table = dense_table(title="Запуски")
        for head in ("№", "начало", "вид", "кто", "состояние", "отправлено", "подтверждено", "чем кончилось"):
            table.add_column(head)
        for row in rows:
            delivery = row.counters.get("delivery")
            counts = delivery if isinstance(delivery, dict) else {}
            table.add_row(
                str(row.id),
                f"{row.started_at:%d.%m %H:%M}",
                row.form,
                row.actor,
                STATE_WORDS.get(row.state, row.state),
                str(counts.get("sent", "")),
                str(counts.get("verified", "")),
                row.sentence or "",
            )
        OUT.print(table)


@runs_app.command("show")
def show_command(
    number: Annotated[int, typer.Argument(help="Номер запуска.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Один запуск целиком."""
    with opened(config) as gateway:
        row = get_run(gateway, number)
        if as_json:
            print_json(row)
        else:
            _print_run(row)


def _print_run(row: RunRow) -> None:
    OUT.print(f"Запуск {row.id} · {row.form} · {STATE_WORDS.get(row.state, row.state)} · {row.actor}")
    OUT.print(f"{row.started_at.isoformat(timespec='seconds')} — {row.finished_at or '…'}")
    for name, value in row.counters.items():
        OUT.print(f"  {name}: {value}")
    for problem in row.problems:
        OUT.print(f"  ! {problem.get('scope')}: {problem.get('sentence')}")
    if row.sentence:
        OUT.print(row.sentence)
