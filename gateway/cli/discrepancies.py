"""gateway discrepancies: what waits for a person, in groups of one pattern, as cards, and settled one by one or together."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json, school_moment
from gateway.cli.looks import show_of
from gateway.cli.outside import assign_command, wait_command
from gateway.cli.precedents import precedents_app
from gateway.cli.words import OWNER_WORDS, dense_table
from gateway.domain.discrepancies import (
    CHOICE_WORDS,
    LIFE_WORDS,
    LIVE,
    TYPE_TEXTS,
    TYPE_WORDS,
    Choice,
    DiscrepancyState,
    DiscrepancyType,
)
from gateway.domain.errors import PlanRefusedError
from gateway.domain.reasons import REASONS
from gateway.flows.acts import carry_out, load_progress
from gateway.flows.discrepancies import MOST_AT_ONCE, Settlement, choose, dispute
from gateway.flows.gateway import Gateway
from gateway.flows.sync import Exit
from gateway.reconcile.choose import Shown
from gateway.report.card import Card, load_card
from gateway.report.discrepancies import (
    Line,
    Sieve,
    count_by_owner,
    load_groups,
    load_ids,
    load_lines,
)

discrepancies_app = typer.Typer(help="Расхождения: что ждёт решения человека.", invoke_without_command=True)
discrepancies_app.add_typer(precedents_app, name="precedents")
discrepancies_app.command("assign")(assign_command)
discrepancies_app.command("wait")(wait_command)
STATE_WORDS = {
    "open": "открыто",
    "assigned": "назначено",
    "waiting_outside": "отложено до дня",
    "waiting_proof": "ждёт подтверждения",
    "ignored": "не трогать до дня",
    "resolved": "решено",
}
WHY_WORDS = {
    "moved": "одна из сторон изменилась с тех пор, как это показали",
    "chosen": "решение уже принято и ждёт города; передумали: gateway discrepancies dispute №",
    "in_flight": "запись сейчас в пути",
    "being_settled": "её уже решают вместе с другими",
    "shared": "тот же объект города достался бы двум записям: решите их порознь",
    "failed": "сбой шлюза, записан в его журнале",
    "not_permitted": "права того, кто решал, с тех пор забраны",
    "not_offered": "для такого расхождения этого решения нет",
    "settled": "уже решено",
    "unknown": "такого номера нет",
}

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
        _print_owners(owners)
        _print_lines(lines)
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
        _print_card(gateway, card)
        table = dense_table(title="История")
        for head in ("когда", "что", "кто", "решение", "почему"):
            table.add_column(head)
        for step in card.steps:
            table.add_row(
                f"{_local(gateway, step.at):%d.%m.%Y %H:%M}",
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
        if as_json:
            print_json(settled)
        else:
            _print_settlement(settled)
            if preview and settled.taken:
                OUT.print(f"Решить именно это: --shown-at {_local(gateway, looked_at):%Y-%m-%dT%H:%M:%S}")
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


def _print_owners(owners: dict[str, tuple[int, int]]) -> None:
    if not owners:
        OUT.print("Открытых расхождений нет")
        return
    parts = [
        f"{OWNER_WORDS.get(name, name)} {count}" + (f" (просрочено {late})" if late else "")
        for name, (count, late) in sorted(owners.items())
    ]
    OUT.print("Чей ход: " + ", ".join(parts))


def _print_lines(lines: list[Line]) -> None:
    if not lines:
        return
    table = dense_table(title="Расхождения")
    for head in ("№", "где", "что расходится", "чей ход", "срок"):
        table.add_column(head)
    for line in lines:
        late = ", просрочено" if line.is_overdue and line.state in _LIVE else ""
        table.add_row(
            str(line.id),
            escape(f"{line.class_name}, {line.pupil}, {line.subject}, {_day(line.on)}"),
            escape(f"{TYPE_WORDS.get(line.type, line.type)}: {_difference(line)} ({_state(line)})"),
            OWNER_WORDS.get(line.owner, line.owner),
            f"{line.due_at:%d.%m}{late}",
        )
    OUT.print(table)


def _state(line: Line) -> str:
    settling = "" if line.being_settled is None else f", решается: {CHOICE_WORDS[line.being_settled]}"
    return STATE_WORDS[line.state] + settling


def _difference(line: Line) -> str:
    """Only what differs, so that a line of the list can be read; the card has the rest."""
    if line.type == DiscrepancyType.LINK_DOUBT.value:
        return "; ".join(line.theirs.values())
    if not line.theirs:
        return ", ".join(line.ours.values()) or line.reason
    named = [
        f"{name}: у нас {line.ours.get(name, '—')}, в городе {value}"
        for name, value in line.theirs.items()
        if line.ours.get(name) != value
    ]
    return "; ".join(named) or line.reason


def _print_card(gateway: Gateway, card: Card) -> None:
    line, sides = card.line, card.sides
    text = TYPE_TEXTS[DiscrepancyType(line.type)]
    if line.being_settled is not None:
        OUT.print(f"Решается вместе с другими: «{CHOICE_WORDS[line.being_settled]}»")
    OUT.print(escape(f"№ {line.id} · {line.class_name}, {line.pupil}, {line.subject}, {_day(line.on)}"))
    OUT.print(f"{text.what_ru} {text.todo_ru}")
    reason = REASONS.get(line.reason)
    if reason is not None:
        OUT.print(f"{line.reason}: {reason.what_ru}")
    if card.refusal is not None:
        OUT.print(escape(f"Чем кончилась отправка: {card.refusal}"))
    late = ", просрочено" if line.is_overdue else ""
    given = f", поручено: {line.assignee}" if line.assignee else ""
    OUT.print(
        escape(
            f"Ход: {OWNER_WORDS.get(line.owner, line.owner)}{given}. Срок: {_moment(gateway, line.due_at)}{late}; "
            f"важность {line.severity}"
        )
    )
    table = dense_table("Стороны")
    for head in ("поле", "у нас", "согласовано", "в городе"):
        table.add_column(head)
    for name in dict.fromkeys((*line.ours, *line.base, *line.theirs)):
        columns = [side.get(name, "—") for side in (line.ours, line.base, line.theirs)]
        marked = [f"[bold]{escape(one)}[/bold]" if one != columns[1] else escape(one) for one in columns]
        table.add_row(name, *marked)
    read = [_moment(gateway, moment) for moment in (sides.ours_read_at, sides.base_at, sides.theirs_read_at)]
    table.add_row("прочитано", *read)
    table.add_row("изменено", _moment(gateway, sides.ours_changed_at), "", _moment(gateway, sides.theirs_changed_at))
    by = "; ".join(f"{role}: {name}" for role, name in sides.ours_by.items())
    table.add_row("чьё", escape(by or "—"), "", escape(sides.theirs_by or "журнал не говорит"))
    OUT.print(table)
    if line.proposal is not None:
        OUT.print(
            f"Похоже, верно «{CHOICE_WORDS[line.proposal.choice]}» ({line.proposal.confidence:.0%}): "
            f"{line.proposal.why_ru}"
        )
    if not line.offered:
        return
    offered = ", ".join(f"{choice.value} ({CHOICE_WORDS[choice]})" for choice in line.offered)
    OUT.print(f"Решить: gateway discrepancies choose … {line.id} --reason «почему»; можно: {offered}")


def _print_settlement(settled: Settlement) -> None:
    verb = "Будет взято" if settled.is_preview else "Взято"
    OUT.print(f"{verb}: {len(settled.taken)}, решение «{CHOICE_WORDS[settled.choice]}»")
    if settled.is_removing and settled.taken:
        OUT.print("Это удаление: по этому решению записи уйдут; правки решают отдельно")
    for one in settled.excluded:
        OUT.print(f"Не взято № {one.id}: {WHY_WORDS.get(one.why, one.why)}")
    if settled.taken and not settled.is_preview:
        OUT.print("Дальше: gateway sync; расхождение закроется, когда город покажет то же")


def _day(on: date | None) -> str:
    return f"{on:%d.%m}" if on else "—"


def _moment(gateway: Gateway, moment: datetime | None) -> str:
    return "—" if moment is None else f"{_local(gateway, moment):%d.%m.%Y %H:%M}"


def _local(gateway: Gateway, moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(gateway.settings.school.timezone))
