"""gateway runs: what was done, when, by whom, how it ended, and how to take it back."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.words import dense_table, guard_table, plan_table, problem_table, reason_table
from gateway.domain.reasons import GUARD_HOLD
from gateway.flows.runs import RunRow, get_run, load_runs
from gateway.flows.sync import Exit
from gateway.flows.undo import Undo, begin_undo, undo_run
from gateway.reconcile.plan import PlanState
from gateway.report.plan_view import iter_plan_lines

runs_app = typer.Typer(help="Запуски: список, подробности, отмена.", invoke_without_command=True)
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


@runs_app.command("undo")
def undo_command(
    number: Annotated[int, typer.Argument(help="Номер запуска, который отменить; отмену отменяют по её номеру.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Построить план, который вернёт в город то, что стояло до запуска; изменённое с тех пор не трогается и перечислено."""
    with opened(config, is_quiet=as_json) as gateway:
        made = undo_run(gateway, number, begin_undo(gateway, number))
        if as_json:
            with gateway.store.read() as conn:
                lines = list(iter_plan_lines(conn, made.plan.place_id, made.plan.id))
            print_json({**msgspec.to_builtins(made), "lines": lines})
        else:
            _print_undo(made)
        if made.plan.state == PlanState.WAITING:
            raise typer.Exit(Exit.PERSON)
        if made.left or made.problems:
            raise typer.Exit(Exit.REMARKS)


def _print_undo(made: Undo) -> None:
    OUT.print(plan_table(made.plan))
    OUT.print(reason_table(made.plan.by_reason))
    for table in (guard_table(made.plan), problem_table(made.problems)):
        if table is not None:
            OUT.print(table)
    needs = " --with-deletes" if made.plan.counters.get("delete") else ""
    needs += " --with-held" if made.plan.by_reason.get(GUARD_HOLD) else ""
    OUT.print(made.sentence + (f"{needs} --reason «почему»" if made.count else ""))


def _print_run(row: RunRow) -> None:
    OUT.print(f"Запуск {row.id} · {row.form} · {STATE_WORDS.get(row.state, row.state)} · {row.actor}")
    OUT.print(f"{row.started_at.isoformat(timespec='seconds')} — {row.finished_at or '…'}")
    for name, value in row.counters.items():
        OUT.print(f"  {name}: {value}")
    for problem in row.problems:
        OUT.print(f"  ! {problem.get('scope')}: {problem.get('sentence')}")
    if row.sentence:
        OUT.print(row.sentence)
