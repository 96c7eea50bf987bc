"""gateway protocol: what was asked and answered in tests, as far as the test shows it to its pupil."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.words import dense_table
from gateway.domain.attempts import VERDICT_TEXTS, Verdict
from gateway.domain.protocols import WHY_TEXTS, Part, Why
from gateway.flows.protocols import Kept, check_tests, keep_protocols, show_protocols
from gateway.flows.sync import Exit
from gateway.report.protocols import QuestionView, WholeProtocol

protocol_app = typer.Typer(
    help="Протоколы тестов: вопрос, ответ, результат, баллы и время. Хранятся в школе, в город не уходят.",
    no_args_is_help=True,
)
PART_WORDS = {
    Part.QUESTIONS: "вопросы и ответы",
    Part.RESULT: "верно или нет",
    Part.POINTS: "баллы за вопросы",
    Part.MAXIMUM: "наибольшие баллы",
    Part.GRADE: "баллы за попытку",
}
RESULT_WORDS = {
    "right": "верно",
    "partial": "частично",
    "wrong": "неверно",
    "given_up": "без ответа",
    "waiting": "ждёт проверки",
}
LISTED = 50


def kept_sentence(kept: Kept) -> str:
    """What a run did about protocols, in one line."""
    words = f"Протоколы тестов: прочитано {kept.read}, без изменений {kept.unchanged}"
    for count, text in (
        (kept.made, "без вопросов, их прячет тест"),
        (kept.taken_out, "из них стёрто ставшее скрытым"),
        (kept.removed, "попытка удалена на портале"),
        (kept.purged, "срок хранения вышел"),
        (kept.refused, "портал не отдал"),
        (kept.waiting, "осталось на следующий запуск"),
    ):
        if count:
            words += f", {text}: {count}"
    return words


@protocol_app.command("pull")
def pull_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Дочитать протоколы сейчас; ночной запуск делает это сам."""
    with opened(config, is_quiet=as_json) as gateway:
        kept = keep_protocols(gateway)
        if as_json:
            print_json({"protocols": kept})
        elif kept is None:
            OUT.print("Протоколы не хранятся: portal.protocols выключен")
        else:
            OUT.print(kept_sentence(kept))
        if kept is not None and kept.waiting:
            raise typer.Exit(Exit.REMARKS)


@protocol_app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="Ученик (user:3) или попытка (attempt:12).")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Показать протоколы ученика или одной попытки. Просмотр записывается как доступ к данным ребёнка."""
    with opened(config, is_quiet=as_json) as gateway:
        show_of(gateway, "protocol_show", within="pupil")
        found = show_protocols(gateway, name)
        if as_json:
            print_json({"protocols": found})
            return
        zone = ZoneInfo(gateway.settings.school.timezone)
        for one in found:
            _print_protocol(one, zone)


@protocol_app.command("check")
def check_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Сверить оценки за тесты с попытками по правилу самого теста: лучшая, последняя, средняя или первая."""
    with opened(config, is_quiet=as_json) as gateway:
        checked = check_tests(gateway, limit=LISTED)
        show_of(gateway, "protocol_check", pupils={line.pupil for line in checked.differing})
        if as_json:
            print_json(checked)
            return
        table = dense_table(title="Оценки за тесты и попытки")
        table.add_column("что")
        table.add_column("ячеек", justify="right")
        for verdict in Verdict:
            if count := checked.counts.get(verdict.value, 0):
                table.add_row(VERDICT_TEXTS[verdict], str(count))
        OUT.print(table)
        if not checked.differing:
            return
        lines = dense_table(title=f"Расходятся (первые {LISTED})")
        for head in ("ученик", "тест", "в журнале портала", "по попыткам", "почему"):
            lines.add_column(head, overflow="fold")
        for line in checked.differing:
            by_attempts = "—" if line.by_attempts is None else f"{line.by_attempts:g}"
            lines.add_row(line.pupil, line.activity, f"{line.in_gradebook:g}", by_attempts, VERDICT_TEXTS[line.verdict])
        OUT.print(lines)


def _print_protocol(one: WholeProtocol, zone: ZoneInfo) -> None:
    head = one.protocol
    moments = [f"{at.astimezone(zone):%d.%m.%Y %H:%M}" for at in (head.started_at, head.finished_at) if at is not None]
    points = "" if head.points is None else f", баллы {head.points:g} из {head.maximum:g}"
    OUT.print(
        escape(f"{head.ref}: {head.pupil}, {head.activity}, попытка {head.number}, {' — '.join(moments)}{points}")
    )
    for part, why in head.absent.items():
        OUT.print(f"  нет: {PART_WORDS[Part(part)]} — {WHY_TEXTS[Why(why)]}")
    if not one.questions:
        return
    table = dense_table(title=head.ref)
    for name in ("№", "вопрос", "ответ", "результат", "баллы"):
        table.add_column(name, overflow="fold")
    for asked in one.questions:
        table.add_row(
            escape(asked.number),
            escape(asked.text or _why(asked, "text")),
            escape(asked.answer or _why(asked, "answer")),
            RESULT_WORDS.get(asked.result or "", "—"),
            _points(asked),
        )
    OUT.print(table)


def _points(asked: QuestionView) -> str:
    if asked.points is None:
        return _why(asked, "points")
    return f"{asked.points:g}" if asked.maximum is None else f"{asked.points:g} из {asked.maximum:g}"


def _why(asked: QuestionView, field: str) -> str:
    why = asked.absent.get(field)
    return "—" if why is None else f"({WHY_TEXTS[Why(why)]})"
