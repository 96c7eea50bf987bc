"""gateway users: accounts, roles, relations and tokens. Passwords come from a prompt or stdin, never from the command line.

Whoever may run this has the machine and with it the database: the audit names the OS user and says that nobody vouches
for him.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time
from typing import Annotated, NoReturn, TypeVar

import msgspec
import typer

from gateway.access.accounts import (
    Account,
    Grant,
    add_account,
    disable_account,
    enable_account,
    give_role,
    load_accounts,
    load_grants,
    set_password,
    take_role,
)
from gateway.access.policy import Action
from gateway.access.relations import Relation, give_relation, load_relations, take_relation
from gateway.access.roles import TIES_OF_ROLE, Role, Tie
from gateway.access.tokens import Token, issue_token, load_tokens, revoke_token
from gateway.bootstrap import build_office
from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.words import dense_table
from gateway.domain.clock import MOSCOW
from gateway.domain.errors import ConfigurationError
from gateway.domain.storable import FIRST_ON, LAST_ON
from gateway.mapping.normalise import class_key

users_app = typer.Typer(help="Учётные записи: роли, связи с детьми и классами, токены.", no_args_is_help=True)

T = TypeVar("T", Role, Tie, Action)

ROLE_WORDS = {
    Role.ADMIN: "администратор",
    Role.DEPUTY_HEAD: "завуч",
    Role.DIRECTOR: "директор",
    Role.CURATOR: "куратор программ",
    Role.CLASS_TEACHER: "классный руководитель",
    Role.TEACHER: "учитель",
    Role.METHODIST: "методист",
    Role.AUDITOR: "аудитор",
    Role.INSPECTOR: "проверяющий",
    Role.PUPIL: "ученик",
    Role.PARENT: "родитель",
}
TIE_WORDS = {
    Tie.SELF: "сам ученик",
    Tie.GUARDIAN: "родитель",
    Tie.LEADS: "класс",
    Tie.TEACHES: "группа",
    Tie.CURATES: "программа",
}


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """One account with all that it may."""

    account: Account
    roles: list[Grant]
    relations: list[Relation]
    tokens: list[Token]


LoginArgument = Annotated[str, typer.Argument(help="Логин: латинские буквы, цифры и . _ @ -")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")]
FromDay = Annotated[
    str | None, typer.Option("--from", help="Первый день, ГГГГ-ММ-ДД; без него с сегодняшнего дня и раньше.")
]
ToDay = Annotated[str | None, typer.Option("--to", help="Последний день включительно, ГГГГ-ММ-ДД; без него бессрочно.")]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Пароль первой строкой stdin; без этого его спросят дважды.")
]


@users_app.command("add")
def add_command(
    login: LoginArgument,
    config: ConfigOption = None,
    role: Annotated[str | None, typer.Option("--role", help="Роль: admin, deputy_head, teacher, parent…")] = None,
    to_day: ToDay = None,
    person: Annotated[
        str | None,
        typer.Option("--person", help="Кто это на портале, user:3: один человек с двумя записями остаётся одним."),
    ] = None,
    password_stdin: StdinOption = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="Без пароля: только для токенов.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Завести учётную запись, сразу с ролью, если она названа."""
    wanted = None if role is None else _choose(Role, role, "--role")
    until = _day(to_day, "--to")
    password = None if no_password else _read_password(from_stdin=password_stdin)
    with opened(config, is_quiet=True) as gateway:
        office = build_office(gateway)
        account = add_account(office, login, password=password, person_ref=person)
        grant = None if wanted is None else give_role(office, login, wanted, ends_on=until)
    if as_json:
        print_json({"account": account, "role": grant})
        return
    OUT.print(
        f"Учётная запись {account.login} (№ {account.id}) заведена"
        + ("" if wanted is None else f": {ROLE_WORDS[wanted]}")
    )
    if wanted in TIES_OF_ROLE:
        OUT.print(
            f"Пока не видит никого. Дальше: gateway users relate {account.login} {TIES_OF_ROLE[wanted].value} ССЫЛКА"
        )


@users_app.command("list")
def list_command(
    config: ConfigOption = None,
    on_day: Annotated[
        str | None, typer.Option("--on", help="Кто что мог в конце этого дня, ГГГГ-ММ-ДД; без него все нынешние права.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Кто допущен: роли, связи и токены каждого; без --on тоже будущие и те, чей срок прошёл."""
    on = _day(on_day, "--on")
    as_of = None if on is None else datetime.combine(on, time.max, MOSCOW).astimezone(UTC)
    with opened(config, is_quiet=True) as gateway:
        with gateway.store.read() as conn:
            admitted = [
                Admitted(
                    account=account,
                    roles=load_grants(conn, gateway.place, account.id, on=on, as_of=as_of),
                    relations=load_relations(conn, gateway.place, account.id, on=on, as_of=as_of),
                    tokens=load_tokens(conn, account.id),
                )
                for account in load_accounts(conn)
                if as_of is None or account.created_at <= as_of
            ]
        # whose parent somebody is, is a child's data too
        ties = [tie for one in admitted for tie in one.relations if tie.tie in (Tie.GUARDIAN, Tie.SELF)]
        show_of(gateway, "users_list", pupils={tie.object_ref for tie in ties})
    if as_json:
        print_json({"accounts": admitted})
        return
    table = dense_table("Учётные записи")
    for head in ("№", "логин", "роли", "связи", "токены", "состояние"):
        table.add_column(head)
    for one in admitted:
        account = one.account
        table.add_row(
            str(account.id),
            account.login,
            "\n".join(f"{ROLE_WORDS[grant.role]}{_days(grant.begins_on, grant.ends_on)}" for grant in one.roles),
            "\n".join(
                f"{tie.id}: {TIE_WORDS[tie.tie]} {tie.object_ref}{_days(tie.begins_on, tie.ends_on)}"
                + (" (ограничен)" if tie.is_restricted else "")
                for tie in one.relations
            ),
            "\n".join(f"{token.id}: {token.name}" for token in one.tokens if token.revoked_at is None),
            "отключена" if account.disabled_at else "" if account.has_password else "без пароля",
        )
    OUT.print(table)


@users_app.command("password")
def password_command(
    login: LoginArgument, config: ConfigOption = None, password_stdin: StdinOption = False, as_json: JsonOption = False
) -> None:
    """Сменить пароль; открытые сеансы кончаются."""
    password = _read_password(from_stdin=password_stdin)
    with opened(config, is_quiet=True) as gateway:
        set_password(build_office(gateway), login, password)
    print_json({"changed": True}) if as_json else OUT.print("Пароль сменён, сеансы закрыты")


@users_app.command("disable")
def disable_command(
    login: LoginArgument, reason: ReasonOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Отключить: вход закрыт, сеансы и токены кончаются сразу."""
    with opened(config, is_quiet=True) as gateway:
        ended = disable_account(build_office(gateway), login, reason=reason)
    if as_json:
        print_json({"sessions_ended": ended})
    else:
        OUT.print(f"Отключена; закрыто сеансов: {ended}")


@users_app.command("enable")
def enable_command(
    login: LoginArgument, reason: ReasonOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Включить снова; прежние сеансы и токены не оживают."""
    with opened(config, is_quiet=True) as gateway:
        enable_account(build_office(gateway), login, reason=reason)
    print_json({"enabled": True}) if as_json else OUT.print("Включена")


@users_app.command("role")
def role_command(
    login: LoginArgument,
    role: Annotated[str, typer.Argument(help="Роль, например deputy_head.")],
    config: ConfigOption = None,
    from_day: FromDay = None,
    to_day: ToDay = None,
    deputises_for: Annotated[
        str | None, typer.Option("--deputises-for", help="Логин того, кого замещает; нужен последний день.")
    ] = None,
    take: Annotated[bool, typer.Option("--take", help="Забрать эту роль.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Дать роль между двумя днями или забрать её."""
    wanted = _choose(Role, role, "роль")
    begins_on, ends_on = _day(from_day, "--from"), _day(to_day, "--to")
    with opened(config, is_quiet=True) as gateway:
        office = build_office(gateway)
        if take:
            taken = take_role(office, login, wanted)
            print_json({"taken": taken}) if as_json else OUT.print(f"Роль забрана: {ROLE_WORDS[wanted]}")
            return
        grant = give_role(office, login, wanted, begins_on=begins_on, ends_on=ends_on, deputises_for=deputises_for)
        print_json(grant) if as_json else OUT.print(f"Роль дана: {ROLE_WORDS[wanted]}{_days(begins_on, ends_on)}")


@users_app.command("relate")
def relate_command(
    login: LoginArgument,
    tie: Annotated[str, typer.Argument(help="self, guardian, leads, teaches или curates.")],
    object_ref: Annotated[str, typer.Argument(help="user:3 (ученик), 7А (класс), group:1, course:2 (программа).")],
    config: ConfigOption = None,
    from_day: FromDay = None,
    to_day: ToDay = None,
    restricted: Annotated[
        bool, typer.Option("--restricted", help="Родитель, чьи права ограничены: связь есть, данных нет.")
    ] = False,
    substitutes: Annotated[
        str | None, typer.Option("--substitutes", help="Кого замещает, user:7; нужны оба дня.")
    ] = None,
    take: Annotated[int | None, typer.Option("--take", help="Забрать связь с этим номером (из users list).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Связать с ребёнком, классом, группой или программой, или забрать связь."""
    wanted = _choose(Tie, tie, "связь")
    begins_on, ends_on = _day(from_day, "--from"), _day(to_day, "--to")
    with opened(config, is_quiet=True) as gateway:
        office = build_office(gateway)
        if take is not None:
            take_relation(office, login, take)
            print_json({"taken": take}) if as_json else OUT.print(f"Связь {take} забрана")
            return
        relation = give_relation(
            office,
            login,
            wanted,
            (class_key(object_ref) or object_ref) if wanted is Tie.LEADS else object_ref,
            begins_on=begins_on,
            ends_on=ends_on,
            is_restricted=restricted,
            substitutes=substitutes,
        )
        if as_json:
            print_json(relation)
        else:
            OUT.print(f"Связь {relation.id}: {TIE_WORDS[wanted]} {relation.object_ref}{_days(begins_on, ends_on)}")


@users_app.command("token")
def token_command(
    login: LoginArgument,
    config: ConfigOption = None,
    name: Annotated[str, typer.Option("--name", help="Для чего он: одно слово.")] = "token",
    role: Annotated[str | None, typer.Option("--role", help="В какой роли он действует.")] = None,
    action: Annotated[
        list[str] | None, typer.Option("--action", help="Что он может, например runs.read; можно несколько раз.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="Сколько дней живёт.")] = 30,
    revoke: Annotated[int | None, typer.Option("--revoke", help="Отозвать токен с этим номером.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Выдать токен машине школы (виден один раз) или отозвать его."""
    with opened(config, is_quiet=True) as gateway:
        office = build_office(gateway)
        if revoke is not None:
            revoke_token(office, login, revoke)
            print_json({"revoked": revoke}) if as_json else OUT.print(f"Токен {revoke} отозван")
            return
        if role is None or not action:
            raise ConfigurationError("Токену нужны роль и хотя бы одно действие: --role, --action")
        token, secret = issue_token(
            office,
            login,
            name=name,
            role=_choose(Role, role, "--role"),
            actions={_choose(Action, one, "--action") for one in action},
            days=days,
            longest_days=gateway.settings.access.token_days,
        )
    if as_json:
        print_json({**msgspec.structs.asdict(token), "secret": secret})
        return
    sys.stdout.write(f"{secret}\n")
    typer.echo(f"Токен {token.id} до {token.expires_at:%d.%m.%Y}; больше он показан не будет", err=True)


def _choose(words: type[T], text: str, option: str) -> T:
    try:
        return words(text)
    except ValueError:
        _usage(f"{option}: одно из {', '.join(one.value for one in words)}")


def _day(text: str | None, option: str) -> date | None:
    try:
        day = None if text is None else date.fromisoformat(text)
    except ValueError:
        _usage(f"{option}: день вида 2026-11-10")
    if day is not None and not FIRST_ON <= day <= LAST_ON:
        _usage(f"{option}: нужен день от {FIRST_ON} до {LAST_ON}")
    return day


def _usage(words: str) -> NoReturn:
    typer.echo(words, err=True)
    raise typer.Exit(2)


def _read_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Пароль", hide_input=True, confirmation_prompt="Ещё раз"))


def _days(begins_on: date | None, ends_on: date | None) -> str:
    first = f" с {begins_on:%d.%m.%Y}" if begins_on else ""
    return f"{first} по {ends_on:%d.%m.%Y}" if ends_on else first
