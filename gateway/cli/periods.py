"""gateway periods: periods signed by the deputy head, opened until an hour, and named pupils let through once."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from gateway.access.policy import Action
from gateway.audit.notes import get_note
from gateway.cli.acting import LoginOption, PasswordOption, acting_as_account
from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json, school_moment
from gateway.cli.words import dense_table
from gateway.domain.errors import ConfigurationError, PlanRefusedError
from gateway.flows.gateway import Gateway
from gateway.flows.period_approval import LockedAsked, approve_locked, propose_locked
from gateway.flows.periods import load_signed, reopen_period, sign_period
from gateway.queue.signed import Signature
from gateway.reconcile.plan import find_plan_id, load_plan

periods_app = typer.Typer(help="Подписанные периоды: что подписано, то в город само не уходит.")
ReasonOption = Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")]
HASH_LENGTH = 6


@periods_app.command("show")
def show_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Какие периоды подписаны, для какого класса, кем и не открыты ли сейчас."""
    with opened(config) as gateway:
        found = load_signed(gateway)
        with gateway.store.read() as conn:
            notes = {one.id: get_note(conn, one.note_id) if one.note_id is not None else None for one in found}
        if as_json:
            print_json({"periods": found, "notes": {str(number): note for number, note in notes.items()}})
            return
        if not found:
            OUT.print("Ни один период не подписан")
            return
        zone = ZoneInfo(gateway.settings.school.timezone)
        table = dense_table("Подписанные периоды")
        for head in ("№", "класс", "период", "дни", "подписал", "когда", "сейчас", "почему"):
            table.add_column(head, overflow="fold")
        for one in found:
            table.add_row(
                str(one.id),
                escape(one.class_name),
                escape(one.name),
                _days(one),
                escape(one.signed_by),
                f"{one.signed_at.astimezone(zone):%d.%m.%Y %H:%M}",
                "закрыт" if one.open_until is None else f"открыт до {one.open_until.astimezone(zone):%d.%m %H:%M}",
                escape(notes[one.id] or ""),
            )
        OUT.print(table)


@periods_app.command("sign")
def sign_command(
    class_name: Annotated[str, typer.Argument(help="Класс: 7А.")],
    period: Annotated[str, typer.Argument(help="Период: название или номер по порядку в году.")],
    reason: ReasonOption,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Подписать период класса: датированное им уйдёт только по разовому разрешению с именами учеников."""
    with opened(config) as gateway:
        signed = sign_period(gateway, class_name, period, reason=reason)
        if as_json:
            print_json(signed)
            return
        one, swept = signed.signature, signed.swept
        OUT.print(f"Подпись {one.id}: {one.class_name}, {escape(one.name)}, {_days(one)}", highlight=False)
        OUT.print(f"Из очереди снято {swept.stopped}, из списка «внести руками» {swept.off_list}", highlight=False)
        if swept.on_the_way:
            OUT.print(f"Ушло до подписи и ещё не подтверждено: {swept.on_the_way}", highlight=False)


@periods_app.command("reopen")
def reopen_command(
    number: Annotated[int, typer.Argument(help="Номер подписи: gateway periods show.")],
    until: Annotated[str, typer.Option("--until", help="До какого часа: 15:30 сегодня или 2026-11-12T15:30.")],
    reason: ReasonOption,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Открыть период до часа: удержанное подписью идёт в очередь, в названный час период закроется сам."""
    with opened(config) as gateway:
        done = reopen_period(gateway, number, until=_moment(gateway, until), reason=reason)
        if as_json:
            print_json(done)
            return
        zone = ZoneInfo(gateway.settings.school.timezone)
        OUT.print(
            f"Период открыт до {done.until.astimezone(zone):%d.%m %H:%M}: в очередь {done.released.queued}, "
            f"выпало {done.released.dropped}. Дальше: gateway deliver; чего нет в последних планах — gateway sync",
            highlight=False,
        )


@periods_app.command("propose")
def propose_command(
    plan_hash: Annotated[str, typer.Argument(help="Хеш плана или его начало, от 6 знаков.")],
    pupils: Annotated[list[str], typer.Option("--pupil", help="Ученик: код портала, user:3; можно несколько раз.")],
    login: LoginOption,
    reason: ReasonOption,
    config: ConfigOption = None,
    with_deletes: Annotated[bool, typer.Option("--with-deletes", help="И удаления.")] = False,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Предложить разовое разрешение: записи названных учеников в подписанном периоде. Утвердит другой человек."""
    with opened(config, is_quiet=as_json) as gateway:
        if len(plan_hash) < HASH_LENGTH:
            raise PlanRefusedError(
                f"Начало хеша короче {HASH_LENGTH} знаков: план не назван однозначно", reason="PLAN_OTHER"
            )
        with gateway.store.write() as conn:
            plan_id = find_plan_id(conn, gateway.place_id(conn), plan_hash)
            if plan_id is None:
                raise PlanRefusedError("Такого плана нет: постройте его командой gateway plan", reason="NOTHING_THERE")
            whole = load_plan(conn, plan_id).hash
        asked = LockedAsked(
            plan_id=plan_id, plan_hash=whole, pupils=frozenset(pupils), reason=reason, with_deletes=with_deletes
        )
        with acting_as_account(gateway, login, Action.PLANS_PROPOSE, from_stdin=password_stdin) as (acting, principal):
            made = propose_locked(acting, principal, asked)
        if as_json:
            print_json(made)
            return
        OUT.print(
            f"Разрешение {made.id} предложено ({escape(login)}): записей {made.items}. "
            f"Утвердит другой человек: gateway periods approve {made.id} --as ЛОГИН --reason ПОЧЕМУ",
            highlight=False,
        )


@periods_app.command("approve")
def approve_command(
    number: Annotated[int, typer.Argument(help="Номер разрешения: его назвал gateway periods propose.")],
    login: LoginOption,
    reason: ReasonOption,
    config: ConfigOption = None,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Утвердить разовое разрешение, предложенное другим человеком. Отправит gateway deliver или следующий sync."""
    with opened(config, is_quiet=as_json) as gateway:
        with acting_as_account(gateway, login, Action.PLANS_APPROVE, from_stdin=password_stdin) as (acting, principal):
            done = approve_locked(acting, principal, number, reason=reason)
        if as_json:
            print_json(done)
            return
        zone = ZoneInfo(gateway.settings.school.timezone)
        OUT.print(
            f"Разрешение {done.id} утверждено ({escape(login)}): записей {done.items}, "
            f"до {done.expires_at.astimezone(zone):%d.%m %H:%M}; в очередь {done.released.queued}, "
            f"выпало {done.released.dropped}. Дальше: gateway deliver",
            highlight=False,
        )


def _days(one: Signature) -> str:
    return ", ".join(dict.fromkeys(f"{days.from_on:%d.%m.%Y}–{days.to_on:%d.%m.%Y}" for days in one.periods))


def _moment(gateway: Gateway, text: str) -> datetime:
    zone = ZoneInfo(gateway.settings.school.timezone)
    try:
        if len(text) <= len("15:30"):
            today = gateway.now().astimezone(zone).date()
            return datetime.combine(today, time.fromisoformat(text), zone).astimezone(UTC)
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigurationError("--until: час вида 15:30 или 2026-11-12T15:30") from exc
    return school_moment(gateway, moment, "--until")
