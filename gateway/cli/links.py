"""gateway links: who is who, decided by people; machine links are only shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gateway.access.policy import Action
from gateway.cli.acting import Acting, AsOption, PasswordOption, acting_as
from gateway.cli.context import ERR, OUT, ConfigOption, JsonOption, guarded, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.targets import ForceOption, new_file
from gateway.cli.words import dense_table
from gateway.domain.identifiers import Kind
from gateway.flows.gateway import Gateway
from gateway.flows.links import confirm_link, import_roster, reject_link
from gateway.flows.merge import merge_profile
from gateway.flows.relink import propose_relink
from gateway.flows.sync import Exit
from gateway.flows.unlink import drop_link
from gateway.mapping.likeness import tell
from gateway.mapping.link_doubts import load_doubts
from gateway.mapping.links import load_candidates, load_links, load_waiting
from gateway.mapping.roster import REFUSAL_SENTENCES, Refusal
from gateway.mapping.roster_file import read_roster, write_template
from gateway.report.links import Asking, get_card, load_asking, shown_pupils
from gateway.report.pupils import require_pupil

links_app = typer.Typer(help="Связи учеников портала с учениками городского журнала.", no_args_is_help=True)


@links_app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="Список канцелярии, XLSX: gateway links template FILE.xlsx")],
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Только сказать, что было бы сделано.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Связать учеников по списку: строка принимается, только если сходится с обеими сторонами."""
    with opened(config, is_quiet=as_json) as gateway:
        read = read_roster(file)
        result = import_roster(gateway, read, is_dry_run=dry_run)
        if as_json:
            print_json({"links": result, "faults": read.faults})
        else:
            verb = "было бы связано" if dry_run else "связано"
            OUT.print(f"{verb} {result.confirmed}, уже были {result.unchanged}, не принято {len(result.refused)}")
            for row in result.refused:
                sentence = REFUSAL_SENTENCES[Refusal(row["reason"])]
                OUT.print(f"  {row['sheet']}, строка {row['row']}: {sentence}")
            for fault in read.faults:
                OUT.print(
                    f"  {fault.sheet}, строка {fault.row or '—'}, {fault.column or '—'}: {fault.what} {fault.todo}"
                )
        if result.refused or read.faults:
            raise typer.Exit(Exit.REMARKS)


@links_app.command("template")
def template_command(
    file: Annotated[Path, typer.Argument(help="Куда записать, XLSX.")],
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Записать пустой список для канцелярии."""
    with guarded(), new_file(file, is_forced=force):
        write_template(file)
    if as_json:
        print_json({"file": file.name})
        return
    OUT.print(f"Записан {file.name}")


@links_app.command("confirm")
def confirm_command(
    local_ref: Annotated[str, typer.Argument(help="Код портала, user:3")],
    city_id: Annotated[int, typer.Argument(help="Номер ученика в городском журнале")],
    config: ConfigOption = None,
    despite_evidence: Annotated[
        bool,
        typer.Option(
            "--despite-evidence", help="Имя, дата рождения или класс другие, но ребёнок тот же; ждёт второго."
        ),
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Почему это тот же ребёнок вопреки данным.")] = "",
    login: AsOption = None,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Подтвердить одну связь; существующая другая не перезаписывается."""
    with (
        opened(config, is_quiet=as_json) as gateway,
        _acting_on(gateway, local_ref, login, from_stdin=password_stdin) as acting,
    ):
        made = confirm_link(
            acting.gateway,
            local_ref,
            city_id,
            despite_evidence=despite_evidence,
            reason=reason,
            principal=acting.principal,
        )
        if as_json:
            print_json({"confirmed": bool(made)})
            return
        OUT.print("Связано" if made else "Эта связь уже есть")
        with gateway.store.read() as conn:
            doubts = [
                one for one in load_doubts(conn, gateway.place_id(conn), Kind.PERSON) if one.local_ref == local_ref
            ]
        if doubts:
            OUT.print("Вопреки данным: записи ученика подождут, пока то же не подтвердит другой человек")


@links_app.command("reject")
def reject_command(
    local_ref: Annotated[str, typer.Argument(help="Код портала, user:3")],
    city_id: Annotated[int, typer.Argument(help="Номер ученика в городском журнале")],
    reason: Annotated[str, typer.Option("--reason", help="Почему это другой ребёнок.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Сказать, что кандидат — другой ребёнок: пару не предложат снова, пока не изменятся данные."""
    with opened(config, is_quiet=as_json) as gateway:
        reject_link(gateway, local_ref, city_id, reason=reason)
        if as_json:
            print_json({"rejected": True})
            return
        OUT.print("Отвергнуто: снова предложим, только если данные одной из сторон изменятся")


@links_app.command("candidates")
def candidates_command(
    config: ConfigOption = None,
    after: Annotated[str, typer.Option("--after", help="После этого кода портала.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Сколько учеников показать.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Кто ждёт решения и кто из городского журнала это может быть: за и против словами."""
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
            found = load_asking(conn, place_id, None, after=after, limit=limit)
            named = shown_pupils(found, load_links(conn, place_id, Kind.PERSON))
        show_of(gateway, "links_candidates", pupils=named)
        if as_json:
            print_json({"waiting": found, "next": found[-1].ref if len(found) == limit else None})
            return
        if not found:
            OUT.print("Никто не ждёт")
        for one in found:
            _print_asking(one)
        if found:
            ERR.print("Решить: gateway links confirm КОД НОМЕР или gateway links reject КОД НОМЕР --reason ПОЧЕМУ")


@links_app.command("show")
def show_command(
    local_ref: Annotated[str, typer.Argument(help="Код портала, user:3")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Одна связь: кто и на чём её решил, что говорит против, кого отвергли."""
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
            card = get_card(conn, place_id, None, local_ref)
            asking = [] if card.asking is None else [card.asking]
            named = shown_pupils(asking, load_links(conn, place_id, Kind.PERSON))
        show_of(gateway, "links_show", within="link", pupils={local_ref, *named})
        if as_json:
            print_json(card)
            return
        OUT.print(escape(f"{card.ref}: {card.name}, {card.class_name or 'класс неизвестен'}"))
        if card.city_id is None:
            OUT.print("Связи нет")
        else:
            by = "машина" if card.is_by_machine else card.decided_by or "—"
            OUT.print(escape(f"Связан с № {card.city_id}: {card.city_name}, {card.city_class or '—'}; решил {by}"))
            for line in card.evidence:
                OUT.print(f"  {line}")
        if card.asking is not None:
            _print_asking(card.asking)
        for refused in card.refused:
            OUT.print(escape(f"Отвергнут № {refused.city_id}, {refused.actor}: {refused.why or '—'}"))


@contextmanager
def _acting_on(gateway: Gateway, local_ref: str, login: str | None, *, from_stdin: bool) -> Iterator[Acting]:
    """Who decides about a pupil's link; an account only about a pupil whom it reaches, as by the HTTP door.

    Raises:
        NotVisibleError: None of its roles may, or the pupil is somebody else's.
    """
    with acting_as(gateway, login, Action.LINKS_DECIDE, from_stdin=from_stdin) as acting:
        if acting.scope is not None:
            with gateway.store.read() as conn:
                require_pupil(conn, acting.scope, gateway.place_id(conn), local_ref)
        yield acting


def _print_asking(one: Asking) -> None:
    OUT.print(escape(f"{one.ref}: {one.name}, {one.class_name or 'класс неизвестен'}. {one.what}"))
    for doubt in one.doubts:
        OUT.print(f"  против связи: {doubt}")
    for offer in one.offers:
        taken = ", уже связан с другим" if offer.is_taken else ""
        OUT.print(escape(f"  № {offer.city_id} {offer.name}, {offer.class_name or '—'}: {offer.score:.0%}{taken}"))
        OUT.print(f"    {'; '.join(offer.evidence)}")


@links_app.command("split")
def split_command(
    local_ref: Annotated[str, typer.Argument(help="Код портала, user:3")],
    reason: Annotated[str, typer.Option("--reason", help="Почему связь неверна.")],
    config: ConfigOption = None,
    to: Annotated[int | None, typer.Option("--to", help="Номер верного ученика; без него связь только снимут.")] = None,
    swap: Annotated[bool, typer.Option("--swap", help="Двоих перепутали: тот получит прежний номер этого.")] = False,
    login: AsOption = None,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Исправить неверную связь: убрать записи у неверного ребёнка, создать у верного; утверждает другой человек."""
    with (
        opened(config, is_quiet=as_json) as gateway,
        _acting_on(gateway, local_ref, login, from_stdin=password_stdin) as acting,
    ):
        made = propose_relink(acting.gateway, local_ref, to, reason=reason, is_swap=swap, scope=acting.scope)
        if as_json:
            print_json(made)
            return
        counts = made.counts
        OUT.print(
            f"Исправление {made.number} ждёт утверждения: удалить {counts['delete']}, убрать руками {counts['hand']}, "
            f"оставить {counts['keep']}, создать у верного {counts['create']}. Записи этих учеников не уходят"
        )
        if made.incident is not None:
            OUT.print(f"Открыт инцидент {made.incident}: уведомить в 24 часа, результаты в 72: gateway incidents show")
        OUT.print(f"Утвердить: gateway relinks approve {made.number} {made.hash[:12]} --as ЛОГИН --reason ПОЧЕМУ")
        if acting.principal is None and counts["delete"]:
            OUT.print("Предложено без учётной записи: чтобы утвердить удаления, предложите заново с --as ЛОГИН")


@links_app.command("merge")
def merge_command(
    local_ref: Annotated[str, typer.Argument(help="Код портала, user:3")],
    city_id: Annotated[int, typer.Argument(help="Новый номер того же ребёнка в городском журнале")],
    reason: Annotated[str, typer.Option("--reason", help="Откуда известно, что это тот же ребёнок.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Сказать, что второй профиль города — тот же ребёнок: связь переходит к нему, ничего не удаляется."""
    with opened(config, is_quiet=as_json) as gateway:
        forgotten = merge_profile(gateway, local_ref, city_id, reason=reason)
        if as_json:
            print_json({"forgotten": forgotten})
            return
        OUT.print(f"Связь перешла на № {city_id}; прежних записей {forgotten}, их решит следующий gateway sync")


@links_app.command("drop")
def drop_command(
    local_ref: Annotated[str, typer.Argument(help="Код портала, user:3")],
    reason: Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Убрать неверную связь, по которой ещё ничего не ушло; ушло — gateway links split."""
    with opened(config, is_quiet=as_json) as gateway:
        dropped = drop_link(gateway, local_ref, reason=reason)
        if as_json:
            print_json(dropped)
            return
        OUT.print(f"Связь убрана, не отправлено и не будет {dropped.dropped}.")
        OUT.print("Дальше: gateway links confirm КОД НОМЕР")


@links_app.command("list")
def list_command(
    config: ConfigOption = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Только те, кто ждёт решения.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Показать связи, кандидатов и тех, кто ждёт."""
    with opened(config) as gateway:
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
            links = {} if waiting else load_links(conn, place_id, Kind.PERSON)
            candidates = load_candidates(conn, place_id, Kind.PERSON)
            waits = load_waiting(conn, place_id, Kind.PERSON)
        show_of(gateway, "links_list", pupils={*links, *waits, *(one.local_ref for one in candidates)})
        if as_json:
            print_json({"links": links, "candidates": candidates, "waiting": waits})
            return
        table = dense_table(title=f"Связано {len(links)}, ждут {len(waits)}")
        for head in ("портал", "город", "код", "чем похожи"):
            table.add_column(head)
        for candidate in candidates:
            evidence = "; ".join(tell(candidate.evidence))
            table.add_row(candidate.local_ref, str(candidate.city_id), candidate.reason, evidence)
        known = {candidate.local_ref for candidate in candidates}
        for ref, reason in waits.items():
            if ref not in known:
                table.add_row(ref, "—", reason, "")
        OUT.print(table)
        if waits:
            ERR.print("Связать: gateway links import FILE.xlsx или gateway links confirm КОД НОМЕР")
