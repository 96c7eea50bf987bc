"""gateway discrepancies: what waits for a person, in groups of one pattern, as cards, and settled one by one or together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json, school_moment
from gateway.cli.discrepancies_shown import local, print_card, print_lines, print_owners, print_settlement
from gateway.cli.looks import show_of
from gateway.cli.outside import assign_command, wait_command
from gateway.cli.precedents import precedents_app
from gateway.cli.words import OWNER_WORDS, dense_table
from gateway.domain.discrepancies import (
    CHOICE_WORDS,
    LIFE_WORDS,
    LIVE,
    Choice,
    DiscrepancyState,
    DiscrepancyType,
)
from gateway.domain.errors import PlanRefusedError
from gateway.flows.acts import carry_out, load_progress
from gateway.flows.discrepancies import MOST_AT_ONCE, Settlement, choose, dispute
from gateway.flows.gateway import Gateway
from gateway.flows.sync import Exit
from gateway.reconcile.choose import Shown
from gateway.report.card import load_card
from gateway.report.discrepancies import (
    Line,
    Sieve,
    count_by_owner,
    load_groups,
    load_ids,
    load_lines,
    load_one,
)
from gateway.report.plan_view import Words

discrepancies_app = typer.Typer(help="Расхождения: что ждёт решения человека.", invoke_without_command=True)
discrepancies_app.add_typer(precedents_app, name="precedents")
discrepancies_app.command("assign")(assign_command)
discrepancies_app.command("wait")(wait_command)
SHOWN_OF_PREVIEW = 20
"""Lines of a preview; the list has the others."""
_LIVE = tuple(state.value for state in LIVE)

NumbersArgument = Annotated[list[int] | None, typer.Argument(help="Номера расхождений.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")]
OwnerOption = Annotated[
    str | None, typer.Option("--owner", help="Чей ход: teacher, curator, deputy_head, admin, city_helpdesk.")
]
TypeOption = Annotated[str | None, typer.Option("--type", help="Только этот вид, например fields_differ.")]
PatternOption = Annotated[str | None, typer.Option("--pattern", help="Только эта группа одинаковых.")]
StateOption = Annotated[
    list[str] | None, typer.Option("--state", help="Состояние, можно несколько; без него открытые и назначенные.")
]
OverdueOption = Annotated[bool, typer.Option("--overdue", help="Только просроченные.")]


@discrepancies_app.callback()
def list_command(
    context: typer.Context,
    config: ConfigOption = None,
    owner: OwnerOption = None,
    type_: TypeOption = None,
    pattern: PatternOption = None,
    state: StateOption = None,
    overdue: OverdueOption = False,
    after: Annotated[int, typer.Option(help="Номер последней строки прошлой страницы.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Сколько строк.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Список: где расходится, у кого что стоит, чей ход и до какого дня."""
    if context.invoked_subcommand is not None:
        return
    sieve = _build_sieve(owner=owner, type_=type_, pattern=pattern, states=state, overdue=overdue)
    with opened(config) as gateway:
        with gateway.store.read() as conn:
            place_id = _place_id(gateway)
            now = gateway.store.now(conn)
            lines = load_lines(conn, place_id, sieve, now=now, after_id=after, limit=limit)
            owners = count_by_owner(conn, place_id, now=now)
        show_of(gateway, "discrepancies_list", refs=[line.ref for line in lines])
        if as_json:
            waits = {name: {"open": count, "overdue": late} for name, (count, late) in owners.items()}
            print_json({"by_owner": waits, "discrepancies": lines, "next_after": lines[-1].id if lines else None})
            return
        print_owners(owners)
        print_lines(gateway, lines)
        if len(lines) == limit:
            OUT.print(f"Дальше: --after {lines[-1].id}")


@discrepancies_app.command("groups")
def groups_command(
    config: ConfigOption = None,
    owner: OwnerOption = None,
    type_: TypeOption = None,
    state: StateOption = None,
    overdue: OverdueOption = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Сколько групп.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Группы одинаковых (вид, причина, поле, группа города): сколько их и как решали прежде."""
    sieve = _build_sieve(owner=owner, type_=type_, pattern=None, states=state, overdue=overdue)
    with opened(config) as gateway:
        with gateway.store.read() as conn:
            groups = load_groups(conn, _place_id(gateway), sieve, now=gateway.store.now(conn), limit=limit)
        if as_json:
            print_json({"groups": groups})
            return
        table = dense_table(title="Одинаковые расхождения")
        table.add_column("№")
        table.add_column("что расходится", ratio=3)
        for head in ("всего", "просрочено", "чей ход", "прежде решали"):
            table.add_column(head)
        for number, group in enumerate(groups, start=1):
            before = ", ".join(f"{CHOICE_WORDS[Choice(name)]} {count}" for name, count in group.precedents.items())
            table.add_row(
                str(number),
                escape(group.words),
                str(group.count),
                str(group.overdue),
                OWNER_WORDS.get(group.owner, group.owner),
                before or "—",
            )
        OUT.print(table)
        # typed back as it stands: never folded into a column
        for number, group in enumerate(groups, start=1):
            OUT.print(escape(f"№ {number}: --pattern '{group.pattern}'"), soft_wrap=True, highlight=False)
        if groups:
            OUT.print("Решить группу: gateway discrepancies choose … --pattern … --reason «почему» --preview")


@discrepancies_app.command("show")
def show_command(
    number: Annotated[int, typer.Argument(help="Номер расхождения.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Карточка: наше, согласованное и городское значение рядом, предложение и вся история."""
    with opened(config) as gateway:
        with gateway.store.read() as conn:
            card = load_card(conn, _place_id(gateway), number, now=gateway.store.now(conn))
        if card is None:
            raise PlanRefusedError(f"Расхождения {number} нет", reason="NOTHING_THERE")
        show_of(gateway, "discrepancies_show", within=f"discrepancy:{number}", refs=[card.line.ref])
        if as_json:
            told = {"discrepancy": card.line, "sides": card.sides, "refusal": card.refusal, "steps": card.steps}
            print_json(told)
            return
        print_card(gateway, card)
        table = dense_table(title="История")
        for head in ("когда", "что", "кто", "решение", "почему"):
            table.add_column(head)
        for step in card.steps:
            table.add_row(
                f"{local(gateway, step.at):%d.%m.%Y %H:%M}",
                LIFE_WORDS.get(step.step, step.step),
                escape(step.actor),
                CHOICE_WORDS[Choice(step.choice)] if step.choice else "",
                escape(step.note or ""),
            )
        OUT.print(table)


@discrepancies_app.command("choose")
def choose_command(
    choice: Annotated[Choice, typer.Argument(help="ours, theirs, own, distinct, hold или ignore.")],
    reason: ReasonOption,
    numbers: NumbersArgument = None,
    config: ConfigOption = None,
    pattern: PatternOption = None,
    excluded: Annotated[list[int] | None, typer.Option("--except", help="Кроме этого номера, можно несколько.")] = None,
    value: Annotated[str | None, typer.Option("--value", help="Своё значение отметки, для own.")] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="День, когда вернуться, для hold и ignore.")
    ] = None,
    shown_at: Annotated[
        datetime | None,
        typer.Option(
            "--shown-at",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"],
            help="Когда смотрели: что изменилось с тех пор, выпадает; --preview называет этот час.",
        ),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Только показать, что будет взято.")] = False,
    with_removals: Annotated[
        bool, typer.Option("--with-removals", help="Подтвердить решение, по которому уйдёт несколько записей сразу.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Решить: по номерам или всю группу одинаковых сразу. Ничего не отправляет: запись уйдёт следующим планом."""
    if bool(numbers) == (pattern is not None):
        raise typer.BadParameter("назовите номера или --pattern, что-то одно")
    with opened(config) as gateway:
        ids = list(numbers or ())
        looked_at = gateway.now()
        if pattern is not None:
            with gateway.store.read() as conn:
                ids = load_ids(
                    conn,
                    _place_id(gateway),
                    Sieve(pattern=pattern),
                    now=gateway.store.now(conn),
                    limit=MOST_AT_ONCE,
                    excluded=excluded or (),
                )
        back_at = None
        if until is not None:
            back_at = school_moment(gateway, until, "--until")
        settled = choose(
            gateway,
            ids,
            choice,
            reason=reason,
            own_value=value,
            until=back_at,
            is_preview=preview,
            with_removals=with_removals,
            shown=None if shown_at is None else Shown(at=school_moment(gateway, shown_at, "--shown-at")),
        )
        if settled.act is not None:
            settled = _carry_out(gateway, settled)
        lines = _look_at(gateway, settled.taken[:SHOWN_OF_PREVIEW]) if preview else []
        if as_json:
            print_json({**msgspec.structs.asdict(settled), "lines": lines} if preview else settled)
        else:
            print_settlement(settled)
            print_lines(gateway, lines)
            if len(settled.taken) > len(lines) > 0:
                OUT.print(f"… ещё {len(settled.taken) - len(lines)}: gateway discrepancies --pattern … --limit 1000")
            if preview and settled.taken:
                OUT.print(f"Решить именно это: --shown-at {local(gateway, looked_at):%Y-%m-%dT%H:%M:%S}")
        if settled.excluded:
            raise typer.Exit(Exit.REMARKS)


@discrepancies_app.command("dispute")
def dispute_command(
    number: Annotated[int, typer.Argument(help="Номер расхождения.")],
    reason: ReasonOption,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Возразить против решения: расхождение открывается снова."""
    with opened(config) as gateway:
        if not dispute(gateway, number, reason=reason):
            raise PlanRefusedError(f"Расхождение {number} не решено: возражать не против чего", reason="WRONG_STATE")
        if as_json:
            print_json({"reopened": [number]})
            return
        OUT.print(f"Расхождение {number} открыто снова")


def _look_at(gateway: Gateway, numbers: Sequence[int]) -> list[Line]:
    """What of a choice is to be seen before it is made: whose, and what stands on either side."""
    with gateway.store.read() as conn:
        place_id, now = _place_id(gateway), gateway.store.now(conn)
        words = Words(conn, place_id)
        found = [load_one(conn, place_id, number, now=now, words=words) for number in numbers]
    lines = [line for line in found if line is not None]
    if lines:
        show_of(gateway, "discrepancies_choose", refs=[line.ref for line in lines])
    return lines


def _carry_out(gateway: Gateway, settled: Settlement) -> Settlement:
    """Carry out what was taken, and say what had moved before its turn."""
    carry_out(gateway)
    with gateway.store.read() as conn:
        done = load_progress(conn, _place_id(gateway), settled.act or 0, actor=None)
    left_out = [] if done is None else done.left_out
    moved = {one.id for one in left_out}
    return msgspec.structs.replace(
        settled,
        taken=[number for number in settled.taken if number not in moved],
        excluded=[*settled.excluded, *left_out],
    )


def _place_id(gateway: Gateway) -> int:
    with gateway.store.write() as conn:
        return gateway.place_id(conn)


def _build_sieve(
    *, owner: str | None, type_: str | None, pattern: str | None, states: list[str] | None, overdue: bool
) -> Sieve:
    known = {state.value for state in DiscrepancyState}
    if unknown := set(states or ()) - known:
        raise typer.BadParameter(f"--state: нет состояния {', '.join(sorted(unknown))}")
    if type_ is not None and type_ not in {one.value for one in DiscrepancyType}:
        raise typer.BadParameter(f"--type: нет вида {type_}")
    wanted = tuple(states) if states else _LIVE
    return Sieve(states=wanted, owner=owner, type=type_, pattern=pattern, is_overdue=overdue)
