"""gateway guards: how near a plan is to each limit, and what other limits would have held on past nights."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from gateway.bootstrap.limits import build_lane_limits
from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.cli.words import GUARD_WORDS, KIND_WORDS, OWNER_WORDS, VERDICT_WORDS, dense_table
from gateway.domain.errors import PlanRefusedError
from gateway.reconcile.lanes import WHOLE_SCHOOL, LaneLimits
from gateway.reconcile.plan import find_plan_id, load_plan
from gateway.report.guards import HELD, ShownGuard, Trial, iter_trials, show_guards

guards_app = typer.Typer(help="Защита плана: пределы, что есть и кто может разрешить.", no_args_is_help=True)

RatioOption = Annotated[float | None, typer.Option(min=0, help="Вместо настройки school.guard_…: доля, 0.75 это 75 %.")]
CountOption = Annotated[int | None, typer.Option(min=0, help="Вместо настройки school.guard_…: число операций.")]


@guards_app.command("show")
def show_command(
    plan_hash: Annotated[str | None, typer.Argument(help="Начало хеша; без него последний план.")] = None,
    config: ConfigOption = None,
    every: Annotated[bool, typer.Option("--all", help="И те строки, где до предела далеко.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Строки защиты одного плана: по виду записей, по классу, по закрытым периодам и по средним."""
    with opened(config, is_quiet=True) as gateway:
        limits = build_lane_limits(gateway.settings)
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
        with gateway.store.read() as conn:
            plan_id = find_plan_id(conn, place_id, plan_hash)
            if plan_id is None:
                raise PlanRefusedError("Такого плана нет: постройте его командой gateway plan", reason="NOTHING_THERE")
            found = load_plan(conn, plan_id)
            rows = show_guards(conn, place_id, found, limits)
    if as_json:
        print_json({"plan_hash": found.hash, "guards": rows})
        return
    shown = [row for row in rows if every or row.verdict != "pass"]
    if shown:
        OUT.print(_table(f"Защита плана {found.hash[:12]}", shown))
    far = "" if len(shown) == len(rows) else f"; далеко до предела {len(rows) - len(shown)}, показать: --all"
    OUT.print(
        f"План {found.hash[:12]}: строк защиты {len(rows)}, за пределом {sum(row.verdict in HELD for row in rows)}{far}"
    )
    if gateway.settings.school.guard_lanes == "show" and any(_is_only_shown(row) for row in rows):
        OUT.print('Показанное ничего не держит; чтобы держало со следующего плана: school.guard_lanes = "hold"')


@guards_app.command("try")
def try_command(
    config: ConfigOption = None,
    nights: Annotated[int, typer.Option("--nights", min=1, max=366, help="За сколько последних суток.")] = 30,
    change_ratio: RatioOption = None,
    change_count: CountOption = None,
    delete_ratio: RatioOption = None,
    delete_count: CountOption = None,
    create_ratio: RatioOption = None,
    first_count: CountOption = None,
    past_count: CountOption = None,
    average_shift: Annotated[
        float | None, typer.Option(min=0, help="Вместо настройки school.guard_average_shift: сдвиг среднего, 0.3.")
    ] = None,
    average_marks: CountOption = None,
    period_mark_count: CountOption = None,
    minimum_count: CountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Проиграть сохранённые планы с другими пределами: что было бы удержано. Ничего не меняет."""
    wanted = {
        "change_ratio": change_ratio,
        "change_count": change_count,
        "delete_ratio": delete_ratio,
        "delete_count": delete_count,
        "create_ratio": create_ratio,
        "first_count": first_count,
        "past_count": past_count,
        "average_shift": average_shift,
        "average_marks": average_marks,
        "period_mark_count": period_mark_count,
        "minimum_count": minimum_count,
    }
    with opened(config, is_quiet=True) as gateway:
        limits = build_lane_limits(gateway.settings)
        tried = _changed(limits, wanted)
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
        with gateway.store.read() as conn:
            since = gateway.now() - timedelta(days=nights)
            trials = list(iter_trials(conn, place_id, since=since, limits=limits, tried=tried))
    if as_json:
        print_json({"limits": limits, "tried": tried, "plans": [_to_json(one) for one in trials]})
        return
    table = dense_table(f"Планы за {nights} сут.: сегодняшние пределы и пробные")
    for head in ("план", "когда", "записей", "за пределом", "с пробными", "добавилось", "освободилось"):
        table.add_column(head)
    for one in trials:
        table.add_row(
            one.plan_hash[:12],
            f"{gateway.local(one.created_at):%d.%m %H:%M}",
            str(one.items),
            str(len(one.held)),
            str(len(one.held_then)),
            _lanes(one.newly_held),
            _lanes(one.newly_free),
        )
    OUT.print(table)
    OUT.print(
        f"Планов {len(trials)}: по сегодняшним пределам было бы удержаний {sum(len(one.held) for one in trials)}, "
        f"по пробным {sum(len(one.held_then) for one in trials)}"
    )


def _is_only_shown(row: ShownGuard) -> bool:
    return not row.in_force and row.verdict in HELD


def _changed(limits: LaneLimits, wanted: dict[str, float | int | None]) -> LaneLimits:
    given = {name: value for name, value in wanted.items() if value is not None}
    return msgspec.convert({**msgspec.structs.asdict(limits), **given}, LaneLimits)


def _to_json(trial: Trial) -> dict[str, object]:
    return {**msgspec.structs.asdict(trial), "newly_held": trial.newly_held, "newly_free": trial.newly_free}


def _table(title: str, rows: Iterable[ShownGuard]) -> Table:
    table = dense_table(title)
    for head in ("защита", "вид", "где", "предел", "есть", "решение", "кто может разрешить"):
        table.add_column(head)
    for row in rows:
        kind, _, where = row.scope.partition("|")
        table.add_row(
            GUARD_WORDS.get(row.guard, row.guard),
            KIND_WORDS.get(kind, kind),
            "вся школа" if where == WHOLE_SCHOOL else where.replace("|", ", "),
            row.limit,
            row.actual,
            ("показано: было бы " if _is_only_shown(row) else "") + VERDICT_WORDS[row.verdict],
            OWNER_WORDS.get(row.override, row.override),
        )
    return table


def _lanes(names: list[str]) -> str:
    words = [f"{GUARD_WORDS.get(name.partition(' ')[0], name)} {name.partition('|')[2]}" for name in names[:3]]
    return "; ".join(words) + (" …" if len(names) > 3 else "")
