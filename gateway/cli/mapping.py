"""gateway mapping: versions of the rules, from a draft to what counts, and back."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from gateway.access.policy import Action
from gateway.audit.notes import get_note
from gateway.bootstrap import find_mapping_file
from gateway.cli.acting import AsOption, PasswordOption, acting_as
from gateway.cli.context import OUT, ConfigOption, JsonOption, check_known, opened, print_json, school_moment
from gateway.cli.looks import show_of
from gateway.cli.words import dense_table
from gateway.flows.gateway import Gateway
from gateway.flows.mapping_life import (
    Activated,
    activate_version,
    draft_version,
    map_value,
    propose_version,
    roll_back,
    withdraw_version,
)
from gateway.flows.mapping_trial import Look, Preview, backtest_version, preview_version
from gateway.flows.sync import Exit
from gateway.mapping.rules import read_mapping_file, rule_version
from gateway.mapping.unmapped import load_unmapped
from gateway.mapping.versions import (
    Version,
    VersionState,
    get_source,
    get_version,
    load_counting_rules,
    load_steps,
    load_versions,
)
from gateway.reconcile.backtest import OUTCOMES
from gateway.report.mapping import Correction, load_cases, load_correction

mapping_app = typer.Typer(help="Версии правил: черновик, проверка, включение, возврат.", no_args_is_help=True)

NumberArgument = Annotated[int, typer.Argument(min=1, help="Номер версии: gateway mapping list.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")]
SinceOption = Annotated[
    datetime | None,
    typer.Option("--since", formats=["%Y-%m-%d"], help="Исправить и то, что передано с этого дня, одним планом."),
]
STATE_WORDS = {
    VersionState.DRAFT: "черновик",
    VersionState.PROPOSED: "предложена",
    VersionState.ACTIVE: "действует",
    VersionState.DEPRECATED: "снята",
}
OUTCOME_WORDS = {
    "same": "так же",
    "changed": "иначе",
    "newly_accepted": "начнёт уходить",
    "newly_refused": "перестанет уходить",
}
STEP_WORDS = {
    "drafted": "черновик",
    "proposed": "предложена",
    "backtested": "проверена на записях",
    "activated": "включена",
    "rolled_back": "возвращена",
    "withdrawn": "снята",
}


@mapping_app.command("list")
def list_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Версии правил: какая действует, какие предложены, чем проверены."""
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
            found = load_versions(conn, place_id)
            counting = rule_version(load_counting_rules(conn, place_id, gateway.rules))
        if as_json:
            print_json({"counting": counting, "versions": found})
            return
        if not found:
            OUT.print(f"Версий нет: действует файл правил ({counting[:12]}). Начать: gateway mapping draft")
            return
        table = dense_table("Версии правил")
        for head in ("№", "состояние", "правила", "кто", "когда", "проверка"):
            table.add_column(head, overflow="fold")
        for one in found:
            table.add_row(
                str(one.number),
                STATE_WORDS[one.state],
                one.version[:12],
                escape(one.drafted_by),
                _day(gateway, one.activated_at or one.drafted_at),
                _tested(one.backtest),
            )
        OUT.print(table)


@mapping_app.command("show")
def show_command(
    number: NumberArgument,
    config: ConfigOption = None,
    as_toml: Annotated[bool, typer.Option("--toml", help="Только текст правил, чтобы править дальше.")] = False,
    outcome: Annotated[str | None, typer.Option(help="Только changed, newly_accepted или newly_refused.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=5000, help="Сколько строк проверки показать.")] = 50,
    after: Annotated[int, typer.Option(min=0, help="Строки после этого номера.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Одна версия: что с ней было и что она изменит по последней проверке."""
    with opened(config, is_quiet=as_json or as_toml) as gateway:
        check_known("--outcome", outcome, OUTCOMES)
        with gateway.store.write() as conn:
            found = get_version(conn, gateway.place_id(conn), number)
            source = get_source(conn, found.id)
            steps = [
                {"step": one, "note": None if one.note_id is None else get_note(conn, one.note_id)}
                for one in load_steps(conn, found.id)
            ]
            cases = load_cases(conn, found.id, after=after, limit=limit, outcome=outcome)
        if cases and not as_toml:
            show_of(gateway, "mapping_show", within=f"mapping:{number}", refs=[case.ref for case in cases])
        if as_json:
            print_json({"version": found, "steps": steps, "cases": cases, "source": source})
            return
        if as_toml:
            typer.echo(source)
            return
        OUT.print(f"Версия {found.number}, {STATE_WORDS[found.state]}, правила {found.version[:12]}")
        for one in steps:
            step: Any = one["step"]
            since = f", исправить с {_day(gateway, step.since)}" if step.since else ""
            note = f": {one['note']}" if one["note"] else ""
            word = STEP_WORDS.get(step.step, step.step)
            OUT.print(f"  {_day(gateway, step.at)} {word}{since}, {escape(step.actor)}{escape(note)}")
        OUT.print(f"Проверка: {_tested(found.backtest)}")
        if cases:
            table = dense_table("Что изменится")
            for head in ("№", "запись", "что", "сейчас", "будет", "уже в городе"):
                table.add_column(head, overflow="fold")
            for case in cases:
                table.add_row(
                    str(case.seq),
                    escape(case.ref),
                    OUTCOME_WORDS[case.outcome],
                    case.old_reason or case.old,
                    case.new_reason or case.new,
                    "да" if case.is_delivered else "",
                )
            OUT.print(table)


@mapping_app.command("draft")
def draft_command(
    reason: ReasonOption,
    file: Annotated[Path | None, typer.Argument(help="TOML правил; без него файл правил из настроек.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Сохранить черновик. Первый черновик делает действующее сегодня версией 1; дальше файл сам не действует."""
    with opened(config, is_quiet=as_json) as gateway:
        path = file or find_mapping_file(gateway.settings, (config or Path("gateway.toml")).parent)
        source = gateway.mapping_source if path is None else read_mapping_file(path)
        drafted = draft_version(gateway, source, name="черновик" if path is None else path.name, reason=reason)
        if drafted.state is VersionState.ACTIVE:
            _tell(drafted, "это и есть действующие правила", as_json=as_json)
            return
        _tell(drafted, f"дальше: gateway mapping propose {drafted.number}", as_json=as_json)


@mapping_app.command("propose")
def propose_command(
    number: NumberArgument,
    reason: ReasonOption,
    config: ConfigOption = None,
    login: AsOption = None,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Предложить черновик тем, кто включает: включит другой человек, и считается слово учётной записи (--as)."""
    with (
        opened(config, is_quiet=as_json) as gateway,
        acting_as(gateway, login, Action.MAPPING_PROPOSE, from_stdin=password_stdin) as acting,
    ):
        found = propose_version(acting.gateway, number, reason=reason)
        _tell(found, f"дальше: gateway mapping backtest {number}", as_json=as_json)
        if acting.principal is None and not as_json:
            OUT.print(f"Предложено без учётной записи: чтобы включить, повторите propose {number} с --as ЛОГИН")


@mapping_app.command("withdraw")
def withdraw_command(
    number: NumberArgument, reason: ReasonOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Снять черновик или предложение, которое включать не будут."""
    with opened(config, is_quiet=as_json) as gateway:
        _tell(withdraw_version(gateway, number, reason=reason), "больше не предлагается", as_json=as_json)


@mapping_app.command("backtest")
def backtest_command(number: NumberArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Проверить версию на всех прочитанных записях и прежних отказах города. Ничего не отправляет."""
    with opened(config, is_quiet=as_json) as gateway:
        tested = backtest_version(gateway, number)
        if as_json:
            print_json({"version": tested})
            return
        OUT.print(f"Версия {number}: {_tested(tested.backtest)}")
        OUT.print(f"Список: gateway mapping show {number}; включить: gateway mapping activate {number} --as ЛОГИН")


@mapping_app.command("preview")
def preview_command(
    number: NumberArgument,
    config: ConfigOption = None,
    ref: Annotated[str | None, typer.Option("--ref", help="Только эта запись.")] = None,
    sample: Annotated[int, typer.Option(min=1, max=500, help="Сколько записей взять.")] = 10,
    only_different: Annotated[bool, typer.Option("--different", help="Только те, где выйдет иначе.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Показать по шагам, что выйдет из записи по действующим правилам и по этой версии."""
    with opened(config, is_quiet=as_json) as gateway:
        found = preview_version(gateway, number, ref=ref, sample=sample, only_different=only_different)
        show_of(gateway, "mapping_preview", within=f"mapping:{number}", refs=[one.ref for one in found.records])
    if as_json:
        records = [{"is_different": one.is_different, "record": one} for one in found.records]
        print_json({"records": records, "unread": found.unread})
    else:
        if not found.records:
            OUT.print("Показывать нечего: иначе не выйдет ни у одной прочитанной записи")
        for one in found.records:
            _print_preview(one)
        for group in found.unread:
            OUT.print(
                escape(f"Не прочитана группа {group.name} ({group.ref}), {group.reason}: о ней ничего не сказано")
            )
    if found.unread:
        raise typer.Exit(Exit.REMARKS)


@mapping_app.command("activate")
def activate_command(
    number: NumberArgument,
    reason: ReasonOption,
    config: ConfigOption = None,
    since: SinceOption = None,
    from_when: Annotated[
        Literal["new"] | None, typer.Option("--from", help="new: только новые записи; так и без этого слова.")
    ] = None,
    with_refused: Annotated[
        bool, typer.Option("--with-refused", help="И если какие-то записи перестанут уходить.")
    ] = False,
    login: AsOption = None,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Включить проверенную версию, которую предложил другой человек (--as). Переданное остаётся, если не назвать --since."""
    if from_when is not None and since is not None:
        raise typer.BadParameter("--from new и --since вместе не бывают")
    with (
        opened(config, is_quiet=as_json) as gateway,
        acting_as(gateway, login, Action.MAPPING_ACTIVATE, from_stdin=password_stdin) as acting,
    ):
        done = activate_version(
            acting.gateway,
            number,
            reason=reason,
            principal=acting.principal,
            since=_moment(gateway, since),
            with_refused=with_refused,
        )
        _tell_switch(done, as_json=as_json)


@mapping_app.command("rollback")
def rollback_command(
    reason: ReasonOption,
    config: ConfigOption = None,
    since: SinceOption = None,
    number: Annotated[
        int | None, typer.Option("--to", min=1, help="Эту версию из действовавших; без номера предыдущую.")
    ] = None,
    login: AsOption = None,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Сразу вернуть прежнюю действовавшую версию; второй возврат идёт дальше назад, а не к только что отменённой."""
    with (
        opened(config, is_quiet=as_json) as gateway,
        acting_as(gateway, login, Action.MAPPING_ACTIVATE, from_stdin=password_stdin) as acting,
    ):
        done = roll_back(acting.gateway, reason=reason, since=_moment(gateway, since), number=number)
        _tell_switch(done, as_json=as_json)


@mapping_app.command("correction")
def correction_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Что ещё исправляется после --since: сколько записей, чьих, и что в городе успели изменить люди."""
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            found = load_correction(conn, gateway.place_id(conn))
        if found is not None:
            show_of(gateway, "mapping_correction", city_pupils=found.pupils, refs=found.edited)
    if as_json:
        print_json({"correction": found})
        return
    OUT.print(_correction(found))


@mapping_app.command("unmapped")
def unmapped_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Значения школы, для которых нет пары в городе: сколько записей ждут и с какого дня."""
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            found = load_unmapped(conn, gateway.place_id(conn))
        if as_json:
            print_json({"values": found})
            return
        if not found:
            OUT.print("Всё, что прочитано, сопоставлено")
            return
        table = dense_table("Не сопоставлено")
        for head in ("справочник", "значение", "записей", "впервые"):
            table.add_column(head, overflow="fold")
        for one in found:
            table.add_row(one.name, escape(one.local_value), str(one.count), _day(gateway, one.first_seen_at))
        OUT.print(table)
        OUT.print("Сопоставить: gateway mapping map-value СПРАВОЧНИК ЗНАЧЕНИЕ ГОРОДСКОЕ --reason ПОЧЕМУ")


@mapping_app.command("map-value")
def map_value_command(
    name: Annotated[str, typer.Argument(help="subjects, classes, forms, words, passes или items.")],
    local: Annotated[str, typer.Argument(help="Значение школы, как в gateway mapping unmapped.")],
    city: Annotated[str, typer.Argument(help="Чему оно равно в городе; у items форма контроля.")],
    reason: ReasonOption,
    config: ConfigOption = None,
    on: Annotated[int | None, typer.Option("--on", min=1, help="Дополнить эту версию, а не действующую.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Сопоставить значение: черновик из действующих правил и одной строки."""
    with opened(config, is_quiet=as_json) as gateway:
        drafted = map_value(gateway, name, local, city, reason=reason, number=on)
        _tell(drafted, f"дальше: gateway mapping propose {drafted.number}", as_json=as_json)


def _correction(found: Correction | None) -> str:
    if found is not None and not found.is_planned:
        return f"Исправление по версии {found.number}: что исправлять, скажет следующий план: gateway plan"
    if found is None or not found.left:
        return "Исправлять нечего"
    words = f"Исправление по версии {found.number}: записей {found.left}, учеников {len(found.pupils)}"
    if found.edited:
        words += (
            f"; из них изменено в городе людьми {len(found.edited)}, их план не тронет: gateway discrepancies\n  "
            + "\n  ".join(found.edited)
        )
    return words + "\nПлан: gateway plan, затем gateway plan show и gateway plan approve"


def _tell(version: Version, then: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"version": version})
        return
    OUT.print(f"Версия {version.number}, {STATE_WORDS[version.state]}, правила {version.version[:12]}: {then}")


def _tell_switch(done: Activated, *, as_json: bool) -> None:
    if as_json:
        print_json({"activated": done})
        return
    OUT.print(f"Действует версия {done.number} ({done.version[:12]}), прежняя {done.former}")
    if done.correcting:
        OUT.print(
            f"К исправлению не больше {done.correcting} переданных записей: gateway plan, gateway mapping correction"
        )
    else:
        OUT.print("Переданное остаётся как есть, пока запись не изменят на портале")


def _print_preview(one: Preview) -> None:
    OUT.print(f"[bold]{escape(one.ref)}[/bold]" + (" — выйдет иначе" if one.is_different else ""))
    sides = (("сейчас", one.active), ("будет", one.proposed)) if one.is_different else (("выйдет", one.active),)
    for name, look in sides:
        OUT.print(f"  {name}: {escape(_verdict(look))}")
        for step in look.steps:
            OUT.print(f"    {step.name}: {escape(step.given)} → {escape(step.result)}")


def _verdict(look: Look) -> str:
    if look.output is None:
        return f"не уйдёт, {look.reason}"
    value = look.output.get("value", "есть")
    return f"{value}" + (f" (пока ждёт: {look.reason})" if look.reason else "")


def _tested(counts: dict[str, Any] | None) -> str:
    if counts is None:
        return "не было"
    words = ", ".join(f"{OUTCOME_WORDS[name]} {counts[name]}" for name in OUTCOMES)
    unread = f", не прочитано групп {counts['unread']}" if counts["unread"] else ""
    return f"записей {counts['records']}: {words}; уже в городе {counts['delivered']}{unread}"


def _moment(gateway: Gateway, day: datetime | None) -> datetime | None:
    return None if day is None else school_moment(gateway, day, "--since")


def _day(gateway: Gateway, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(gateway.settings.school.timezone)):%d.%m.%Y %H:%M}"
