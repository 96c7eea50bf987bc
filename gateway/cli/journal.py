"""gateway journal: what is typed into the gateway itself, by whom and for whom."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.words import dense_table
from gateway.domain.errors import ConfigurationError, EntryRefusedError
from gateway.flows.journal import AbsenceForm, Typed, add_entry, load_entries, withdraw_entry

journal_app = typer.Typer(
    help="Записи, внесённые в сам шлюз: свой источник с объявленным старшинством и тем же планом.", no_args_is_help=True
)
FORMS: dict[str, AbsenceForm] = {"н": "absent", "у": "excused", "о": "late"}
OPTIONS = {
    "pupil": "--pupil",
    "group": "--group",
    "lesson_at": "--lesson",
    "value": "--mark",
    "form": "--absence",
    "work": "--work",
    "on_behalf_of": "--for",
    "answers": "--answers",
}
FORM_WORDS = {"absent": "пропуск (н)", "excused": "уважительный пропуск (у)", "late": "опоздание (о)"}


@journal_app.command("add")
def add_command(
    pupil: Annotated[str, typer.Option("--pupil", help="Код ученика, user:3.")],
    group: Annotated[str, typer.Option("--group", help="Код группы, group:1.")],
    lesson: Annotated[str, typer.Option("--lesson", help="Начало урока, 2026-11-10T09:00+03:00.")],
    mark: Annotated[int | None, typer.Option("--mark", help="Отметка от 1 до 5.")] = None,
    work: Annotated[
        str, typer.Option("--work", help="Вид работы, если назван, словом правил школы: «Контрольная работа».")
    ] = "",
    absence: Annotated[str | None, typer.Option("--absence", help="Пропуск: н, у (уважительный) или о.")] = None,
    on_behalf_of: Annotated[str, typer.Option("--for", help="Код того, за кого вносится, user:12.")] = "",
    answers: Annotated[str, typer.Option("--answers", help="Код того, кто отвечает; иначе учитель группы.")] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Это вторая отметка за ту же работу на том же уроке, а не повтор.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Внести отметку или пропуск; в город они пойдут со следующим планом, по тем же правилам."""
    with opened(config, is_quiet=as_json) as gateway:
        typed = Typed(
            pupil=pupil,
            group=group,
            lesson_at=_moment(lesson),
            value=mark,
            work=work,
            form=_form(absence),
            on_behalf_of=on_behalf_of,
            answers=answers,
            is_again=again,
        )
        try:
            number = add_entry(gateway, typed)
        except EntryRefusedError as exc:
            named = [f"{OPTIONS[one.field]}: {one.ru}" for one in exc.faults]
            raise ConfigurationError("; ".join(named)) from exc
        if as_json:
            print_json({"id": number})
        else:
            OUT.print(f"Внесена запись {number}; отозвать: gateway journal withdraw {number}")


@journal_app.command("list")
def list_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Показать внесённое: что, кем, за кого, кто отвечает."""
    with opened(config, is_quiet=as_json) as gateway:
        lines = load_entries(gateway)
        show_of(gateway, "journal_list", pupils={line.pupil for line in lines})
        if as_json:
            print_json({"entries": lines})
            return
        table = dense_table(title="Внесено в шлюз")
        for head in ("№", "ученик", "группа", "урок", "что", "внёс", "за кого", "отвечает", "отозвана"):
            table.add_column(head)
        for line in lines:
            what = str(line.value) if line.value is not None else FORM_WORDS[str(line.form)]
            if line.work:
                what += f", {escape(line.work)}"
            withdrawn = f"{line.withdrawn_at:%d.%m.%Y}" if line.withdrawn_at is not None else ""
            table.add_row(
                str(line.id),
                line.pupil,
                line.group,
                f"{gateway.local(line.lesson_at):%d.%m %H:%M}",
                what,
                line.typed_by,
                line.on_behalf_of or "—",
                line.answers or "учитель группы",
                withdrawn,
            )
        OUT.print(table)


@journal_app.command("withdraw")
def withdraw_command(
    number: Annotated[int, typer.Argument(help="Номер записи, gateway journal list.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Отозвать запись: то, что по ней стоит в городе, станет удалением, которое ждёт человека."""
    with opened(config) as gateway:
        withdraw_entry(gateway, number)
        if as_json:
            print_json({"withdrawn": [number]})
            return
        OUT.print(f"Запись {number} отозвана")


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigurationError("--lesson: момент вида 2026-11-10T09:00+03:00") from exc


def _form(letter: str | None) -> AbsenceForm | None:
    if letter is None:
        return None
    found = FORMS.get(letter.casefold())
    if found is None:
        raise ConfigurationError("--absence: н, у или о")
    return found
