"""pull · plan · deliver · verify · sync: the verbs that move data."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from gateway.cli.activity import activity_sentence
from gateway.cli.context import (
    OUT,
    ClassOption,
    ConfigOption,
    FromOption,
    JsonOption,
    PupilOption,
    SubjectOption,
    ToOption,
    build_want,
    opened,
    print_json,
)
from gateway.cli.protocol import kept_sentence
from gateway.cli.words import delivery_table, guard_table, plan_table, problem_table, pull_table, reason_table
from gateway.domain.errors import AlreadyRunningError, GatewayError
from gateway.flows.gateway import Gateway
from gateway.flows.pull import pull
from gateway.flows.runs import RunState, finish_run, start_run
from gateway.flows.sync import Exit, Synced, delivery_counts, resume, sync
from gateway.flows.traffic import load_traffic
from gateway.flows.turns import ask_run
from gateway.queue.barrier import wake
from gateway.queue.pauses import lift

NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Не ждать неизвестных исходов: выйти с кодом 3 и назвать время.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Остановиться после плана; такой план не отправить.")]


def pull_command(
    config: ConfigOption = None,
    classes: ClassOption = None,
    subjects: SubjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Прочитать портал и запомнить, что изменилось. В город ничего не уходит."""
    with opened(config, is_quiet=as_json) as gateway:
        want = build_want(gateway, classes=classes, subjects=subjects)
        run_id = start_run(gateway, "pull", want)
        try:
            pulled = pull(gateway, want, run_id)
        except GatewayError as error:
            finish_run(gateway, run_id, RunState.FAILED, counters={}, sentence=error.sentence)
            raise
        state = RunState.REMARKS if pulled.problems else RunState.DONE
        finish_run(
            gateway,
            run_id,
            state,
            counters={"pull": pulled.kinds},
            problems=[msgspec.to_builtins(problem) for problem in pulled.problems],
        )
        if as_json:
            print_json(pulled.kinds)
        else:
            OUT.print(pull_table(pulled))
            _print_if(problem_table(pulled.problems))
        if pulled.problems:
            raise typer.Exit(Exit.REMARKS)


def sync_command(
    config: ConfigOption = None,
    classes: ClassOption = None,
    subjects: SubjectOption = None,
    pupils: PupilOption = None,
    from_day: FromOption = None,
    to_day: ToOption = None,
    dry_run: DryRunOption = False,
    no_wait: NoWaitOption = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Если такой запуск уже идёт, попросить ещё один сразу после него.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Прочитать, сравнить, отправить и проверить чтением: весь путь за один запуск."""
    with opened(config, is_quiet=as_json) as gateway:
        want = build_want(gateway, classes=classes, subjects=subjects, pupils=pupils, from_day=from_day, to_day=to_day)
        try:
            result = sync(gateway, want, is_dry_run=dry_run, max_wait_s=0.0 if no_wait else None)
        except AlreadyRunningError as error:
            if not merge or dry_run:
                raise
            ask_run(gateway, want)
            workers = load_traffic(gateway).workers
            # nobody but a worker begins it, and on a machine where commands alone run there is none
            when = (
                "Ваш запуск начнётся после него"
                if workers
                else "Ваш запуск записан, но начнёт его gateway worker или gateway serve, а сейчас не работает ни один"
            )
            if as_json:
                print_json({"run": None, "running": error.run_id, "asked": True, "workers": workers})
            else:
                OUT.print(f"{error.sentence}. {when}: gateway schedule list")
            raise typer.Exit(Exit.REMARKS) from None
        report(gateway, result, as_json=as_json)
        raise typer.Exit(result.exit_code)


def deliver_command(
    config: ConfigOption = None,
    resume_paused: Annotated[bool, typer.Option("--resume", help="Снять паузы профилей: токены обновлены.")] = False,
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Отправить то, что стоит в очереди, и проверить чтением."""
    _resume(config, "deliver", resume_paused=resume_paused, no_wait=no_wait, as_json=as_json)


def verify_command(config: ConfigOption = None, no_wait: NoWaitOption = False, as_json: JsonOption = False) -> None:
    """Перечитать в городе то, что отправлено и ещё не подтверждено."""
    _resume(config, "verify", resume_paused=False, no_wait=no_wait, as_json=as_json)


def _resume(config: ConfigOption, form: str, *, resume_paused: bool, no_wait: bool, as_json: bool) -> None:
    with opened(config, is_quiet=as_json) as gateway:
        if resume_paused:
            _lift_pauses(gateway)
        want = build_want(gateway)
        result = resume(gateway, want, form=form, max_wait_s=0.0 if no_wait else None)
        report(gateway, result, as_json=as_json)
        raise typer.Exit(result.exit_code)


def _lift_pauses(gateway: Gateway) -> None:
    with gateway.store.write() as conn:
        lift(conn, gateway.place.city)
        wake(conn, gateway.place_id(conn), now=gateway.store.now(conn))


def report(gateway: Gateway, result: Synced, *, as_json: bool) -> None:
    """Print what a run did, part by part, or its JSON form."""
    if as_json:
        print_json(to_json(result))
        return
    if result.pulled is not None:
        OUT.print(pull_table(result.pulled))
        _print_if(problem_table(result.pulled.problems))
    if result.planned is not None:
        OUT.print(plan_table(result.planned.plan))
        OUT.print(reason_table(result.planned.plan.by_reason))
        _print_if(guard_table(result.planned.plan))
        _print_if(problem_table(result.planned.problems))
    if result.delivered is not None:
        OUT.print(delivery_table(result.delivered))
        _print_if(problem_table(result.delivered.problems))
    if result.held is not None:
        due = f"{gateway.local(result.held.due_at):%d.%m.%Y %H:%M}"
        OUT.print(f"Удержано {result.held.count}, решится заново {due}")
    if result.kept is not None:
        if result.kept.protocols is not None:
            OUT.print(kept_sentence(result.kept.protocols))
        if result.kept.activity is not None:
            OUT.print(activity_sentence(result.kept.activity))
        _print_if(problem_table(result.kept.problems))
    OUT.print(f"Запуск {result.run_id}: {result.sentence}")


def to_json(result: Synced) -> dict[str, object]:
    """The JSON form of a run; parts that were not reached are absent."""
    tree: dict[str, object] = {"run": result.run_id, "state": result.state.value, "sentence": result.sentence}
    if result.pulled is not None:
        tree["pull"] = result.pulled.kinds
    if result.planned is not None:
        tree["plan"] = result.planned.plan.counters
        tree["by_reason"] = result.planned.plan.by_reason
        tree["plan_hash"] = result.planned.plan.hash
    if result.held is not None:
        tree["held"] = result.held
    if result.delivered is not None:
        tree["delivery"] = delivery_counts(result.delivered)
        tree["open"] = result.delivered.open_count
        tree["next_at"] = result.delivered.next_at
    if result.kept is not None and result.kept.protocols is not None:
        tree["protocols"] = result.kept.protocols
    if result.kept is not None and result.kept.activity is not None:
        tree["activity"] = result.kept.activity
    return tree


def _print_if(table: object) -> None:
    if table is not None:
        OUT.print(table)
