"""gateway coverage: how much of each class's journal in the city has been read whole, and how old that is."""

from __future__ import annotations

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.words import dense_table
from gateway.report.coverage import load_coverage


def coverage_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Сколько городского журнала каждого класса прочитано целиком: о непрочитанном не говорится, что его нет."""
    with opened(config, is_quiet=as_json) as gateway:
        with gateway.store.write() as conn:
            found = load_coverage(conn, gateway.place_id(conn))
        if as_json:
            print_json({"classes": found})
            return
        if not found:
            OUT.print("Город ещё не читали: gateway plan")
            return
        table = dense_table("Прочитано в городском журнале")
        for head in ("класс", "прочитано", "последняя попытка не удалась", "самое старое чтение"):
            table.add_column(head)
        for one in found:
            oldest = "—" if one.oldest_at is None else f"{gateway.local(one.oldest_at):%d.%m.%Y %H:%M}"
            share = f"{one.read} из {one.scopes} ({one.read / one.scopes:.0%})" if one.scopes else "не спрашивали"
            table.add_row(one.class_name, share, str(one.stale or ""), oldest)
        OUT.print(table)
