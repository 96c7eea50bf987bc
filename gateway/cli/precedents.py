"""gateway discrepancies precedents: what people settle alike again and again, as a rule with an end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json, school_moment
from gateway.cli.words import dense_table
from gateway.domain.discrepancies import Choice
from gateway.flows.precedents import backtest_rule, make_rule, switch_off, switch_on
from gateway.reconcile.precedents import Offer, Precedent, PrecedentState, load_offers, load_rules

precedents_app = typer.Typer(
    help="Правила по прецедентам: решать одинаковое так же, до дня.", invoke_without_command=True
)
NumberArgument = Annotated[int, typer.Argument(min=1, help="Номер правила.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")]
STATE_WORDS = {PrecedentState.MADE: "не включено", PrecedentState.ON: "действует", PrecedentState.ENDED: "кончилось"}
CHOICE_WORDS = {Choice.OURS: "наше", Choice.THEIRS: "их", Choice.DISTINCT: "разные"}


@precedents_app.callback()
def list_command(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Что решают одинаково, и какие из этого сделаны правила."""
    if context.invoked_subcommand is not None:
        return
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
            offers = load_offers(conn, place_id, at_least=gateway.settings.school.precedent_count)
            rules = load_rules(conn, place_id)
        if as_json:
            print_json({"offers": offers, "rules": rules})
            return
        if not offers and not rules:
            OUT.print(f"Одинаковых решений пока мало: правило предлагается с {gateway.settings.school.precedent_count}")
            return
        for one in offers:
            OUT.print(escape(_offer(one)))
        if rules:
            table = dense_table("Правила")
            for head in ("№", "одинаковые", "решение", "состояние", "до", "решено", "проверка"):
                table.add_column(head, overflow="fold")
            zone = ZoneInfo(gateway.settings.school.timezone)
            for rule in rules:
                table.add_row(
                    str(rule.id),
                    escape(rule.pattern),
                    CHOICE_WORDS[rule.choice],
                    STATE_WORDS[rule.state],
                    f"{rule.until.astimezone(zone):%d.%m.%Y}",
                    str(rule.used_count),
                    _tested(rule),
                )
            OUT.print(table)


@precedents_app.command("make")
def make_command(
    choice: Annotated[Choice, typer.Argument(help="ours, theirs или distinct.")],
    pattern: Annotated[str, typer.Option("--pattern", help="Группа одинаковых из предложенных.")],
    until: Annotated[
        datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="День, когда правило кончится само.")
    ],
    reason: ReasonOption,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Сделать правило из предложенного; действовать оно начнёт после проверки и включения."""
    with opened(config, is_quiet=as_json) as gateway:
        ends = school_moment(gateway, until, "--until")
        made = make_rule(gateway, pattern, choice, until=ends, reason=reason)
        _tell(made, f"дальше: gateway discrepancies precedents backtest {made.id}", as_json=as_json)


@precedents_app.command("backtest")
def backtest_command(number: NumberArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Проверить правило на прежних решениях людей и на том, что ждёт сейчас. Ничего не решает."""
    with opened(config, is_quiet=as_json) as gateway:
        _tell(backtest_rule(gateway, number), "", as_json=as_json)


@precedents_app.command("on")
def on_command(
    number: NumberArgument,
    reason: ReasonOption,
    config: ConfigOption = None,
    with_others: Annotated[
        bool, typer.Option("--with-others", help="И если прежде решали иначе или решение не устояло.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Включить проверенное правило до его дня."""
    with opened(config, is_quiet=as_json) as gateway:
        done = switch_on(gateway, number, reason=reason, with_others=with_others)
        _tell(done, "решает после каждого плана", as_json=as_json)


@precedents_app.command("off")
def off_command(
    number: NumberArgument, reason: ReasonOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Закончить правило раньше; решённое им остаётся, и против него можно возразить."""
    with opened(config, is_quiet=as_json) as gateway:
        _tell(switch_off(gateway, number, reason=reason), "", as_json=as_json)


def _offer(one: Offer) -> str:
    word = CHOICE_WORDS[Choice(one.choice)]
    otherwise = f", иначе {one.others}" if one.others else ""
    return (
        f"{one.times} таких же решено «{word}»{otherwise}, ждёт {one.waiting}: {one.pattern}\n"
        f"  правило: gateway discrepancies precedents make {one.choice} --pattern '{one.pattern}' "
        "--until ДЕНЬ --reason ПОЧЕМУ"
    )


def _tell(rule: Precedent, then: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"rule": rule})
        return
    OUT.print(escape(f"Правило {rule.id}, {STATE_WORDS[rule.state]}, «{CHOICE_WORDS[rule.choice]}»: {_tested(rule)}"))
    if then:
        OUT.print(then)


def _tested(rule: Precedent) -> str:
    if rule.backtest is None:
        return "не проверено"
    got = rule.backtest
    return (
        f"прежде так же {got['same']}, иначе {got['other']}, не устояло {got['overturned']}; "
        f"сейчас взяло бы {got['taken']} из {got['waiting']}"
    )
