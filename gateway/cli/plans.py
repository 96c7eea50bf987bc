"""gateway plan: make, show and approve. What is shown is what is executed."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.tree import Tree

from gateway.access.policy import Action
from gateway.bootstrap.limits import build_lane_limits
from gateway.cli.acting import AsOption, LoginOption, PasswordOption, acting_as, acting_as_account
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
    check_known,
    opened,
    print_json,
)
from gateway.cli.looks import show_of
from gateway.cli.words import guard_table, plan_table, problem_table, reason_table
from gateway.domain.errors import ConfigurationError, GatewayError, PlanRefusedError
from gateway.domain.reasons import REASONS
from gateway.flows.approval import Asked, approve_here, approve_plan, propose_plan
from gateway.flows.gateway import Gateway
from gateway.flows.plan import make_plan
from gateway.flows.runs import RunState, finish_run
from gateway.flows.sync import Exit
from gateway.flows.turns import begin_run
from gateway.queue.outbox import Released
from gateway.reconcile.compare import Category
from gateway.reconcile.plan import PlanState, SealedPlan, find_plan_id, load_plan
from gateway.report.guards import load_plan_impact
from gateway.report.plan_view import PlanLine, iter_plan_lines

DROPPED = "dropped"
"""Outcome of a line whose ground had moved when its plan was let out."""
plan_app = typer.Typer(help="План: построить, показать, утвердить.", invoke_without_command=True)
HASH_LENGTH = 6
"""Shortest beginning of a hash that is taken for it."""
ReasonOption = Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")]
DeletesOption = Annotated[bool, typer.Option("--with-deletes", help="И удаления: утверждают двое.")]
HeldOption = Annotated[bool, typer.Option("--with-held", help="И удержанное защитой: утверждают двое.")]
MOST_LINES = 5_000
"""Lines named by their numbers at once: more than that is a class or a kind."""


@plan_app.callback()
def plan_command(
    context: typer.Context,
    config: ConfigOption = None,
    classes: ClassOption = None,
    subjects: SubjectOption = None,
    pupils: PupilOption = None,
    from_day: FromOption = None,
    to_day: ToOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Проба: такой план не отправить.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Прочитать город, сравнить и сохранить план. Ничего не отправляется."""
    if context.invoked_subcommand is not None:
        return
    with opened(config, is_quiet=as_json) as gateway:
        want = build_want(gateway, classes=classes, subjects=subjects, pupils=pupils, from_day=from_day, to_day=to_day)
        run_id = begin_run(gateway, "plan", want)
        try:
            planned = make_plan(gateway, want, run_id, is_dry_run=dry_run)
        except GatewayError as error:
            finish_run(gateway, run_id, RunState.FAILED, counters={}, sentence=error.sentence)
            raise
        waits = planned.plan.state == PlanState.WAITING and not dry_run
        finish_run(
            gateway,
            run_id,
            RunState.WAITING if waits else RunState.REMARKS if planned.problems else RunState.DONE,
            counters={"plan": planned.plan.counters, "by_reason": planned.plan.by_reason, "plan_id": planned.plan.id},
            problems=[msgspec.to_builtins(problem) for problem in planned.problems],
        )
        if as_json:
            print_json(_to_json(planned.plan))
        else:
            _print_plan(planned.plan)
            table = problem_table(planned.problems)
            if table is not None:
                OUT.print(table)
        if waits:
            raise typer.Exit(Exit.PERSON)
        if planned.problems:
            raise typer.Exit(Exit.REMARKS)


@plan_app.command("show")
def show_command(
    plan_hash: Annotated[str | None, typer.Argument(help="Начало хеша; без него последний план.")] = None,
    config: ConfigOption = None,
    category: Annotated[
        str | None, typer.Option(help="Только create, update, delete, held, waiting, rejected, adopted, out_of_scope.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Только эта причина.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Показать план словами: класс, ученик, что будет сделано и почему нет."""
    with opened(config) as gateway:
        check_known("--category", category, list(Category))
        check_known("--reason", reason, REASONS)
        plan = _find(gateway, plan_hash)
        with gateway.store.read() as conn:
            lines = list(iter_plan_lines(conn, plan.place_id, plan.id, category=category, reason=reason))
            impact = load_plan_impact(conn, plan.place_id, plan.id, build_lane_limits(gateway.settings))
        show_of(gateway, "plan_show", within=f"plan:{plan.id}", refs=[line.ref for line in lines])
        if as_json:
            print_json({**_to_json(plan), "impact": impact, "lines": lines})
            return
        _print_plan(plan)
        OUT.print(escape(f"Что это значит: {impact.sentence}"))
        OUT.print(_tree(lines))
        if plan.state == PlanState.WAITING:
            OUT.print(f"Утвердить: gateway plan approve {plan.hash[:12]} --reason «почему»")


@plan_app.command("propose")
def propose_command(
    plan_hash: Annotated[str, typer.Argument(help="Хеш плана или его начало, от 6 знаков.")],
    login: LoginOption,
    reason: ReasonOption,
    config: ConfigOption = None,
    with_deletes: DeletesOption = False,
    with_held: HeldOption = False,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Предложить план: удаления и удержанное защитой утверждает другой человек. Ничего не отправляется."""
    with opened(config, is_quiet=as_json) as gateway:
        plan = _find(gateway, plan_hash)
        wish = Asked(
            plan_id=plan.id, plan_hash=plan.hash, reason=reason, with_deletes=with_deletes, with_held=with_held
        )
        with acting_as_account(gateway, login, Action.PLANS_PROPOSE, from_stdin=password_stdin) as (acting, principal):
            made = propose_plan(acting, principal, wish)
        if as_json:
            print_json(made)
            return
        words = (
            "другой человек" if made.alone_from is None else f"он же не раньше {gateway.local(made.alone_from):%H:%M}"
        )
        OUT.print(
            f"План {plan.hash[:12]} предложен ({escape(login)}). Утвердит {words}: gateway plan approve --as ЛОГИН"
        )


@plan_app.command("approve")
def approve_command(
    plan_hash: Annotated[str, typer.Argument(help="Хеш плана или его начало, от 6 знаков.")],
    reason: ReasonOption,
    config: ConfigOption = None,
    with_deletes: DeletesOption = False,
    with_held: HeldOption = False,
    items: Annotated[str | None, typer.Option("--items", help="Только эти строки, по номерам: 3,5,8-12.")] = None,
    classes: ClassOption = None,
    pupils: PupilOption = None,
    kinds: Annotated[list[str] | None, typer.Option("--kind", help="Только этот вид: mark, absence, homework…")] = None,
    login: AsOption = None,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Утвердить план или выбранные строки: один раз, с причиной. Удаления и удержанное защитой утверждают двое (--as)."""
    with opened(config, is_quiet=as_json) as gateway:
        plan = _find(gateway, plan_hash)
        wish = Asked(
            plan_id=plan.id,
            plan_hash=plan.hash,
            reason=reason,
            with_deletes=with_deletes,
            with_held=with_held,
            items=tuple(_numbers(items)),
            classes=tuple(classes or ()),
            pupils=tuple(pupils or ()),
            kinds=tuple(kinds or ()),
        )
        with acting_as(gateway, login, Action.PLANS_APPROVE, from_stdin=password_stdin) as acting:
            if acting.principal is not None:
                released = approve_plan(acting.gateway, acting.principal, wish).released
            else:
                released = approve_here(gateway, wish)
        _tell_released(gateway, plan, released, who=acting.who, as_json=as_json)


def _numbers(text: str | None) -> list[int]:
    """Numbers and ranges of them, as a person writes them."""
    found: list[int] = []
    for part in (text or "").replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if not part:
            continue
        if not first.isdecimal() or (last and not last.isdecimal()) or part.endswith("-"):
            raise ConfigurationError("--items: номера строк через запятую, 3,5,8-12")
        if int(last or first) - int(first) >= MOST_LINES:
            raise ConfigurationError(f"--items: за один раз не больше {MOST_LINES} строк")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def _tell_released(gateway: Gateway, plan: SealedPlan, released: Released, *, who: str, as_json: bool) -> None:
    """Say what became of an approved plan's items."""
    if as_json:
        print_json({"plan_hash": plan.hash, "released": released})
        return
    OUT.print(
        f"План {plan.hash[:12]} утверждён ({escape(who)}): "
        f"в очередь {released.queued}, связано {released.adopted}, выпало {released.dropped}"
        f"{f', в подписанном периоде {released.locked}' if released.locked else ''}. "
        "Дальше: gateway deliver"
    )
    if released.dropped:
        with gateway.store.read() as conn:
            dropped = [one for one in iter_plan_lines(conn, plan.place_id, plan.id) if one.outcome == DROPPED]
        show_of(gateway, "plan_approve", within=f"plan:{plan.id}", refs=[line.ref for line in dropped])
        OUT.print("Выпало, потому что с тех пор переменилось у нас или в городе; решит следующий план:")
        OUT.print(_tree(dropped))


def _find(gateway: Gateway, plan_hash: str | None) -> SealedPlan:
    if plan_hash is not None and len(plan_hash) < HASH_LENGTH:
        raise PlanRefusedError(
            f"Начало хеша короче {HASH_LENGTH} знаков: план не назван однозначно", reason="PLAN_OTHER"
        )
    with gateway.store.write() as conn:
        plan_id = find_plan_id(conn, gateway.place_id(conn), plan_hash)
        if plan_id is None:
            raise PlanRefusedError("Такого плана нет: постройте его командой gateway plan", reason="NOTHING_THERE")
        return load_plan(conn, plan_id)


def _to_json(plan: SealedPlan) -> dict[str, object]:
    return {
        "plan_hash": plan.hash,
        "state": plan.state,
        "expires_at": plan.expires_at,
        "rule_version": plan.rule_version,
        "plan": plan.counters,
        "by_reason": plan.by_reason,
        "guards": plan.guards,
    }


def _print_plan(plan: SealedPlan) -> None:
    OUT.print(plan_table(plan))
    OUT.print(reason_table(plan.by_reason))
    table = guard_table(plan)
    if table is not None:
        OUT.print(table)


def _tree(lines: list[PlanLine]) -> Tree:
    tree = Tree("Записи плана" if lines else "В плане нет записей, кроме неизменных")
    branches: dict[tuple[str, ...], Tree] = {}
    for line in lines:
        if (line.class_name,) not in branches:
            branches[(line.class_name,)] = tree.add(f"[bold]{escape(line.class_name)}[/bold]")
        key = (line.class_name, line.pupil)
        if key not in branches:
            branches[key] = branches[(line.class_name,)].add(escape(line.pupil))
        day = f"{line.on:%d.%m}" if line.on else "—"
        note = f" — {line.reason}: {line.note} Ход: {line.owner}." if line.note else ""
        note += " (выпало: с тех пор переменилось)" if line.outcome == DROPPED else ""
        branches[key].add(f"№ {line.seq} {escape(line.subject)}, {day}: {escape(line.words)}{escape(note)}")
    return tree
