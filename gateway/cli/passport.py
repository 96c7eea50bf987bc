"""gateway passport: what became of one record, why, and what stood in either journal at a moment."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json, school_moment
from gateway.cli.looks import show_of
from gateway.cli.words import OWNER_WORDS, dense_table
from gateway.flows.gateway import Gateway
from gateway.flows.passport import find_records, show_as_of, show_passport
from gateway.report.life import AsOf
from gateway.report.passport import Passport

STEP_WORDS = {
    "read": "прочитано",
    "in_scope": "передаётся",
    "matched": "сопоставлено",
    "mapped": "переведено",
    "decided": "решено",
}
EVENT_WORDS = {
    "portal.read": "портал",
    "city.read": "в городе",
    "plan.decided": "план",
    "operation.queued": "в очередь",
    "operation.sent": "попытка",
    "operation.accepted": "принято",
    "operation.verified": "подтверждено",
    "operation.parked": "отложено",
    "operation.superseded": "снято",
    "hold.undone": "отмена",
    "hold.ended": "отмена",
}


def passport_command(
    ref: Annotated[str | None, typer.Argument(help="Запись, как её называет plan show --json: mark:12:34.")] = None,
    config: ConfigOption = None,
    pupil: Annotated[str | None, typer.Option("--pupil", help="Записи ученика: код портала, user:3.")] = None,
    on: Annotated[datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="Только этого дня.")] = None,
    at: Annotated[
        datetime | None,
        typer.Option("--at", formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d"], help="Что стояло в этот момент по часам школы."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Паспорт записи: что с ней стало и почему, вся её история, и что стояло в журналах в заданный момент."""
    if (ref is None) == (pupil is None):
        raise typer.BadParameter("назовите запись или --pupil, что-то одно")
    with opened(config) as gateway:
        show_of(gateway, "passport", within="pupil" if pupil is not None else "record")
        if pupil is not None:
            _list_records(gateway, pupil, on.date() if on is not None else None, as_json=as_json)
        elif ref is not None and at is not None:
            found = show_as_of(gateway, ref, school_moment(gateway, at, "--at"))
            if as_json:
                print_json({"as_of": found})
            else:
                for one in found:
                    _print_as_of(gateway, one)
        elif ref is not None:
            passports = show_passport(gateway, ref)
            if as_json:
                print_json({"passports": passports})
            else:
                for passport in passports:
                    _print_passport(gateway, passport)


def _list_records(gateway: Gateway, pupil: str, on: date | None, *, as_json: bool) -> None:
    found = find_records(gateway, pupil, on)
    if as_json:
        print_json({"records": found})
        return
    table = dense_table("Записи ученика")
    for head in ("запись", "предмет", "день", "что с ней"):
        table.add_column(head, overflow="fold")
    for one in found:
        table.add_row(one.ref, escape(one.subject), f"{one.on:%d.%m}" if one.on else "—", escape(one.verdict))
    OUT.print(table)


def _print_passport(gateway: Gateway, one: Passport) -> None:
    day = f"{one.on:%d.%m.%Y}" if one.on else "—"
    OUT.print(escape(f"{one.class_name}, {one.pupil}, {one.subject}, {day} · {one.ref}"))
    OUT.print(
        escape(one.verdict) + (f" Ход: {OWNER_WORDS.get(one.whose_move, one.whose_move)}." if one.whose_move else "")
    )
    OUT.print(escape("; ".join(f"{role}: {name}" for role, name in one.entered.words.items())))
    sides = dense_table("Стороны")
    for head in ("поле", "у нас", "согласовано", "в городе"):
        sides.add_column(head)
    for name in dict.fromkeys((*one.ours, *one.base, *one.theirs)):
        sides.add_row(name, *(escape(side.get(name, "—")) for side in (one.ours, one.base, one.theirs)))
    moments = (one.ours_read_at, one.base_at, one.theirs_read_at)
    sides.add_row("когда", *(_moment(gateway, moment) if moment else "не читали" for moment in moments))
    OUT.print(sides)
    for number, step in enumerate(one.steps, start=1):
        mark = "✓" if step.is_passed else "✗"
        code = f" ({step.reason})" if step.reason else ""
        OUT.print(escape(f"{number}. {mark} {STEP_WORDS[step.name]}: {step.words}{code}"))
    table = dense_table("История")
    for head in ("когда", "что", "подробно", "номера"):
        table.add_column(head, overflow="fold")
    for event in one.events:
        what = EVENT_WORDS.get(event.what, "расхождение" if event.what.startswith("discrepancy.") else event.what)
        table.add_row(_moment(gateway, event.at), what, escape(event.words), escape(event.note))
    OUT.print(table)


def _print_as_of(gateway: Gateway, one: AsOf) -> None:
    ours = (one.ours or "записи не было") if one.is_ours_known else "неизвестно: портал ещё не читали"
    theirs = (
        (", ".join(one.theirs.values()) or "записи не было") if one.is_theirs_known else "неизвестно: ещё не читали"
    )
    OUT.print(f"На {_moment(gateway, one.at)}, насколько было прочитано к этому времени:")
    OUT.print(escape(f"  портал: {ours}{_since(gateway, one.ours_since)}"))
    OUT.print(escape(f"  город:  {theirs}{_since(gateway, one.theirs_since)}"))


def _since(gateway: Gateway, moment: datetime | None) -> str:
    return f" (известно с {_moment(gateway, moment)})" if moment is not None else ""


def _moment(gateway: Gateway, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(gateway.settings.school.timezone)):%d.%m.%Y %H:%M}"
