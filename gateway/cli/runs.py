"""gateway runs: what was done, when, by whom, how it ended, and how to take it back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.words import (
    PLAN_STATES,
    RUN_WORDS,
    delivery_counts_table,
    dense_table,
    guard_table,
    plan_counts_table,
    plan_table,
    problem_table,
    pull_counts_table,
    reason_table,
)
from gateway.domain.reasons import GUARD_HOLD
from gateway.flows.gateway import Gateway
from gateway.flows.runs import RunRow, RunState, get_run, load_runs
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
        for head in ("№", "начало", "вид", "кто", "состояние"):
            table.add_column(head, no_wrap=True)
        for head in ("ушло", "подтв."):
            table.add_column(head, justify="right")
        for row in rows:
            delivery = row.counters.get("delivery")
            counts = delivery if isinstance(delivery, dict) else {}
            table.add_row(
                str(row.id),
                f"{gateway.local(row.started_at):%d.%m %H:%M}",
                RUN_WORDS.get(row.form, row.form),
                row.actor,
                STATE_WORDS.get(row.state, row.state),
                str(counts.get("sent", "")),
                str(counts.get("verified", "")),
            )
        OUT.print(table)
        # a sentence in a narrow column is read letter by letter
        for row in rows:
            if row.sentence:
                OUT.print(f"[bold]{row.id}[/bold]  {escape(row.sentence)}{_plan_since(row)}")


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
            _print_run(gateway, row)


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
            show_of(gateway, "runs_undo", within=f"plan:{made.plan.id}", refs=[line.ref for line in lines])
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
    if needs:
        OUT.print(
            f"Решают двое: сначала gateway plan propose {made.plan.hash[:12]}{needs} --as ЛОГИН --reason «почему»"
        )


def _print_run(gateway: Gateway, row: RunRow) -> None:
    form, state = RUN_WORDS.get(row.form, row.form), STATE_WORDS.get(row.state, row.state)
    ended = "…" if row.finished_at is None else f"{gateway.local(row.finished_at):%d.%m.%Y %H:%M:%S}"
    OUT.print(f"Запуск {row.id} · {form} · {state} · {escape(row.actor)}")
    OUT.print(f"{gateway.local(row.started_at):%d.%m.%Y %H:%M:%S} — {ended}")
    if row.sentence:
        OUT.print(escape(row.sentence) + _plan_since(row))
    told = msgspec.convert(row.counters, _Told)
    if told.pull:
        OUT.print(pull_counts_table(told.pull))
    if told.plan:
        OUT.print(plan_counts_table("План", told.plan))
    if told.by_reason:
        OUT.print(reason_table(told.by_reason))
    if told.delivery:
        OUT.print(delivery_counts_table(told.delivery))
    if told.held:
        OUT.print(f"Удержано {told.held.count}, решится заново {gateway.local(told.held.due_at):%d.%m.%Y %H:%M}")
    for problem in row.problems:
        OUT.print(f"! {escape(str(problem.get('scope')))}: {escape(str(problem.get('sentence')))}")


def _plan_since(row: RunRow) -> str:
    """What has come of the plan for which a run ended by waiting."""
    if row.state != RunState.WAITING or row.plan_state in (None, "waiting_approval"):
        return ""
    return f" (с тех пор план {PLAN_STATES.get(row.plan_state or '', row.plan_state)})"


class _HeldThen(msgspec.Struct):
    count: int
    due_at: datetime


class _Told(msgspec.Struct):
    """A run's stored counters, as far as they are shown; all of them stand in `--json`."""

    pull: dict[str, dict[str, int]] = {}
    plan: dict[str, int] = {}
    by_reason: dict[str, int] = {}
    delivery: dict[str, int] = {}
    held: _HeldThen | None = None
