"""Discrepancies as the command line prints them: who is to move, lines, cards, and what became of a choice."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from rich.markup import escape

from gateway.cli.context import OUT
from gateway.cli.words import OWNER_WORDS, dense_table
from gateway.domain.discrepancies import CHOICE_WORDS, LIVE, TYPE_TEXTS, TYPE_WORDS, DiscrepancyType
from gateway.domain.reasons import REASONS
from gateway.flows.discrepancies import Settlement
from gateway.flows.gateway import Gateway
from gateway.report.card import Card
from gateway.report.discrepancies import Line

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


def print_owners(owners: dict[str, tuple[int, int]]) -> None:
    """Print how much waits for each post."""
    if not owners:
        OUT.print("Открытых расхождений нет")
        return
    parts = [
        f"{OWNER_WORDS.get(name, name)} {count}" + (f" (просрочено {late})" if late else "")
        for name, (count, late) in sorted(owners.items())
    ]
    OUT.print("Чей ход: " + ", ".join(parts))


def print_lines(gateway: Gateway, lines: list[Line]) -> None:
    """Print a table of discrepancies; nothing where there are none."""
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
            f"{local(gateway, line.due_at):%d.%m}{late}",
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


def print_card(gateway: Gateway, card: Card) -> None:
    """Print one discrepancy: what it is, whose move, three columns, a proposal and what may be chosen."""
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


def print_settlement(settled: Settlement) -> None:
    """Print what a choice took, or would take, and what it left."""
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
    return "—" if moment is None else f"{local(gateway, moment):%d.%m.%Y %H:%M}"


def local(gateway: Gateway, moment: datetime) -> datetime:
    """A moment by the school's clock."""
    return moment.astimezone(ZoneInfo(gateway.settings.school.timezone))
