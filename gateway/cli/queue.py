"""gateway queue: what is on its way, what is parked and why, and sending a parked one again by a fresh decision."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from gateway.cli.context import OUT, ConfigOption, JsonOption, check_known, opened, print_json
from gateway.cli.looks import show_of
from gateway.cli.traffic import lane_table, traffic_sentence
from gateway.cli.words import KIND_WORDS, OWNER_WORDS, dense_table, sentence
from gateway.domain.reasons import REASONS
from gateway.flows.traffic import load_traffic
from gateway.queue.parking import count_states, load_operations, replay
from gateway.queue.states import State

queue_app = typer.Typer(help="Очередь отправки и отложенное.", invoke_without_command=True)
STATE_WORDS = {
    "ready": "в очереди",
    "claimed": "взято",
    "sending": "отправляется",
    "unknown": "исход неизвестен: будет проверено чтением",
    "accepted": "принято",
    "by_hand": "внести руками: подтвердит следующее чтение или выгрузка",
    "verified": "подтверждено",
    "parked": "отложено",
    "superseded": "снято: данные изменились",
}


@queue_app.callback()
def list_command(
    context: typer.Context,
    config: ConfigOption = None,
    state: Annotated[str | None, typer.Option(help="Только это состояние, например parked.")] = None,
    limit: Annotated[int, typer.Option(help="Сколько строк.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Состояния очереди и, с --state, её строки."""
    if context.invoked_subcommand is not None:
        return
    with opened(config) as gateway:
        check_known("--state", state, list(State))
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
            counts = count_states(conn, place_id)
            rows = load_operations(conn, place_id, state=state, limit=limit) if state else []
        if rows:
            show_of(gateway, "queue_list", refs=[row.ref for row in rows])
        traffic = load_traffic(gateway)
        if as_json:
            print_json({"states": counts, **msgspec.structs.asdict(traffic), "operations": rows})
            return
        table = dense_table(title="Очередь")
        table.add_column("состояние")
        table.add_column("операций", justify="right")
        for name, count in counts.items():
            table.add_row(STATE_WORDS.get(name, name), str(count))
        OUT.print(table)
        OUT.print(lane_table(traffic))
        OUT.print(traffic_sentence(gateway, traffic))
        if rows:
            details = dense_table(title=STATE_WORDS.get(state or "", state or ""))
            for head in ("№", "вид", "запись", "попыток", "код", "что делать", "чей ход"):
                details.add_column(head)
            for row in rows:
                reason = REASONS.get(row.reason)
                details.add_row(
                    str(row.id),
                    KIND_WORDS.get(row.kind, row.kind),
                    row.ref,
                    str(row.attempts),
                    row.reason,
                    f"{sentence(row.sentence)} {reason.todo_ru if reason else ''}".strip(),
                    OWNER_WORDS.get(reason.owner, reason.owner) if reason else "",
                )
            OUT.print(details)


@queue_app.command("replay")
def replay_command(
    number: Annotated[int, typer.Argument(help="Номер отложенной операции.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Вернуть отложенное: следующий план решит заново по сегодняшним данным."""
    with opened(config) as gateway:
        replay(gateway.store, gateway.ledger, number, actor=gateway.actor)
        if as_json:
            print_json({"replayed": number})
            return
        OUT.print(f"Операция {number} снята с отложенных; решит следующий gateway sync")
