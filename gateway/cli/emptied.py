"""gateway emptied: journals that show nothing of what is known, and a person's word that it is so."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.words import dense_table
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Kind
from gateway.flows.emptied import believe_emptied, find_emptied
from gateway.flows.sync import Exit


def emptied_command(
    config: ConfigOption = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="Вид: mark, absence, homework…; без него все.")
    ] = None,
    classes: Annotated[list[str] | None, typer.Option("--class", help="Класс, например 5А; без него все.")] = None,
    believe: Annotated[
        bool, typer.Option("--believe", help="Подтвердить: люди действительно стёрли это в городе.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Откуда это известно; хранится рядом с аудитом.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Показать группы города, где не видно ничего из известного, и подтвердить, что это стёрли люди.

    Пока не подтверждено, шлюз считает такой журнал непрочитанным: так же выглядят чужая подсистема и потерянные права.
    """
    unknown = sorted(set(kinds or ()) - {kind.value for kind in Kind})
    if unknown:
        raise ConfigurationError(
            f"Нет такого вида: {', '.join(unknown)}. Есть: {', '.join(kind.value for kind in Kind)}"
        )
    wanted = frozenset(Kind(kind) for kind in kinds or ())
    with opened(config, is_quiet=as_json) as gateway:
        names = frozenset(classes or ())
        found = (
            believe_emptied(gateway, wanted, names, reason=reason) if believe else find_emptied(gateway, wanted, names)
        )
        if as_json:
            print_json(found)
        elif not found.groups:
            OUT.print("Нет групп, где город не показывал бы ничего из известного")
        else:
            table = dense_table(title="Ничего из известного не видно")
            for head in ("вид", "группа города", "было известно", "видно другого"):
                table.add_column(head)
            for one in found.groups:
                table.add_row(one.kind.value, one.group, str(one.known), str(one.shown))
            OUT.print(table)
            OUT.print(
                f"Подтверждено, запуск {found.run_id}. Следующий план покажет стёртое как расхождения: gateway sync"
                if found.run_id is not None
                else "Если это стёрли люди: gateway emptied --believe --reason «откуда известно»"
            )
        if found.unread and not as_json:
            OUT.print(f"Не прочитаны целиком дважды одинаково: {found.unread}, о них ничего не сказано")
            for left in found.not_read:
                OUT.print(escape(f"  {left.kind.value}, {left.group}: {left.reason}"))
        if found.unread or (found.groups and not believe):
            raise typer.Exit(Exit.REMARKS)
